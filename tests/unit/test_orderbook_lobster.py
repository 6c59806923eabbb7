"""LOBSTER: real rows, a simulated market of orders in its format, and files that are damaged in every way."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.lib.errors import InputError
from tests.unit.orderbook_streams import Parsed, error_of, parse, run_program, same_states, try_parse

REAL = "orderbook/lobster/AAPL_2012-06-21_34200000_57600000_message_10.csv"
MISSING = 9_999_999_999
OPENING = 1_340_285_400 * 10**9  # 2012-06-21 09:30 in New York, ns UTC
Row = list[int]


def name(levels: int, kind: str = "message", ticker: str = "AAPL", day: str = "2012-06-21") -> str:
    return f"{ticker}_{day}_34200000_57600000_{kind}_{levels}.csv"


class Market:
    """Orders by id, in plain dictionaries, and what LOBSTER writes of them; nothing of our own code."""

    def __init__(self, seed: int, levels: int) -> None:
        self.levels, self.random = levels, random.Random(seed)
        self.orders: dict[int, list[int]] = {}  # id -> direction, price, size
        self.messages: list[str] = []
        self.books: list[str] = []
        self.time = 34_200 * 10**9
        for i in range(4 * levels):
            self.orders[i] = [1 if i % 2 else -1, 0, 100]
            self.orders[i][1] = 1_000_000 - self.orders[i][0] * 100 * (1 + i // 2)
        for number in range(300):
            self.step(1_000 + number)

    def top(self, direction: int) -> list[tuple[int, int]]:
        sizes: dict[int, int] = {}
        for side, price, size in self.orders.values():
            if side == direction:
                sizes[price] = sizes.get(price, 0) + size
        return sorted(sizes.items(), reverse=direction == 1)[: self.levels]

    def row(self) -> str:
        numbers: list[int] = []
        asks, bids = self.top(-1), self.top(1)
        for i in range(self.levels):
            numbers += asks[i] if i < len(asks) else (MISSING, 0)
            numbers += bids[i] if i < len(bids) else (-MISSING, 0)
        return ",".join(map(str, numbers))

    def step(self, number: int) -> None:
        """One event; it is told if it shows in the published levels, as LOBSTER does."""
        before = self.row()
        kind = self.random.choice([1, 1, 1, 2, 3, 4, 5, 7])
        message = self.event(kind, number)
        self.time += self.random.randrange(1, 10**9)
        if message and (kind in (5, 7) or self.row() != before):
            self.messages.append(f"{self.time // 10**9}.{self.time % 10**9:09d},{kind},{message}")
            self.books.append(self.row())

    def event(self, kind: int, number: int) -> str:
        if kind == 5:
            return "0,10,1000050,1"
        if kind == 7:
            return f"0,0,{self.random.choice([-1, 0, 1])},-1"
        if kind == 1:
            direction = self.random.choice([1, -1])
            price = 1_000_000 - direction * 100 * self.random.randrange(1, 2 * self.levels)
            self.orders[number] = [direction, price, self.random.randrange(1, 5) * 50]
            return f"{number},{self.orders[number][2]},{price},{direction}"
        if not self.orders:
            return ""
        best = min(side * -price for side, price, _ in self.orders.values())
        found = [key for key, (side, price, _) in self.orders.items() if kind != 4 or side * -price == best]
        key = self.random.choice(found)
        direction, price, size = self.orders[key]
        taken = size if kind == 3 else self.random.randrange(1, size + 1)
        if kind == 2 and taken == size:
            return ""
        self.orders[key][2] -= taken
        if not self.orders[key][2]:
            del self.orders[key]
        return f"{key},{taken},{price},{direction}"


def write(folder: Path, messages: list[str], books: list[str], levels: int, end: str = "\n", **named: str) -> Path:
    for kind, lines in (("message", messages), ("orderbook", books)):
        (folder / name(levels, kind, **named)).write_text("".join(line + end for line in lines), newline="")
    return folder / name(levels, **named)


def expected(book: str, levels: int, depth: int) -> list[float]:
    """Columns of a state: bid prices, bid sizes, ask prices, ask sizes, in dollars."""
    numbers = [int(text) for text in book.split(",")]
    columns = []
    for first in (2, 3, 0, 1):
        side = [numbers[4 * i + first] if i < levels else MISSING for i in range(depth)]
        prices = [numbers[4 * i + first // 2 * 2] if i < levels else MISSING for i in range(depth)]
        unit = 1 if first % 2 else 10_000
        columns += [
            np.nan if abs(price) == MISSING else value / unit for price, value in zip(prices, side, strict=True)
        ]
    return columns


def states_of(parsed: Parsed) -> np.ndarray:
    return np.stack([column for key, column in parsed.states.items() if key[:4] in ("bid_", "ask_")], axis=1)


def test_real_rows_are_the_states_and_each_follows_from_the_one_before(
    tmp_path: Path, real_data: Callable[[str], Path]
) -> None:
    message_file = real_data(REAL)
    for path in (message_file, message_file.with_name(message_file.name.replace("message", "orderbook"))):
        (tmp_path / path.name).symlink_to(path)
    parsed = parse(tmp_path / message_file.name, venue="lobster", depth=12)
    books = message_file.with_name(message_file.name.replace("message", "orderbook")).read_text().split()
    assert np.array_equal(states_of(parsed), [expected(row, 10, 12) for row in books], equal_nan=True)
    quality = parsed.quality
    assert quality["lobster_check"] == {"compared": 299, "equal": 299, "first_difference": None}
    assert {key: quality[key] for key in ("messages", "states", "segments", "gaps", "bad_lines")} == {
        "messages": 300, "states": 300, "segments": 1, "gaps": 0, "bad_lines": 0,
    }  # fmt: skip
    assert quality["updates"] == 300 * 20
    assert parsed.update_ids == list(range(1, 301))
    assert set(parsed.states["known_levels"]) == {10}
    seconds = [line.split(",")[0].split(".") for line in message_file.read_text().split()]
    times = [OPENING + (int(whole) - 34_200) * 10**9 + int(part.ljust(9, "0")) for whole, part in seconds]
    assert list(parsed.states["event_time"]) == list(parsed.states["local_time"]) == times


@pytest.mark.parametrize("seed", range(12))
def test_a_market_of_orders_passes_the_check_at_every_row(tmp_path: Path, seed: int) -> None:
    levels = 2 + seed % 4
    market = Market(seed, levels)
    parsed = parse(
        write(tmp_path, market.messages, market.books, levels), venue="lobster", depth=levels, crossed="flag"
    )
    count = len(market.books)
    assert count > 100
    assert parsed.quality["lobster_check"] == {"compared": count - 1, "equal": count - 1, "first_difference": None}
    assert np.array_equal(states_of(parsed), [expected(row, levels, levels) for row in market.books], equal_nan=True)


@pytest.mark.parametrize("seed", range(10))
def test_a_book_that_does_not_follow_is_told(tmp_path: Path, seed: int) -> None:
    market, chosen = Market(seed, 5), random.Random(seed)
    row = chosen.randrange(1, len(market.books) - 1)
    numbers = market.books[row].split(",")
    column = chosen.choice([1, 3, 5, 7])  # sizes of the two best levels
    numbers[column] = str(int(numbers[column]) + 1)
    books = [*market.books[:row], ",".join(numbers), *market.books[row + 1 :]]
    parsed = parse(write(tmp_path, market.messages, books, 5), venue="lobster", crossed="flag")
    check = parsed.quality["lobster_check"]
    assert check["compared"] - check["equal"] in (1, 2)
    assert check["first_difference"] == f"{tmp_path / name(5)}: line {row + 1}"


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("damage", ["drop", "duplicate", "swap"])
def test_messages_out_of_step_are_told(tmp_path: Path, seed: int, damage: str) -> None:
    market, chosen = Market(seed, 5), random.Random(seed)
    messages = list(market.messages)
    row = chosen.randrange(5, len(messages) // 2)
    if damage == "drop":
        del messages[row]
    elif damage == "duplicate":
        messages.insert(row, messages[row])
    else:
        while messages[row].split(",")[1:] == messages[row + 1].split(",")[1:] or {
            messages[row].split(",")[1], messages[row + 1].split(",")[1]
        } <= {"5", "7"}:  # fmt: skip
            row += 1
        messages[row], messages[row + 1] = messages[row + 1], messages[row]
    quality = parse(write(tmp_path, messages, market.books, 5), venue="lobster", crossed="flag").quality
    check = quality["lobster_check"]
    assert check["equal"] < check["compared"] or (damage == "swap" and quality["time_going_back"])
    if damage == "drop":
        assert f"orderbook_5.csv: line {len(messages) + 1}: no row for this one in" in quality["first_bad_line"]
    if damage == "duplicate":
        assert f"message_5.csv: line {len(messages)}: no row for this one in" in quality["first_bad_line"]
    if damage == "swap":
        assert quality["time_going_back"] == 1


BAD_MESSAGES = [
    "", "junk", "34200.1,1,5,100", "34200.1,0,5,100,999900,1", "34200.1,8,5,100,999900,1", "34200.1,1,5,-100,999900,1",
    "34200.1,1,5,0,999900,1", "34200.1,1,5,100,-999900,1", "34200.1,1,5,100,999900,2", "-1,1,5,100,999900,1",
    "1e5,1,5,100,999900,1", "999999999.0,1,5,100,999900,1", "34200.1,1,5,100,99999999999999999999,1",
    "34200.1,1,5,1.5,999900,1", "34200.,1,5,100,999900,1", "34200.1234567890,1,5,100,999900,1",
    "34200.1,1,5,100,9999999999,1",
]  # fmt: skip


@pytest.mark.parametrize("line", BAD_MESSAGES)
def test_a_bad_message_is_counted_named_and_ends_the_segment(tmp_path: Path, line: str) -> None:
    market = Market(1, 3)
    messages = [*market.messages[:20], line, *market.messages[21:]]
    parsed = parse(write(tmp_path, messages, market.books, 3), venue="lobster", crossed="flag")
    quality = parsed.quality
    assert (quality["bad_lines"], quality["segments"]) == (1, 2)
    assert f"{name(3)}: line 21: " in quality["first_bad_line"]
    assert quality["states"] == len(market.books) - 1
    count = len(market.books)
    assert quality["lobster_check"] == {"compared": count - 3, "equal": count - 3, "first_difference": None}
    refused = try_parse(tmp_path / name(3), venue="lobster", max_bad_lines=0)
    assert isinstance(refused, str)
    assert "line 21" in refused


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row[:-1],
        lambda row: [*row, 1],
        lambda row: [row[0], -row[1], *row[2:]],
        lambda row: [row[4], row[1], *row[2:4], row[0], *row[5:]],
        lambda row: [MISSING, 0, *row[2:]],
        lambda row: [row[0], 0, *row[2:]],
        lambda row: [-row[0], *row[1:]],
        lambda row: [*row[:2], MISSING, 0, *row[4:]],
        lambda row: [10**17, *row[1:]],
    ],
    ids=["short", "long", "negative size", "out of order", "hole", "no size", "negative price", "wrong mark", "absurd"],
)
def test_a_bad_book_row_is_counted_named_and_ends_the_segment(tmp_path: Path, change: Callable[[Row], Row]) -> None:
    market = Market(2, 3)
    row = change([int(text) for text in market.books[30].split(",")])
    books = [*market.books[:30], ",".join(map(str, row)), *market.books[31:]]
    quality = parse(write(tmp_path, market.messages, books, 3), venue="lobster", crossed="flag").quality
    assert (quality["bad_lines"], quality["segments"], quality["states"]) == (1, 2, len(books) - 1)
    assert f"{name(3, 'orderbook')}: line 31: " in quality["first_bad_line"]


def test_levels_that_are_not_there_are_nan_and_the_others_known(tmp_path: Path) -> None:
    books = [f"1000100,5,999900,7,{MISSING},0,999800,1", f"{MISSING},0,999900,7,{MISSING},0,999800,1"]
    messages = ["34200.5,1,1,7,999900,1", "34200.6,3,2,5,1000100,-1"]
    parsed = parse(write(tmp_path, messages, books, 2), venue="lobster", depth=2)
    assert list(parsed.states["known_levels"]) == [1, 0]
    assert np.isnan(parsed.states["ask_px_01"]).all()
    assert list(parsed.states["ask_px_00"][:1]) == [100.01]
    assert np.isnan(parsed.states["ask_px_00"][1])
    assert parsed.quality["lobster_check"] == {"compared": 1, "equal": 1, "first_difference": None}


def test_messages_that_leave_the_visible_book_alone_are_counted(tmp_path: Path) -> None:
    row = "1000100,5,999900,7"
    messages = ["34200.1,1,1,7,999900,1", "34200.2,5,0,3,1000000,1", "34200.3,6,-1,3,1000000,-1",
                "34200.4,7,0,0,-1,-1", "34200.5,7,0,0,1,-1"]  # fmt: skip
    quality = parse(write(tmp_path, messages, [row] * 5, 1), venue="lobster").quality
    assert quality["quiet_messages"] == {"hidden": 1, "auction": 1, "halt": 2}
    assert quality["states"] == 5
    assert quality["lobster_check"]["compared"] == 0  # one level: there is none but the last


@pytest.mark.parametrize("day", ["2024-01-02", "2024-03-10", "2024-07-01", "2024-11-03"])
def test_times_are_those_of_new_york_also_on_days_when_the_clock_is_set(tmp_path: Path, day: str) -> None:
    path = write(tmp_path, ["34200.000000001,1,1,7,999900,1"], ["1000100,5,999900,7"], 1, day=day)
    hour = {"2024-01-02": 14, "2024-03-10": 13, "2024-07-01": 13, "2024-11-03": 14}[day]
    time = int(parse(path, venue="lobster").states["event_time"][0])
    assert time == int(np.datetime64(f"{day}T{hour}:30", "ns").astype(np.int64)) + 1


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_and_further_columns_do_not_matter(tmp_path: Path, end: str) -> None:
    market = Market(3, 2)
    plain = parse(write(tmp_path, market.messages, market.books, 2), venue="lobster", crossed="flag")
    further = [f"{line},null" for line in market.messages]
    assert same_states(plain, parse(write(tmp_path, further, market.books, 2, end), venue="lobster", crossed="flag"))


def test_packed_files_and_any_size_of_blocks_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    market = Market(4, 3)
    path = write(tmp_path, market.messages, market.books, 3)
    plain = parse(path, venue="lobster", crossed="flag")
    for place, size in (("raw.BLOCK", 700), ("unpack.BLOCK", 700), ("unpack.PIECE", 500)):
        monkeypatch.setattr(f"scripts.orderbook.capture.{place}", size)
    assert same_states(plain, parse(path, venue="lobster", crossed="flag"))
    for kind in ("message", "orderbook"):
        source = tmp_path / name(3, kind)
        source.with_name(f"{source.name}.gz").write_bytes(gzip.compress(source.read_bytes()))
    packed = parse(path.with_name(f"{path.name}.gz"), venue="lobster", crossed="flag")
    assert same_states(plain, packed)
    assert plain.quality == packed.quality


@pytest.mark.parametrize("kind", ["message", "orderbook"])
def test_a_cut_gz_gives_what_is_whole_and_is_named(tmp_path: Path, kind: str) -> None:
    market = Market(5, 3)
    write(tmp_path, market.messages, market.books, 3)
    for each in ("message", "orderbook"):
        source = tmp_path / name(3, each)
        content = gzip.compress(source.read_bytes(), mtime=0)
        cut = content[: len(content) // 2] if each == kind else content
        source.with_name(f"{source.name}.gz").write_bytes(cut)
    quality = parse(tmp_path / f"{name(3)}.gz", venue="lobster", crossed="flag").quality
    assert 0 < quality["states"] < len(market.books)
    assert "gzip data damaged or cut short" in quality["first_bad_line"]
    assert quality["bad_lines"] == 2  # the cut, and that the other file goes on


@pytest.mark.parametrize("seed", range(6))
def test_days_one_after_another_are_as_one_stream(tmp_path: Path, seed: int) -> None:
    paths = []
    for day in ("2012-06-21", "2012-06-22", "2012-06-25"):
        market = Market(seed, 3)
        paths.append(write(tmp_path, market.messages, market.books, 3, day=day))
    options: dict[str, Any] = {"venue": "lobster", "crossed": "flag"}
    whole = parse(*paths, **options)
    parts = [
        parse(path, book_in=tmp_path / f"{i}.npz" if i else None, book_out=tmp_path / f"{i + 1}.npz", **options)
        for i, path in enumerate(paths)
    ]
    joined = Parsed({}, {key: np.concatenate([part.states[key] for part in parts]) for key in whole.states})
    assert same_states(joined, whole)
    assert whole.quality["segments"] == 3
    assert whole.update_ids == list(range(1, len(whole.update_ids) + 1))


def test_the_symbol_picks_files(tmp_path: Path) -> None:
    paths = []
    for number, ticker in enumerate(("AAPL", "MSFT")):
        market = Market(number, 2)
        paths.append(write(tmp_path, market.messages, market.books, 2, ticker=ticker))
    with pytest.raises(InputError, match=r"several symbols \(AAPL, MSFT\): set 'symbol'"):
        parse(*paths, venue="lobster")
    assert parse(*paths, venue="lobster", symbol="msft").quality["states"] == len(Market(1, 2).books)
    with pytest.raises(InputError, match="no file of TSLA, only of AAPL, MSFT"):
        parse(*paths, venue="lobster", symbol="TSLA")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda path: path.with_name(path.name.replace("message", "orderbook")).unlink(),
            "its book file is not beside",
        ),
        (lambda path: path.write_text(""), "no book could be rebuilt"),
        (lambda path: path.write_text("junk\n"), "no book could be rebuilt: "),
    ],
)
def test_files_that_cannot_be_used_are_one_line_and_code_2(
    tmp_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    market = Market(6, 2)
    path = write(tmp_path, market.messages, market.books, 2)
    spoil(path)
    outputs = ("--states", tmp_path / "s.parquet", "--quality", tmp_path / "q.json")
    done = run_program(
        "scripts.orderbook.parse_book", "--raw", path, *outputs, "--settings", json.dumps({"venue": "lobster"})
    )
    assert told in error_of(done)
    assert path.name in error_of(done)
    assert not (tmp_path / "s.parquet").exists()


@pytest.mark.parametrize(
    "named", ["AAPL.csv", "AAPL_2012-13-41_1_2_message_5.csv", "AAPL_2012-06-21_1_2_message_0.csv"]
)
def test_a_file_of_another_name_is_refused(tmp_path: Path, named: str) -> None:
    (tmp_path / named).write_text("34200.1,1,1,7,999900,1\n")
    with pytest.raises(InputError, match=named):
        parse(tmp_path / named, venue="lobster")
