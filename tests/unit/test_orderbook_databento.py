"""Databento: files written by the vendor's own encoder of a simulated market of orders, against a slow book."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import databento_dbn as dbn
import numpy as np
import pytest
import zstandard

from scripts.lib.errors import InputError
from scripts.orderbook.venues import mbo_replay
from scripts.orderbook.venues.dbn_records import MBO_RECORD
from tests.unit.orderbook_streams import Parsed, error_of, parse, run_program, same_states, try_parse

DAY = 1_718_582_400_000_000_000  # 2024-06-17
LAST, TOB, SNAPSHOT, BAD_TIME, MAYBE_BAD = 128, 64, 32, 8, 4
UNDEFINED = dbn.UNDEF_PRICE
TICK = 250_000_000  # 0.25
IDS = {"ESU4": 118, "NQU4": 7}
DEPTH = 10
Levels = list[tuple[int, int]]


def metadata(
    schema: str | None = "mbo", symbols: dict[str, int] | None = None, version: int = 3, **options: Any
) -> bytes:
    interval = {"start_date": date(2024, 6, 17), "end_date": date(2024, 6, 19)}
    symbols = IDS if symbols is None else symbols
    mappings = {name: [interval | {"symbol": str(number)}] for name, number in symbols.items()}
    made = dbn.Metadata(
        dataset="GLBX.MDP3", start=DAY, stype_in=dbn.SType.RAW_SYMBOL, stype_out=dbn.SType.INSTRUMENT_ID,
        schema=schema and dbn.Schema.from_str(schema), symbols=list(symbols),
        mappings=[
            SimpleNamespace(raw_symbol=name, intervals=[SimpleNamespace(**entry) for entry in entries])
            for name, entries in options.pop("mappings", mappings).items()
        ], version=version, **options,
    )  # fmt: skip
    return bytes(made.encode())


def letters(action: str, side: str) -> tuple[Any, Any]:
    return dbn.Action(action), dbn.Side(side)


@dataclass
class Market:
    """Orders of one instrument, in plain dictionaries, and the records that the vendor makes of them."""

    seed: int
    symbol: str = "ESU4"
    publisher: int = 1
    orders: dict[int, list[int]] = field(default_factory=dict)  # id -> side (1 bid), price, size
    mbo: list[Any] = field(default_factory=list)
    mbp: list[Any] = field(default_factory=list)
    books: list[tuple[Levels, Levels]] = field(default_factory=list)  # after each event that touches orders
    heads: list[tuple[int, int, int]] = field(default_factory=list)  # event time, local time, sequence of those

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.time, self.sequence, self.number = DAY + 10**9, 1_000, 5_000

    def record(self, action: str, order: int, side: str, price: int, size: int, flags: int) -> Any:
        return dbn.MBOMsg(
            self.publisher, IDS[self.symbol], self.time, order, price, size, *letters(action, side), self.time + 500,
            flags=flags, channel_id=0, ts_in_delta=100, sequence=self.sequence,
        )  # fmt: skip

    def top(self, side: int) -> Levels:
        sizes: dict[int, int] = {}
        for mine, price, size in self.orders.values():
            if mine == side:
                sizes[price] = sizes.get(price, 0) + size
        return sorted(sizes.items(), reverse=side == 1)

    def emit(self, records: list[tuple[Any, ...]], extra: int = 0) -> None:
        """Write an event's records, the last one flagged so, and the ten levels after it."""
        for i, (action, order, side, price, size) in enumerate(records):
            flags = extra | (LAST if i == len(records) - 1 else 0)
            self.mbo.append(self.record(action, order, side, price, size, flags))
        if any(record[0] in "ACMR" for record in records):
            self.books.append((self.top(1), self.top(0)))
            self.heads.append((self.time, self.time + 500, self.sequence))
            self.mbp.append(self.ten_levels(records[-1]))

    def ten_levels(self, last: tuple[Any, ...]) -> Any:
        bids, asks = self.books[-1]
        pairs = []
        for i in range(DEPTH):
            bid, ask = (side[i] if i < len(side) else (UNDEFINED, 0) for side in (bids, asks))
            pairs.append(dbn.BidAskPair(bid[0], ask[0], bid[1], ask[1], 1, 1))
        return dbn.MBP10Msg(
            self.publisher, IDS[self.symbol], self.time, UNDEFINED, 0, *letters(last[0], "N"), 0, self.time + 500,
            flags=LAST, sequence=self.sequence, levels=pairs,
        )  # fmt: skip

    def snapshot(self) -> None:
        side = {1: "B", 0: "A"}
        records: list[tuple[Any, ...]] = [("R", 0, "N", UNDEFINED, 0)]
        records += [("A", key, side[mine], price, size) for key, (mine, price, size) in self.orders.items()]
        self.emit(records, SNAPSHOT | BAD_TIME)

    def begin(self) -> Market:
        for _ in range(40):
            self.add()
        self.snapshot()
        return self

    def add(self) -> tuple[Any, ...]:
        self.number += 1
        side = self.random.randrange(2)
        price = (20_000 + (-1 if side else 1) * self.random.randrange(1, 30)) * TICK
        self.orders[self.number] = [side, price, self.random.randrange(1, 9)]
        return "A", self.number, "AB"[side], price, self.orders[self.number][2]

    def cancel(self) -> list[tuple[Any, ...]]:
        """A cancel, of a part or the whole, at times with the trade and the fill that caused it."""
        key = self.random.choice(list(self.orders))
        side, price, size = self.orders[key]
        taken = self.random.randrange(1, size + 1)
        self.orders[key][2] -= taken
        if not self.orders[key][2]:
            del self.orders[key]
        cancel = ("C", key, "AB"[side], price, taken)
        if self.random.random() < 0.5:
            return [cancel]
        return [("T", 0, "BA"[side], price, taken), ("F", key, "AB"[side], price, taken), cancel]

    def modify(self) -> tuple[Any, ...]:
        key = self.random.choice(list(self.orders))
        side = self.orders[key][0]
        price = (20_000 + (-1 if side else 1) * self.random.randrange(1, 30)) * TICK
        self.orders[key] = [side, price, self.random.randrange(1, 9)]
        return "M", key, "AB"[side], price, self.orders[key][2]

    def run(self, events: int) -> Market:
        for _ in range(events):
            self.time += self.random.randrange(1, 10**8)
            self.sequence += self.random.randrange(3)  # several events of one packet bear one number
            records: list[tuple[Any, ...]] = []
            for _ in range(self.random.randrange(1, 4)):
                kind = self.random.choice("AACMTN") if self.orders else "A"
                if kind == "C":
                    records += self.cancel()
                else:
                    made = {"A": self.add, "M": self.modify}.get(kind, lambda kind=kind: (kind, 0, "N", UNDEFINED, 0))
                    records.append(made())
            self.emit(records)
        return self


