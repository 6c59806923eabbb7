"""simulate_book against an independent reader that knows the rules of Binance USD-M, with lists and Decimal."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from scripts.orderbook.simulation.settings import SimulateSettings
from tests.unit.orderbook_streams import Parsed, begins, error_of, parse, run_program, simulate

CASES: dict[str, dict[str, Any]] = {
    "usual": {"messages": 300, "snapshot_levels": 100},
    "snapshot at once": {"messages": 40, "snapshot_levels": 50, "snapshot_after": 0},
    "snapshot at the end": {"messages": 40, "snapshot_levels": 20, "snapshot_after": 39},
    "few events": {"messages": 200, "snapshot_levels": 5, "events_per_message": 0.3, "snapshot_after": 9},
    "bids end at zero": {"messages": 300, "snapshot_levels": 1, "start_price": 1.4},
    "wild": {"messages": 300, "snapshot_levels": 3, "volatility_ticks": [300.0], "spread_ticks": [1.0, 90.0]},
    "quiet": {"messages": 60, "snapshot_levels": 90, "volatility_ticks": [0.0], "signal": 0.9, "depth_lots": [1.0]},
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
        ('{"signal": 1.0}', "settings: signal: input should be less than 1"),
        ('{"spread_ticks": []}', "settings: spread_ticks: "),
        ('{"spread_ticks": [0.5]}', "settings: spread_ticks.0: "),
        ('{"messages": 65, "lost_diffs": 4, "garbage_lines": 1}', "messages: 5 accidents a part need 66, not 65"),
        ('{"messages": 10, "cut_bytes": 100000}', "cut_bytes: 100000 of a capture of "),
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


# accidents


ACCIDENTS: dict[str, Any] = {
    "lost_diffs": 3,
    "swapped_diffs": 2,
    "negative_sizes": 2,
    "doubled_diffs": 4,
    "garbage_lines": 5,
}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("after", [0, 3])
def test_every_accident_is_found_by_parse_book_and_nothing_else(tmp_path: Path, seed: int, after: int) -> None:
    settings: dict[str, Any] = {"messages": 300, "snapshot_levels": 50, "seed": seed, "snapshot_after": after}
    parsed = parse(simulate(tmp_path / "raw.gz", **settings, **ACCIDENTS))
    found = {key: parsed.quality[key] for key in ("messages", "gaps", "resyncs", "segments", "duplicates", "bad_lines")}
    gaps = 3 + 2 + 2
    assert found == {
        "messages": 300 - 3 - 2 + 4, "gaps": gaps, "resyncs": gaps, "segments": gaps + 1, "duplicates": 4,
        "bad_lines": 5 + 2,
    }  # fmt: skip
    assert parsed.quality["best_quote_check"]["equal"] == parsed.quality["best_quote_check"]["compared"] > 0


@pytest.mark.parametrize("name", ACCIDENTS)
def test_one_accident_is_one_finding(tmp_path: Path, name: str) -> None:
    one: dict[str, Any] = {name: 1}
    quality = parse(simulate(tmp_path / "raw.gz", messages=60, snapshot_levels=50, **one)).quality
    gap = int(name in ("lost_diffs", "swapped_diffs", "negative_sizes"))
    bad = int(name in ("negative_sizes", "garbage_lines"))
    assert (quality["gaps"], quality["resyncs"], quality["bad_lines"]) == (gap, gap, bad)
    assert quality["duplicates"] == int(name == "doubled_diffs")
    assert (quality["first_bad_line"] is None) == (bad == 0)


@pytest.mark.parametrize("seed", range(4))
def test_accidents_in_the_tightest_room_are_all_found(tmp_path: Path, seed: int) -> None:
    quality = parse(simulate(tmp_path / "raw.gz", messages=77, seed=seed, lost_diffs=3, swapped_diffs=3)).quality
    assert (quality["gaps"], quality["resyncs"]) == (6, 6)


def test_cut_capture_is_told_and_what_came_before_is_kept(tmp_path: Path) -> None:
    (tmp_path / "cut").mkdir()
    whole = parse(simulate(tmp_path / "raw.gz", messages=200))
    cut = parse(simulate(tmp_path / "cut" / "raw.gz", messages=200, cut_bytes=2_000))
    assert (cut.quality["bad_lines"], cut.quality["gaps"]) == (1, 0)
    assert "cut short" in cut.quality["first_bad_line"]
    assert 0 < len(cut.update_ids) < len(whole.update_ids)
    assert begins(cut, whole)


# signal and regimes, measured in the rebuilt states


def columns(parsed: Parsed) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Imbalance of all levels, change of the mid to the next state, spread; of states of one segment."""
    states = parsed.states
    assert not states["segment"].any()
    bids, asks = (np.sum([states[f"{side}_sz_{i:02d}"] for i in range(24)], axis=0) for side in ("bid", "ask"))
    mid = (states["bid_px_00"] + states["ask_px_00"]) / 2
    return ((bids - asks) / (bids + asks))[:-1], np.diff(mid), (states["ask_px_00"] - states["bid_px_00"])[:-1]


