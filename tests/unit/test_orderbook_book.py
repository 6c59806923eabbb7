"""The order book against plain dictionaries, and against a true book whose stream is lost, doubled and swapped."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from scripts.orderbook import book as book_module
from scripts.orderbook.book import Book, Side
from scripts.orderbook.records import Diff, Level, Snapshot

ALL = 10**9
Plain = dict[int, float]
Records = list[Snapshot | Diff]


def ranked(levels: Plain, sign: int) -> list[Level]:
    """Levels of a dictionary, best first."""
    return sorted(levels.items(), key=lambda level: sign * level[0])


@dataclass
class TrueMarket:
    """A market that remembers every state it ever had: update id -> (bids, asks)."""

    random: random.Random
    usdm: bool
    past: dict[int, tuple[Plain, Plain]] = field(default_factory=dict)
    last: int = 1_000

    def __post_init__(self) -> None:
        self.bids = dict.fromkeys(range(20, 40), 1.0)
        self.asks = dict.fromkeys(range(41, 61), 2.0)
        self.past[self.last] = (dict(self.bids), dict(self.asks))

    def diff(self) -> Diff:
        """Some events, and the message that tells them."""
        changes: tuple[list[Level], list[Level]] = ([], [])
        previous, first = self.last, 0
        for _ in range(self.random.randint(1, 4)):
            # other symbols take ids of USD-M too, so they jump
            self.last += self.random.randint(1, 3) if self.usdm else 1
            first = first or self.last
            side = self.random.randrange(2)
            price = self.random.randint(15, 40) if side == 0 else self.random.randint(41, 66)
            size = float(self.random.choice([0, 0, 1, 2, 3]))
            levels = (self.bids, self.asks)[side]
            levels.pop(price, None)
            if size:
                levels[price] = size
            changes[side].append((price, size))
            self.past[self.last] = (dict(self.bids), dict(self.asks))
        return Diff(self.last, self.last, first, self.last, previous if self.usdm else None, *changes)

    def snapshot(self, update_id: int, count: int) -> Snapshot:
        bids, asks = self.past[update_id]
        return Snapshot(update_id, update_id, update_id, ranked(bids, -1)[:count], ranked(asks, 1)[:count])


@pytest.mark.parametrize("usdm", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_every_level_of_every_state_equals_a_plain_dictionary(seed: int, usdm: bool) -> None:
    market = TrueMarket(random.Random(seed), usdm)
    bids, asks = (dict(levels) for levels in market.past[market.last])
    book, diffs = Book(), [market.diff() for _ in range(150)]
    first = Diff(0, 0, 990, 1_000, 989 if usdm else None, [], [])
    list(book.follow(market.snapshot(1_000, ALL)))
    for diff in [first, *diffs]:
        states = sum(1 for _ in book.follow(diff))
        assert states == (diff is not first or usdm)  # spot's snapshot holds the diff that ends at its id
        for levels, changes in ((bids, diff.bids), (asks, diff.asks)):
            levels |= dict(changes)
            for price in [price for price, size in levels.items() if size == 0]:
                del levels[price]
        assert list(book.bids.top(ALL)) == ranked(bids, -1)
        assert list(book.asks.top(ALL)) == ranked(asks, 1)
    assert book.finish().gaps == 0


def damaged(market: TrueMarket, diffs: list[Diff]) -> Iterator[Snapshot | Diff]:
    """Diffs lost, doubled and swapped, and snapshots of few levels that come early or late; the end is whole."""
    late: list[tuple[int, Snapshot]] = []
    swapped: Diff | None = None
    for i, diff in enumerate(diffs):
        whole = i > len(diffs) - 10
        if i % 23 == 7 or i == len(diffs) - 6:
            known = [update_id for update_id in market.past if diff.first_id <= update_id <= diff.final_id]
            one = market.snapshot(market.random.choice(known), market.random.randint(3, 30))
            late.append((i + (0 if whole else market.random.randint(-3, 3)), one))
        for _, ready in [entry for entry in late if entry[0] <= i]:
            yield ready
        late = [entry for entry in late if entry[0] > i]
        fate = 1.0 if whole else market.random.random()
        if swapped or fate < 0.03:
            swapped, held = (None, swapped) if swapped else (diff, None)
            if held:
                yield from (diff, held)
        elif fate > 0.06:
            yield from [diff, diff] if fate < 0.09 else [diff]


def runs(states: list[tuple[int, int]]) -> list[list[int]]:
    """Update ids by segment."""
    segments = sorted({segment for segment, _ in states})
    return [[update_id for of, update_id in states if of == segment] for segment in segments]


@pytest.mark.parametrize("usdm", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_of_a_damaged_stream_each_state_is_true_and_no_segment_spans_a_loss(seed: int, usdm: bool) -> None:
    market = TrueMarket(random.Random(seed), usdm)
    diffs = [market.diff() for _ in range(200)]
    book, states, horizons, segment = Book(), [], (0, 0), -1
    for record in damaged(market, diffs):
        for _ in book.follow(record):
            states.append((book.segment, book.update_id))
            if book.segment > segment:
                segment = book.segment
                horizons = (list(book.bids.top(ALL))[-1][0], list(book.asks.top(ALL))[-1][0])
            bids, asks = market.past[book.update_id]
            assert list(book.bids.top(book.bids.known_levels())) == [
                level for level in ranked(bids, -1) if level[0] >= horizons[0]
            ]
            assert list(book.asks.top(book.asks.known_levels())) == [
                level for level in ranked(asks, 1) if level[0] <= horizons[1]
            ]
    ends = [diff.final_id for diff in diffs]
    for _, *applied in runs(states):  # without the snapshot's own state
        assert not applied or applied == ends[ends.index(applied[0]) :][: len(applied)]
    counts = book.finish()
    assert counts.states == len(states) > 30
    assert counts.segments == len(runs(states)) == counts.resyncs + 1
    assert counts.gaps > 0
    assert states[-1][1] == ends[-1], "the book did not come back after the last snapshot"


def records_of(entries: list[int | tuple[int, int] | tuple[int, int, int]]) -> Iterator[Snapshot | Diff]:
    """An integer is a snapshot, (U, u) a diff of spot, (U, u, pu) one of USD-M."""
    for entry in entries:
        if isinstance(entry, int):
            yield Snapshot(0, 0, entry, [(10, 1.0)], [(11, 1.0)])
        else:
            yield Diff(0, 0, entry[0], entry[1], entry[2] if len(entry) == 3 else None, [], [])


@pytest.mark.parametrize(
    ("entries", "states", "counts"),
    [
        pytest.param([10, (11, 12), (13, 14)], "10 12 14", {}, id="spot: U is the next id"),
        pytest.param([10, (5, 9), (10, 10), (9, 12)], "10 12", {"without_snapshot": 2}, id="spot: old diffs dropped"),
        pytest.param([(5, 9), (8, 10), (11, 12), 10], "10 12", {"without_snapshot": 2}, id="spot: diffs came first"),
        pytest.param([10, (12, 13)], "10", {"gaps": 1, "without_snapshot": 1}, id="spot: snapshot not reached"),
        pytest.param([10, (11, 12), (14, 15)], "10 12", {"gaps": 1, "without_snapshot": 1}, id="spot: gap"),
        pytest.param([10, (11, 13), (12, 15)], "10 13", {"gaps": 1, "without_snapshot": 1}, id="spot: overlap"),
        pytest.param([10, (11, 12), (11, 12), (13, 13)], "10 12 13", {"duplicates": 1}, id="spot: duplicate"),
        pytest.param([10, (10, 12, 9), (20, 22, 12)], "10 12 22", {}, id="usdm: pu counts, U may jump"),
        pytest.param([10, (5, 9, 4), (10, 10, 9)], "10 10", {"without_snapshot": 1}, id="usdm: u < lastUpdateId drops"),
        pytest.param([(5, 9, 4), (10, 12, 9), 10], "10 12", {"without_snapshot": 1}, id="usdm: diffs came first"),
        pytest.param([10, (11, 12, 9)], "10", {"gaps": 1, "without_snapshot": 1}, id="usdm: snapshot not reached"),
        pytest.param([10, (9, 12, 8), (13, 15, 11)], "10 12", {"gaps": 1, "without_snapshot": 1}, id="usdm: gap"),
        pytest.param([10, (9, 12, 8), (9, 12, 8), (13, 14, 12)], "10 12 14", {"duplicates": 1}, id="usdm: duplicate"),
        pytest.param(
            [10, (9, 12, 8), (15, 16, 14), (17, 18, 16), 17, (19, 20, 18)], "10 12|17 18 20",
            {"gaps": 1, "resyncs": 1, "without_snapshot": 1}, id="next snapshot begins the next segment",
        ),
        pytest.param([10, (9, 12, 8), 11, 12, (13, 14, 12)], "10 12 14", {}, id="more snapshots change nothing"),
        pytest.param(
            [10, (9, 12, 8), 30, (29, 31, 28), (32, 33, 31)], "10 12|30 31 33",
            {"gaps": 1, "resyncs": 1}, id="a snapshot stored before the gap was seen is used",
        ),
        pytest.param(
            [10, (9, 12, 8), 30, (40, 41, 39), 50, (50, 51, 49)], "10 12|50 51",
            {"gaps": 1, "resyncs": 1, "without_snapshot": 1}, id="unless it is too old",
        ),
        pytest.param(
            [10, (9, 12, 8), 30, (20, 22, 19), (29, 31, 28)], "10 12|30 31",
            {"gaps": 1, "resyncs": 1, "without_snapshot": 1}, id="also where it holds the diff after the gap",
        ),
        pytest.param(
            [10, (9, 20, 8), 15, (14, 25, 13)], "10 20",
            {"gaps": 1, "without_snapshot": 1}, id="a book never goes back to an older snapshot",
        ),
        pytest.param([(5, 9), (10, 12)], "", {"without_snapshot": 2}, id="no snapshot at all"),
    ],
)  # fmt: skip
def test_sequence_rule(entries: list[int | tuple[int, int]], states: str, counts: dict[str, int]) -> None:
    book, found = Book(), []
    for record in records_of(list(entries)):
        found += [(book.segment, book.update_id) for _ in book.follow(record)]
    assert runs(found) == [[int(word) for word in run.split()] for run in states.split("|") if run]
    told = book.finish()
    for name in ("gaps", "resyncs", "duplicates", "without_snapshot", "crossed", "time_going_back"):
        assert getattr(told, name) == counts.get(name, 0), name
    assert told.messages == sum(not isinstance(entry, int) for entry in entries)


def test_waiting_for_a_snapshot_keeps_only_the_latest_diffs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "MAX_WAITING", 3)
    kept, lost = Book(), Book()
    for book, update_id in ((kept, 27), (lost, 21)):
        entries: list[int | tuple[int, int]] = [(i, i + 1) for i in range(10, 30, 2)]
        states = [book.update_id for record in records_of([*entries, update_id]) for _ in book.follow(record)]
        assert states[0] == update_id
    assert (kept.update_id, kept.finish().gaps, kept.counts.without_snapshot) == (29, 0, 9)
    assert (lost.update_id, lost.finish().gaps, lost.counts.without_snapshot) == (21, 1, 10)


@pytest.mark.parametrize("sign", [-1, 1])
def test_levels_beyond_the_snapshot_are_shown_but_not_known(sign: int) -> None:
    side = Side(sign)
    side.reset([(sign * price, 1.0) for price in (1_002, 1_004)])
    assert side.known_levels() == 2
    side.apply([(sign * 1_003, 5.0), (sign * 1_009, 7.0)])  # between the snapshot's levels, and outside of them
    assert side.known_levels() == 3
    assert [sign * price for price, _ in side.top(9)] == [1_002, 1_003, 1_004, 1_009]
    side.apply([(sign * 1_004, 0.0), (sign * 1_001, 5.0)])  # the horizon stays where the snapshot ended
    assert side.known_levels() == 3
    side.apply([(sign * price, 0.0) for price in (1_001, 1_002, 1_003, 1_777)])
    assert side.known_levels() == 0
    assert side.best() == (sign * 1_009, 7.0)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("levels", [[], [(500, 0.0)]])
def test_of_an_empty_side_nothing_is_known(sign: int, levels: list[Level]) -> None:
    side = Side(sign)
    side.reset(levels)
    assert side.best() is None
    side.apply([(500, 1.0), (501, 1.0)])
    assert side.known_levels() == 0
    assert side.best() == (501 if sign < 0 else 500, 1.0)


def test_crossed_books_and_time_going_back_are_counted_by_state() -> None:
    start = Snapshot(0, 5, 10, [(10, 1.0)], [(11, 1.0)])
    crossing = Diff(0, 7, 11, 11, None, [(11, 1.0)], [])
    still = Diff(0, 6, 12, 12, None, [], [])
    uncrossing = Diff(0, 6, 13, 13, None, [(11, 0.0)], [])
    one_sided = Diff(0, 6, 14, 14, None, [], [(11, 0.0)])
    book = Book()
    for record in (start, crossing, still, uncrossing, one_sided):
        list(book.follow(record))
    assert (book.counts.crossed, book.counts.time_going_back, book.counts.states) == (2, 1, 5)
