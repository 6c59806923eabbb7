"""parse_book on Bybit captures: v5 orderbook topics, and the zip files that Bybit offers for download."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.errors import InputError
from tests.unit.orderbook_markets import (
    Market,
    State,
    Update,
    best,
    best_first,
    check_states,
    difference,
    entries,
    levels_known,
    mutated,
)
from tests.unit.orderbook_streams import Parsed, begins, check_carried, parse, try_parse, write_lines

REAL = "orderbook/bybit/xrpusdt-ob500.data.zip"
DEPTH = 10
FIRST = 5_000  # update id of the first snapshot
Lines = list[bytes]


def message(kind: str, update: Update, update_id: int, sides: list[Any], symbol: str = "BTCUSDT") -> dict[str, Any]:
    data = {"s": symbol, "b": sides[0], "a": sides[1], "u": update_id, "seq": 10 * update.number}
    topic = f"orderbook.{DEPTH}.{symbol}"
    return {"topic": topic, "type": kind, "ts": update.event_ms, "data": data, "cts": update.event_ms - 3}


def line(content: dict[str, Any], update: Update) -> bytes:
    return b"%d %s\n" % (update.local_ns, json.dumps(content).encode())


def snapshot(update: Update, update_id: int, symbol: str = "BTCUSDT") -> bytes:
    sides = [[list(level) for level in best_first(best(update.book, DEPTH), side)] for side in ("bid", "ask")]
    return line(message("snapshot", update, update_id, sides, symbol), update)


def delta(before: Update, update: Update, update_id: int, symbol: str = "BTCUSDT") -> bytes:
    changes = difference(best(before.book, DEPTH), best(update.book, DEPTH))
    sides = [entries(changes, side) for side in ("bid", "ask")]
    return line(message("delta", update, update_id, sides, symbol), update)


def state(update: Update, update_id: int, segment: int = 0) -> State:
    book = best(update.book, DEPTH)
    return State(update.event_ms * 1_000_000, update.local_ns, update_id, segment, levels_known(book), book)


def stream(seed: int, messages: int = 60) -> tuple[Lines, list[State]]:
    """A capture of one snapshot and its deltas, and the states that it holds."""
    market = Market(seed)
    market.run(messages)
    lines, states = [snapshot(market.updates[0], FIRST)], [state(market.updates[0], FIRST)]
    for before, update in zip(market.updates, market.updates[1:], strict=False):
        lines.append(delta(before, update, FIRST + update.number))
        states.append(state(update, FIRST + update.number))
    return lines, states


def read(folder: Path, lines: Lines, **settings: Any) -> Parsed:
    return parse(write_lines(folder / "raw.gz", lines), venue="bybit", **{"depth": 4, "max_bad_lines": 0} | settings)


@pytest.mark.parametrize("seed", range(6))
def test_states_are_those_of_the_true_market(tmp_path: Path, seed: int) -> None:
    lines, states = stream(seed)
    parsed = read(tmp_path, lines)
    check_states(parsed, states)
    counts = {name: parsed.quality[name] for name in ("messages", "gaps", "resyncs", "duplicates", "crossed")}
    assert counts == {"messages": 60, "gaps": 0, "resyncs": 0, "duplicates": 0, "crossed": 0}


def test_documented_example_is_read_as_documented(tmp_path: Path) -> None:
    """The messages of Bybit's documentation of the topic, shortened to a few levels."""
    first = {
        "topic": "orderbook.50.BTCUSDT", "type": "snapshot", "ts": 1672304484978,
        "data": {"s": "BTCUSDT", "b": [["16493.50", "0.006"], ["16493.00", "0.100"]],
                 "a": [["16611.00", "0.029"], ["16612.00", "0.213"]], "u": 18521288, "seq": 7961638724},
        "cts": 1672304484976,
    }  # fmt: skip
    second = {
        "topic": "orderbook.50.BTCUSDT", "type": "delta", "ts": 1687940967466,
        "data": {"s": "BTCUSDT", "b": [["16493.50", "0"], ["16492.50", "0.410"]], "a": [["16611.00", "0"]],
                 "u": 18521289, "seq": 7961638725},
        "cts": 1687940967464,
    }  # fmt: skip
    others = [{"success": True, "ret_msg": "", "conn_id": "x", "req_id": "1", "op": "subscribe"},
              {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1, "data": [{"s": "BTCUSDT", "p": "1"}]},
              {"topic": "tickers.BTCUSDT", "type": "delta", "ts": 1, "data": {"symbol": "BTCUSDT"}}]  # fmt: skip
    lines = [json.dumps(one).encode() + b"\r\n" for one in (others[0], first, *others[1:], second)]
    parsed = read(tmp_path, lines)
    assert parsed.update_ids == [18521288, 18521289]
    assert list(parsed.states["event_time"]) == [1672304484978_000_000, 1687940967466_000_000]
    assert list(parsed.states["local_time"]) == [1672304484978_000_000, 1687940967466_000_000]
    assert list(parsed.states["known_levels"]) == [2, 1]
    assert [parsed.states[name][1] for name in ("bid_px_00", "bid_sz_00", "bid_px_01", "bid_sz_01")] == [
        16493.0, 0.1, 16492.5, 0.41,
    ]  # fmt: skip
    assert [parsed.states[name][1] for name in ("ask_px_00", "ask_sz_00")] == [16612.0, 0.213]
    assert (parsed.quality["messages"], parsed.quality["updates"]) == (1, 3)


