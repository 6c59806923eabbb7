"""Captures of all Binance venues with one thing wrong, over many seeds: each is detected, and named for what it is."""

from __future__ import annotations

import copy
import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.orderbook_streams import Parsed, begins, parse, same_states, simulate, try_parse, write_lines

VENUES = ("binance-usdm", "binance-coinm", "binance-spot")
SEEDS = range(8)
Entry = tuple[int, dict[str, Any]]  # local time, message
COUNTS = ("gaps", "resyncs", "duplicates", "bad_lines", "crossed", "time_going_back")


@dataclass(frozen=True)
class Feed:
    """A simulated capture in a venue's form, and what parse_book makes of it.

    Attributes:
        diffs: places of the diffs that continue the segment; another follows the last one
        later: place of the second snapshot, which only gaps before it need
    """

    venue: str
    entries: list[Entry]
    diffs: list[int]
    later: int
    whole: Parsed

    def parse(self, folder: Path, entries: list[Entry], **settings: Any) -> Parsed:
        return parse(write_entries(folder / "raw.gz", entries), venue=self.venue, **settings)


@pytest.fixture(scope="module", params=VENUES)
def feed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Feed:
    folder, venue = tmp_path_factory.mktemp("feed"), str(request.param)
    # the snapshot that a gap near the end would need comes in any case
    path = simulate(folder / "simulated.gz", messages=160, snapshot_levels=40, events_per_message=5.0)
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    entries = with_second_snapshot([(int(line.split(" ", 1)[0]), json.loads(line.split(" ", 1)[1])) for line in lines])
    entries = [(stamp, in_form_of(venue, message)) for stamp, message in entries]
    start, later = (i for i, (_, message) in enumerate(entries) if "lastUpdateId" in message)
    diffs = [i for i, (_, message) in enumerate(entries) if is_diff(message) and start < i < later][1:-4]
    whole = parse(write_entries(folder / "raw.gz", entries), venue=venue, max_bad_lines=0)
    assert {key: whole.quality[key] for key in COUNTS} == dict.fromkeys(COUNTS, 0)
    assert len(diffs) > 80
    return Feed(venue, entries, diffs, later, whole)


def is_diff(message: dict[str, Any]) -> bool:
    return "@depth" in message.get("stream", "")


def with_second_snapshot(entries: list[Entry]) -> list[Entry]:
    """Add the book after diff 120, kept by hand, as another snapshot before diff 121."""
    book: dict[str, dict[str, str]] = {"b": {}, "a": {}}
    diffs = 0
    for at, (stamp, message) in enumerate(entries):
        if "lastUpdateId" in message:
            book = {"b": dict(message["bids"]), "a": dict(message["asks"])}
            first = message["lastUpdateId"]
        elif is_diff(message):
            data = message["data"]
            for side, levels in book.items():
                if data["u"] >= first if book["b"] else False:
                    levels.update(data[side])
            diffs += 1
        if diffs == 120:
            sides = {
                name: sorted(
                    ([p, s] for p, s in book[key].items() if float(s)), key=lambda level: sign * float(level[0])
                )
                for name, key, sign in (("bids", "b", -1), ("asks", "a", 1))
            }
            snapshot = {"lastUpdateId": message["data"]["u"], "E": message["data"]["E"], "T": message["data"]["T"]}
            return [*entries[: at + 1], (stamp + 1, snapshot | sides), *entries[at + 1 :]]
    raise AssertionError("too few diffs")


def in_form_of(venue: str, message: dict[str, Any]) -> dict[str, Any]:
    """A USD-M message as the venue sends it."""
    message = copy.deepcopy(message)
    if venue == "binance-coinm":
        if "lastUpdateId" in message:
            message |= {"symbol": "BTCUSDT", "pair": "BTCUSDT"}
        elif is_diff(message):
            message["data"]["ps"] = "BTCUSDT"
    if venue == "binance-spot":
        for key in ("E", "T") if "lastUpdateId" in message else ():
            del message[key]
        if is_diff(message):
            del message["data"]["pu"], message["data"]["T"]
        elif "data" in message:
            for key in ("e", "E", "T"):
                del message["data"][key]
    return message


def write_entries(path: Path, entries: list[Entry]) -> Path:
    return write_lines(path, [b"%d %s\n" % (stamp, json.dumps(message).encode()) for stamp, message in entries])