def write(path: Path, records: Sequence[Any], head: bytes | None = None) -> Path:
    content = (metadata() if head is None else head) + b"".join(bytes(record) for record in records)
    path.write_bytes(zstandard.ZstdCompressor().compress(content) if path.suffix == ".zst" else content)
    return path


def read(*raw: Path, **settings: Any) -> Parsed:
    options: dict[str, Any] = {"venue": "databento", "depth": DEPTH, "crossed": "flag"} | settings
    return parse(*raw, **options)


def expected(books: Sequence[tuple[Levels, Levels]], depth: int = DEPTH) -> np.ndarray:
    rows = []
    for sides in books:
        row: list[float] = []
        for side in sides:
            for what in (0, 1):
                values = [level[what] / (10**9, 1)[what] for level in side[:depth]]
                row += values + [np.nan] * (depth - len(values))
        rows.append(row)
    return np.array(rows)


def levels_of(parsed: Parsed) -> np.ndarray:
    return np.stack([column for key, column in parsed.states.items() if key[:4] in ("bid_", "ask_")], axis=1)


def counts(parsed: Parsed, *names: str) -> tuple[int, ...]:
    return tuple(parsed.quality[name] for name in names)


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("suffix", [".dbn", ".dbn.zst"])
def test_orders_make_the_books_of_a_slow_reading(tmp_path: Path, version: int, suffix: str) -> None:
    market = Market(version).begin().run(400)
    parsed = read(write(tmp_path / f"a{suffix}", market.mbo, metadata(version=version)))
    assert np.array_equal(levels_of(parsed), expected(market.books), equal_nan=True)
    heads = np.array(market.heads)
    for i, name in enumerate(("event_time", "local_time", "update_id")):
        assert np.array_equal(parsed.states[name], heads[:, i]), name
    assert counts(parsed, "messages", "states", "segments", "gaps", "bad_lines", "duplicates") == (
        len(market.books) - 1, len(market.books), 1, 0, 0, 0,
    )  # fmt: skip
    assert parsed.quality["orders"] == {"unknown": 0, "repeated": 0, "overdrawn": 0}
    known = [min(len(bids), len(asks)) for bids, asks in market.books]
    assert list(parsed.states["known_levels"]) == known