def test_real_download_is_read_out_of_its_zip(tmp_path: Path, real_data: Callable[[str], Path]) -> None:
    path = real_data(REAL)
    with zipfile.ZipFile(path) as archive:
        messages = [json.loads(text) for text in archive.read(archive.namelist()[0]).splitlines()]
    link = tmp_path / "xrpusdt.zip"
    link.symlink_to(path)
    parsed = parse(link, venue="bybit", depth=24, max_bad_lines=0)
    states: list[State] = []
    sides: dict[str, dict[Decimal, str]] = {}
    for content in messages:
        if content["type"] == "snapshot":
            sides = {"bid": {}, "ask": {}}
        for side, key in (("bid", "b"), ("ask", "a")):
            for price, size in content["data"][key]:
                sides[side].pop(Decimal(price), None)
                if Decimal(size):
                    sides[side][Decimal(price)] = size
        time, book = content["ts"] * 1_000_000, {side: dict(levels) for side, levels in sides.items()}
        states.append(State(time, time, content["data"]["u"], 0, levels_known(book), book))
    check_states(parsed, states)
    assert len(states) == 50
    assert set(parsed.states["known_levels"]) == {500}
    assert (parsed.quality["messages"], parsed.quality["gaps"], parsed.quality["crossed"]) == (49, 0, 0)


@pytest.mark.parametrize("content", [[], ["a", "b"], None], ids=["no file", "two files", "no zip"])
def test_zip_that_does_not_hold_one_file_is_refused(tmp_path: Path, content: list[str] | None) -> None:
    path = tmp_path / "raw.zip"
    if content is None:
        path.write_bytes(b"PK\x03\x04 and so on")
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for name in content:
                archive.writestr(name, b"{}\n")
    with pytest.raises(InputError, match=r"raw\.zip: "):
        parse(path, venue="bybit")


# snapshots in the stream


def test_snapshot_that_continues_the_stream_replaces_the_book_within_the_segment(tmp_path: Path) -> None:
    market = Market(1)
    market.run(3)
    start, *rest = market.updates
    lines = [snapshot(start, 9), snapshot(rest[0], 9), snapshot(rest[1], 10), delta(rest[1], rest[2], 11)]
    states = [state(start, 9), state(rest[0], 9), state(rest[1], 10), state(rest[2], 11)]
    parsed = read(tmp_path, lines)
    check_states(parsed, states)
    assert (parsed.quality["segments"], parsed.quality["gaps"], parsed.quality["messages"]) == (1, 0, 3)


@pytest.mark.parametrize(
    ("kind", "update_id"), [("snapshot", 1), ("snapshot", 4_000), ("snapshot", 9_000), ("delta", 1)]
)
def test_snapshot_of_another_place_begins_a_segment(tmp_path: Path, kind: str, update_id: int) -> None:
    """u = 1 tells of a restart of the service, whatever the message's type says."""
    market = Market(2)
    market.run(4)
    first = market.updates
    again = snapshot(first[3], update_id).replace(b'"snapshot"', f'"{kind}"'.encode())
    lines = [snapshot(first[0], FIRST), delta(first[0], first[1], FIRST + 1), again]
    lines.append(delta(first[3], first[4], update_id + 1))
    states = [state(first[0], FIRST), state(first[1], FIRST + 1)]
    states += [state(first[3], update_id, 1), state(first[4], update_id + 1, 1)]
    parsed = read(tmp_path, lines)
    check_states(parsed, states)
    assert (parsed.quality["segments"], parsed.quality["resyncs"], parsed.quality["gaps"]) == (2, 1, 0)


def test_deltas_after_an_unseen_restart_are_a_gap(tmp_path: Path) -> None:
    """The snapshot with u = 1 was lost: the small ids that follow it are no duplicates."""
    market = Market(3)
    market.run(4)
    first = market.updates
    lines = [snapshot(first[0], FIRST), delta(first[0], first[1], FIRST + 1)]
    lines += [delta(first[i - 1], first[i], i) for i in (2, 3)]
    parsed = read(tmp_path, lines)
    assert parsed.update_ids == [FIRST, FIRST + 1]
    assert (parsed.quality["gaps"], parsed.quality["duplicates"]) == (1, 0)


# several instruments and depths


