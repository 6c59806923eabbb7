"""Book states as model inputs: formulas, scaling, files."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.lib.errors import InputError
from scripts.orderbook.states.columns import level_columns
from scripts.orderbook.windows.inputs import Moments, Scaling, book_features, load_scaling, usable


def book(bids: list[tuple[float, float]], asks: list[tuple[float, float]]) -> np.ndarray:
    """A state as a row."""
    return np.array([[value for side in (bids, asks) for values in zip(*side, strict=True) for value in values]])


def random_states(rows: int, depth: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    mid = 1000 + np.cumsum(random.integers(-3, 4, rows))[:, None] * 0.5
    distance = np.cumsum(random.integers(1, 4, (2, rows, depth)), axis=2) * 0.5
    sizes = np.exp(random.normal(0, 2, (2, rows, depth)))
    return np.concatenate([mid - distance[0], sizes[0], mid + distance[1], sizes[1]], axis=1)


def test_prices_become_ticks_from_the_mid_and_sizes_logarithms() -> None:
    state = book([(99.5, 1.0), (99.0, math.e), (90.0, 7.0)], [(101.0, 10.0), (102.0, 0.5), (103.0, 1.0)])
    features = book_features(state, 0.25, 2)[0]
    assert features == pytest.approx([3, 5, 0, 1, 3, 7, math.log(10), math.log(0.5)])
    assert level_columns(2) == [
        "bid_px_00", "bid_px_01", "bid_sz_00", "bid_sz_01", "ask_px_00", "ask_px_01", "ask_sz_00", "ask_sz_01",
    ]  # fmt: skip


@pytest.mark.parametrize("shift", [-100.0, 1e6])
def test_the_level_of_prices_does_not_matter(shift: float) -> None:
    states = random_states(50, 5)
    moved = states + np.repeat([shift, 0.0, shift, 0.0], 5)
    assert np.allclose(book_features(states, 0.5, 5), book_features(moved, 0.5, 5), atol=1e-9)


def test_one_state_at_a_time_gives_the_bits_of_all_at_once() -> None:
    states = random_states(300, 24)
    scaling = fitted(states, 24)
    single = np.concatenate([scaling.of_states(states[i : i + 1]) for i in range(len(states))])
    assert single.dtype == np.float32
    assert single.tobytes() == scaling.of_states(states).tobytes()


@pytest.mark.parametrize(
    ("bid", "known", "good"), [(99.0, 2, True), (99.0, 1, False), (101.0, 2, False), (102.0, 2, False)]
)
def test_states_with_unknown_levels_or_crossed_ones_are_not_used(bid: float, known: int, good: bool) -> None:
    state = book([(bid, 1.0), (98.0, 1.0)], [(101.0, 1.0), (103.0, 1.0)])
    assert list(usable(state, np.array([known]), 2)) == [good]


def test_an_empty_side_is_not_used_and_gives_nan() -> None:
    state = book([(np.nan, np.nan)], [(101.0, 1.0)])
    assert not usable(state, np.array([1]), 1)[0]
    assert np.isnan(book_features(state, 1.0, 1)[0, :3]).all()


# scaling


def fitted(states: np.ndarray, levels: int) -> Scaling:
    moments = Moments(4 * levels)
    moments.add(book_features(states, 0.5, levels))
    return moments.scaling(0.5, levels, 8)


@pytest.mark.parametrize("cuts", [[], [1], [1, 2, 3, 700], [500], [0, 999]])
def test_moments_do_not_depend_on_the_batches(cuts: list[int]) -> None:
    features = book_features(random_states(1_000, 6), 0.5, 6) + 1e6
    moments = Moments(24)
    for piece in np.split(features, cuts):
        moments.add(piece)
    scaling = moments.scaling(0.5, 6, 8)
    assert moments.count == 1_000
    assert np.allclose(scaling.mean, features.mean(axis=0), rtol=1e-13)
    assert np.allclose(scaling.std, features.std(axis=0), rtol=1e-9)


def test_scaled_features_have_mean_0_and_deviation_1_and_come_back() -> None:
    states = random_states(500, 4)
    scaling = fitted(states, 4)
    scaled = scaling.of_states(states)
    assert np.abs(scaled.mean(axis=0, dtype=float)).max() < 1e-6
    assert np.allclose(scaled.std(axis=0, dtype=float), 1, atol=1e-6)
    assert np.allclose(scaling.unscale(scaled), book_features(states, 0.5, 4), atol=1e-5)


def test_a_feature_that_never_changes_becomes_0() -> None:
    states = np.repeat(random_states(1, 2), 40, axis=0)
    scaling = fitted(states, 2)
    assert (scaling.std == 1).all()
    assert np.abs(scaling.of_states(states)).max() < 1e-6


def test_a_saved_scaling_is_read_back_to_the_bit(tmp_path: Path) -> None:
    scaling = fitted(random_states(77, 3), 3)
    scaling.save(tmp_path / "scaling.json")
    again = load_scaling(tmp_path / "scaling.json")
    assert (again.tick, again.levels, again.length) == (0.5, 3, 8)
    assert again.mean.tobytes() == scaling.mean.tobytes()
    assert again.std.tobytes() == scaling.std.tobytes()
    content = json.loads((tmp_path / "scaling.json").read_text())
    assert list(content) == ["tick", "levels", "length", "features"]
    assert content["features"][3].keys() == {"name", "mean", "std"}
    assert [row["name"] for row in content["features"]] == level_columns(3)


@pytest.mark.parametrize(
    "changes",
    [
        {"tick": 0.0}, {"tick": None}, {"levels": 4}, {"levels": "x"}, {"length": 0}, {"features": []}, {"features": 3},
        {"features": [{"name": "bid_px_00"}]}, {"mean": math.nan}, {"std": 0.0}, {"std": -1.0}, {"mean": "a"},
    ],
)  # fmt: skip
def test_another_file_is_refused_in_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "scaling.json"
    fitted(random_states(9, 2), 2).save(path)
    content = json.loads(path.read_text())
    for key, value in changes.items():
        (content["features"][1] if key in ("mean", "std") else content)[key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        load_scaling(path)
    assert str(error.value).startswith(f"{path}: not the scaling of balance_windows")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe", b"{"])
def test_a_file_that_is_no_scaling_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match="not the scaling"):
        load_scaling(tmp_path / "a.json")
