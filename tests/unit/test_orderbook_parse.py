"""parse_book: real captures against a slow independent reading, and captures that are damaged in every way."""

from __future__ import annotations

import bisect
import gzip
import json
import random
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow.parquet as pq
import pytest

from scripts.lib.errors import InputError
from scripts.orderbook.book.advance import Rows
from scripts.orderbook.capture import raw, unpack
from scripts.orderbook.capture.records import PRICE_SCALE, scaled
from scripts.orderbook.capture.settings import Venue
from scripts.orderbook.states.table import ROWS_PER_GROUP, StatesWriter, read_states
from scripts.orderbook.venues.factory import ADAPTERS
from tests.unit.orderbook_streams import (
    ANYTHING,
    Message,
    Parsed,
    begins,
    diff,
    error_of,
    parse,
    places_in,
    quote,
    replaced,
    run_program,
    same_states,
    simulate,
    snapshot,
    told_or_parsed,
    try_parse,
    write_lines,
    write_messages,
)

DEPTH = 24
REAL = {
    "binance-usdm": ["orderbook/binance/usdm/btcusdt_20240808.gz"],
    "binance-spot": [f"orderbook/binance/spot/btcusdt_{day}.gz" for day in ("20240808", "20240809")],
}
Lines = list[bytes]


# real captures


class Oracle:
    """A capture read with json and Decimal, and its book kept in dictionaries of the venue's own texts."""

    def __init__(self, paths: list[Path], spot: bool) -> None:
        self.quotes: dict[int, list[str]] = {}
        self.heads: list[tuple[int, int, int]] = []  # event time, local time, update id of each state
        self.books: dict[int, list[list[tuple[str, str]]]] = {}  # number of the state -> sides, best first
        self.known: dict[int, int] = {}  # number of the state -> levels inside the snapshot's prices
        self._diffs: list[tuple[int, dict[str, Any]]] = []
        for line in b"".join(gzip.decompress(path.read_bytes()) for path in paths).splitlines():
            stamp, text = line.decode().split(" ", 1)
            message = json.loads(text)
            data = message.get("data", {})
            if "lastUpdateId" in message:
                self._start, self._start_local = message, int(stamp)
            elif message["stream"].endswith("@bookTicker"):
                self.quotes[data["u"]] = [data[key] for key in ("b", "B", "a", "A")]
            elif "@depth" in message["stream"]:
                self._diffs.append((int(stamp), data))
        self._rebuild(spot)

    def _rebuild(self, spot: bool) -> None:
        start = self._start["lastUpdateId"]
        sides = [{Decimal(price): (price, size) for price, size in self._start[side]} for side in ("bids", "asks")]
        event = self._start_local if spot else self._start["E"] * 1_000_000
        self.heads.append((event, self._start_local, start))
        self._note(sides)
        for local, data in self._diffs:
            if data["u"] < start + spot:
                continue
            for side, changes in zip(sides, (data["b"], data["a"]), strict=True):
                for price, size in changes:
                    side.pop(Decimal(price), None)
                    if Decimal(size):
                        side[Decimal(price)] = (price, size)
            known = max(local, self._start_local)  # diffs that came before the snapshot could not be applied before it
            self.heads.append((data["E"] * 1_000_000, known, data["u"]))
            self._note(sides)

    def _note(self, sides: list[dict[Decimal, tuple[str, str]]]) -> None:
        if len(self.heads) % 501 == 1:
            bids, asks = sides
            lowest = min(Decimal(price) for price, _ in self._start["bids"])
            highest = max(Decimal(price) for price, _ in self._start["asks"])
            known = sum(price >= lowest for price in bids), sum(price <= highest for price in asks)
            self.known[len(self.heads) - 1] = min(known)
            self.books[len(self.heads) - 1] = [
                [bids[price] for price in sorted(bids, reverse=True)],
                [asks[price] for price in sorted(asks)],
            ]


Real = tuple[Parsed, Oracle]
_REAL: dict[str, Real] = {}


