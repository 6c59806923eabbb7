"""simulate_book against an independent reader that knows the rules of Binance USD-M, with lists and Decimal."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from scripts.orderbook.settings import SimulateSettings
from tests.unit.orderbook_streams import error_of, parse, run_program, simulate

CASES: dict[str, dict[str, Any]] = {
    "usual": {"messages": 300, "snapshot_levels": 100},
    "snapshot at once": {"messages": 40, "snapshot_levels": 50, "snapshot_after": 0},
    "snapshot at the end": {"messages": 40, "snapshot_levels": 20, "snapshot_after": 39},
    "few events": {"messages": 200, "snapshot_levels": 5, "events_per_message": 0.3, "snapshot_after": 9},
    "bids end at zero": {"messages": 300, "snapshot_levels": 1, "start_price": 1.4},
    "odd grid": {"messages": 60, "snapshot_levels": 9, "start_price": 0.5, "tick": 2.5e-5, "lot": 5.0, "seed": 7},
}


class Capture:
    """Lines of a capture: (local time ns, message)."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.settings = SimulateSettings(**settings)
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        self.lines = [(int(stamp), json.loads(text)) for stamp, text in (line.split(" ", 1) for line in lines)]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message["data"] for _, message in self.lines if message.get("data", {}).get("e") == event]

    @property
    def snapshot(self) -> dict[str, Any]:
        found: list[dict[str, Any]] = [message for _, message in self.lines if "lastUpdateId" in message]
        assert len(found) == 1
        return found[0]


@pytest.fixture(params=list(CASES))
def capture(request: pytest.FixtureRequest, tmp_path: Path) -> Capture:
    settings = CASES[request.param]
    return Capture(simulate(tmp_path / "raw.gz", **settings), settings)


def test_each_diff_continues_the_one_before(capture: Capture) -> None:
    diffs = capture.of("depthUpdate")
    assert len(diffs) == capture.settings.messages
    assert all(diff["pu"] < diff["U"] <= diff["u"] for diff in diffs)
    assert all(after["pu"] == before["u"] for before, after in pairwise(diffs))


def test_snapshot_is_reached_over_by_the_diff_that_arrives_next(capture: Capture) -> None:
    snapshot_id = capture.snapshot["lastUpdateId"]
    straddling = [i for i, diff in enumerate(capture.of("depthUpdate")) if diff["U"] <= snapshot_id <= diff["u"]]
    assert straddling == [capture.settings.snapshot_after]
    at = next(i for i, (_, message) in enumerate(capture.lines) if "lastUpdateId" in message)
    before = [message for _, message in capture.lines[:at] if message.get("data", {}).get("e") == "depthUpdate"]
    assert len(before) == capture.settings.snapshot_after


def test_book_after_each_diff_has_the_last_best_quote_and_is_never_crossed(capture: Capture) -> None:
    snapshot, quotes = capture.snapshot, capture.of("bookTicker")
    bids, asks = ({Decimal(price): size for price, size in snapshot[side]} for side in ("bids", "asks"))
    lowest, highest, compared = min(bids), max(asks), 0
    for diff in capture.of("depthUpdate")[capture.settings.snapshot_after :]:
        for side, changes in ((bids, diff["b"]), (asks, diff["a"])):
            side.update({Decimal(price): size for price, size in changes})
            for price in [price for price, size in side.items() if Decimal(size) == 0]:
                del side[price]
        assert 0 < max(bids) < min(asks)
        told = [quote for quote in quotes if quote["u"] <= diff["u"]]
        # of prices beyond the snapshot's the diffs alone do not tell all
        if told and max(bids) >= lowest and min(asks) <= highest:
            compared += 1
            best = [f"{max(bids):f}", bids[max(bids)], f"{min(asks):f}", asks[min(asks)]]
            assert best == [told[-1][key] for key in ("b", "B", "a", "A")]
    assert compared > 0


def test_prices_and_sizes_lie_on_the_grid(capture: Capture) -> None:
    tick, lot = Decimal(repr(capture.settings.tick)), Decimal(repr(capture.settings.lot))
    levels = [*capture.snapshot["bids"], *capture.snapshot["asks"]]
    assert all(Decimal(size) > 0 for _, size in levels)
    levels += [level for diff in capture.of("depthUpdate") for level in diff["b"] + diff["a"]]
    levels += [[quote["b"], quote["B"]] for quote in capture.of("bookTicker")]
    for price, size in levels:
        assert Decimal(price) > 0
        assert Decimal(price) % tick == 0
        assert Decimal(size) >= 0
        assert Decimal(size) % lot == 0
        assert "e" not in (price + size).lower()


