"""Which operations of augmentation a sweep asks for, and whether its images allow them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner.config.overrides import custom_augmentation_names
from runner.config.search import MethodConfig
from runner.config.sweep import SweepSpec
from trainables.config.augment import AugmentConfig
from trainables.errors import SweepFileError

COLOURED = ("hue", "saturation")
"""Keys that need three channels; `trainables.augment.draws` has them too, but imports torch."""

SECTION = "augment."


def augment_values(spec: SweepSpec) -> dict[str, float]:
    """The keys of `augment` that the sweep sets or searches above 0, in their documented order, each at its greatest value."""
    found: dict[str, list[float]] = {
        key: [getattr(spec.augment, key)] for key in AugmentConfig.model_fields if key != "function"
    }
    for _, method in spec.search.parts:
        for key, value in possible_values(method):
            if key.removeprefix(SECTION) in found and key.startswith(SECTION) and isinstance(value, int | float):
                found[key.removeprefix(SECTION)].append(value)
    return {key: max(values) for key, values in found.items() if max(values) > 0}


def custom_augmentations(spec: SweepSpec) -> dict[str, dict[str, Any]]:
    """The plug-ins that the sweep sets or searches, each as keys of `augment`."""
    raw = {"augment": {"function": spec.augment.function}, "search": spec.search.model_dump(mode="json")}
    return {name: {"function": name, **spec.augment.custom_keys} for name in custom_augmentation_names(raw)}


def possible_values(method: MethodConfig) -> Iterator[tuple[str, object]]:
    """Dotted keys with the values that trials of a method may have."""
    for key, distribution in method.space.items():
        for value in distribution.extremes():
            yield key, value
    for values in (getattr(method, "set", {}), *method.changes.values(), *method.steps):
        yield from values.items()


def check_augment(spec: SweepSpec, channels: int) -> None:
    """Raise `SweepFileError` if the sweep would change colours of images that have none."""
    if channels == 3:
        return
    for key in COLOURED:
        if key in augment_values(spec):
            raise SweepFileError(
                f"augment.{key} needs images with three channels, and these have {channels}: leave it out, or take "
                "augment.exposure and augment.contrast"
            )