@pytest.mark.parametrize("seed", range(15))
def test_single_orders_and_ten_levels_give_the_same_states(tmp_path: Path, seed: int) -> None:
    market = Market(seed).begin().run(250)
    orders = read(write(tmp_path / "mbo.dbn", market.mbo))
    levels = read(write(tmp_path / "mbp.dbn.zst", market.mbp, metadata("mbp-10")))
    assert len(market.books) > 150
    for name in set(orders.states) - {"known_levels"}:
        assert np.array_equal(orders.states[name], levels.states[name], equal_nan=True), name
    assert counts(levels, "messages", "states", "segments") == (len(market.books), len(market.books), 1)
    known = np.minimum(orders.states["known_levels"], DEPTH)
    assert np.array_equal(known, levels.states["known_levels"])


def test_blocks_tables_and_pieces_of_any_size_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    market = Market(1).begin().run(500)
    path = write(tmp_path / "a.dbn.zst", market.mbo)
    whole = read(path)
    monkeypatch.setattr("scripts.orderbook.venues.dbn_records.BLOCK", 300)
    monkeypatch.setattr("scripts.orderbook.capture.unpack.PIECE", 200)
    monkeypatch.setattr(mbo_replay, "SMALLEST_TABLE", 8)
    assert same_states(whole, read(path))


def test_tables_that_grow_and_are_cleared_hold_the_same_orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mbo_replay, "SMALLEST_TABLE", 8)
    monkeypatch.setattr("scripts.orderbook.venues.dbn_records.BLOCK", 2_000)
    market = Market(3).begin()
    for _ in range(4):
        market.run(150)
        market.orders = dict(list(market.orders.items())[::3])
        market.sequence += 1
        market.snapshot()
    parsed = read(write(tmp_path / "a.dbn", market.mbo))
    assert np.array_equal(levels_of(parsed), expected(market.books), equal_nan=True)
    assert counts(parsed, "segments", "resyncs", "gaps") == (5, 4, 0)


# instruments


def two_markets(seed: int = 0) -> tuple[Market, Market, list[Any]]:
    both = Market(seed).begin().run(80), Market(seed + 1, "NQU4").begin().run(80)
    return *both, sorted(both[0].mbo + both[1].mbo, key=lambda record: record.ts_event)


@pytest.mark.parametrize("symbol", ["ESU4", "esu4", "118"])
def test_the_symbol_picks_an_instrument_by_name_or_id(tmp_path: Path, symbol: str) -> None:
    market, _, records = two_markets()
    parsed = read(write(tmp_path / "a.dbn", records), symbol=symbol)
    assert np.array_equal(levels_of(parsed), expected(market.books), equal_nan=True)


@pytest.mark.parametrize(("symbols", "named"), [(IDS, "ESU4, NQU4"), ({}, "118, 7")])
def test_several_instruments_need_a_symbol(tmp_path: Path, symbols: dict[str, int], named: str) -> None:
    path = write(tmp_path / "a.dbn", two_markets()[2], metadata(symbols=symbols))
    with pytest.raises(InputError, match=rf"a.dbn: several symbols \({named}\): set 'symbol'"):
        read(path)
    with pytest.raises(InputError, match=f"no record of GCZ4, only of {named}"):
        read(path, symbol="GCZ4")


def test_an_id_stands_for_a_symbol_only_on_its_days(tmp_path: Path) -> None:
    market = Market(2).begin().run(50)
    days = [{"start_date": date(2024, 6, 18), "end_date": date(2024, 6, 19), "symbol": "118"}]
    path = write(tmp_path / "a.dbn", market.mbo, metadata(mappings={"ESU4": days}))
    with pytest.raises(InputError, match="no book could be rebuilt"):
        read(path, symbol="ESU4")
    assert read(path, symbol="118").quality["states"] == len(market.books)


