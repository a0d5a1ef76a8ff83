"""Which operations a sweep asks for, wherever it does, and that grey images are refused what needs colour."""

from __future__ import annotations

from typing import Any

import pytest

from runner.config.sweep import SweepSpec
from runner.preflight.augment_keys import COLOURED, augment_values, check_augment
from trainables.augment.draws import COLOURED as KNOWN
from trainables.errors import SweepFileError


def make(search: dict[str, Any] | None = None, **augment: float) -> SweepSpec:
    return SweepSpec.model_validate(
        {
            "name": "t",
            "data": {"name": "digits"},
            "augment": augment,
            "search": search or {},
            "scheduler": {"method": "none"},
        }
    )


def test_keys_are_listed_in_their_documented_order_with_the_greatest_value_of_a_search() -> None:
    space = {
        "augment.crop": {"choice": [0, 3, 1]},
        "augment.scale": {"uniform": [0.1, 0.2]},
        "augment.noise": {"choice": [0.0]},
    }
    assert augment_values(make({"space": space}, rotation=10.0, flip=0.5)) == {
        "flip": 0.5,
        "rotation": 10.0,
        "scale": 0.2,
        "crop": 3,
    }


def test_stages_changes_and_steps_count_too() -> None:
    stages = [
        {"name": "one", "space": {"augment.shift": {"choice": [0.1, 0.2]}}},
        {"name": "two", "set": {"augment.hue": 0.1}, "space": {"optimizer.lr": {"log": [0.01, 0.1]}}},
    ]
    assert augment_values(make({"stages": stages})) == {"shift": 0.2, "hue": 0.1}
    changes = {"method": "ablation", "changes": {"turned": {"augment.rotation": 5.0}}}
    assert augment_values(make(changes)) == {"rotation": 5.0}
    steps = {"method": "ladder", "steps": [{"augment.flip": 0.0}, {"augment.flip": 0.5}]}
    assert augment_values(make(steps)) == {"flip": 0.5}


def test_a_sweep_without_augmentation_asks_for_nothing() -> None:
    assert augment_values(make()) == {}


@pytest.mark.parametrize("key", COLOURED)
def test_colours_of_grey_images_are_refused_also_where_they_are_only_searched(key: str) -> None:
    searched = make({"space": {f"augment.{key}": {"choice": [0.0, 0.1]}}})
    for spec in (make(**{key: 0.1}), searched):
        check_augment(spec, 3)
        with pytest.raises(SweepFileError, match=rf"augment\.{key} needs images with three channels, and these have 1"):
            check_augment(spec, 1)
    check_augment(make(flip=0.5), 1)


def test_the_keys_of_colour_are_those_of_the_operations() -> None:
    assert COLOURED == KNOWN