@pytest.fixture(params=list(REAL))
def real(
    request: pytest.FixtureRequest, real_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Real:
    """A real capture as parse_book and as the oracle read it; read once for all tests."""
    venue = str(request.param)
    paths = [real_data(name) for name in REAL[venue]]
    if venue not in _REAL:
        folder = tmp_path_factory.mktemp(venue)
        links = [folder / path.name for path in paths]
        for link, path in zip(links, paths, strict=True):
            link.symlink_to(path)
        _REAL[venue] = parse(*links, venue=venue, depth=DEPTH), Oracle(paths, venue == "binance-spot")
    return _REAL[venue]


def test_real_capture_gives_a_state_for_the_snapshot_and_each_diff_after_it(real: Real) -> None:
    parsed, oracle = real
    heads = np.array(oracle.heads)
    for i, name in enumerate(("event_time", "local_time", "update_id")):
        assert np.array_equal(parsed.states[name], heads[:, i]), name
    counts = {key: parsed.quality[key] for key in ("gaps", "resyncs", "crossed", "duplicates", "bad_lines", "segments")}
    assert counts == {"gaps": 0, "resyncs": 0, "crossed": 0, "duplicates": 0, "bad_lines": 0, "segments": 1}
    assert parsed.quality["states"] == len(heads) > 6_000
    assert not parsed.states["segment"].any()


def test_real_capture_gives_the_venues_own_decimals_at_all_levels(real: Real) -> None:
    parsed, oracle = real
    assert len(oracle.books) > 12
    for row, sides in oracle.books.items():
        for side, levels in zip(("bid", "ask"), sides, strict=True):
            for what, values in zip(("px", "sz"), zip(*levels[:DEPTH], strict=True), strict=True):
                found = [parsed.states[f"{side}_{what}_{i:02d}"][row] for i in range(DEPTH)]
                assert found == [float(text) for text in values]
        assert parsed.states["known_levels"][row] == oracle.known[row]


def test_real_capture_agrees_with_the_venues_best_quotes(real: Real) -> None:
    parsed, oracle = real
    ids = sorted(oracle.quotes)
    names = ("bid_px_00", "bid_sz_00", "ask_px_00", "ask_sz_00")
    compared = equal = 0
    for row, update_id in enumerate(parsed.update_ids):
        position = bisect.bisect_right(ids, update_id)
        if position:
            compared += 1
            texts = oracle.quotes[ids[position - 1]]
            equal += [parsed.states[name][row] for name in names] == [float(text) for text in texts]
    assert parsed.quality["best_quote_check"] == {"compared": compared, "equal": equal, "late": 0}
    assert compared > 6_000
    assert equal >= 0.999 * compared


# states files


@pytest.mark.parametrize("depth", [1, 30, 1_000])
def test_any_depth_shows_the_same_book(tmp_path: Path, depth: int) -> None:
    path = simulate(tmp_path / "raw.gz", messages=40, snapshot_levels=1_200)
    shallow, deep = parse(path, depth=1), parse(path, depth=depth)
    assert np.array_equal(shallow.states["bid_px_00"], deep.states["bid_px_00"])
    prices = np.stack([deep.states[f"ask_px_{i:02d}"] for i in range(depth)])
    assert (np.diff(prices, axis=0) > 0).all()


def test_columns_are_five_integers_then_prices_and_sizes_of_both_sides(tmp_path: Path) -> None:
    parse(write_messages(tmp_path / "a", [snapshot(10), diff(9, 12, 8)]), depth=2)
    schema = pq.read_schema(tmp_path / "states.parquet")
    integers = ["event_time", "local_time", "update_id", "segment", "known_levels"]
    levels = [f"{side}_{what}_0{i}" for side in ("bid", "ask") for what in ("px", "sz") for i in (0, 1)]
    assert schema.names == integers + levels
    assert [str(schema.field(name).type) for name in schema.names] == ["int64"] * 5 + ["double"] * 8


def test_times_are_ns_and_a_level_that_is_not_there_is_nan(tmp_path: Path) -> None:
    messages = [snapshot(10, E=1_700_000_000_123), diff(9, 12, 8, E=1_700_000_000_456, b=[["99.0", "0"]])]
    parsed = parse(write_messages(tmp_path / "a", messages))
    assert list(parsed.states["event_time"]) == [1_700_000_000_123_000_000, 1_700_000_000_456_000_000]
    assert list(parsed.states["local_time"]) == [1_704_067_200_000_000_000, 1_704_067_200_001_000_000]
    assert list(parsed.states["known_levels"]) == [2, 1]
    assert list(parsed.states["bid_px_00"]) == [100.0, 100.0]
    for name, second in (("bid_px_01", 99.0), ("bid_sz_01", 2.0)):
        assert parsed.states[name][0] == second
        assert np.isnan(parsed.states[name][1])
    assert np.isnan(parsed.states["ask_px_02"]).all()


def test_snapshot_without_event_time_takes_the_local_one(tmp_path: Path) -> None:
    parsed = parse(write_messages(tmp_path / "a", [snapshot(10), diff(11, 12)]), venue="binance-spot")
    assert parsed.states["event_time"][0] == parsed.states["local_time"][0] == 1_704_067_200_000_000_000
    assert parsed.quality["time_going_back"] == 0


def test_gap_ends_the_segment_and_a_snapshot_begins_the_next(tmp_path: Path) -> None:
    messages = [snapshot(10), diff(9, 12, 8), diff(15, 16, 14), diff(17, 18, 16), snapshot(17), diff(19, 20, 18)]
    parsed = parse(write_messages(tmp_path / "a", messages))
    assert parsed.update_ids == [10, 12, 17, 18, 20]
    assert list(parsed.states["segment"]) == [0, 0, 1, 1, 1]
    assert (parsed.quality["gaps"], parsed.quality["resyncs"], parsed.quality["segments"]) == (1, 1, 2)


@pytest.mark.parametrize("rows", [1, ROWS_PER_GROUP, ROWS_PER_GROUP + 1])
def test_row_groups_lose_no_state(tmp_path: Path, rows: int) -> None:
    integers, levels = np.zeros((rows, 5), np.int64), np.full((rows, 4), np.nan)
    integers[:, 0], integers[:, 2], levels[:, 1] = 2 * np.arange(rows), np.arange(rows), np.arange(rows) + 1.0
    with StatesWriter(tmp_path / "a.parquet", 1) as writer:
        for at in range(0, rows, 3_000):
            writer.write(Rows(integers[at : at + 3_000], levels[at : at + 3_000], np.zeros(1, np.int64)))
    columns = read_states(tmp_path / "a.parquet")
    assert np.array_equal(columns["update_id"], np.arange(rows))
    assert np.array_equal(columns["event_time"], 2 * np.arange(rows))
    assert np.array_equal(columns["bid_sz_00"], np.arange(rows) + 1.0)
    assert np.isnan(columns["ask_px_00"]).all()


@pytest.mark.parametrize("decimals", range(9))
def test_scaled_prices_keep_the_float_of_every_text(decimals: int) -> None:
    chosen = random.Random(decimals)
    for _ in range(2_000):
        text = f"{Decimal(chosen.randrange(10 ** chosen.randint(1, min(14, 10 + decimals)))).scaleb(-decimals):f}"
        units = scaled(text)
        assert units / PRICE_SCALE == float(text)


@pytest.mark.parametrize("text", ["0.000000001", "1.123456789", "-1", "5e10", "nan", "inf", "-inf", "1e400", "", "x"])
def test_price_that_the_scale_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        scaled(text)


# forms of a capture


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """Lines of a small simulated capture."""
    path = simulate(
        tmp_path_factory.mktemp("simulated") / "raw.gz", messages=60, snapshot_levels=30, events_per_message=5.0
    )
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


@pytest.fixture(scope="module")
def whole(lines: Lines, tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    """The undamaged capture."""
    parsed = parse(write_lines(tmp_path_factory.mktemp("whole") / "raw.gz", lines))
    assert parsed.quality["states"] > 55
    return parsed


def diffs_in(lines: Lines) -> list[int]:
    """Numbers of the lines with diffs that continue a segment; the last one has a follower."""
    found = [i for i, line in enumerate(lines) if b"depthUpdate" in line]
    start = next(i for i, line in enumerate(lines) if b"lastUpdateId" in line)
    return [i for i in found if i > start][1:-1]


@pytest.mark.parametrize("name", ["raw.gz", "raw.zst", "raw", "raw.jsonl"])
@pytest.mark.parametrize("mark", [b" ", b": "])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_packed_plain_colon_and_windows_lines_read_alike(
    tmp_path: Path, lines: Lines, whole: Parsed, name: str, mark: bytes, end: bytes
) -> None:
    changed = [line.rstrip().replace(b" ", mark, 1) + end for line in lines]
    parsed = parse(write_lines(tmp_path / name, changed))
    assert same_states(parsed, whole)
    assert parsed.quality == whole.quality


def test_messages_without_stream_wrapper_read_alike(tmp_path: Path, lines: Lines, whole: Parsed) -> None:
    split = [line.split(b" ", 1) for line in lines]
    bare = [b"%s %s\n" % (stamp, json.dumps(data).encode()) for stamp, data in unwrapped(split)]
    parsed = parse(write_lines(tmp_path / "raw", bare))
    assert same_states(parsed, whole)
    assert parsed.quality == whole.quality


def unwrapped(split: list[list[bytes]]) -> Iterator[tuple[bytes, Any]]:
    for stamp, text in split:
        message = json.loads(text)
        yield stamp, message.get("data", message)


@pytest.mark.parametrize("seed", range(4))
def test_several_files_are_one_stream(tmp_path: Path, lines: Lines, whole: Parsed, seed: int) -> None:
    cuts = sorted(random.Random(seed).sample(range(len(lines)), 2))
    parts = [lines[: cuts[0]], lines[cuts[0] : cuts[1]], lines[cuts[1] :]]
    names = ["a.gz", "b", "c.zst"]
    parsed = parse(*(write_lines(tmp_path / name, part) for name, part in zip(names, parts, strict=True)))
    assert same_states(parsed, whole)
    assert parsed.quality == whole.quality


def test_other_streams_and_partial_books_are_passed_over(tmp_path: Path, lines: Lines, whole: Parsed) -> None:
    at = diffs_in(lines)[3]
    stamp, text = lines[at].split(b" ", 1)
    partial = text.replace(b"@depth@0ms", b"@depth20@100ms")
    trade = b'{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","p":"1","q":"2"}}\n'
    extra = [stamp + b" " + other for other in (partial, trade)]
    parsed = parse(write_lines(tmp_path / "raw", [*lines[:at], *extra, *lines[at:]]), max_bad_lines=0)
    assert same_states(parsed, whole)
    assert parsed.quality == whole.quality


def test_chosen_symbol_is_taken_from_a_capture_of_several(tmp_path: Path) -> None:
    wrapped = {"stream": "btcusdt@snapshot"} | snapshot(10)
    other = {"stream": "ethusdt@depth@0ms", "data": diff(13, 14, 12)["data"] | {"s": "ETHUSDT"}}
    path = write_messages(tmp_path / "a", [wrapped, diff(9, 12, 8), other, diff(15, 16, 12)])
    assert parse(path, symbol="btcusdt").update_ids == [10, 12, 16]


@pytest.mark.parametrize("symbol", [None, "BTCUSDT", "ETHUSDT"])
@pytest.mark.parametrize("first", [False, True])
def test_several_symbols_are_never_mixed(tmp_path: Path, symbol: str | None, first: bool) -> None:
    other = {"stream": "ethusdt@depth@0ms", "data": diff(3, 4, 2)["data"] | {"s": "ETHUSDT"}}
    messages = [diff(9, 12, 8), snapshot(10), diff(13, 14, 12)]
    path = write_messages(tmp_path / "a", [other, *messages] if first else [*messages, other])
    with pytest.raises(InputError, match=r"a: line \d: several symbols \(BTCUSDT, ETHUSDT\): "):
        parse(path, symbol=symbol)


def of_others() -> list[Message]:
    return [
        {"stream": f"{name}@depth@0ms", "data": diff(13, 14, 12)["data"] | {"s": name.upper()}}
        for name in ("ethusdt", "xrpusdt")
    ]


@pytest.mark.parametrize("place", [0, 1], ids=["before", "after"])
def test_a_snapshot_in_a_file_of_its_own_is_that_of_the_chosen_symbol(tmp_path: Path, place: int) -> None:
    eth, xrp = of_others()
    capture = write_messages(tmp_path / "a", [eth, diff(9, 12, 8), xrp, diff(15, 16, 12)])
    own, second = (write_lines(tmp_path / name, [json.dumps(snapshot(10)).encode()]) for name in "bc")
    files = [own, capture] if place == 0 else [capture, own]
    assert parse(*files, symbol="BTCUSDT").update_ids == [10, 12, 16]
    with pytest.raises(InputError, match=r"a: line 1: several symbols \(BTCUSDT, ETHUSDT, XRPUSDT\): a snapshot does"):
        parse(own, second, capture, symbol="BTCUSDT")
    with pytest.raises(InputError, match=r"several symbols \(BTCUSDT, ETHUSDT, XRPUSDT\): set 'symbol'"):
        parse(*files)
    with pytest.raises(InputError, match=r"not ADAUSDT, but others \(BTCUSDT, ETHUSDT, XRPUSDT\): a snapshot does"):
        parse(own, second, capture, symbol="ADAUSDT")


def test_all_symbols_are_named_where_none_is_chosen_or_the_chosen_one_is_not_there(tmp_path: Path) -> None:
    path = write_messages(tmp_path / "a", [diff(9, 12, 8), *of_others()])
    with pytest.raises(InputError, match=r"a: line 2: several symbols \(BTCUSDT, ETHUSDT, XRPUSDT\): set 'symbol'"):
        parse(path)
    with pytest.raises(InputError, match="no depth message of ADAUSDT, only of others such as BTCUSDT"):
        parse(path, symbol="ADAUSDT")
    with pytest.raises(InputError, match="no snapshot in it"):
        parse(path, symbol="BTCUSDT")


def test_each_venue_has_an_adapter() -> None:
    assert set(ADAPTERS) == set(get_args(Venue))


@pytest.mark.parametrize(("venue", "other"), [("binance-spot", "binance-usdm"), ("binance-usdm", "binance-spot")])
def test_capture_of_the_other_venue_is_refused(tmp_path: Path, venue: str, other: str) -> None:
    pu = 8 if venue == "binance-usdm" else None
    path = write_messages(tmp_path / "a", [diff(9, 12, pu), snapshot(10)])
    assert parse(path, venue=venue).update_ids == [10, 12]
    with pytest.raises(InputError, match=rf"a: line 1: not a {other} message .*pu"):
        parse(path, venue=other, max_bad_lines=0)


# the best-quote check


def test_best_quotes_are_compared_with_the_last_of_an_id_up_to_the_states(tmp_path: Path) -> None:
    right, wrong = (["100.0", "1"], ["101.0", "3"]), (["100.0", "1"], ["101.0", "3.5"])
    stream = [diff(9, 12, 8), diff(13, 14, 12), diff(15, 16, 14)]
    quotes = [quote(16, *wrong), quote(11, *right), quote(17, *wrong), quote(13, *right)]  # any order
    parsed = parse(write_messages(tmp_path / "a", [snapshot(10), *stream, *quotes]))
    assert parsed.quality["best_quote_check"] == {"compared": 3, "equal": 2, "late": 0}


@pytest.mark.parametrize("missing", ["bids", "asks", "quotes"])
def test_nothing_is_compared_without_quotes_or_with_a_side_empty(tmp_path: Path, missing: str) -> None:
    quotes = [] if missing == "quotes" else [quote(9, ["100.0", "1"], ["101.0", "3"])]
    start = snapshot(10) | ({} if missing == "quotes" else {missing: []})
    parsed = parse(write_messages(tmp_path / "a", [start, diff(9, 12, 8), *quotes]))
    assert parsed.quality["best_quote_check"] == {"compared": 0, "equal": 0, "late": 0}
    assert parsed.quality["states"] == 2


# damage


@pytest.mark.parametrize("seed", range(5))
def test_lost_diff_is_a_gap_and_nothing_follows(tmp_path: Path, lines: Lines, whole: Parsed, seed: int) -> None:
    at = random.Random(seed).choice(diffs_in(lines))
    parsed = parse(write_lines(tmp_path / "raw.gz", lines[:at] + lines[at + 1 :]))
    assert (parsed.quality["gaps"], parsed.quality["bad_lines"]) == (1, 0)
    assert parsed.quality["states"] == len(parsed.update_ids) < len(whole.update_ids)
    assert begins(parsed, whole)


@pytest.mark.parametrize("seed", range(5))
def test_doubled_diff_is_dropped_and_counted(tmp_path: Path, lines: Lines, whole: Parsed, seed: int) -> None:
    chosen = random.Random(seed)
    at = chosen.choice(diffs_in(lines))
    later = at + chosen.randint(1, 40)
    parsed = parse(write_lines(tmp_path / "raw.gz", [*lines[:later], lines[at], *lines[later:]]))
    assert same_states(parsed, whole)
    assert parsed.quality["messages"] == whole.quality["messages"] + 1
    assert (parsed.quality["duplicates"], parsed.quality["gaps"]) == (1, 0)


@pytest.mark.parametrize("seed", range(5))
def test_swapped_diffs_are_a_gap(tmp_path: Path, lines: Lines, whole: Parsed, seed: int) -> None:
    diffs = diffs_in(lines)
    at = random.Random(seed).randrange(len(diffs) - 1)
    changed = list(lines)
    changed[diffs[at]], changed[diffs[at + 1]] = lines[diffs[at + 1]], lines[diffs[at]]
    parsed = parse(write_lines(tmp_path / "raw.gz", changed))
    assert parsed.quality["gaps"] == 1
    assert begins(parsed, whole)
    assert len(parsed.update_ids) < len(whole.update_ids)


def one_line(error: pytest.ExceptionInfo[InputError], path: Path) -> str:
    """The message of an error, after checking that it is one line and names the file and a line of it."""
    text = str(error.value)
    assert "\n" not in text
    assert f"{path}: line " in text
    return text


@pytest.mark.parametrize("kind", ["gz", "zst"])
@pytest.mark.parametrize("seed", range(12))
def test_cut_file_is_told_and_what_came_before_is_kept(
    tmp_path: Path, lines: Lines, whole: Parsed, seed: int, kind: str
) -> None:
    path = write_lines(tmp_path / f"raw.{kind}", lines)
    content = path.read_bytes()
    path.write_bytes(content[: random.Random(seed).randrange(1, len(content))])
    parsed = try_parse(path)
    if isinstance(parsed, str):
        assert re.search(f"{path}: line [0-9]+: (gzip|zstd) data damaged or cut short", parsed)
    else:
        assert parsed.quality["bad_lines"] == 1
        assert "data damaged or cut short" in parsed.quality["first_bad_line"]
        assert begins(parsed, whole)


@pytest.mark.parametrize("seed", range(25))
def test_flipped_bit_of_a_gz_is_always_told(tmp_path: Path, lines: Lines, seed: int) -> None:
    path = write_lines(tmp_path / "raw.gz", lines)
    content, chosen = bytearray(path.read_bytes()), random.Random(seed)
    content[chosen.randrange(10, len(content))] ^= 1 << chosen.randrange(8)  # after the header
    path.write_bytes(content)
    parsed = try_parse(path)
    told = parsed if isinstance(parsed, str) else parsed.quality["first_bad_line"]
    assert re.search(f"{path}: line [0-9]+: ", told)


GARBAGE = [
    b"\n", b"\x00\xff\xfe binary\n", b"123\n", b"123 \n", b"123 {\n", b"abc {}\n", b"-5 {}\n", b"1.5. {}\n",
    b"5:: {}\n",
    b"1 NaN\n", b'1 {"a": \xff}\n', b"9999999999999999999 {}\n", b"1" * 5_000 + b" {}\n", b"1 " + b"[" * 3_000 + b"\n",
    b"1 []\n", b'1 "text"\n', b"1 5\n", b"1 null\n", b"1 true\n", b"1 [{}]\n",
]  # fmt: skip


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: repr(garbage[:12]))
def test_garbage_line_is_counted_and_named(tmp_path: Path, lines: Lines, whole: Parsed, garbage: bytes) -> None:
    at = len(garbage) % len(lines)
    path = write_lines(tmp_path / "raw", [*lines[:at], garbage, *lines[at:]])
    parsed = parse(path)
    assert same_states(parsed, whole)
    assert parsed.quality["bad_lines"] == 1
    assert parsed.quality["first_bad_line"].startswith(f"{path}: line {at + 1}: ")
    with pytest.raises(InputError) as error:
        parse(path, max_bad_lines=0)
    assert f"line {at + 1}: " in one_line(error, path)


@pytest.mark.parametrize(("bad", "allowed"), [(0, 0), (1, 0), (1, 1), (5, 4), (5, 5), (5, 6)])
def test_bad_lines_are_allowed_up_to_their_number(
    tmp_path: Path, lines: Lines, whole: Parsed, bad: int, allowed: int
) -> None:
    places = sorted(random.Random(bad).sample(range(len(lines)), bad))
    changed = list(lines)
    for place in reversed(places):
        changed.insert(place, b"junk\n")
    path = write_lines(tmp_path / "raw.gz", changed)
    if bad > allowed:
        with pytest.raises(InputError) as error:
            parse(path, max_bad_lines=allowed)
        assert f"line {places[allowed] + allowed + 1}: " in one_line(error, path)
        assert f"max_bad_lines is {allowed}" in str(error.value)
    else:
        parsed = parse(path, max_bad_lines=allowed)
        assert same_states(parsed, whole)
        assert parsed.quality["bad_lines"] == bad


def test_of_a_damaged_gz_all_before_the_damage_is_read(tmp_path: Path, lines: Lines, whole: Parsed) -> None:
    path = write_lines(tmp_path / "raw.gz", lines)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"\xff" * (len(content) - len(content) // 2)
    path.write_bytes(content)
    parsed = parse(path)
    assert begins(parsed, whole)
    assert 0.3 < len(parsed.update_ids) / len(whole.update_ids) < 0.6


@pytest.mark.parametrize("padding", [b"", b"\0" * 1_000])
def test_gz_of_several_members_is_one_file(tmp_path: Path, lines: Lines, whole: Parsed, padding: bytes) -> None:
    path = tmp_path / "raw.gz"
    members = [gzip.compress(b"".join(lines[at : at + 37])) for at in range(0, len(lines), 37)]
    path.write_bytes(b"".join(members) + padding)
    assert same_states(parse(path, max_bad_lines=0), whole)


def test_blocks_of_any_size_give_the_same(
    tmp_path: Path, lines: Lines, whole: Parsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, size in enumerate((1, 100, 5_000)):
        for module, name, value in ((raw, "BLOCK", size), (unpack, "BLOCK", size), (unpack, "PIECE", size + 7)):
            monkeypatch.setattr(module, name, value)
        path = write_lines(tmp_path / f"raw{number}", [*lines[:20], b"junk\n", *lines[20:]])
        parsed = parse(path)
        assert same_states(parsed, whole)
        assert parsed.quality["first_bad_line"].startswith(f"{path}: line 21: ")


def test_endless_line_is_bad_and_what_follows_is_read(
    tmp_path: Path, lines: Lines, whole: Parsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, size in ((raw, "BLOCK", 1_000), (unpack, "PIECE", 1_000), (raw, "LONGEST_LINE", 50_000)):
        monkeypatch.setattr(module, name, size)
    path = write_lines(tmp_path / "raw", [*lines[:20], b"1 {" + b"7" * 200_000 + b"}\n", *lines[20:], b"junk"])
    parsed = parse(path)
    assert same_states(parsed, whole)
    assert (parsed.quality["bad_lines"], parsed.quality["first_bad_line"]) == (
        2, f"{path}: line 21: no JSON after the time",
    )  # fmt: skip


NO_ID: list[Any] = [None, 1.5, True, "12", [], {}, -1, 2**63, 2**64, 10**30]
NO_LEVELS: list[Any] = [
    None, True, 3, "", "ab", {}, {"1": "2"}, [None], [3], ["12"], [[]], [["1"]], [[1, 2]], [[1.5, "2"]], [["1", 2.5]],
    [[None, "1"]], [["1", None]], [[True, True]], [{"0": "1"}], [["1", "-1"]], [["-1", "1"]], [["nan", "1"]],
    [["1", "nan"]], [["inf", "1"]], [["1", "inf"]], [["1e400", "1"]], [["1", "1e400"]], [["0.000000001", "1"]],
    [["x", "1"]], [["1", ""]], [["1", "1"], ["1"]],
]  # fmt: skip
DIFF_FIELDS: dict[str, list[Any]] = {
    "U": NO_ID,
    "u": [*NO_ID, 0],
    "pu": NO_ID,
    "E": [*NO_ID, 10**14],
    "b": NO_LEVELS,
    "a": NO_LEVELS,
}
ABSENT = "(absent)"


def set_field(data: dict[str, Any], key: str, value: object) -> None:
    if value == ABSENT:
        del data[key]
    else:
        data[key] = value


@pytest.mark.parametrize("key", DIFF_FIELDS)
def test_diff_with_an_absurd_field_is_a_bad_line_and_a_gap(tmp_path: Path, key: str) -> None:
    for value in [ABSENT, *DIFF_FIELDS[key]]:
        bad = diff(13, 14, 12)
        set_field(bad["data"], key, value)
        path = write_messages(tmp_path / "raw", [snapshot(10), diff(9, 12, 8), bad, diff(15, 16, 14)])
        parsed = parse(path)
        assert parsed.update_ids == [10, 12], value
        assert (parsed.quality["bad_lines"], parsed.quality["gaps"]) == (1, 1), value
        assert parsed.quality["first_bad_line"].startswith(f"{path}: line 3: not a binance-usdm message"), value


SNAPSHOT_FIELDS: dict[str, list[Any]] = {
    "lastUpdateId": NO_ID,
    "E": [*NO_ID, 10**14],
    "bids": NO_LEVELS,
    "asks": NO_LEVELS,
}


@pytest.mark.parametrize("key", SNAPSHOT_FIELDS)
def test_snapshot_with_an_absurd_field_is_none(tmp_path: Path, key: str) -> None:
    absent = [] if key in ("lastUpdateId", "E") else [ABSENT]  # it then is another message, or one of spot
    for value in [*absent, *SNAPSHOT_FIELDS[key]]:
        bad = snapshot(10, E=5)
        set_field(bad, key, value)
        path = write_messages(tmp_path / "raw", [diff(9, 12, 8), bad])
        with pytest.raises(InputError, match="no book could be rebuilt") as error:
            parse(path)
        assert "line 2: not a binance-usdm message" in one_line(error, path), value


QUOTE_FIELDS: dict[str, list[Any]] = {
    "u": NO_ID,
    **{key: [None, 1.5, True, [], {}, "", "x", "nan", "inf", "-1"] for key in ("b", "B", "a", "A")},
}


@pytest.mark.parametrize("key", QUOTE_FIELDS)
def test_quote_with_an_absurd_field_is_a_bad_line(tmp_path: Path, key: str) -> None:
    for value in [ABSENT, *QUOTE_FIELDS[key]]:
        bad = quote(11, ["100.0", "1"], ["101.0", "3"])
        set_field(bad["data"], key, value)
        parsed = parse(write_messages(tmp_path / "raw", [snapshot(10), bad, diff(9, 12, 8)]))
        assert parsed.update_ids == [10, 12]
        assert parsed.quality["bad_lines"] == 1, value
        assert parsed.quality["best_quote_check"]["compared"] == 0


NO_DATA: list[Any] = [None, [], "x", 5, True, {}, [{}]]
NO_MESSAGES: list[Any] = [{"stream": 5}, {"stream": ["a"]}, {"s": 5}, {"s": []}, {"stream": "btcusdt@depth"}]


@pytest.mark.parametrize("message", NO_MESSAGES + [{"stream": "btcusdt@depth", "data": data} for data in NO_DATA])
def test_message_of_an_absurd_form_is_a_bad_line(tmp_path: Path, message: object) -> None:
    path = write_messages(tmp_path / "raw", [message, snapshot(10), diff(9, 12, 8)])
    parsed = parse(path)
    assert parsed.update_ids == [10, 12]
    assert parsed.quality["first_bad_line"].startswith(f"{path}: line 1: ")


@pytest.mark.parametrize("seed", range(60))
def test_any_json_in_any_place_is_survived(tmp_path: Path, lines: Lines, seed: int) -> None:
    chosen, changed = random.Random(seed), list(lines)
    for _ in range(3):
        # the first lines hold the snapshot
        at = chosen.randrange(len(lines)) if chosen.random() < 0.5 else chosen.randrange(40)
        stamp, text = lines[at].split(b" ", 1)
        message = json.loads(text)
        message = replaced(message, chosen.choice(list(places_in(message))), chosen.choice(ANYTHING))
        changed[at] = b"%s %s\n" % (stamp, json.dumps(message).encode())
    path = write_lines(tmp_path / "raw", changed)
    assert told_or_parsed(try_parse(path), path)


@pytest.mark.parametrize("seed", range(40))
def test_any_bytes_in_any_place_are_survived(tmp_path: Path, lines: Lines, seed: int) -> None:
    chosen, content = random.Random(seed), bytearray(b"".join(lines))
    for _ in range(chosen.choice([1, 10, 1_000])):
        content[chosen.randrange(len(content))] = chosen.randrange(256)
    path = write_lines(tmp_path / "raw", [bytes(content)])
    assert told_or_parsed(try_parse(path), path)


# the program


def program(folder: Path, *raw: Path, settings: str = '{"venue": "binance-usdm"}') -> Any:
    outputs = ("--states", folder / "out" / "a.parquet", "--quality", folder / "out" / "a.json")
    return run_program("scripts.orderbook.parse_book", "--raw", *raw, *outputs, "--settings", settings)


def test_program_writes_both_outputs(tmp_path: Path) -> None:
    path = write_messages(tmp_path / "raw.gz", [snapshot(10), diff(9, 12, 8)])
    done = program(tmp_path, path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.json", "a.parquet"]
    assert json.loads((tmp_path / "out" / "a.json").read_text())["states"] == 2


JUNK = bytes(random.Random(0).choices(range(256), k=20_000))
UNUSABLE = {
    "binary junk named .gz": ("raw.gz", JUNK, "{path}: line 1: gzip data damaged"),
    "binary junk": ("raw", JUNK, "{path}: line 1: does not begin with a time"),
    "plain text named .gz": ("raw.gz", b"1 {}\n", "{path}: line 1: gzip data damaged"),
    "packed text not named .gz": ("raw", gzip.compress(b"1 {}\n"), "{path}: line 1: does not begin with a time"),
    "empty": ("raw", b"", "{path}: no book could be rebuilt: no depth message"),
    "empty, named .gz": ("raw.gz", b"", "{path}: no book could be rebuilt: no depth message"),
    "no depth": ("raw", b'1 {"stream": "btcusdt@trade", "data": {}}\n', "{path}: no book could be rebuilt: no depth"),
    "no snapshot": (
        "raw",
        b'1 {"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"pu":0,"b":[],"a":[]}\n',
        "{path}: no book could be rebuilt: no snapshot",
    ),
    "too many bad lines": ("raw", b"junk\n" * 101, "{path}: line 101: does not begin with a time"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_program_refuses_what_holds_no_book_in_one_line_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    name, content, reason = UNUSABLE[case]
    path = tmp_path / name
    path.write_bytes(content)
    assert reason.format(path=path) in error_of(program(tmp_path, path))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("missing", ["folder", "file"])
def test_program_names_a_capture_that_it_cannot_open(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "a.gz"
    if missing == "folder":
        path.mkdir()
    assert str(path) in error_of(program(tmp_path, path))