def test_a_symbol_that_stands_for_another_instrument_later_begins_a_segment(tmp_path: Path) -> None:
    first, second = Market(1).begin().run(60), Market(2, "NQU4")
    second.time = DAY + 86_400 * 10**9 + 1
    second.begin().run(60)
    days = [
        {"start_date": date(2024, 6, 17), "end_date": date(2024, 6, 18), "symbol": "118"},
        {"start_date": date(2024, 6, 18), "end_date": date(2024, 6, 19), "symbol": "7"},
    ]
    head = metadata(mappings={"ES.c.0": days})
    parsed = read(write(tmp_path / "a.dbn", first.mbo + second.mbo, head), symbol="ES.c.0")
    assert np.array_equal(levels_of(parsed), expected(first.books + second.books), equal_nan=True)
    assert counts(parsed, "segments", "gaps") == (2, 0)
    late = second.mbo[41:]  # without its snapshot
    parsed = read(write(tmp_path / "a.dbn", first.mbo + late, head), symbol="ES.c.0")
    assert np.array_equal(levels_of(parsed), expected(first.books), equal_nan=True)
    assert counts(parsed, "segments", "gaps") == (1, 1)


def test_a_symbol_of_several_instruments_at_a_time_is_refused(tmp_path: Path) -> None:
    days = [{"start_date": date(2024, 6, 17), "end_date": date(2024, 6, 19), "symbol": text} for text in ("118", "7")]
    head = metadata(mappings={"ES.FUT": days})
    with pytest.raises(InputError, match=r"ES\.FUT stands for several instruments at a time"):
        read(write(tmp_path / "a.dbn", two_markets()[2], head), symbol="ES.FUT")


def test_live_captures_tell_symbols_among_the_records(tmp_path: Path) -> None:
    market, _, records = two_markets()
    told = [
        dbn.SymbolMappingMsg(
            publisher_id=1, instrument_id=number, ts_event=DAY, stype_in=dbn.SType.RAW_SYMBOL, stype_in_symbol=name,
            stype_out=dbn.SType.INSTRUMENT_ID, stype_out_symbol=name, start_ts=DAY, end_ts=DAY + 10**15,
        )
        for name, number in IDS.items()
    ]  # fmt: skip
    path = write(tmp_path / "a.dbn", [*told, *records], metadata(symbols={}, schema=None))
    parsed = read(path, symbol="ESU4")
    assert np.array_equal(levels_of(parsed), expected(market.books), equal_nan=True)


def test_books_of_two_venues_are_not_mixed(tmp_path: Path) -> None:
    one, other = Market(1).begin(), Market(2, publisher=2).begin()
    with pytest.raises(InputError, match=r"books of several venues \(publisher_id 1, 2\): split the file"):
        read(write(tmp_path / "a.dbn", one.mbo + other.mbo))


# what is special of records


def test_records_before_a_snapshot_are_told_and_not_shown(tmp_path: Path) -> None:
    market = Market(4).begin().run(30)
    late = len(market.mbo)
    market.sequence += 1
    market.snapshot()
    books = market.books[-1:]
    parsed = read(write(tmp_path / "a.dbn", market.mbo[60:]))
    assert late > 60
    assert np.array_equal(levels_of(parsed), expected(books), equal_nan=True)
    assert parsed.quality["without_snapshot"] > 0
    with pytest.raises(InputError, match="no snapshot in it"):
        read(write(tmp_path / "a.dbn", market.mbo[60:late]))


def test_sequence_numbers_that_begin_anew_do_not_break_the_book(tmp_path: Path) -> None:
    market = Market(5).begin().run(100)
    market.sequence = 1
    market.run(100)
    parsed = read(write(tmp_path / "a.dbn", market.mbo))
    assert np.array_equal(levels_of(parsed), expected(market.books), equal_nan=True)
    assert parsed.quality["sequence_resets"] == 1
    assert counts(parsed, "gaps", "duplicates", "segments") == (0, 0, 1)


