"""Before a sweep starts, the files of weights that its trials start from are read, and named by their hash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner.config.sweep import SweepSpec
from trainables.models.pretrained import name_weights, read_weights
from trainables.store.base import Store

KEY = "model.weights"


def pin_pretrained_weights(spec: SweepSpec, store: Store) -> tuple[SweepSpec, dict[str, bytes]]:
    """The sweep with `sha256:…` in place of each file that `model.weights` names or varies over, and those files by that name.

    Writes nothing. Raises `ModelUnusable` if a file cannot be read, or is not a safetensors file.
    """
    files: dict[str, bytes] = {}

    def pin(name: str) -> str:
        data = read_weights(name, store, spec.store.endpoint_url)
        files[name_weights(data)] = data
        return name_weights(data)

    raw = spec.model_dump(mode="json")
    pinned = _replace(raw, "", pin)
    return (SweepSpec.model_validate(pinned), files) if files else (spec, files)


def _replace(at: Any, key: str, pin: Callable[[str], str]) -> Any:
    """`at` with `pin` applied to all texts under `KEY`, wherever the sweep has that key."""
    if isinstance(at, dict):
        return {name: _replace(value, _below(key, name), pin) for name, value in at.items()}
    if isinstance(at, list):
        return [_replace(value, key, pin) for value in at]
    return pin(at) if key == KEY and isinstance(at, str) and at else at


def _below(key: str, name: str) -> str:
    if KEY in (key, name, f"{key}.{name}"):
        return KEY
    return name
