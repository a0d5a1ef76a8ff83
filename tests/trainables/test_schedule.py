"""The learning rate of a step, by hand."""

from __future__ import annotations

import math

import pytest

from trainables.config import ScheduleConfig
from trainables.schedule import learning_rate


def rates(name: str, epochs: int | None, peak: float, steps_per_epoch: int, steps: int) -> list[float]:
    schedule = ScheduleConfig.model_validate({"name": name, "epochs": epochs})
    return [learning_rate(schedule, peak, step, steps_per_epoch) for step in range(steps)]


def test_a_constant_rate_is_the_peak_at_every_step_and_needs_no_length() -> None:
    assert rates("constant", None, 0.3, 2, 5) == [0.3] * 5
    assert rates("constant", 1, 0.3, 2, 5) == [0.3] * 5


def test_cosine_falls_from_the_peak_along_half_a_wave() -> None:
    # 2 epochs of 2 steps: half of 1 + cos of 0, 45, 90 and 135 degrees
    root = math.sqrt(0.5)
    assert rates("cosine", 2, 0.8, 2, 4) == pytest.approx([0.8, 0.4 * (1 + root), 0.4, 0.4 * (1 - root)])


def test_one_cycle_climbs_for_a_quarter_of_the_steps_and_falls_on_a_line() -> None:
    # 8 steps: 2 of them climb; then the 6 that are left fall by a seventh of the peak each
    expected = [1 / 2, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7]
    assert rates("one-cycle", 4, 1.0, 2, 8) == pytest.approx(expected)
    assert rates("one-cycle", 4, 0.5, 2, 8) == pytest.approx([rate / 2 for rate in expected])


def test_one_cycle_over_a_single_step_is_at_its_peak() -> None:
    assert rates("one-cycle", 1, 0.5, 1, 1) == [0.5]


@pytest.mark.parametrize(
    ("name", "last"),
    [("cosine", 0.5 * (1 + math.cos(math.pi * 7 / 8))), ("one-cycle", 1 / 7)],
)
def test_past_its_end_a_schedule_stays_at_its_last_rate(name: str, last: float) -> None:
    assert rates(name, 4, 1.0, 2, 12)[7:] == pytest.approx([last] * 5)
    assert last > 0


@pytest.mark.parametrize("name", ["cosine", "one-cycle"])
def test_a_schedule_without_its_length_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"schedule\.epochs is not set, but a {name} schedule needs its length"):
        rates(name, None, 1.0, 2, 1)
