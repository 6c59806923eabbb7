"""The book carried from part to part, snapshots in files of their own, and the bounded best-quote check."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from scripts.lib.errors import InputError
from scripts.orderbook.book import best_quote_check
from scripts.orderbook.book.advance import Rows
from scripts.orderbook.book.best_quote_check import BestQuoteCheck
from scripts.orderbook.capture.stream import QUOTE
from tests.unit.orderbook_streams import (
    DAY_MS,
    MS,
    SUMS,
    Parsed,
    diff,
    error_of,
    joined,
    parse,
    quote,
    run_program,
    same_states,
    simulate,
    snapshot,
    write_lines,
    write_messages,
)

SPOT = [f"orderbook/binance/spot/btcusdt_{day}.gz" for day in ("20240808", "20240809")]


def parse_parts(folder: Path, parts: list[list[Path]], **settings: Any) -> list[Parsed]:
    """Parse parts one after another, the book carried on; the last one's book stays."""
    parsed: list[Parsed] = []
    for number, raw in enumerate(parts):
        before = folder / f"book{number}.npz" if number else None
        parsed.append(parse(*raw, book_in=before, book_out=folder / f"book{number + 1}.npz", **settings))
    return parsed


@pytest.mark.parametrize("symbol", [None, "btcusdt"])
def test_real_parts_with_the_book_carried_equal_one_stream(
    tmp_path: Path, real_data: Callable[[str], Path], symbol: str | None
) -> None:
    links = []
    for number, name in enumerate(SPOT):
        links.append(tmp_path / f"{number}.gz")
        links[-1].symlink_to(real_data(name))
    options: dict[str, Any] = {"venue": "binance-spot", "symbol": symbol, "depth": 24}
    whole = parse(*links, **options)
    parts = parse_parts(tmp_path, [[link] for link in links], **options)
    both = joined(parts)
    assert same_states(both, whole)
    assert both.quality == {name: whole.quality[name] for name in both.quality}
    assert [part.quality["segments"] for part in parts] == [1, 1]
    assert parts[1].quality["states"] == 3_044


def damaged_lines(seed: int) -> list[bytes]:
    """Lines of a stream with diffs lost, and snapshots now and then that come early or late."""
    chosen = random.Random(seed)
    messages: list[Any] = [diff(1, 4, 0), snapshot(6)]
    last = 4
    for i in range(60):
        first, final = last + 1, last + chosen.randint(1, 3)
        price = f"{chosen.randint(90, 100)}.0" if chosen.random() < 0.5 else f"{chosen.randint(101, 110)}.0"
        change = [[price, str(chosen.randint(0, 3))]]
        sides = {"b": change} if float(price) <= 100 else {"a": change}
        if chosen.random() > 0.08:
            messages.append(diff(first, final, last, **sides))
        if chosen.random() < 0.15:
            messages.append(snapshot(final + chosen.randint(-2, 5), E=DAY_MS + i))
        if chosen.random() < 0.5:
            messages.append(quote(final, ["100.0", "1"], ["101.0", "3"]))
        last = final
    return [b"%d %s\n" % (DAY_MS * MS + i * MS, orjson.dumps(message)) for i, message in enumerate(messages)]


@pytest.mark.parametrize("seed", range(30))
def test_damaged_stream_may_be_cut_anywhere(tmp_path: Path, seed: int) -> None:
    """Also while diffs wait for a snapshot, and while one is kept for a gap."""
    chosen, lines = random.Random(seed), damaged_lines(seed)
    policy: dict[str, Any] = {"crossed": chosen.choice(["drop_older", "flag", "resync"])}
    policy |= chosen.choice([{}, {"every_messages": 3}, {"every_ms": 4}])
    whole = parse(write_lines(tmp_path / "whole", lines), **policy)
    cuts = [0, *sorted(chosen.sample(range(5 + seed % 5, len(lines) - 9, 10), 3)), len(lines)]
    pieces = [lines[start:stop] for start, stop in pairwise(cuts)]
    parts = [[write_lines(tmp_path / f"part{i}", piece)] for i, piece in enumerate(pieces)]
    both = joined(parse_parts(tmp_path, parts, **policy))
    assert same_states(both, whole)
    waiting = whole.quality["without_snapshot"] - both.quality["without_snapshot"]
    assert waiting >= 0  # those that still wait at the end are handed on
    assert {name: both.quality[name] for name in SUMS if name != "without_snapshot"} == {
        name: whole.quality[name] for name in SUMS if name != "without_snapshot"
    }


