"""The order book against plain dictionaries, and against a true book whose stream is lost, doubled and swapped."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from scripts.orderbook.book import book as book_module
from scripts.orderbook.book import levels as levels_module
from scripts.orderbook.book.advance import DROP_OLDER, FLAG, RESYNC, Rules
from scripts.orderbook.book.book import Book
from scripts.orderbook.book.levels import EMPTY, Levels, new_levels, set_level, take_snapshot
from scripts.orderbook.capture.digits import TOP_10
from scripts.orderbook.capture.records import PRICE_SCALE, REPLACE, RESTART, WHOLE_BOOK, Diff, Level, Snapshot, scaled
from scripts.orderbook.capture.stream import ASK, BID, LEVEL, batch_of
from tests.unit.venue_feeds import top_10

ALL = 64  # levels a side: more than any book here has
Plain = dict[int, float]
Records = list[Snapshot | Diff]


def ranked(levels: Levels, side: int) -> list[tuple[int, float]]:
    """All levels of a side as (scaled price, size), best first."""
    slots = levels.table[side]
    slots = slots[(slots["price"] != EMPTY) & (slots["size"] > 0)]
    order = np.argsort(slots["price"])[:: -1 if side == BID else 1]
    return [(int(slot["price"]), float(slot["size"])) for slot in slots[order]]


def in_order(levels: Plain, sign: int) -> list[Level]:
    """Levels of a dictionary, best first."""
    return sorted(levels.items(), key=lambda level: sign * level[0])


@dataclass
class Row:
    """A state, all of its levels read back from the row."""

    segment: int
    update_id: int
    known: int
    bids: list[Level]
    asks: list[Level]


def follow(book: Book, *records: Snapshot | Diff) -> list[Row]:
    """States that records lead to, each record a batch of its own or all of them one."""
    found = []
    for rows in book.follow(batch_of(records)):
        for (_, _, update_id, segment, known), levels in zip(rows.integers, rows.levels, strict=True):
            sides = [
                [(round(price * PRICE_SCALE), float(size)) for price, size in zip(*side, strict=True) if price == price]
                for side in levels.reshape(2, 2, -1)
            ]
            found.append(Row(int(segment), int(update_id), int(known), *sides))
    return found


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
        return Snapshot(update_id, update_id, update_id, in_order(bids, -1)[:count], in_order(asks, 1)[:count])


@pytest.fixture(params=[False, True], ids=["usual tiers", "small tiers"])
def tiers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables and windows grow, spill and refill all the time."""
    if request.param:
        monkeypatch.setattr(levels_module, "SMALLEST_TABLE", 8)
        monkeypatch.setattr(levels_module, "SMALLEST_WINDOW", 4)


def apply(plain: Plain, changes: list[Level]) -> None:
    """Change a dictionary as a diff tells."""
    for price, size in changes:
        plain.pop(price, None)
        if size:
            plain[price] = size