@pytest.mark.parametrize("schema", ["mbo", "mbp-10"])
def test_a_book_that_the_vendor_flags_ends_the_segment(tmp_path: Path, schema: str) -> None:
    market = Market(6).begin().run(50)
    shown = len(market.books)
    market.time, market.sequence = market.time + 1, market.sequence + 1
    market.emit([market.add()], MAYBE_BAD)
    market.run(20)
    market.sequence += 1
    again = len(market.books)
    market.snapshot()
    market.run(20)
    if schema == "mbo":
        parsed = read(write(tmp_path / "a.dbn", market.mbo))
        books = market.books[:shown] + market.books[again:]
        assert parsed.quality["gaps"] == 1
    else:
        market.mbp[shown] = dbn.MBP10Msg(
            1, 118, market.heads[shown][0], UNDEFINED, 0, *letters("A", "N"), 0, market.heads[shown][1],
            flags=LAST | MAYBE_BAD, levels=[dbn.BidAskPair()] * DEPTH,
        )  # fmt: skip
        parsed = read(write(tmp_path / "a.dbn", market.mbp, metadata(schema)))
        books = market.books[:shown] + market.books[shown + 1 :]
    assert np.array_equal(levels_of(parsed), expected(books), equal_nan=True)
    assert parsed.quality["segments"] == 2
    assert parsed.quality["flagged_records"] == 1


def test_feeds_of_best_prices_replace_a_side_with_each_add(tmp_path: Path) -> None:
    def add(side: str, price: int, size: int) -> Any:
        market.time, market.sequence = market.time + 1, market.sequence + 1
        return market.record("A", 0, side, price, size, LAST | TOB)

    market = Market(0)
    records = [market.record("R", 0, "N", UNDEFINED, 0, LAST)]
    records += [add("B", 99 * 10**9, 5), add("A", 101 * 10**9, 6), add("B", 98 * 10**9, 7), add("B", UNDEFINED, 0)]
    parsed = read(write(tmp_path / "a.dbn", records))
    bids: list[Levels] = [[], [(99 * 10**9, 5)], [(99 * 10**9, 5)], [(98 * 10**9, 7)], []]
    asks: list[Levels] = [[], [], *([[(101 * 10**9, 6)]] * 3)]
    assert np.array_equal(levels_of(parsed), expected(list(zip(bids, asks, strict=True))), equal_nan=True)


def test_a_change_of_an_unknown_order_adds_it(tmp_path: Path) -> None:
    market = Market(0)
    records = [market.record("R", 0, "N", UNDEFINED, 0, LAST), market.record("M", 9, "B", 10**9, 4, LAST)]
    parsed = read(write(tmp_path / "a.dbn", records))
    assert list(parsed.states["bid_sz_00"][1:]) == [4.0]
    assert parsed.quality["orders"]["unknown"] == 1


# damage


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("damage", ["drop", "duplicate", "swap"])
def test_orders_out_of_step_are_told(tmp_path: Path, seed: int, damage: str) -> None:
    market, chosen = Market(seed).begin().run(120), random.Random(seed)
    adds = [i for i, record in enumerate(market.mbo) if i > 60 and record.action == "A"]
    gone = {record.order_id: i for i, record in enumerate(market.mbo) if record.action == "C"}
    found = [i for i in adds if market.mbo[i].order_id in gone]
    row, records = chosen.choice(found), list(market.mbo)
    end = gone[records[row].order_id]
    if damage == "drop":
        del records[row]
    elif damage == "duplicate":
        records.insert(row, records[row])
    else:
        records[row], records[end] = records[end], records[row]
    quality = read(write(tmp_path / "a.dbn", records)).quality
    named = "repeated" if damage == "duplicate" else "unknown"
    assert quality["orders"][named] >= 1


BAD = [
    ({"price": -TICK}, "price -0.250000000 is negative"),
    ({"price": 5}, "price 0.000000005 is finer than 1e-8"),
    ({"price": 2**62 + 6}, "price 4611686018.427387910 is more than a float64 can tell"),
    ({"price": UNDEFINED}, "is finer than 1e-8"),
    ({"side": "N"}, "not an MBO record that can be"),
    ({"ts_event": 2**64 - 1}, "not an MBO record that can be"),
]