def test_diffs_out_of_place_may_be_cut_from_what_shows_it(tmp_path: Path) -> None:
    far = diff(90, 91, 89)
    messages = [
        snapshot(10), diff(9, 12, 8), far, diff(13, 14, 12), snapshot(13), diff(15, 16, 14),  # out of place
        diff(30, 31, 29), diff(32, 33, 31), snapshot(20), diff(34, 35, 33), snapshot(34), diff(36, 37, 35),  # too old
    ]  # fmt: skip
    whole = parse(write_messages(tmp_path / "whole", messages))
    assert whole.update_ids == [10, 12, 13, 14, 16, 20, 34, 35, 37]
    assert (whole.quality["gaps"], whole.quality["without_snapshot"]) == (3, 3)
    for cut in range(2, len(messages)):
        lines = [write_messages(tmp_path / name, part) for name, part in (("0", messages[:cut]), ("1", messages[cut:]))]
        both = joined(parse_parts(tmp_path, [[path] for path in lines]))
        ids = [name for name in both.states if name not in ("local_time", "event_time")]  # each part has its own clock
        assert all(np.array_equal(both.states[name], whole.states[name], equal_nan=True) for name in ids), cut
        told = ("gaps", "resyncs", "duplicates", "without_snapshot")
        assert [both.quality[name] for name in told] == [whole.quality[name] for name in told], cut


def test_part_without_a_state_hands_its_diffs_on(tmp_path: Path) -> None:
    parts = [[write_messages(tmp_path / "a", [diff(9, 12, 8)])], [write_messages(tmp_path / "b", [snapshot(10)])]]
    first, second = parse_parts(tmp_path, parts)
    assert (first.update_ids, second.update_ids) == ([], [10, 12])
    assert [part.quality["without_snapshot"] for part in (first, second)] == [0, 0]


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04", "npy", "foreign", "cut"])
def test_file_that_is_no_book_is_refused_in_one_line(tmp_path: Path, content: bytes | str) -> None:
    path, good = tmp_path / "in.npz", tmp_path / "good.npz"
    raw = write_messages(tmp_path / "a", [snapshot(10), diff(9, 12, 8)])
    parse(raw, book_out=good)
    if content == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif content == "foreign":
        np.savez(path, format=np.array(1))
    else:
        path.write_bytes(good.read_bytes()[:-40] if content == "cut" else bytes(content))  # type: ignore[arg-type]
    outputs = ("--states", tmp_path / "s.parquet", "--quality", tmp_path / "q.json")
    settings = ("--settings", '{"venue": "binance-usdm"}', "--book-in", path)
    done = run_program("scripts.orderbook.parse_book", "--raw", raw, *outputs, *settings)
    assert f"{path}: not a book of parse_book" in error_of(done)


@pytest.mark.parametrize("change", [{"venue": "binance-coinm"}, {"symbol": "ETHUSDT"}])
def test_book_of_another_feed_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    raw = write_messages(tmp_path / "a", [snapshot(10), diff(9, 12, 8)])
    parse(raw, book_out=tmp_path / "book.npz")
    with pytest.raises(InputError, match=r"book\.npz: a book of binance-usdm BTCUSDT, not of"):
        parse(raw, book_in=tmp_path / "book.npz", **change)


def test_other_symbol_in_the_next_part_is_told(tmp_path: Path) -> None:
    raw = write_messages(tmp_path / "a", [snapshot(10), diff(9, 12, 8)])
    parse(raw, book_out=tmp_path / "book.npz")
    other = {"stream": "ethusdt@depth@0ms", "data": diff(13, 14, 12)["data"] | {"s": "ETHUSDT"}}
    with pytest.raises(InputError, match="several symbols"):
        parse(write_messages(tmp_path / "b", [other]), book_in=tmp_path / "book.npz")


# snapshots in files of their own, lines without times


@pytest.mark.parametrize("wrapper", [True, False], ids=["collector lines", "plain JSON lines"])
def test_snapshot_may_be_a_file_of_its_own(tmp_path: Path, wrapper: bool) -> None:
    start, *diffs = snapshot(10), diff(9, 12, 8), diff(13, 14, 12)
    path = write_lines(tmp_path / "snapshot.json", [orjson.dumps(start) + b"\n"])
    messages = diffs if wrapper else [one["data"] for one in diffs]
    stamps = [b"%d " % (DAY_MS * MS + i) if wrapper else b"" for i in range(2)]
    lines = [stamp + orjson.dumps(message) + b"\n" for stamp, message in zip(stamps, messages, strict=True)]
    raw = write_lines(tmp_path / "raw.gz", lines)
    parsed = parse(path, raw, max_bad_lines=0)
    assert parsed.update_ids == [10, 12, 14]
    first = DAY_MS * MS if wrapper else (DAY_MS + 12) * MS  # the snapshot tells no time: that of the next message
    assert parsed.states["local_time"][0] == parsed.states["event_time"][0] == first
    after = parse(raw, path, max_bad_lines=0)  # or that of the message before
    assert after.update_ids == [10, 12, 14]
    assert after.states["local_time"][0] == (DAY_MS * MS + 1 if wrapper else (DAY_MS + 14) * MS)


