"""From an opened, upright image to pixels: 16 bits to 8, transparency laid on a background, resizing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainables.data.decoding import FULL_SCALE, Decoding

Pixels = npt.NDArray[np.uint8]
Look = Callable[[npt.NDArray[np.integer]], None]
"""Is shown the stored values of 16-bit grey, before they are scaled to 8 bits."""

LARGER = 2
"""How many times as large as the result a JPEG is that its own decoder has shrunk by 2, 4 or 8. Against decoding it in full, on
photographs of 640 x 480 to 4000 x 3000 that become 32 to 224 pixels: 0.1 to 0.2 grey levels in the mean, 3 at most, 1.9 to 5.9
times as fast. At 1 time as large it would be 0.7 in the mean and 16 at most, at 4 times 0.1 and 1, and half as fast."""


def to_pixels(image: Image.Image, decoding: Decoding, white: int = FULL_SCALE, look: Look | None = None) -> Pixels:
    """Pixels of an upright image, uint8 (height, width, channels). `white` is the value of 16-bit grey that becomes 255.

    Raises `ValueError` where the image has no known scale, and what Pillow raises for damaged data.
    """
    opaque = _lay_on(_eight_bits(image, white, look), decoding.background)
    if opaque.mode == "LAB":
        opaque = opaque.convert("RGB")  # from which alone Pillow makes grey
    plain = _resize(opaque.convert("L" if decoding.channels == 1 else "RGB"), decoding)
    return np.asarray(plain).reshape(decoding.height, decoding.width, decoding.channels)


def shrink_early(image: Image.Image, is_turned: bool, decoding: Decoding) -> None:
    """Let a JPEG, opened and not yet decoded, be decoded at 1/2, 1/4 or 1/8 of its size, where `LARGER` allows it.

    `is_turned` where its upright height is the width that it is stored with.
    """
    if image.format not in ("JPEG", "MPO") or decoding.background is None:
        return
    width, height = image.size
    if is_turned:
        height, width = _drawn_size(height, width, decoding)
    else:
        width, height = _drawn_size(width, height, decoding)
    image.draft(None, (LARGER * width, LARGER * height))


def _eight_bits(image: Image.Image, white: int, look: Look | None) -> Image.Image:
    """16-bit grey as 8-bit, rounded to nearest; Pillow's own conversion would cut everything above 255 to white."""
    if image.mode == "F":
        raise ValueError("floating-point pixels: save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    stored = np.asarray(image)
    if stored.min() < 0 or stored.max() > FULL_SCALE:
        raise ValueError("32-bit pixels: save it with 8 or 16 bits")
    if look is not None:
        look(stored)
    deep = stored.astype(np.uint32)  # one copy that is modified in place: an image may be large
    deep *= 255
    deep += white // 2
    deep //= white
    grey = Image.fromarray(np.minimum(deep, 255, out=deep).astype(np.uint8))
    key = image.info.get("transparency")  # the grey that PNG declares transparent; Pillow passes it over in 16 bits
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(stored == key, 0, 255).astype(np.uint8)))
    return grey


def _lay_on(image: Image.Image, background: tuple[int, int, int] | None) -> Image.Image:
    """`image` without transparency: each pixel is mixed with `background`, rounded to nearest, before anything is resized."""
    if background is None or not _has_alpha(image):
        return image
    if image.mode == "La":  # no direct way leads from there
        image = image.convert("LA")
    clear = image.convert("RGBA")
    if image.format in ("BMP", "DIB") and clear.getchannel("A").getextrema() == (0, 0):
        return image.convert("RGB")  # the fourth byte was left empty, as all viewers take it
    ground = Image.new("RGB", image.size, background)
    ground.paste(clear, mask=clear)
    return ground


def _has_alpha(image: Image.Image) -> bool:
    if "transparency" in image.info or image.getbands()[-1] in ("A", "a"):
        return True
    return image.mode == "P" and image.palette is not None and image.palette.mode.endswith("A")


def _resize(image: Image.Image, decoding: Decoding) -> Image.Image:
    """`image`, grey or RGB, at the size of `decoding`: bilinear, and with antialiasing where it becomes smaller."""
    wanted = (decoding.width, decoding.height)
    if image.size == wanted:
        return image
    match decoding.fit:
        case "squash":
            return image.resize(wanted, Image.Resampling.BILINEAR)
        case "crop":
            return image.resize(wanted, Image.Resampling.BILINEAR, box=_centre(*image.size, decoding))
    drawn = _drawn_size(*image.size, decoding)
    padded = Image.new("RGB", wanted, decoding.background or 0).convert(image.mode)
    inside = image if image.size == drawn else image.resize(drawn, Image.Resampling.BILINEAR)
    padded.paste(inside, ((wanted[0] - drawn[0]) // 2, (wanted[1] - drawn[1]) // 2))
    return padded


def _drawn_size(width: int, height: int, decoding: Decoding) -> tuple[int, int]:
    """Width and height to which a whole image is resized, before two sides are added or cut off."""
    if decoding.fit == "squash":
        return decoding.width, decoding.height
    choose = min if decoding.fit == "pad" else max
    scale = choose(decoding.width / width, decoding.height / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _centre(width: int, height: int, decoding: Decoding) -> tuple[float, float, float, float]:
    """The largest box of the result's proportions in the middle of an image: left, top, right, bottom."""
    scale = min(width / decoding.width, height / decoding.height)
    across, down = decoding.width * scale, decoding.height * scale
    left, top = (width - across) / 2, (height - down) / 2
    return max(0.0, left), max(0.0, top), min(width, left + across), min(height, top + down)
