"""parse_book on Tardis.dev's incremental_book_L2 files; its book_snapshot files are the independent reading."""

from __future__ import annotations

import csv
import gzip
import itertools
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from scripts.lib.errors import InputError
from scripts.orderbook.capture import raw, unpack
from scripts.orderbook.capture.raw import BadLines, Block
from scripts.orderbook.capture.stream import messages_of
from scripts.orderbook.venues import tardis
from scripts.orderbook.venues.tardis_scan import scan
from tests.unit.orderbook_markets import SIDES, Market, State, Update, best, best_first, check_states, levels_known
from tests.unit.orderbook_streams import (
    DAY_MS,
    Parsed,
    begins,
    check_carried,
    error_of,
    parse,
    run_program,
    same_states,
    try_parse,
    write_lines,
)

HEADER = b"exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"
REAL = "orderbook/tardis/deribit_incremental_book_L2_BTC-PERPETUAL.csv"
SNAPSHOTS = [f"orderbook/tardis/binance-futures_book_snapshot_{depth}_BTCUSDT.csv" for depth in (5, 25)]
Lines = list[bytes]


def local_us(update: Update) -> int:
    return update.local_ns // 1_000


def rows_of(update: Update, snapshot: bool, symbol: str = "BTCUSDT", exchange: str = "binance-futures") -> Lines:
    """Rows of a message; a snapshot shows the whole book."""
    changes = update.changes
    if snapshot:
        changes = [(side, price, size) for side in SIDES for price, size in best_first(update.book, side)]
    head = f"{exchange},{symbol},{update.event_ms * 1_000},{local_us(update)},{'true' if snapshot else 'false'}"
    return [f"{head},{side},{price},{size}\n".encode() for side, price, size in changes]


class Written(NamedTuple):
    """A file's lines and the states that it holds."""

    lines: Lines
    states: list[State]
    messages: list[list[int]]  # places of each message's lines


def stream(seed: int, messages: int = 60, restarts: tuple[int, ...] = (), **names: str) -> Written:
    """A file that begins with a snapshot, and others where the collector had to connect again."""
    market = Market(seed)
    market.run(messages)
    written = Written([HEADER], [], [])
    start, segment = market.updates[0], -1
    for update in market.updates:
        snapshot = update.number == 0 or update.number in restarts
        rows = rows_of(update, snapshot, **names)
        if not rows:
            continue  # a message that changes nothing leaves no row
        if snapshot:
            start, segment = update, segment + 1
        written.messages.append(list(range(len(written.lines), len(written.lines) + len(rows))))
        written.lines.extend(rows)
        known, times = levels_known(update.book, start.book), (update.event_ms * 1_000_000, local_us(update) * 1_000)
        written.states.append(State(*times, len(written.lines) - 1, segment, known, update.book))
    return written


def read(folder: Path, lines: Lines, **settings: Any) -> Parsed:
    path = write_lines(folder / "raw.csv.gz", lines)
    return parse(path, venue="tardis", **{"depth": 4, "max_bad_lines": 0} | settings)


@pytest.mark.parametrize("seed", range(6))
def test_states_are_those_of_the_true_market(tmp_path: Path, seed: int) -> None:
    written = stream(seed, restarts=(25, 40) if seed % 2 else ())
    parsed = read(tmp_path, written.lines)
    check_states(parsed, written.states)
    counts = {name: parsed.quality[name] for name in ("gaps", "duplicates", "crossed", "bad_lines", "segments")}
    assert counts == {"gaps": 0, "duplicates": 0, "crossed": 0, "bad_lines": 0, "segments": 3 if seed % 2 else 1}
    assert parsed.quality["messages"] == len(written.states) - parsed.quality["segments"]
    assert parsed.quality["local_time_going_back"] == 0