def test_snapshot_without_any_time_is_no_book(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "snapshot.json", [orjson.dumps(snapshot(10))])
    with pytest.raises(InputError, match="the snapshot bears no time, and no message follows that does"):
        parse(path)


def test_coin_margined_books_follow_the_rule_of_futures_and_sizes_are_contracts(tmp_path: Path) -> None:
    start = snapshot(10, symbol="BTCUSD_PERP", pair="BTCUSD", E=DAY_MS, T=DAY_MS)
    diffs = [diff(9, 12, 8, b=[["99.5", "1200"]]), diff(15, 16, 12)]
    for one in diffs:
        one["stream"] = "btcusd_perp@depth@0ms"
        one["data"] |= {"s": "BTCUSD_PERP", "ps": "BTCUSD"}
    parsed = parse(write_messages(tmp_path / "a", [start, *diffs]), venue="binance-coinm", max_bad_lines=0)
    assert (parsed.update_ids, parsed.quality["gaps"]) == ([10, 12, 16], 0)
    assert (parsed.states["bid_px_01"][1], parsed.states["bid_sz_01"][1]) == (99.5, 1200.0)
    other = {"stream": "ethusd_perp@depth", "data": diffs[0]["data"]}
    mixed = write_messages(tmp_path / "b", [other, start, *diffs])  # its snapshots tell whose they are
    assert parse(mixed, venue="binance-coinm", symbol="BTCUSD_PERP").update_ids == [10, 12, 16]


# the best-quote check


def records(entries: list[tuple[int, float]]) -> np.ndarray:
    """Quotes (or states) of an update id whose four values are all the same."""
    return np.array([(update_id, *[value] * 4) for update_id, value in entries], QUOTE)


def rows_of(entries: list[tuple[int, float]]) -> Rows:
    integers, levels = np.zeros((len(entries), 5), np.int64), np.zeros((len(entries), 4))
    for row, (update_id, value) in enumerate(entries):
        integers[row, 2], levels[row] = update_id, value
    return Rows(integers, levels, np.zeros(1, np.int64))


def expected(states: list[tuple[int, float]], quotes: list[tuple[int, float]]) -> tuple[int, int]:
    """Oracle: look through all quotes for each state."""
    told = []
    for update_id, value in states:
        known = [entry for entry in sorted(quotes, key=lambda entry: entry[0]) if entry[0] <= update_id]
        told += [known[-1][1] == value] if known else []
    return len(told), sum(told)


@pytest.mark.parametrize("seed", range(30))
def test_check_in_a_window_equals_a_check_of_the_whole(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """While nothing is later than the window, and with much less memory than the stream would take."""
    monkeypatch.setattr(best_quote_check, "WINDOW", 64)
    chosen, check = random.Random(seed), BestQuoteCheck()
    share = chosen.choice([0.1, 0.5, 0.9])
    events = [(i, float(chosen.randrange(3)), chosen.random() < share) for i in range(3_000)]
    late = sorted(range(len(events)), key=lambda i: i + chosen.randrange(30))  # out of order, but not by much
    quotes = [events[i][:2] for i in late if events[i][2]]
    states = [event[:2] for event in events if not event[2]]
    for start in range(0, 3_000, 20):
        arrived = [events[i][:2] for i in late[start : start + 20] if events[i][2]]
        check.add_states(rows_of([event[:2] for event in events[start : start + 20] if not event[2]]))
        check.add_quotes(records(arrived))
        assert check._quotes.count + check._states.count <= 5 * 64
    result = check.finish()
    assert (result["compared"], result["equal"], result["late"]) == (*expected(states, quotes), 0)


def test_quotes_that_come_after_their_states_were_judged_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(best_quote_check, "WINDOW", 10)
    check = BestQuoteCheck()
    check.add_states(rows_of([(i, 1.0) for i in range(100)]))
    check.add_quotes(records([(5, 1.0), (99, 1.0)]))
    assert check.finish() == {"compared": 10, "equal": 10, "late": 1}


def test_quotes_alone_do_not_fill_the_memory_and_are_not_misused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(best_quote_check, "WINDOW", 10)
    check = BestQuoteCheck()
    for i in range(0, 1_000, 5):
        check.add_quotes(records([(i + j, float(i + j)) for j in range(5)]))
        assert check._quotes.count <= 25
    check.add_states(rows_of([(500, 3.0), (999, 999.0)]))  # the quote of 500 is gone: not compared with an older one
    assert check.finish() == {"compared": 1, "equal": 1, "late": 0}


def test_simulated_capture_is_read_in_bounded_memory_with_the_same_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = simulate(tmp_path / "raw.gz", messages=300, snapshot_levels=300)
    usual = parse(path)
    monkeypatch.setattr(best_quote_check, "WINDOW", 200)
    assert parse(path).quality == usual.quality