def mixed(seed: int) -> tuple[Lines, list[State]]:
    lines, states = stream(seed)
    others = [text.replace(b"BTCUSDT", b"ETHUSDT") for text in stream(seed + 1)[0]]
    return [text for pair in zip(others, lines, strict=True) for text in pair], states


@pytest.mark.parametrize("symbol", ["BTCUSDT", "btcusdt", f"orderbook.{DEPTH}.BTCUSDT"])
def test_chosen_instrument_is_taken_from_a_capture_of_several(tmp_path: Path, symbol: str) -> None:
    lines, states = mixed(3)
    check_states(read(tmp_path, lines, symbol=symbol), states)


def test_several_instruments_without_a_choice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"raw\.gz: several symbols \(BTCUSDT, ETHUSDT\): set 'symbol'"):
        read(tmp_path, mixed(3)[0])


def test_two_depths_of_an_instrument_are_never_mixed(tmp_path: Path) -> None:
    lines, states = stream(4)
    best_only = [text.replace(b"orderbook.10.", b"orderbook.1.") for text in stream(5)[0]]
    both = [text for pair in zip(lines, best_only, strict=True) for text in pair]
    for symbol in (None, "BTCUSDT"):
        with pytest.raises(
            InputError, match=r"raw\.gz: several depths \(orderbook\.10\.BTCUSDT, orderbook\.1\.BTCUSDT\)"
        ):
            read(tmp_path, both, symbol=symbol)
    check_states(read(tmp_path, both, symbol="orderbook.10.BTCUSDT"), states)


# damage


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("damage", ["dropped", "doubled", "swapped"])
def test_lost_doubled_and_swapped_deltas_are_told(tmp_path: Path, seed: int, damage: str) -> None:
    lines, states = stream(seed)
    at = random.Random(seed).randrange(2, len(lines) - 2)
    parsed = read(tmp_path, mutated(lines, at, damage))
    if damage == "doubled":
        check_states(parsed, states)
        assert (parsed.quality["duplicates"], parsed.quality["gaps"]) == (1, 0)
    else:
        check_states(parsed, states[:at])
        assert (parsed.quality["duplicates"], parsed.quality["gaps"]) == (0, 1)


ABSURD: list[tuple[str, str]] = [
    ('"u": 5020', '"u": -1'), ('"u": 5020', '"u": 1e30'), ('"u": 5020', '"u": "x"'), ('"u": 5020', '"v": 5020'),
    ('"ts": ', '"ts": 99999999999999999'), ('"ts": ', '"ts": -'), ('"b": [', '"b": [["1.0", "-2"], '),
    ('"b": [', '"b": [["1e400", "2"], '), ('"b": [', '"b": [["-1", "2"], '), ('"b": [', '"b": [["1", "nan"], '),
    ('"b": [', '"b": [[1.5, 2], '), ('"b": [', '"b": [["1"], '), ('"b": [', '"b": ["12", '),
    ('"a": [', '"a": null, "x": ['),
    ('"type": "delta"', '"type": "update"'), ('"s": "BTCUSDT"', '"s": 5'), ("{", "garbage {"), ("}", ""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), ABSURD)
def test_absurd_field_is_a_bad_line_and_a_gap(tmp_path: Path, old: str, new: str) -> None:
    lines, states = stream(6)
    text = lines[20].decode()
    assert old in text
    parsed = read(tmp_path, [*lines[:20], text.replace(old, new, 1).encode(), *lines[21:]], max_bad_lines=1)
    assert (parsed.quality["bad_lines"], parsed.quality["gaps"]) == (1, 1)
    assert parsed.quality["first_bad_line"].startswith(f"{tmp_path / 'raw.gz'}: line 21: ")
    check_states(parsed, states[:20])


@pytest.mark.parametrize("seed", range(5))
def test_cut_gz_is_told(tmp_path: Path, seed: int) -> None:
    lines, _ = stream(seed)
    whole = read(tmp_path, lines)
    path = tmp_path / "raw.gz"
    path.write_bytes(path.read_bytes()[: -random.Random(seed).randrange(10, 1_000)])
    parsed = try_parse(path, venue="bybit", depth=4)
    assert isinstance(parsed, Parsed)
    assert "gzip data damaged or cut short" in parsed.quality["first_bad_line"]
    assert begins(parsed, whole)


def test_time_going_back_is_counted(tmp_path: Path) -> None:
    lines, _ = stream(7)
    ahead = lines[30].replace(b'"ts": 17', b'"ts": 18')  # a later one follows that is earlier
    parsed = read(tmp_path, [*lines[:30], ahead, *lines[31:]])
    assert parsed.quality["time_going_back"] == 1


@pytest.mark.parametrize("seed", range(6))
def test_parts_with_the_book_carried_equal_one_stream(tmp_path: Path, seed: int) -> None:
    lines = stream(seed)[0]
    lines[25:25] = [snapshot(Market(seed + 50).updates[0], 1)] if seed % 2 else []
    check_carried(tmp_path, lines, seed, venue="bybit", depth=4)
