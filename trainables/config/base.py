"""The basis of every configuration: a frozen pydantic model, dotted keys, a hash of canonical JSON."""

from __future__ import annotations

import hashlib
import json
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trainables.plugins.kind import is_plugin


class Frozen(BaseModel):
    """Base of all configurations: immutable, no unknown keys, only finite numbers, no silent conversion of `"3"` to 3."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True, validate_default=True)


CustomValue = str | int | float | bool | None
"""Types that a key of a plug-in can have."""


class OpenSection(Frozen):
    """A section that may name plug-ins. They are called with those of its keys that their signatures name, and may define
    further keys here; without a plug-in, an unknown key is an error."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, CustomValue] = Field(init=False)

    PLUGIN_KEYS: ClassVar[tuple[str, ...]] = ()
    """Keys that may hold the name of a plug-in."""

    @property
    def has_plugin(self) -> bool:
        """Whether a key holds the name of a plug-in."""
        return any(is_plugin(getattr(self, key)) for key in self.PLUGIN_KEYS)

    @property
    def custom_keys(self) -> dict[str, CustomValue]:
        """The keys that only a plug-in knows."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _only_plugins_have_other_keys(self) -> Self:
        if not self.has_plugin:
            for key, value in self.custom_keys.items():
                raise ValidationError.from_exception_data(
                    type(self).__name__, [{"type": "extra_forbidden", "loc": (key,), "input": value}]
                )
        return self


def short_hash(value: object, digits: int) -> str:
    """The first hexadecimal `digits` of the SHA-256 of `value` as canonical JSON (sorted keys, shortest floats)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`config` with dotted keys in place of nested mappings.

    >>> flatten({"optimizer": {"lr": 0.1}, "seed": 3})
    {'optimizer.lr': 0.1, 'seed': 3}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
