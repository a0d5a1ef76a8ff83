"""The learning rate of a step, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.trainables.training.tiny_trials import make_config
from trainables.config.training import ScheduleConfig
from trainables.optim.schedule import count_falls, learning_rate, snapshot_epochs


def rates(name: str, epochs: int | None, peak: float, steps_per_epoch: int, steps: int, **keys: Any) -> list[float]:
    schedule = ScheduleConfig.model_validate({"name": name, "epochs": epochs, **keys})
    return [learning_rate(schedule, peak, step, steps_per_epoch) for step in range(steps)]


def test_a_constant_rate_is_the_peak_at_every_step_and_needs_no_length() -> None:
    assert rates("constant", None, 0.3, 2, 5) == [0.3] * 5
    assert rates("constant", 1, 0.3, 2, 5) == [0.3] * 5


def test_cosine_falls_from_the_peak_along_half_a_wave() -> None:
    # 2 epochs of 2 steps: half of 1 + cos of 0, 45, 90 and 135 degrees
    root = math.sqrt(0.5)
    assert rates("cosine", 2, 0.8, 2, 4) == pytest.approx([0.8, 0.4 * (1 + root), 0.4, 0.4 * (1 - root)])


def test_a_cyclic_rate_falls_from_the_peak_in_each_cycle_as_a_cosine_of_that_length_does() -> None:
    falls = [*rates("cosine", 3, 0.8, 2, 6), *rates("cosine", 3, 0.8, 2, 6), *rates("cosine", 2, 0.8, 2, 4)]
    assert rates("cyclic", 8, 0.8, 2, 16, cycles=3) == falls
    assert rates("cyclic", 8, 0.8, 2, 16, cycles=1) == rates("cosine", 8, 0.8, 2, 16)


@pytest.mark.parametrize(
    ("epochs", "cycles", "ends"),
    [(8, 3, (3, 6, 8)), (30, 5, (6, 12, 18, 24, 30)), (7, 5, (2, 3, 5, 6, 7)), (2, 5, (1, 2)), (9, 1, (9,))],
)
def test_snapshots_are_the_last_epochs_of_the_cycles(epochs: int, cycles: int, ends: tuple[int, ...]) -> None:
    config = make_config(schedule={"name": "cyclic", "epochs": epochs, "cycles": cycles})
    assert snapshot_epochs(config, 100) == ends
    assert snapshot_epochs(config, ends[-1] - 1) == ends[:-1]
    # after each of them, and nowhere else, the rate is at its peak again
    by_step = rates("cyclic", epochs, 1.0, 4, 4 * epochs, cycles=cycles)
    assert [step // 4 for step in range(1, 4 * epochs) if by_step[step] == 1.0] == list(ends[:-1])


def test_a_trial_without_cycles_has_no_snapshots() -> None:
    assert snapshot_epochs(make_config(schedule={"name": "cosine", "epochs": 9, "cycles": 3}), 9) == ()


def test_one_cycle_climbs_for_a_quarter_of_the_steps_and_falls_on_a_line() -> None:
    # 8 steps: 2 of them climb; then the 6 that are left fall by a seventh of the peak each
    expected = [1 / 2, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7]
    assert rates("one-cycle", 4, 1.0, 2, 8) == pytest.approx(expected)
    assert rates("one-cycle", 4, 0.5, 2, 8) == pytest.approx([rate / 2 for rate in expected])


def test_one_cycle_over_a_single_step_is_at_its_peak() -> None:
    assert rates("one-cycle", 1, 0.5, 1, 1) == [0.5]


@pytest.mark.parametrize(
    ("name", "last"),
    [("cosine", 0.5 * (1 + math.cos(math.pi * 7 / 8))), ("cyclic", 0.5), ("one-cycle", 1 / 7)],
)
def test_past_its_end_a_schedule_stays_at_its_last_rate(name: str, last: float) -> None:
    assert rates(name, 4, 1.0, 2, 12)[7:] == pytest.approx([last] * 5)
    assert last > 0


@pytest.mark.parametrize("name", ["cosine", "cyclic", "one-cycle"])
def test_a_schedule_without_its_length_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"schedule\.epochs is not set, but a {name} schedule needs its length"):
        rates(name, None, 1.0, 2, 1)


def test_steps_fall_by_the_factor_at_the_beginning_of_every_so_many_epochs() -> None:
    assert rates("step", None, 0.8, 2, 9, every=2, factor=0.5) == pytest.approx([0.8] * 4 + [0.4] * 4 + [0.2])


def test_exponential_falls_as_far_as_steps_do_but_smoothly() -> None:
    # 2 epochs of 2 steps are a fall by 1/16: each step halves
    by_step = rates("exponential", None, 0.8, 2, 9, every=2, factor=1 / 16)
    assert by_step == pytest.approx([0.8 / 2**step for step in range(9)])


@pytest.mark.parametrize("name", ["constant", "step", "exponential", "cosine", "cyclic", "one-cycle", "plateau"])
def test_warm_up_is_a_line_from_zero_to_where_the_schedule_has_it(name: str) -> None:
    cold = rates(name, 4, 0.8, 4, 12)
    warm = rates(name, 4, 0.8, 4, 12, warm_up=1.5)
    assert warm[:6] == pytest.approx([rate * (step + 1) / 6 for step, rate in enumerate(cold[:6])])
    assert warm[5:] == cold[5:]


def test_a_plateau_falls_by_the_factor_for_each_fall() -> None:
    schedule = ScheduleConfig(name="plateau", factor=0.5)
    assert [learning_rate(schedule, 0.8, 7, 2, falls) for falls in range(3)] == pytest.approx([0.8, 0.4, 0.2])


@pytest.mark.parametrize(
    ("losses", "falls"),
    [
        ([], 0),
        ([1.0], 0),
        ([1.0, 1.0], 0),
        ([1.0, 1.0, 1.0], 1),
        ([1.0, 1.0, 0.9, 0.9, 0.8, 0.8], 0),  # each new best starts the count again
        ([1.0, 1.1, 1.0, 0.9, 0.95, 0.9, 0.9, 0.9], 3),
        ([1.0, 0.99995, 0.9999], 1),  # better, but not noticeably
    ],
)
def test_two_idle_epochs_in_a_row_are_a_fall(losses: list[float], falls: int) -> None:
    assert count_falls(ScheduleConfig(name="plateau", every=2), losses) == falls


@given(st.lists(st.floats(0.1, 3), max_size=40), st.integers(1, 4))
def test_a_plateau_falls_when_torchs_own_does(losses: list[float], every: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=every - 1, eps=0.0)
    for loss in losses:
        theirs.step(loss)
    falls = count_falls(ScheduleConfig(name="plateau", every=every), losses)
    assert optimizer.param_groups[0]["lr"] == 0.5**falls
