"""Before a sweep starts, files of weights that its trials start from are read, and named by their content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner.config.sweep import SweepSpec
from trainables.models.pretrained import name_weights, read_weights
from trainables.store.base import Store

KEY = "model.weights"


def pin_pretrained_weights(spec: SweepSpec, store: Store) -> tuple[SweepSpec, dict[str, bytes]]:
    """The sweep with `sha256:…` in place of each file that `model.weights` names or varies over, and those files by that name.

    Writes nothing. Raises `ModelUnusable` where a file cannot be read, or is no safetensors file.
    """
    files: dict[str, bytes] = {}

    def settle(told: str) -> str:
        data = read_weights(told, store, spec.store.endpoint_url)
        files[name_weights(data)] = data
        return name_weights(data)

    raw = spec.model_dump(mode="json")
    settled = _replace(raw, "", settle)
    return (SweepSpec.model_validate(settled), files) if files else (spec, files)


def _replace(at: Any, key: str, settle: Callable[[str], str]) -> Any:
    """`at` with all texts under `KEY` settled, wherever the sweep has that key."""
    if isinstance(at, dict):
        return {name: _replace(value, _below(key, name), settle) for name, value in at.items()}
    if isinstance(at, list):
        return [_replace(value, key, settle) for value in at]
    return settle(at) if key == KEY and isinstance(at, str) and at else at


def _below(key: str, name: str) -> str:
    if KEY in (key, name, f"{key}.{name}"):
        return KEY
    return name