def correlation(left: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Correlation and half of its 99.9 % interval (Fisher's transformation; the changes are independent)."""
    found = float(np.corrcoef(left, right)[0, 1])
    return found, 3.29 * (1 - found**2) / np.sqrt(len(left) - 3)


@pytest.fixture(scope="module", params=[0.0, 0.2, 0.5])
def market(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[float, Parsed]:
    path = tmp_path_factory.mktemp("market") / "raw.gz"
    settings: dict[str, Any] = {"messages": 6_000, "pressure_messages": 30.0, "volatility_ticks": [4.0]}
    return request.param, parse(simulate(path, seed=3, signal=request.param, **settings), depth=24)


def test_imbalance_predicts_the_next_change_as_well_as_set_and_not_at_all_without_signal(
    market: tuple[float, Parsed],
) -> None:
    signal, parsed = market
    imbalance, change, _ = columns(parsed)
    found, half = correlation(imbalance, change)
    # the imbalance shows the pressure not quite: sizes are drawn, and some are old
    assert 0.75 * signal - half <= found <= signal + half
    assert (found - half > 0) == (signal > 0)


def test_without_signal_the_mid_is_a_random_walk(market: tuple[float, Parsed]) -> None:
    signal, parsed = market
    imbalance, change, _ = columns(parsed)
    for lag in (1, 2, 5, 20):
        autocorrelation, half = correlation(change[:-lag], change[lag:])
        ahead = np.convolve(change, np.ones(lag), "valid")[1:]
        later, _ = correlation(imbalance[: len(ahead)][::lag], ahead[::lag])
        if signal == 0:
            assert abs(autocorrelation) < half
            assert abs(later) < 3.29 / np.sqrt(len(change) / lag)
        elif signal == 0.5:
            assert autocorrelation > half
    if signal == 0:  # symmetric, too
        assert abs(change.mean()) < 3.29 * change.std() / np.sqrt(len(change))
        assert abs((change > 0).mean() - (change < 0).mean()) < 3.29 / np.sqrt(len(change))


def test_the_mid_moves_as_much_as_set(market: tuple[float, Parsed]) -> None:
    _, parsed = market
    ticks = columns(parsed)[1] / 0.1
    # 4 ticks; rounding and half ticks of odd spreads add a little
    assert 0.93 * 4.0**2 < ticks.var() < 1.1 * 4.0**2
    assert np.allclose(2 * ticks, np.round(2 * ticks), atol=1e-5)


@pytest.mark.parametrize("quantity", ["volatility_ticks", "spread_ticks", "depth_lots"])
def test_regimes_change_what_they_name(tmp_path: Path, quantity: str) -> None:
    """States of low and of high values come in stretches; without regimes they do not."""
    steady: dict[str, Any] = {
        "volatility_ticks": [4.0],
        "spread_ticks": [2.0],
        "depth_lots": [500.0],
        "regime_messages": 100.0,
    }
    switching = {"volatility_ticks": [1.0, 20.0], "spread_ticks": [1.0, 20.0], "depth_lots": [50.0, 2_000.0]}
    found = []
    for settings in (steady, steady | {quantity: switching[quantity]}):
        parsed = parse(simulate(tmp_path / "raw.gz", messages=2_000, pressure_messages=2.0, **settings), depth=24)
        _, change, spread = columns(parsed)
        depth = np.sum([parsed.states[f"bid_sz_{i:02d}"] for i in range(24)], axis=0)
        series = {"volatility_ticks": np.abs(change), "spread_ticks": spread, "depth_lots": depth}[quantity]
        means = series[: len(series) // 20 * 20].reshape(-1, 20).mean(axis=1)
        found.append(means.std() / means.mean())
    assert found[1] > 3 * found[0]