def test_snapshot_holds_the_best_levels_best_first(capture: Capture) -> None:
    bids, asks = ([Decimal(price) for price, _ in capture.snapshot[side]] for side in ("bids", "asks"))
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert 1 <= len(bids) <= capture.settings.snapshot_levels
    assert 1 <= len(asks) <= capture.settings.snapshot_levels


def test_messages_arrive_after_they_were_sent_and_one_at_a_time(capture: Capture) -> None:
    sent = [message.get("data", message)["E"] for _, message in capture.lines]
    arrived = [stamp for stamp, _ in capture.lines]
    assert all(before < after for before, after in pairwise(arrived))
    assert all(before <= after for before, after in pairwise(sent))
    assert all(stamp >= event * 1_000_000 for stamp, event in zip(arrived, sent, strict=True))
    midnight = datetime(2024, 1, 1, tzinfo=UTC)
    times = [datetime.fromtimestamp(diff["E"] / 1_000, UTC) for diff in capture.of("depthUpdate")]
    step = timedelta(milliseconds=capture.settings.interval_ms)
    for i, time in enumerate(times, start=1):
        assert abs(time - (midnight + i * step)) <= timedelta(milliseconds=1)


def test_parse_book_finds_every_state(capture: Capture, tmp_path: Path) -> None:
    parsed = parse(tmp_path / "raw.gz", max_bad_lines=0)
    states = capture.settings.messages - capture.settings.snapshot_after + 1
    assert (parsed.quality["states"], parsed.quality["gaps"], parsed.quality["crossed"]) == (states, 0, 0)
    check, uncertain = parsed.quality["best_quote_check"], int((parsed.states["known_levels"] == 0).sum())
    assert 0 < check["compared"] <= check["equal"] + uncertain


def test_equal_settings_give_equal_bytes_under_any_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    paths = simulate(tmp_path / "a.gz", messages=20), simulate(tmp_path / "other" / "b.gz", messages=20)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].read_bytes()[3:8] == bytes(5)  # neither a name nor a time in the gz header


@pytest.mark.parametrize("change", [{"seed": 1}, {"part": "20240102"}])
def test_another_seed_or_day_gives_another_market(tmp_path: Path, change: dict[str, Any]) -> None:
    captures = [
        Capture(simulate(tmp_path / f"{i}.gz", **({"messages": 20} | more)), {"messages": 20})
        for i, more in enumerate([{}, change])
    ]
    first, second = ([(diff["b"], diff["a"]) for diff in capture.of("depthUpdate")] for capture in captures)
    assert all(one != other for one, other in zip(first, second, strict=True))


def test_seed_and_day_are_not_interchangeable(tmp_path: Path) -> None:
    names = [(seed, day) for seed in (0, 1, 2) for day in ("20240101", "20240102", "20240103")]
    contents = {simulate(tmp_path / "a.gz", part=day, seed=seed, messages=10).read_bytes() for seed, day in names}
    assert len(contents) == len(names)


def program(folder: Path, part: str, settings: str) -> Any:
    arguments = ("--raw", folder / "out" / "raw.gz", "--part", part, "--settings", settings)
    return run_program("scripts.orderbook.simulate_book", *arguments)


@pytest.mark.parametrize(
    "part", ["demo", "2024011", "202411", "20240230", "2024-1-1", "202401 1", "19691231", "22620101"]
)
def test_part_that_is_no_day_is_refused(tmp_path: Path, part: str) -> None:
    assert f"--part: a simulated part is named by its day, YYYYMMDD from 1970 on, not '{part}'" in error_of(
        program(tmp_path, part, '{"messages": 10}')
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_first_and_last_day_can_be_parsed(tmp_path: Path) -> None:
    for day in ("19700101", "22611231"):
        assert parse(simulate(tmp_path / "raw.gz", part=day, messages=10)).quality["time_going_back"] == 0


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ('{"start_price": 100.0}', "start_price 100.0 is under 2010 ticks: no room for the bids"),
        ('{"messages": 10, "snapshot_after": 10}', "snapshot_after: 10 with 10 messages: no snapshot comes"),
        ('{"tick": "0.1"}', "settings: tick: "),
    ],
)
def test_settings_that_give_no_book_are_refused(tmp_path: Path, settings: str, reason: str) -> None:
    assert reason in error_of(program(tmp_path, "20240101", settings))
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize(("messages", "after"), [(10, 9), (11, 10)])
def test_snapshot_may_come_with_the_last_message(tmp_path: Path, messages: int, after: int) -> None:
    parsed = parse(simulate(tmp_path / "raw.gz", messages=messages, snapshot_after=after))
    assert parsed.quality["states"] == 2
    with pytest.raises(ValidationError, match="no snapshot comes"):
        SimulateSettings(messages=messages, snapshot_after=after + 1)