@pytest.mark.usefixtures("tiers")
@pytest.mark.parametrize("usdm", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_every_level_of_every_state_equals_a_plain_dictionary(seed: int, usdm: bool) -> None:
    market = TrueMarket(random.Random(seed), usdm)
    bids, asks = (dict(levels) for levels in market.past[market.last])
    book, diffs = Book(ALL), [market.diff() for _ in range(150)]
    first = Diff(0, 0, 990, 1_000, 989 if usdm else None, [], [])
    follow(book, market.snapshot(1_000, ALL))
    for diff in [first, *diffs]:
        rows = follow(book, diff)
        assert len(rows) == (diff is not first or usdm)  # spot's snapshot holds the diff that ends at its id
        apply(bids, diff.bids)
        apply(asks, diff.asks)
        for row in rows:
            assert (row.bids, row.asks) == (in_order(bids, -1), in_order(asks, 1))
        assert (ranked(book.levels, BID), ranked(book.levels, ASK)) == (in_order(bids, -1), in_order(asks, 1))
    assert book.finish()["gaps"] == 0


@pytest.mark.usefixtures("tiers")
@pytest.mark.parametrize("seed", range(40))
def test_books_of_any_shape_equal_a_plain_dictionary(seed: int) -> None:
    """Far levels, removals of unknown ones, sides that run empty, prices of all magnitudes, crossed books."""
    chosen = random.Random(seed)
    depth, spread = chosen.choice([1, 3, 40]), chosen.choice([5, 60, 3_000])
    unit = chosen.choice([1, 10**6, PRICE_SCALE, 2**51 // 4_000])
    plain: tuple[Plain, Plain] = ({}, {})
    book, horizons = Book(depth, Rules(FLAG)), [0, 0]
    for i in range(1, 400):
        removing = chosen.choice([0.1, 0.5, 0.95])
        changes: tuple[list[Level], list[Level]] = ([], [])
        for side in (BID, ASK):
            for _ in range(chosen.randrange(12 if i % 7 else 300)):
                away = min(int(chosen.expovariate(4 / spread)), 3 * spread)
                best = min(plain[side], key=lambda price: price if side else -price, default=0)
                at_best = best and chosen.random() < 0.3
                price = best if at_best else (3_500 * unit + (away if side else -away) * unit)
                changes[side].append((max(price, 0), 0.0 if chosen.random() < removing else chosen.random() + 0.01))
        record: Snapshot | Diff = Diff(0, 0, i, i, None, *changes)
        if i == 1:
            once = [list({price: size for price, size in levels if size}.items()) for levels in changes]
            record = Snapshot(0, 0, i, *once)
        for levels, new in zip(plain, changes if i > 1 else (record.bids, record.asks), strict=True):
            apply(levels, new)
        if i == 1:
            horizons = [min(plain[BID], default=2**62), max(plain[ASK], default=-1)]
        (row,) = follow(book, record)
        expected = in_order(plain[BID], -1), in_order(plain[ASK], 1)
        assert (row.bids, row.asks) == (expected[0][:depth], expected[1][:depth])
        assert (ranked(book.levels, BID), ranked(book.levels, ASK)) == expected
        known = sum(price >= horizons[0] for price in plain[BID]), sum(price <= horizons[1] for price in plain[ASK])
        assert row.known == min(known)


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
    book, states, horizons, segment = Book(ALL), [], (0, 0), -1
    for record in damaged(market, diffs):
        for row in follow(book, record):
            states.append((row.segment, row.update_id))
            if row.segment > segment:
                segment = row.segment
                horizons = (row.bids[-1][0], row.asks[-1][0])
            bids, asks = market.past[row.update_id]
            known_bids = [level for level in in_order(bids, -1) if level[0] >= horizons[0]]
            known_asks = [level for level in in_order(asks, 1) if level[0] <= horizons[1]]
            assert row.bids[: len(known_bids)] == known_bids
            assert row.asks[: len(known_asks)] == known_asks
            assert row.known == min(len(known_bids), len(known_asks))
    ends = [diff.final_id for diff in diffs]
    for _, *applied in runs(states):  # without the snapshot's own state
        assert not applied or applied == ends[ends.index(applied[0]) :][: len(applied)]
    counts = book.finish()
    assert counts["states"] == len(states) > 30
    assert counts["segments"] == len(runs(states)) == counts["resyncs"] + 1
    assert counts["gaps"] > 0
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
        pytest.param(
            [10, (11, 12), (90, 91), (13, 14), (15, 16), 14, (17, 18)], "10 12|14 16 18",
            {"gaps": 1, "resyncs": 1, "without_snapshot": 2}, id="spot: a diff out of place does not cost a snapshot",
        ),
        pytest.param(
            [10, (11, 12), (90, 91), 13, (14, 14), (15, 16)], "10 12|13 14 16",
            {"gaps": 1, "resyncs": 1, "without_snapshot": 1}, id="spot: nor where none followed it before",
        ),
        pytest.param(
            [10, (9, 12, 8), (90, 91, 89), (13, 14, 12), (15, 16, 14), 14, (17, 18, 16)], "10 12|14 14 16 18",
            {"gaps": 1, "resyncs": 1, "without_snapshot": 1}, id="usdm: a diff out of place does not cost a snapshot",
        ),
        pytest.param(
            [(9, 11, 8), (90, 91, 89), (12, 14, 11), 10, (15, 16, 14)], "10 11 14 16",
            {"without_snapshot": 1}, id="usdm: nor between those that wait",
        ),
        pytest.param(
            [10, (9, 12, 8), (20, 21, 19), (22, 23, 21), 14, (24, 25, 23), 23, (26, 27, 25)], "10 12|14|23 23 25 27",
            {"gaps": 2, "resyncs": 2, "without_snapshot": 1}, id="usdm: those that wait show that one is too old",
        ),
        pytest.param(
            [10, (9, 12, 8), (20, 21, 19), (22, 23, 21), 14, 22, (24, 25, 23)], "10 12|14|22 23 25",
            {"gaps": 2, "resyncs": 2, "without_snapshot": 1}, id="usdm: and the next one is not",
        ),
        pytest.param(
            [10, (11, 12), (20, 21), (22, 23), 14, 19, (24, 25)], "10 12|14|19 21 23 25",
            {"gaps": 2, "resyncs": 2}, id="spot: nor is one that just precedes them",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "one batch"])
def test_sequence_rule(
    entries: list[int | tuple[int, int]], states: str, counts: dict[str, int], at_once: bool
) -> None:
    book, records = Book(), list(records_of(list(entries)))
    batches = [records] if at_once else [[record] for record in records]
    found = [(row.segment, row.update_id) for batch in batches for row in follow(book, *batch)]
    assert runs(found) == [[int(word) for word in run.split()] for run in states.split("|") if run]
    told = book.finish()
    for name in ("gaps", "resyncs", "duplicates", "without_snapshot", "crossed", "time_going_back"):
        assert told[name] == counts.get(name, 0), name
    assert told["messages"] == sum(not isinstance(entry, int) for entry in entries)


def restart_at(update_id: int) -> Snapshot:
    return Snapshot(0, 0, update_id, [(10, 1.0)], [(11, 1.0)], kind=RESTART)


def link(previous: int, final: int, time: int = 0) -> Diff:
    return Diff(time, time, final, final, previous, [], [])


@pytest.mark.parametrize(
    ("records", "states", "counts"),
    [
        pytest.param([restart_at(5), link(5, 9), link(9, 11)], "5 9 11", {}, id="followed like a diff"),
        pytest.param([restart_at(5), link(4, 9)], "5", {"gaps": 1, "without_snapshot": 1}, id="a diff may not span it"),
        pytest.param([restart_at(5), link(2, 4), link(5, 6)], "5 6", {"duplicates": 1}, id="nor come before it"),
        pytest.param([link(3, 5), restart_at(5), link(5, 6)], "5 6", {"without_snapshot": 1}, id="older ones go"),
        pytest.param([restart_at(5), link(5, 6), restart_at(6), link(6, 7)], "5 6|6 7", {"resyncs": 1}, id="anew"),
        pytest.param(
            [restart_at(5), link(7, 8), link(8, 9), restart_at(20), link(20, 21)], "5|20 21",
            {"gaps": 1, "resyncs": 1, "without_snapshot": 2}, id="after a gap",
        ),
        pytest.param([restart_at(5), link(5, 5), link(5, 9), link(9, 9)], "5 5 9 9", {}, id="signs of life"),
        pytest.param(
            [restart_at(50), link(50, 60, 1), link(60, 3, 2), link(3, 7, 3)], "50 60 3 7", {}, id="ids begin again",
        ),
        pytest.param(
            [restart_at(50), link(50, 60, 1), link(50, 60, 1), link(60, 61, 1)], "50 60 61", {"duplicates": 1},
            id="an old one is not younger",
        ),
        pytest.param(
            [restart_at(50), link(50, 60, 1), link(3, 7, 3)], "50 60", {"gaps": 1, "without_snapshot": 1},
            id="where they begin again was lost",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "one batch"])
def test_snapshots_out_of_the_stream(records: Records, states: str, counts: dict[str, int], at_once: bool) -> None:
    book = Book(rules=Rules(ids_restart=True))
    batches = [records] if at_once else [[record] for record in records]
    found = [(row.segment, row.update_id) for batch in batches for row in follow(book, *batch)]
    assert runs(found) == [[int(word) for word in run.split()] for run in states.split("|")]
    told = book.finish()
    for name in ("gaps", "resyncs", "duplicates", "without_snapshot"):
        assert told[name] == counts.get(name, 0), name


@pytest.mark.usefixtures("tiers")
@pytest.mark.parametrize("limit", [1, 7, 20, WHOLE_BOOK])
@pytest.mark.parametrize("seed", range(10))
def test_book_of_a_limit_is_cut_after_each_message_and_known_in_whole(seed: int, limit: int) -> None:
    market = TrueMarket(random.Random(seed), True)
    start, diffs = market.snapshot(market.last, ALL), [market.diff() for _ in range(100)]
    bids, asks = dict(start.bids), dict(start.asks)
    book = Book(ALL)
    records: Records = [replace(start, kind=RESTART, limit=limit)]
    for record in records + [replace(diff, limit=limit) for diff in diffs]:
        (row,) = follow(book, record)
        if isinstance(record, Diff):
            apply(bids, record.bids)
            apply(asks, record.asks)
        bids, asks = dict(in_order(bids, -1)[:limit]), dict(in_order(asks, 1)[:limit])
        assert (row.bids, row.asks) == (in_order(bids, -1), in_order(asks, 1))
        assert row.known == min(len(bids), len(asks))


@pytest.mark.usefixtures("tiers")
@pytest.mark.parametrize("seed", range(10))
def test_whole_books_replace_one_another_in_one_segment(seed: int) -> None:
    chosen, book = random.Random(seed), Book(ALL)
    for update_id in range(1, 100):
        sides = [
            {price: chosen.random() + 0.1 for price in chosen.sample(prices, chosen.randint(0, 50))}
            for prices in (range(1, 100), range(101, 200))
        ]
        whole = Snapshot(
            0, 0, update_id, list(sides[0].items()), list(sides[1].items()), kind=REPLACE, limit=WHOLE_BOOK
        )
        (row,) = follow(book, whole)
        assert (row.segment, row.update_id) == (0, update_id)
        assert (row.bids, row.asks) == (in_order(sides[0], -1), in_order(sides[1], 1))
        assert row.known == min(len(row.bids), len(row.asks))
    counts = book.finish()
    assert (counts["messages"], counts["segments"], counts["gaps"]) == (98 + 1, 1, 0)


@pytest.mark.parametrize("policy", [DROP_OLDER, FLAG, RESYNC])
def test_crossed_book_that_a_checksum_proves_keeps_its_levels(policy: int) -> None:
    bids, asks = [("12", "1"), ("10", "1")], [("11", "1")]
    digits = [0] * 3
    levels = [[(int(price) * PRICE_SCALE, float(size)) for price, size in side] for side in (bids, asks)]
    one = Snapshot(0, 0, 1, *levels, kind=RESTART, checksum=top_10(bids, asks), digits=digits)
    rows = follow(Book(ALL, Rules(policy, checksum=TOP_10)), one)
    kept = [(row.bids, row.asks) for row in rows]
    assert kept == ([] if policy == RESYNC else [tuple(levels)])
    (row,) = follow(Book(ALL, Rules(DROP_OLDER, checksum=TOP_10)), replace(one, checksum=None))
    assert row.bids == levels[0][1:]


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "one batch"])
def test_waiting_for_a_snapshot_keeps_only_the_latest_diffs(monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    monkeypatch.setattr(book_module, "MAX_WAITING", 3)
    kept, lost = Book(), Book()
    for book, update_id in ((kept, 27), (lost, 21)):
        entries: list[int | tuple[int, int]] = [(i, i + 1) for i in range(10, 30, 2)]
        records = list(records_of([*entries, update_id]))
        batches = [records] if at_once else [[record] for record in records]
        states = [row.update_id for batch in batches for row in follow(book, *batch)]
        assert states[0] == update_id
    assert (kept.head["update_id"][0], kept.finish()["gaps"], kept.finish()["without_snapshot"]) == (29, 0, 9)
    assert (lost.head["update_id"][0], lost.finish()["gaps"], lost.finish()["without_snapshot"]) == (21, 1, 10)


def side_of(side: int, entries: list[Level]) -> Levels:
    levels = new_levels(5)
    take_snapshot(levels, np.array([(side, *entry, 0) for entry in entries], LEVEL), 0)
    return levels


@pytest.mark.parametrize(("side", "sign"), [(BID, -1), (ASK, 1)])
def test_levels_beyond_the_snapshot_are_shown_but_not_known(side: int, sign: int) -> None:
    def change(*entries: tuple[int, float]) -> int:
        for away, size in entries:
            set_level(levels, side, 5_000 + sign * away, size, 0)
        return int(levels.sides["known"][side])

    levels = side_of(side, [(5_000 + sign * away, 1.0) for away in (1_002, 1_004)])
    assert levels.sides["known"][side] == 2
    assert change((1_003, 5.0), (1_009, 7.0)) == 3  # between the snapshot's levels, and outside of them
    assert [sign * (price - 5_000) for price, _ in ranked(levels, side)] == [1_002, 1_003, 1_004, 1_009]
    assert change((1_004, 0.0), (1_001, 5.0)) == 3  # the horizon stays where the snapshot ended
    assert change((1_001, 0.0), (1_002, 0.0), (1_003, 0.0), (1_777, 0.0)) == 0
    assert ranked(levels, side) == [(5_000 + sign * 1_009, 7.0)]


@pytest.mark.parametrize("side", [BID, ASK])
@pytest.mark.parametrize("entries", [[], [(500, 0.0)]])
def test_of_an_empty_side_nothing_is_known(side: int, entries: list[Level]) -> None:
    levels = side_of(side, entries)
    assert ranked(levels, side) == []
    for price in (500, 501):
        set_level(levels, side, price, 1.0, 0)
    assert levels.sides["known"][side] == 0
    assert ranked(levels, side)[0] == (501 if side == BID else 500, 1.0)


# crossed books

START = Snapshot(0, 5, 10, [(10, 1.0), (9, 1.0)], [(11, 1.0), (12, 1.0)])


def crossing(update_id: int, bids: list[Level], asks: list[Level]) -> Diff:
    return Diff(0, 6, update_id, update_id, None, bids, asks)


def test_crossed_books_and_time_going_back_are_counted_by_state() -> None:
    start = Snapshot(0, 5, 10, [(10, 1.0)], [(11, 1.0)])
    first = Diff(0, 7, 11, 11, None, [(11, 1.0)], [])
    still = Diff(0, 6, 12, 12, None, [], [])
    uncrossing = Diff(0, 6, 13, 13, None, [(11, 0.0)], [])
    one_sided = Diff(0, 6, 14, 14, None, [], [(11, 0.0)])
    book = Book(rules=Rules(FLAG))
    rows = follow(book, start, first, still, uncrossing, one_sided)
    assert [(row.bids[0][0], row.asks[0][0]) for row in rows[:4]] == [(10, 11), (11, 11), (11, 11), (10, 11)]
    told = book.finish()
    assert (told["crossed"], told["crossed_levels_dropped"], told["time_going_back"], told["states"]) == (2, 0, 1, 5)


@pytest.mark.parametrize(
    ("diffs", "bids", "asks", "dropped"),
    [
        ([([(11, 2.0)], [])], [11, 10, 9], [12], 1),
        ([([(12, 2.0)], [])], [12, 10, 9], [], 2),
        ([([], [(9, 2.0)])], [], [9, 11, 12], 2),
        ([([(11, 2.0)], []), ([], [(11, 3.0)])], [10, 9], [11, 12], 2),  # first the ask is the older one, then the bid
        ([([(11, 2.0)], [(11, 3.0)])], [10, 9], [11, 12], 1),  # within a message the asks come last
        ([([(12, 2.0)], [(11, 3.0)])], [10, 9], [11, 12], 1),
    ],
)
def test_of_two_levels_that_cross_the_older_one_goes(
    diffs: list[tuple[list[Level], list[Level]]], bids: list[int], asks: list[int], dropped: int
) -> None:
    book = Book(rules=Rules(DROP_OLDER))
    row = follow(book, START, *(crossing(11 + i, *changes) for i, changes in enumerate(diffs)))[-1]
    assert ([price for price, _ in row.bids], [price for price, _ in row.asks]) == (bids, asks)
    told = book.finish()
    assert (told["crossed"], told["crossed_levels_dropped"]) == (len(diffs), dropped)
    assert row.known == min(len(bids), len(asks))


def test_resync_ends_the_segment_at_a_crossed_book() -> None:
    book = Book(rules=Rules(RESYNC))
    again = Snapshot(0, 7, 13, [(10, 1.0)], [(11, 1.0)])
    records: Records = [
        START,
        crossing(11, [(11, 2.0)], []),
        crossing(12, [], []),
        crossing(13, [], []),
        crossing(14, [], []),
    ]
    rows = follow(book, *records, again, crossing(15, [], []))
    assert [(row.segment, row.update_id) for row in rows] == [(0, 10), (1, 13), (1, 14), (1, 15)]
    told = book.finish()
    assert (told["crossed"], told["gaps"], told["segments"], told["resyncs"]) == (1, 0, 2, 1)


def test_resync_does_not_begin_at_a_crossed_snapshot() -> None:
    book = Book(rules=Rules(RESYNC))
    crossed = Snapshot(0, 5, 10, [(10, 1.0)], [(10, 1.0)])
    rows = follow(book, crossed, crossing(11, [], []), START, crossing(12, [], []))
    assert [(row.segment, row.update_id) for row in rows] == [(0, 10), (0, 11), (0, 12)]
    assert book.finish()["crossed"] == 1


# rows


def timed(update_id: int, milliseconds: int) -> Diff:
    return Diff(0, milliseconds * 1_000_000, update_id, update_id, None, [], [])


def test_every_so_many_messages_a_row_and_one_at_the_start_of_a_segment() -> None:
    book = Book(rules=Rules(every_messages=3))
    gap: Records = [timed(22, 0), Snapshot(0, 0, 21, [(10, 1.0)], [(11, 1.0)]), *(timed(i, 0) for i in range(23, 29))]
    rows = follow(book, START, *(timed(i, 0) for i in range(11, 20)), *gap)
    assert [row.update_id for row in rows] == [10, 13, 16, 19, 21, 24, 27]
    assert book.finish()["states"] == len(rows)


def test_every_so_many_milliseconds_a_row_also_after_the_clock_was_set_back() -> None:
    book = Book(rules=Rules(every_ns=100_000_000))
    times = [10, 99, 100, 150, 205, 304, 305, 20, 30, 119, 120]
    start = Snapshot(0, 0, 10, [(10, 1.0)], [(11, 1.0)])
    rows = follow(book, start, *(timed(11 + i, time) for i, time in enumerate(times)))
    assert [([0, *times])[row.update_id - 10] for row in rows] == [0, 100, 205, 305, 20, 120]


def test_more_states_than_are_handed_over_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "ROWS", 4)
    book = Book(depth=2)
    rows = follow(book, START, *(timed(i, 0) for i in range(11, 40)))
    assert [row.update_id for row in rows] == list(range(10, 40))


@pytest.mark.parametrize("text", ["90071992.54740993", "46116860184.27387904", "1234567890.12345678"])
def test_price_that_no_float_can_tell_from_its_neighbours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="price"):
        scaled(text)


@pytest.mark.parametrize("text", ["90071992.54740992", "1600000000", "1600000000.25", "46116860184", "0.1", "3e-8"])
def test_large_prices_come_out_as_they_were(text: str) -> None:
    start = Snapshot(0, 0, 10, [(scaled(text), 1.0)], [])
    (rows,) = Book().follow(batch_of([start]))
    assert rows.levels[0, 0] == float(text)