@pytest.mark.parametrize("size", [1 << 6, 1 << 9, 1 << 12])
def test_messages_may_reach_over_blocks_of_any_size(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    written = stream(1, restarts=(25,))
    for module, name in ((raw, "BLOCK"), (unpack, "BLOCK"), (unpack, "PIECE")):
        monkeypatch.setattr(module, name, size)
    check_states(read(tmp_path, written.lines), written.states)


# real files


def slow_states(path: Path) -> tuple[list[tuple[int, int, int]], list[dict[str, dict[Decimal, str]]]]:
    """Independent reading by csv and Decimal: heads and books after each local timestamp."""
    heads, books = [], []
    book: dict[str, dict[Decimal, str]] = {side: {} for side in SIDES}
    with path.open() as file:
        rows = list(csv.DictReader(file))
    was_snapshot = False
    numbered = enumerate(rows, 1)
    for _, group in itertools.groupby(numbered, lambda row: row[1]["local_timestamp"]):
        for number, row in group:
            is_snapshot = row["is_snapshot"] == "true"
            if is_snapshot and not was_snapshot:
                book = {side: {} for side in SIDES}
            was_snapshot = is_snapshot
            book[row["side"]].pop(Decimal(row["price"]), None)
            if Decimal(row["amount"]):
                book[row["side"]][Decimal(row["price"])] = row["amount"]
            head = int(row["timestamp"]) * 1_000, int(row["local_timestamp"]) * 1_000, number
        heads.append(head)
        books.append({side: dict(levels) for side, levels in book.items()})
    return heads, books


def test_real_file_is_read_as_csv_reads_it(tmp_path: Path, real_data: Callable[[str], Path]) -> None:
    source = real_data(REAL)
    heads, books = slow_states(source)
    path = tmp_path / "real.csv.gz"
    path.write_bytes(gzip.compress(source.read_bytes()))
    parsed = parse(path, venue="tardis", depth=20, max_bad_lines=0)
    # one side alone: nothing is known of the other
    states = [State(*head, 0, 0, book) for head, book in zip(heads, books, strict=True)]
    check_states(parsed, states)
    assert parsed.states["ask_px_00"][0] == 6421.5
    assert np.isnan(parsed.states["bid_px_00"]).all()


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_states_equal_the_rows_of_the_vendors_own_snapshots(
    tmp_path: Path, real_data: Callable[[str], Path], name: str
) -> None:
    """From row to row of a real book_snapshot file, the changes are written as incremental_book_L2 would have them."""
    with real_data(name).open() as file:
        rows = list(csv.DictReader(file))
    depth = sum(field.startswith("asks[") for field in rows[0]) // 2
    lines, before = [HEADER], {side: {} for side in SIDES}  # type: ignore[var-annotated]
    for number, row in enumerate(rows):
        book = {side: {row[f"{side}s[{i}].price"]: row[f"{side}s[{i}].amount"] for i in range(depth)} for side in SIDES}
        head = f"{row['exchange']},{row['symbol']},{row['timestamp']},{row['local_timestamp']}"
        for side in SIDES:
            gone = [(price, "0") for price in before[side] if price not in book[side]]
            new = [(price, size) for price, size in book[side].items() if before[side].get(price) != size]
            for price, size in gone + new:
                lines.append(f"{head},{'false' if number else 'true'},{side},{price},{size}\n".encode())
        before = book
    parsed = read(tmp_path, lines, depth=depth)
    assert list(parsed.states["local_time"]) == [int(row["local_timestamp"]) * 1_000 for row in rows]
    assert list(parsed.states["event_time"]) == [int(row["timestamp"]) * 1_000 for row in rows]
    for side in SIDES:
        for i in range(depth):
            for what, field in (("px", "price"), ("sz", "amount")):
                wanted = [float(row[f"{side}s[{i}].{field}"]) for row in rows]
                assert list(parsed.states[f"{side}_{what}_{i:02d}"]) == wanted


# the rules


def row(local: int, snapshot: bool, side: str, price: str, amount: str, **changes: Any) -> bytes:
    """A row of microsecond `local` of the day."""
    fields = {"exchange": "deribit", "symbol": "BTC-PERPETUAL", "timestamp": DAY_MS * 1_000 + local - 1}
    fields |= {"local_timestamp": DAY_MS * 1_000 + local, "is_snapshot": "true" if snapshot else "false"}
    fields |= {"side": side, "price": price, "amount": amount} | changes
    return (",".join(str(field) for field in fields.values()) + "\n").encode()


START = [row(10, True, "bid", "99", "1"), row(10, True, "bid", "98", "2"), row(10, True, "ask", "101", "3"),
         row(10, True, "ask", "102", "0")]  # fmt: skip


def test_rows_before_the_first_snapshot_are_skipped(tmp_path: Path) -> None:
    early = [row(1, False, "bid", "97", "5"), row(2, False, "ask", "101", "6"), row(2, False, "ask", "103", "6")]
    parsed = read(tmp_path, [HEADER, *early, *START, row(11, False, "bid", "99", "0")])
    assert parsed.update_ids == [7, 8]
    assert list(parsed.states["bid_px_00"]) == [99.0, 98.0]
    assert list(parsed.states["known_levels"]) == [1, 1]  # a row of a snapshot with amount 0 is no level
    assert (parsed.quality["messages"], parsed.quality["updates"], parsed.quality["without_snapshot"]) == (3, 4, 2)


def test_rows_of_one_local_time_are_one_message(tmp_path: Path) -> None:
    lines = [HEADER, *START, row(20, False, "bid", "100", "1", timestamp=5), row(20, False, "bid", "99", "0"),
             row(20, False, "ask", "100.5", "1"), row(21, False, "ask", "100.5", "0")]  # fmt: skip
    parsed = read(tmp_path, lines)
    assert parsed.update_ids == [4, 7, 8]
    assert list(parsed.states["bid_px_00"]) == [99.0, 100.0, 100.0]
    assert list(parsed.states["ask_px_00"]) == [101.0, 100.5, 101.0]
    assert list(parsed.states["event_time"] - DAY_MS * 1_000_000) == [9_000, 19_000, 20_000]


def test_snapshot_after_changes_discards_the_book_and_begins_a_segment(tmp_path: Path) -> None:
    again = [row(30, True, "bid", "50", "1"), row(30, True, "ask", "51", "1")]
    parsed = read(tmp_path, [HEADER, *START, row(20, False, "bid", "97", "1"), *again])
    assert list(parsed.states["segment"]) == [0, 0, 1]
    assert parsed.states["bid_px_00"][2] == 50.0
    assert np.isnan(parsed.states["bid_px_01"][2])
    assert (parsed.quality["resyncs"], parsed.quality["gaps"]) == (1, 0)


def test_snapshot_rows_of_a_later_time_go_on_with_the_snapshot(tmp_path: Path) -> None:
    """Only the first row after one without is_snapshot discards the book: these are further out than those before."""
    parsed = read(tmp_path, [HEADER, *START, row(11, True, "bid", "97", "4"), row(11, True, "ask", "103", "4")])
    assert list(parsed.states["segment"]) == [0, 0]
    assert [parsed.states[f"bid_px_0{i}"][1] for i in range(3)] == [99.0, 98.0, 97.0]


@pytest.mark.parametrize("seed", range(4))
def test_feed_of_snapshots_alone_shows_each_book_as_it_is(tmp_path: Path, seed: int) -> None:
    """Some exchanges send nothing else: what is not in a message is no more, and nothing is known beyond it."""
    market = Market(seed)
    market.run(40)
    lines, states = [HEADER], []
    for update in market.updates:
        top = best(update.book, 12)
        lines += rows_of(Update(update.number, [], top), snapshot=True)
        times = update.event_ms * 1_000_000, local_us(update) * 1_000
        states.append(State(*times, len(lines) - 1, 0, levels_known(top), top))
    parsed = read(tmp_path, lines, depth=14)
    check_states(parsed, states)
    assert (parsed.quality["messages"], parsed.quality["segments"], parsed.quality["crossed"]) == (40, 1, 0)


def test_snapshot_of_a_book_with_an_empty_side_knows_nothing_of_it(tmp_path: Path) -> None:
    again = [row(11, True, "bid", "98", "4"), row(12, False, "ask", "103", "1")]
    parsed = read(tmp_path, [HEADER, *START, *again])
    assert list(parsed.states["known_levels"]) == [1, 0, 0]
    assert list(parsed.states["bid_px_00"]) == [99.0, 98.0, 98.0]
    assert np.isnan(parsed.states["ask_px_00"][1])
    assert parsed.states["ask_px_00"][2] == 103.0


def test_changes_at_the_time_of_a_snapshot_belong_to_its_message(tmp_path: Path) -> None:
    """As Tardis writes the messages that had to wait for a snapshot: also removals and new sizes."""
    same = [row(10, False, "bid", "99", "0"), row(10, False, "bid", "98", "7"), row(10, False, "ask", "102", "5"),
            row(10, False, "ask", "102", "0"), row(10, False, "ask", "103", "8")]  # fmt: skip
    before = [row(10, False, "bid", "1", "1")]  # discarded, though of the same time
    parsed = read(tmp_path, [HEADER, *before, *START, *same])
    assert parsed.update_ids == [10]
    assert [parsed.states[name][0] for name in ("bid_px_00", "bid_sz_00")] == [98.0, 7.0]
    assert [parsed.states[f"ask_px_0{i}"][0] for i in range(2)] == [101.0, 103.0]
    assert np.isnan(parsed.states["bid_px_01"][0])
    assert np.isnan(parsed.states["ask_px_02"][0])


def test_next_file_begins_with_its_own_snapshot(tmp_path: Path) -> None:
    """The last rows of a day may be those of a snapshot: the first ones of the next do not go on with it."""
    first = write_lines(tmp_path / "20240101.csv.gz", [HEADER, *START])
    second = write_lines(
        tmp_path / "20240102.csv", [HEADER, row(10, True, "bid", "90", "1"), row(10, True, "ask", "91", "1")]
    )
    parsed = parse(first, second, venue="tardis", depth=4)
    assert list(parsed.states["segment"]) == [0, 1]
    assert parsed.update_ids == [4, 6]  # rows are counted on
    assert np.isnan(parsed.states["bid_px_01"][1])
    together = write_lines(tmp_path / "both.csv", [HEADER, *START, HEADER, *second.read_bytes().splitlines(True)[1:]])
    assert same_states(parse(together, venue="tardis", depth=4), parsed)


# numbers


AMOUNTS = [
    "0", "0.0", "1", "1e-7", "2.5e-07", "1e21", "1E5", "123456789.123456789", "0.00000001", "1234567890123456789",
    "5e-324", "9007199254740993", "0.1000000000000000055511151231257827",
]  # fmt: skip


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("price", ["98.5", "98.50000000", "0.00000001", "1e-8", "1.5e1", "98.000000000000"])
def test_numbers_are_the_floats_of_their_texts(tmp_path: Path, price: str, amount: str) -> None:
    parsed = read(tmp_path, [HEADER, *START, row(20, False, "bid", price, amount)], depth=3)
    levels = {99.0: 1.0, 98.0: 2.0} | {float(price): float(amount)}
    wanted = sorted((level for level in levels.items() if level[1]), reverse=True)
    for i, (bid, size) in enumerate(wanted):
        assert (parsed.states[f"bid_px_0{i}"][1], parsed.states[f"bid_sz_0{i}"][1]) == (bid, size)


# the scan against the parser


def both_ways(monkeypatch: pytest.MonkeyPatch, text: bytes, symbol: str | None, blocks: int = 1) -> list[Any]:
    """What the adapter finds with the scan and without it: it must be the same."""

    def found() -> list[Any]:
        bad = BadLines(10**9)
        adapter = tardis.Tardis("tardis", symbol, bad)
        told: list[Any] = []
        lines = text.splitlines(keepends=True)
        size = max(len(lines) // blocks, 1)
        try:
            for at in range(0, len(lines), size):
                batch = adapter.read(Block(Path("raw"), at + 1, b"".join(lines[at : at + size])))
                told += messages(batch)
            told += messages(next(adapter.batches([])))
        except InputError as error:
            return [str(error)]
        return [*told, bad.count, bad.first, adapter.symbol, adapter.report()]

    def messages(batch: Any) -> list[Any]:
        names = [name for name in batch.messages.dtype.names if name not in ("begin", "end")]
        return [
            (*(int(message[name]) for name in names), batch.levels[message["begin"] : message["end"]].tolist())
            for message in messages_of(batch)
        ]

    monkeypatch.setattr(tardis, "scan", scan)
    fast = found()
    monkeypatch.setattr(tardis, "scan", lambda text, start, use, batch: start)
    assert fast == found(), text
    return fast


def some_rows(chosen: random.Random) -> Lines:
    numbers = ["1", "0", "0.5", "99.75", "1e-7", "-1", "1e999", "", "nan", "123456789012345678901", "00.10", "1.", ".5",
               "0.123456789", "9007199254740993", "1e-30", "2.5e-9", "1_0", " 1"]  # fmt: skip
    rows = []
    for _ in range(30):
        local = chosen.choice([10, 10, 11, 12, 13, 20])
        names = chosen.choice(
            [{}, {}, {}, {"symbol": "ETH"}, {"symbol": "btc-perpetual"}, {"exchange": "x", "symbol": "Y"}]
        )
        price, amount = ("100", "1") if chosen.random() < 0.8 else chosen.choices(numbers, k=2)
        rows.append(row(local, chosen.random() < 0.4, chosen.choice(SIDES), price, amount, **names))
    return rows


@pytest.mark.parametrize("symbol", [None, "BTC-PERPETUAL", "eth"])
@pytest.mark.parametrize("seed", range(20))
def test_scan_and_parser_read_any_rows_alike(monkeypatch: pytest.MonkeyPatch, seed: int, symbol: str | None) -> None:
    chosen = random.Random(seed)
    for blocks in (1, 4):
        both_ways(monkeypatch, HEADER + b"".join(some_rows(chosen)), symbol, blocks)


@pytest.mark.parametrize("seed", range(20))
def test_scan_and_parser_read_any_bytes_alike(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    chosen = random.Random(seed)
    for _ in range(20):
        text = bytearray(b"".join(stream(seed, 5).lines[1:]))
        for _ in range(chosen.choice([1, 1, 2, 5])):
            at = chosen.randrange(len(text))
            what = chosen.choice(
                [b"", b",", b"\n", b"\r", b"-", b".", b"e", b"0", b"9", b'"', b"\xff", b"true", b"E-9"]
            )
            text[at : at + chosen.choice([0, 1, 1, 4])] = what
        both_ways(monkeypatch, bytes(text).rstrip(b"\n") + b"\n", chosen.choice([None, "BTCUSDT"]))


def test_usual_rows_need_no_parser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written, others = stream(1), stream(2, symbol="ETHUSDT")
    lines = written.lines + others.lines[1:]
    slow: list[int] = []
    whole = tardis.Tardis._read_row

    def counted(self: tardis.Tardis, path: Path, number: int, line: bytes, batch: Any) -> None:
        slow.append(number)
        whole(self, path, number, line, batch)

    monkeypatch.setattr(tardis.Tardis, "_read_row", counted)
    read(tmp_path, lines, symbol="BTCUSDT")
    assert slow == [1, 2]  # the header, and the row that tells how the instrument's rows begin


# several instruments


@pytest.mark.parametrize("seed", range(4))
def test_chosen_instrument_is_taken_from_a_file_of_several(tmp_path: Path, seed: int) -> None:
    """Of one that holds all instruments of an exchange; ids are numbers of rows of the file."""
    written, others = stream(seed), stream(seed + 9, symbol="ETHUSDT")
    lines, ids = [HEADER], []
    nothing: list[int] = []
    for mine, theirs in itertools.zip_longest(written.messages, others.messages, fillvalue=nothing):
        lines += [others.lines[i] for i in theirs] + [written.lines[i] for i in mine]
        ids += [len(lines) - 1] if mine else []
    states = [
        State(state.event_time, state.local_time, row_number, 0, state.known, state.book)
        for state, row_number in zip(written.states, ids, strict=True)
    ]
    check_states(read(tmp_path, lines, symbol="btcusdt"), states)
    with pytest.raises(InputError, match=r"raw\.csv\.gz: line \d+: several symbols \(BTCUSDT, ETHUSDT\): set 'symbol'"):
        read(tmp_path, lines)
    with pytest.raises(InputError, match=r"no book could be rebuilt: no row of XRPUSDT, only of ETHUSDT, BTCUSDT"):
        read(tmp_path, lines, symbol="XRPUSDT")


def test_symbol_of_two_exchanges_is_refused(tmp_path: Path) -> None:
    written, others = stream(1), stream(1, exchange="okex")
    with pytest.raises(InputError, match=r"BTCUSDT of several exchanges \(binance-futures, okex\)"):
        read(tmp_path, written.lines + others.lines[1:])


# damage


@pytest.mark.parametrize("seed", range(8))
def test_swapped_and_doubled_messages_go_back_in_time(tmp_path: Path, seed: int) -> None:
    written = stream(seed)
    at = random.Random(seed).randrange(2, len(written.messages) - 5)
    groups = [[written.lines[i] for i in places] for places in written.messages]
    swapped = [*groups[:at], groups[at + 1], groups[at], *groups[at + 2 :]]
    doubled = [*groups[: at + 3], groups[at], *groups[at + 3 :]]
    for changed in (swapped, doubled):
        quality = read(tmp_path, [HEADER, *itertools.chain(*changed)]).quality
        assert (quality["local_time_going_back"], quality["time_going_back"]) == (1, 1)


def test_of_a_lost_message_nothing_shows(tmp_path: Path) -> None:
    """The format bears no numbers; the states say no more than what the rows say."""
    written = stream(3)
    gone = set(written.messages[20])
    parsed = read(tmp_path, [text for i, text in enumerate(written.lines) if i not in gone])
    assert (parsed.quality["gaps"], parsed.quality["states"]) == (0, len(written.states) - 1)


BAD_ROWS = [
    b"garbage\n", b"binance-futures,BTCUSDT,1,2,true,bid,1\n", b"binance-futures,BTCUSDT,1,2,true,bid,1,1,1\n",
    b"binance-futures,BTCUSDT,x,2,true,bid,1,1\n", b"binance-futures,BTCUSDT,1,-2,true,bid,1,1\n",
    b"binance-futures,BTCUSDT,1,99999999999999999,true,bid,1,1\n", b"binance-futures,BTCUSDT,1,2,True,bid,1,1\n",
    b"binance-futures,BTCUSDT,1,2,true,buy,1,1\n", b"binance-futures,BTCUSDT,1,2,true,bid,-1,1\n",
    b"binance-futures,BTCUSDT,1,2,true,bid,1,-1\n", b"binance-futures,BTCUSDT,1,2,true,bid,1,nan\n",
    b"binance-futures,BTCUSDT,1,2,true,bid,1,1e400\n", b"binance-futures,BTCUSDT,1,2,true,bid,1e300,1\n",
    b"binance-futures,BTCUSDT,1,2,true,bid,,1\n", b",,,,,,,\n", b"\xff\xfe,\xff,1,2,true,bid,1,1\n",
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_ROWS)
@pytest.mark.parametrize("place", ["within a message", "between messages", "within a snapshot"])
def test_bad_row_is_named_and_its_message_and_what_follows_are_left_out(tmp_path: Path, bad: bytes, place: str) -> None:
    """It may have been a row of either message beside it."""
    written = stream(4, restarts=(20, 40))
    number = next(i for i, state in enumerate(written.states) if state.segment == 1)
    number += 0 if place == "within a snapshot" else 5
    at = written.messages[number][0]
    if place != "between messages":
        number = next(i for i in range(number, len(written.messages)) if len(written.messages[i]) > 1)
        at = written.messages[number][1]
    parsed = read(tmp_path, [*written.lines[:at], bad, *written.lines[at:]], max_bad_lines=1)
    assert parsed.quality["first_bad_line"].startswith(f"{tmp_path / 'raw.csv.gz'}: line {at + 1}: ")
    assert (parsed.quality["bad_lines"], parsed.quality["gaps"]) == (1, 1)
    good = number - 1 if place == "between messages" else number
    later = [state for state in written.states if state.segment == 2]
    segment = 1 if place == "within a snapshot" else 2
    wanted = written.states[:good]
    wanted += [State(s.event_time, s.local_time, s.update_id + 1, segment, s.known, s.book) for s in later]
    check_states(parsed, wanted)


@pytest.mark.parametrize("seed", range(6))
def test_cut_gz_is_told(tmp_path: Path, seed: int) -> None:
    written = stream(seed)
    whole = read(tmp_path, written.lines)
    path = tmp_path / "raw.csv.gz"
    path.write_bytes(path.read_bytes()[: -random.Random(seed).randrange(10, 1_000)])
    parsed = try_parse(path, venue="tardis", depth=4)
    assert isinstance(parsed, Parsed)
    assert "gzip data damaged or cut short" in parsed.quality["first_bad_line"]
    # the last message may be cut within its rows
    count = len(parsed.update_ids) - 1
    shorter = Parsed(parsed.quality, {name: column[:count] for name, column in parsed.states.items()})
    assert begins(shorter, whole)


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_other_file_of_the_vendor_is_refused(tmp_path: Path, real_data: Callable[[str], Path], name: str) -> None:
    link = tmp_path / "raw.csv"
    link.symlink_to(real_data(name))
    with pytest.raises(InputError, match=r"raw\.csv: line 1: not the columns of incremental_book_L2: exchange,symbol,"):
        parse(link, venue="tardis")


def test_program_names_file_and_line_and_leaves_nothing(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "raw.csv.gz", [*stream(1).lines, b"garbage\n"])
    outputs = tmp_path / "states.parquet", tmp_path / "quality.json"
    settings = '{"venue": "tardis", "max_bad_lines": 0}'
    done = run_program(
        "scripts.orderbook.parse_book",
        "--raw", path, "--states", outputs[0], "--quality", outputs[1], "--settings", settings,
    )  # fmt: skip
    line = len(stream(1).lines) + 1
    assert f"{path}: line {line}: not a row of incremental_book_L2 (1 fields instead of 8)" in error_of(done)
    assert not any(output.exists() for output in outputs)


@pytest.mark.parametrize("seed", range(8))
def test_parts_with_the_book_carried_equal_one_stream(tmp_path: Path, seed: int) -> None:
    lines = stream(seed, restarts=(30,)).lines
    lines[50:50] = [b"garbage\n"] if seed % 2 else []
    check_carried(tmp_path, lines, seed, suffix=".csv.gz", venue="tardis", depth=4)
