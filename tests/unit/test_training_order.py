"""Order of the samples and the randomness that belongs to them."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.lib.training.order import (
    generator,
    noise_seed,
    permutation,
    sample_generator,
    samples_at,
    share_of,
    steps_of,
)


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_the_stream_is_one_permutation_after_another(count: int) -> None:
    indices, epochs = samples_at(5, count, 0, 4 * count)
    for epoch in range(4):
        chosen = indices[epochs == epoch]
        assert sorted(chosen.tolist()) == list(range(count))
        assert chosen.tolist() == permutation(5, epoch, count).tolist()
    assert epochs.tolist() == sorted(epochs.tolist())


def test_any_stretch_of_the_stream_is_what_it_is_in_the_whole() -> None:
    indices, epochs = samples_at(3, 10, 0, 60)
    for start in range(0, 60, 7):
        for stop in range(start, 60, 5):
            piece = samples_at(3, 10, start, stop)
            assert piece[0].tolist() == indices[start:stop].tolist()
            assert piece[1].tolist() == epochs[start:stop].tolist()


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(permutation(seed, epoch, 50).tolist()) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


@pytest.mark.parametrize("world", [1, 2, 3, 4, 6, 12])
def test_the_processes_shares_make_up_the_batch(world: int) -> None:
    shares = [share_of(24, 12, rank, world) for rank in range(world)]
    assert [position for start, stop in shares for position in range(start, stop)] == list(range(24, 36))
    assert {stop - start for start, stop in shares} == {12 // world}


def test_generators_are_a_function_of_their_numbers_and_differ_otherwise() -> None:
    draws = {
        (seed, purpose, first, second): tuple(generator(seed, purpose, first, second).random(4))
        for seed in (0, 1, 2**32 - 1)
        for purpose in (1, 2, 3)
        for first in (0, 1, 2**40)
        for second in (0, 1, 2**40)
    }
    assert len(set(draws.values())) == len(draws)
    for numbers, values in draws.items():
        assert tuple(generator(*numbers).random(4)) == values
    assert np.array_equal(sample_generator(7, 1, 2).random(9), sample_generator(7, 1, 2).random(9))


def test_neighbouring_samples_are_not_correlated() -> None:
    draws = np.array([sample_generator(0, 0, index).random(64) for index in range(400)])
    correlation = np.corrcoef(draws[:-1].ravel(), draws[1:].ravel())[0, 1]
    assert abs(correlation) < 4 / np.sqrt(draws.size)  # four standard errors
    assert abs(draws.mean() - 0.5) < 4 / np.sqrt(12 * draws.size)


def test_seeds_of_noise_fit_the_generators_and_differ() -> None:
    seeds = {noise_seed(0, step, position) for step in range(20) for position in range(20)}
    assert len(seeds) == 400
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    ("count", "batch", "epochs", "limit", "steps"),
    [(100, 10, 3, None, 30), (101, 10, 1, None, 11), (3, 8, 8, None, 3), (100, 10, 3, 7, 7), (100, 10, 3, 70, 30)],
)
def test_as_many_steps_as_show_every_sample_epochs_times(
    count: int, batch: int, epochs: int, limit: int | None, steps: int
) -> None:
    assert steps_of(count, batch, epochs, limit) == steps