def counts(parsed: Parsed) -> dict[str, int]:
    """The counts that are not zero."""
    return {key: parsed.quality[key] for key in COUNTS if parsed.quality[key]}


def resumes(parsed: Parsed, feed: Feed) -> bool:
    """Whether the last states, from the second snapshot on, are those of the whole capture."""
    second = int((parsed.states["segment"] == 1).sum())
    names = [name for name in parsed.states if "_px_" in name or "_sz_" in name or name == "event_time"]
    return second > 30 and all(
        (parsed.states[name][-second + 1 :] == feed.whole.states[name][-second + 1 :]).all() for name in names
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_dropped_diff_is_one_gap_until_the_next_snapshot(feed: Feed, tmp_path: Path, seed: int) -> None:
    at = random.Random(seed).choice(feed.diffs)
    parsed = feed.parse(tmp_path, feed.entries[:at] + feed.entries[at + 1 :])
    assert counts(parsed) == {"gaps": 1, "resyncs": 1}
    assert resumes(parsed, feed)


@pytest.mark.parametrize("seed", SEEDS)
def test_several_dropped_diffs_in_a_row_are_one_gap(feed: Feed, tmp_path: Path, seed: int) -> None:
    chosen = random.Random(seed)
    first = chosen.randrange(len(feed.diffs) - 10)
    dropped = set(feed.diffs[first : first + chosen.randint(2, 9)])
    parsed = feed.parse(tmp_path, [entry for i, entry in enumerate(feed.entries) if i not in dropped])
    assert counts(parsed) == {"gaps": 1, "resyncs": 1}
    assert resumes(parsed, feed)


@pytest.mark.parametrize("seed", SEEDS)
def test_doubled_diff_is_a_duplicate_and_changes_nothing(feed: Feed, tmp_path: Path, seed: int) -> None:
    chosen = random.Random(seed)
    at = chosen.choice(feed.diffs)
    later = chosen.randint(at + 1, feed.diffs[-1] + 1)
    parsed = feed.parse(tmp_path, [*feed.entries[:later], feed.entries[at], *feed.entries[later:]])
    assert counts(parsed) == {"duplicates": 1}
    assert same_states(parsed, feed.whole)


@pytest.mark.parametrize("seed", SEEDS)
def test_swapped_diffs_are_a_gap_until_the_next_snapshot(feed: Feed, tmp_path: Path, seed: int) -> None:
    place = random.Random(seed).randrange(len(feed.diffs) - 1)
    at, after = feed.diffs[place], feed.diffs[place + 1]
    changed = list(feed.entries)
    changed[at], changed[after] = feed.entries[after], feed.entries[at]
    parsed = feed.parse(tmp_path, changed)
    assert counts(parsed) == {"gaps": 1, "resyncs": 1}
    assert resumes(parsed, feed)


@pytest.mark.parametrize("seed", SEEDS)
def test_cut_gz_is_a_bad_line_and_what_came_before_is_kept(feed: Feed, tmp_path: Path, seed: int) -> None:
    path = write_entries(tmp_path / "raw.gz", feed.entries)
    content = path.read_bytes()
    path.write_bytes(content[: random.Random(seed).randrange(1, len(content))])
    parsed = try_parse(path, venue=feed.venue)
    told = parsed if isinstance(parsed, str) else parsed.quality["first_bad_line"]
    assert "gzip data damaged or cut short" in told
    if not isinstance(parsed, str):
        assert counts(parsed) == {"bad_lines": 1}
        assert begins(parsed, feed.whole)


def huge(digits: int) -> Callable[[random.Random], str]:
    return lambda chosen: str(chosen.randrange(10 ** (digits - 1), 10**digits))


ABSURD: dict[str, Callable[[random.Random], str]] = {
    "negative": lambda chosen: f"-{chosen.uniform(0.1, 1e6):f}",
    "not a number": lambda chosen: chosen.choice(["nan", "NaN", "inf", "-Infinity", "1e999"]),
    "no text of a number": lambda chosen: chosen.choice(["", "x", "1,5", "0x10", "1.2.3", "--1"]),
}
PRICES = ABSURD | {
    "beyond the scale": huge(25),
    "finer than the scale": lambda chosen: f"0.{chosen.randrange(1, 10**9):012d}1",
}


@pytest.mark.parametrize(("entry", "kind"), [(0, kind) for kind in PRICES] + [(1, kind) for kind in ABSURD])
def test_absurd_numbers_are_named_and_the_book_waits_for_a_snapshot(
    feed: Feed, tmp_path: Path, entry: int, kind: str
) -> None:
    for seed in range(4):
        chosen = random.Random(seed)
        at = chosen.choice([i for i in feed.diffs if feed.entries[i][1]["data"]["b"] + feed.entries[i][1]["data"]["a"]])
        changed = copy.deepcopy(feed.entries[at])
        level = chosen.choice(changed[1]["data"]["b"] + changed[1]["data"]["a"])
        level[entry] = PRICES[kind](chosen)
        parsed = feed.parse(tmp_path, [*feed.entries[:at], changed, *feed.entries[at + 1 :]])
        assert counts(parsed) == {"gaps": 1, "resyncs": 1, "bad_lines": 1}, level
        first = parsed.quality["first_bad_line"]
        assert first.startswith(f"{tmp_path / 'raw.gz'}: line {at + 1}: not a {feed.venue} message"), level
        assert resumes(parsed, feed)


@pytest.mark.parametrize("seed", SEEDS)
def test_wrong_id_of_the_message_before_is_a_gap(feed: Feed, tmp_path: Path, seed: int) -> None:
    chosen = random.Random(seed)
    at = chosen.choice(feed.diffs)
    changed = copy.deepcopy(feed.entries[at])
    changed[1]["data"]["U" if feed.venue == "binance-spot" else "pu"] -= chosen.randrange(1, 10**5)
    parsed = feed.parse(tmp_path, [*feed.entries[:at], changed, *feed.entries[at + 1 :]])
    assert counts(parsed) == {"gaps": 1, "resyncs": 1}
    assert resumes(parsed, feed)


@pytest.mark.parametrize("seed", SEEDS)
def test_ids_far_ahead_are_a_gap_and_nothing_of_them_is_used(feed: Feed, tmp_path: Path, seed: int) -> None:
    chosen = random.Random(seed)
    at, far = chosen.choice(feed.diffs), chosen.randrange(10**6, 10**12)
    changed = copy.deepcopy(feed.entries[at])
    changed[1]["data"] |= {key: changed[1]["data"][key] + far for key in {"U", "u", "pu"} & changed[1]["data"].keys()}
    parsed = feed.parse(tmp_path, [*feed.entries[:at], changed, *feed.entries[at + 1 :]])
    assert counts(parsed) == {"gaps": 1, "resyncs": 1}
    assert resumes(parsed, feed)
    assert max(parsed.update_ids) <= max(feed.whole.update_ids)
    first = int((parsed.states["segment"] == 0).sum())
    assert parsed.update_ids[:first] == feed.whole.update_ids[:first]


@pytest.mark.parametrize("seed", SEEDS)
def test_final_id_far_ahead_is_a_gap_and_not_a_stream_of_duplicates(feed: Feed, tmp_path: Path, seed: int) -> None:
    chosen = random.Random(seed)
    at = chosen.choice(feed.diffs)
    changed = copy.deepcopy(feed.entries[at])
    changed[1]["data"]["u"] += chosen.randrange(10**6, 10**12)
    parsed = feed.parse(tmp_path, [*feed.entries[:at], changed, *feed.entries[at + 1 :]])
    assert counts(parsed) == {"gaps": 1, "resyncs": 1}
    assert resumes(parsed, feed)


@pytest.mark.parametrize("seed", SEEDS)
def test_price_far_off_the_market_crosses_the_book_and_is_counted(feed: Feed, tmp_path: Path, seed: int) -> None:
    chosen = random.Random(seed)
    at = chosen.choice(feed.diffs)
    changed = copy.deepcopy(feed.entries[at])
    changed[1]["data"]["b"].append(["90000000.00", "1"])
    entries = [*feed.entries[:at], changed, *feed.entries[at + 1 :]]
    assert feed.parse(tmp_path, entries, crossed="flag").quality["crossed"] > 1
    resync = feed.parse(tmp_path, entries, crossed="resync")
    assert counts(resync) == {"crossed": 1, "resyncs": 1}
    assert resumes(resync, feed)