@pytest.mark.parametrize(("change", "told"), BAD)
def test_a_record_that_cannot_be_used_is_named_and_ends_the_segment(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    market = Market(7).begin().run(40)
    number, shown = len(market.mbo) + 1, len(market.books)
    fields: dict[str, Any] = {"price": TICK, "side": "B", "ts_event": market.time} | change
    bad = dbn.MBOMsg(
        1, 118, fields["ts_event"], 1, fields["price"], 1, *letters("A", fields["side"]), market.time + 500,
        flags=LAST, sequence=market.sequence,
    )  # fmt: skip
    market.mbo.append(bad)
    market.run(20)
    again = len(market.books)
    market.sequence += 1
    market.snapshot()
    parsed = read(write(tmp_path / "a.dbn", market.mbo))
    books = market.books[:shown] + market.books[again:]
    assert np.array_equal(levels_of(parsed), expected(books), equal_nan=True)
    assert counts(parsed, "bad_lines", "gaps", "segments") == (1, 1, 2)
    assert f"a.dbn: record {number}: " in parsed.quality["first_bad_line"]
    assert told in parsed.quality["first_bad_line"]
    refused = try_parse(tmp_path / "a.dbn", venue="databento", max_bad_lines=0)
    assert f"record {number}" in str(refused)


@pytest.mark.parametrize("price", [-5, 5, 2**62 + 6])
def test_a_bad_level_is_named_and_ends_the_segment(tmp_path: Path, price: int) -> None:
    market = Market(8).begin().run(30)
    row = len(market.mbp) // 2
    levels = [dbn.BidAskPair(10**9, price, 1, 1, 1, 1)] + [dbn.BidAskPair()] * (DEPTH - 1)
    market.mbp[row] = dbn.MBP10Msg(
        1, 118, market.time, TICK, 1, *letters("A", "B"), 0, market.time, flags=LAST, levels=levels
    )
    parsed = read(write(tmp_path / "a.dbn", market.mbp, metadata("mbp-10")))
    assert np.array_equal(levels_of(parsed), expected(market.books[:row] + market.books[row + 1 :]), equal_nan=True)
    assert counts(parsed, "bad_lines", "segments") == (1, 2)
    assert f"record {row + 1}: price" in parsed.quality["first_bad_line"]


@pytest.mark.parametrize("suffix", [".dbn", ".dbn.zst"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_file_cut_short_gives_what_is_whole_and_is_named(tmp_path: Path, suffix: str, share: float) -> None:
    market = Market(9).begin().run(400)
    path = tmp_path / f"a{suffix}"
    content = metadata() + b"".join(bytes(record) for record in market.mbo)
    if suffix == ".dbn":
        whole = int(share * len(market.mbo))
        path.write_bytes(content[: len(metadata()) + 56 * whole + 20])
    else:
        packer = zstandard.ZstdCompressor().compressobj()
        pieces = [packer.compress(content[i : i + 1_000]) + packer.flush(1) for i in range(0, len(content), 1_000)]
        packed = b"".join([*pieces, packer.flush()])
        path.write_bytes(packed[: int(share * len(packed))])
    parsed = read(path)
    found = levels_of(parsed)
    assert 0 < len(found) < len(market.books)
    assert np.array_equal(found, expected(market.books[: len(found)]), equal_nan=True)
    assert parsed.quality["bad_lines"] >= 1
    assert "cut short" in parsed.quality["first_bad_line"]


def test_an_event_without_its_end_is_told(tmp_path: Path) -> None:
    """A file that was cut between two records looks whole."""
    market = Market(12).begin().run(20)
    market.emit([market.add(), market.add()])
    assert not read(write(tmp_path / "a.dbn", market.mbo)).quality["unfinished_event"]
    assert read(write(tmp_path / "a.dbn", market.mbo[:-1])).quality["unfinished_event"]


@pytest.mark.parametrize("length", [0, 3, 13])
def test_a_length_that_cannot_be_ends_the_file(tmp_path: Path, length: int) -> None:
    market = Market(10).begin().run(50)
    content = bytearray(metadata() + b"".join(bytes(record) for record in market.mbo))
    content[len(metadata()) + 56 * 80] = length
    (tmp_path / "a.dbn").write_bytes(content)
    parsed = read(tmp_path / "a.dbn")
    assert parsed.quality["first_bad_line"].endswith("record 81: its length cannot be: nothing after it can be read")
    assert 0 < parsed.quality["states"] < len(market.books)


@pytest.mark.parametrize("seed", range(40))
def test_random_bytes_changed_are_never_a_fault_of_ours(tmp_path: Path, seed: int) -> None:
    market, chosen = Market(seed).begin().run(60), random.Random(seed)
    content = bytearray(metadata() + b"".join(bytes(record) for record in market.mbo))
    for _ in range(chosen.randrange(1, 6)):
        content[chosen.randrange(len(content))] = chosen.randrange(256)
    (tmp_path / "a.dbn").write_bytes(content)
    try_parse(tmp_path / "a.dbn", venue="databento", symbol="118")


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"DBN", b"DBN\x03\xff\xff\xff\xff", b"DBN\x63" + bytes(300), metadata()[:-9]]
)
def test_what_is_no_dbn_file_is_one_line_and_code_2(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.dbn").write_bytes(content)
    outputs = ("--states", tmp_path / "s.parquet", "--quality", tmp_path / "q.json")
    options = ("--settings", json.dumps({"venue": "databento"}))
    line = error_of(run_program("scripts.orderbook.parse_book", "--raw", tmp_path / "a.dbn", *outputs, *options))
    assert "a.dbn: not a DBN file" in line
    assert not (tmp_path / "s.parquet").exists()


def test_files_of_other_schemas_are_refused_with_their_name(tmp_path: Path) -> None:
    trade = dbn.TradeMsg(1, 118, DAY, TICK, 1, *letters("T", "B"), 0, DAY)
    with pytest.raises(InputError, match="no MBO or MBP-10 record in it, but trades"):
        read(write(tmp_path / "a.dbn", [trade], metadata("trades")))
    market = Market(0).begin()
    with pytest.raises(InputError, match="both MBO and MBP-10 records"):
        read(write(tmp_path / "a.dbn", market.mbo + market.mbp))


# the book carried


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("schema", ["mbo", "mbp-10"])
def test_a_stream_may_be_cut_anywhere(tmp_path: Path, seed: int, schema: str) -> None:
    market, chosen = Market(seed).begin().run(300), random.Random(seed)
    if seed % 2:
        market.sequence += 1
        market.snapshot()
        market.run(50)
    records: list[Any] = market.mbo if schema == "mbo" else market.mbp
    head = metadata(schema)
    whole = read(write(tmp_path / "whole.dbn", records, head))
    cuts = [0, *(int((share + 0.1 * chosen.random()) * len(records)) for share in (0.2, 0.45, 0.7)), len(records)]
    parts = []
    for i in range(4):
        path = write(tmp_path / f"{i}.dbn", records[cuts[i] : cuts[i + 1]], head)
        before = tmp_path / f"{i}.npz" if i else None
        parts.append(read(path, book_in=before, book_out=tmp_path / f"{i + 1}.npz"))
    joined = Parsed({}, {key: np.concatenate([part.states[key] for part in parts]) for key in whole.states})
    assert same_states(joined, whole)
    for name in ("messages", "updates", "states", "gaps", "resyncs"):
        assert sum(part.quality[name] for part in parts) == whole.quality[name], name


def test_a_carried_book_of_another_schema_or_instrument_is_not_gone_on_with(tmp_path: Path) -> None:
    market = Market(0).begin().run(10)
    read(write(tmp_path / "a.dbn", market.mbo), book_out=tmp_path / "a.npz")
    with pytest.raises(InputError, match="both MBO and MBP-10"):
        read(write(tmp_path / "b.dbn", market.mbp, metadata("mbp-10")), book_in=tmp_path / "a.npz")
    with pytest.raises(InputError, match="a book of databento ESU4, not of databento NQU4"):
        read(write(tmp_path / "b.dbn", market.mbo), book_in=tmp_path / "a.npz", symbol="NQU4")


def test_records_are_read_as_the_vendor_s_library_reads_them() -> None:
    market = Market(11).begin().run(20)
    content = b"".join(bytes(record) for record in market.mbo)
    decoder = dbn.DBNDecoder(has_metadata=False, input_version=3)
    decoder.write(content)
    for mine, theirs in zip(np.frombuffer(content, MBO_RECORD), decoder.decode(), strict=True):
        for name in ("publisher_id", "instrument_id", "ts_event", "order_id", "price", "size", "ts_recv", "sequence"):
            assert mine[name] == getattr(theirs, name), name
        assert chr(mine["action"]) == theirs.action
        assert mine["flags"] == theirs.flags
