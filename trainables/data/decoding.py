"""How image files become pixels: a record that travels with a set and with the bundles of nets that were trained on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

Fit = Literal["squash", "pad", "crop"]

FULL_SCALE = 65535
"""The white of 16-bit grey that fills all its bits."""


@dataclass(frozen=True)
class Decoding:
    """How an encoded image becomes uint8 (`height`, `width`, `channels`): whatever is decoded by an equal record is comparable.

    height, width   pixels
    channels        1 for grey, 3 for colour
    background      red, green and blue that transparent images are laid on; None decodes as older versions did, whose bundles
                    say nothing of it: alpha is dropped, and JPEG is decoded in full before it shrinks
    fit             what becomes of other proportions: `squash` changes them, `pad` adds background at two sides, `crop` cuts
                    two sides off
    white           the value of 16-bit grey that becomes 255: 4095 where a sensor fills 12 bits
    """

    height: int
    width: int
    channels: int
    background: tuple[int, int, int] | None = (255, 255, 255)
    fit: Fit = "squash"
    white: int = FULL_SCALE

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1 or self.channels not in (1, 3):
            raise ValueError(f"no images are {self.height} x {self.width} pixels in {self.channels} channels")
        if self.background is not None and not _is_colour(self.background):
            raise ValueError(f"background is {self.background}: it must be red, green and blue, each from 0 to 255")
        if self.fit not in get_args(Fit):
            raise ValueError(f"fit is {self.fit!r}: it must be one of {', '.join(get_args(Fit))}")
        if self.fit == "pad" and self.background is None:
            raise ValueError("fit is pad, and there is no background to pad with")
        if not 255 <= self.white <= FULL_SCALE:
            raise ValueError(f"white is {self.white}: it must be from 255 to {FULL_SCALE}")

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` is the inverse."""
        return {**asdict(self), "background": None if self.background is None else list(self.background)}

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. A record that says nothing of the background is of an older version, which dropped alpha.

        Raises `KeyError`, `TypeError` or `ValueError` where `payload` is no such record.
        """
        background = payload.get("background")
        return cls(
            int(payload["height"]),
            int(payload["width"]),
            int(payload["channels"]),
            None if background is None else tuple(background),
            payload.get("fit", "squash"),
            int(payload.get("white", FULL_SCALE)),
        )


def _is_colour(background: tuple[int, ...]) -> bool:
    return len(background) == 3 and all(0 <= level <= 255 for level in background)
