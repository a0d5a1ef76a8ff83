"""From files to pixels: transparency on a background, 16 bits by their white, proportions, and JPEG that shrinks as it is decoded."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainables.data.decoding import Decoding
from trainables.decoding.decode import decode_content


def decode(image: Image.Image | bytes, *decoding: Any, format: str = "PNG", **options: Any) -> np.ndarray:
    data = io.BytesIO()
    if isinstance(image, bytes):
        data.write(image)
    else:
        image.save(data, format, **options)
    data.seek(0)
    return decode_content(data, Decoding(*decoding))


def rgba(*pixels: tuple[int, int, int, int]) -> Image.Image:
    return Image.fromarray(np.array([pixels], np.uint8))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_png(width: int, depth: int, colour: int, row: bytes, key: bytes) -> bytes:
    """A PNG of one row with a colour that is declared transparent, `key`, at depths that Pillow does not write."""
    head = struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"tRNS", key) + chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("background", "expected"),
    [
        ((255, 255, 255), [[255, 127, 127], [255, 255, 255], [1, 2, 3]]),  # 127 is 0 * 128 / 255 + 255 * 127 / 255
        ((0, 0, 0), [[128, 0, 0], [0, 0, 0], [1, 2, 3]]),
        ((0, 255, 128), [[128, 127, 64], [0, 255, 128], [1, 2, 3]]),  # 128 * 127 / 255 is 63.7
        (None, [[255, 0, 0], [9, 8, 7], [1, 2, 3]]),
    ],
)
@pytest.mark.parametrize("format", ["PNG", "TIFF", "array"])
def test_transparent_pixels_are_mixed_with_the_background(
    format: str, background: tuple[int, int, int] | None, expected: list[list[int]]
) -> None:
    image = rgba((255, 0, 0, 128), (9, 8, 7, 0), (1, 2, 3, 255))
    decoding = (1, 3, 3, background)
    found = (
        decode_content(np.asarray(image), Decoding(*decoding))
        if format == "array"
        else decode(image, *decoding, format=format)
    )
    assert found[0].tolist() == expected


def test_every_way_to_declare_transparency_counts() -> None:
    clear = rgba((0, 0, 0, 0), (255, 0, 0, 255))
    palette = Image.fromarray(np.array([[0, 1]], np.uint8))
    palette.putpalette([0, 0, 0, 255, 0, 0])
    grey = Image.fromarray(np.array([[0, 76]], np.uint8))
    colour, levels = [[255, 255, 255], [255, 0, 0]], [[255, 255, 255], [76, 76, 76]]
    assert decode(clear, 1, 2, 3, format="WEBP", lossless=True)[0].tolist() == colour
    assert decode(clear.convert("RGB"), 1, 2, 3, transparency=(0, 0, 0))[0].tolist() == colour
    assert decode(palette, 1, 2, 3, transparency=0)[0].tolist() == colour
    assert decode(palette, 1, 2, 3, transparency=b"\0\xff")[0].tolist() == colour
    assert decode(palette, 1, 2, 3, format="GIF", transparency=0)[0].tolist() == colour
    assert decode(grey, 1, 2, 3, transparency=0)[0].tolist() == levels
    assert decode(Image.merge("LA", [grey, clear.getchannel("A")]), 1, 2, 3)[0].tolist() == levels


def test_a_transparent_grey_or_colour_is_found_at_every_depth() -> None:
    quarter = write_png(4, 2, 0, bytes([0b00011011]), struct.pack(">H", 2))
    assert decode(quarter, 1, 4, 1)[0, :, 0].tolist() == [0, 85, 255, 255]
    sixteenth = write_png(2, 4, 0, bytes([0x12]), struct.pack(">H", 1))
    assert decode(sixteenth, 1, 2, 1)[0, :, 0].tolist() == [255, 34]
    deep = write_png(2, 16, 0, struct.pack(">2H", 1000, 2000), struct.pack(">H", 1000))
    assert decode(deep, 1, 2, 1)[0, :, 0].tolist() == [255, 8]
    colour = write_png(
        2, 16, 2, struct.pack(">6H", 1000, 2000, 3000, 40000, 5, 6), struct.pack(">3H", 1000, 2000, 3000)
    )
    assert decode(colour, 1, 2, 3)[0].tolist() == [[255, 255, 255], [156, 0, 0]]


def test_a_picture_whose_shape_is_in_its_alpha_alone_becomes_grey_levels() -> None:
    icon = rgba(*((0, 0, 0, alpha) for alpha in (0, 51, 255)))
    assert decode(icon, 1, 3, 1)[0, :, 0].tolist() == [255, 204, 0]
    assert decode(icon, 1, 3, 1, None)[0, :, 0].tolist() == [0, 0, 0]
    assert decode(icon, 1, 3, 1, (255, 0, 0))[0, :, 0].tolist() == [76, 61, 0]  # grey of the mixture, 0.299 of 204


def test_transparency_is_mixed_before_an_image_shrinks() -> None:
    hidden = rgba((0, 255, 0, 0), (200, 0, 0, 255))  # the green that nobody sees does not seep in
    assert decode(hidden, 1, 1, 3, (0, 0, 0))[0].tolist() == [[100, 0, 0]]


def test_an_empty_fourth_byte_of_a_bitmap_is_no_transparency() -> None:
    head = struct.pack("<IiiHHIIiiII", 108, 2, 1, 1, 32, 3, 8, 0, 0, 0, 0)
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"\0" * 52
    pixels = bytes([3, 2, 1, 0, 30, 20, 10, 0])
    bitmap = b"BM" + struct.pack("<IHHI", 14 + 108 + 8, 0, 0, 14 + 108) + head + masks + pixels
    assert decode(bitmap, 1, 2, 3)[0].tolist() == [[1, 2, 3], [10, 20, 30]]
    seen = bitmap[:-1] + b"\xff"
    assert decode(seen, 1, 2, 3)[0].tolist() == [[255, 255, 255], [10, 20, 30]]


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
@pytest.mark.parametrize("channels", [1, 3])
def test_other_colour_spaces_are_read(mode: str, channels: int) -> None:
    image = Image.new(mode, (2, 1), (128, 128, 128) if mode != "CMYK" else (0, 0, 0, 128))
    pixels = decode(image, 1, 2, channels, format="TIFF")
    assert pixels.shape == (1, 2, channels)
    assert np.abs(pixels.astype(int) - 123).max() <= 5


@pytest.mark.parametrize(("white", "expected"), [(65535, [0, 8, 16, 255]), (4095, [0, 128, 255, 255])])
def test_16_bits_are_scaled_by_their_white_and_cut_above_it(white: int, expected: list[int]) -> None:
    deep = Image.fromarray(np.array([[0, 2048, 4095, 65535]], np.uint16))
    assert decode(deep, 1, 4, 1, None, "squash", white)[0, :, 0].tolist() == expected
    turned = Image.Exif()
    turned[0x0112] = 3
    assert decode(deep, 1, 4, 1, None, "squash", white, exif=turned)[0, :, 0].tolist() == expected[::-1]


def test_a_file_that_states_its_white_keeps_it() -> None:
    stated = b"P5 2 1 4095\n" + struct.pack(">2H", 2048, 4095)
    assert decode(stated, 1, 2, 1, None, "squash", 1023)[0, :, 0].tolist() == [128, 255]
    full = b"P5 2 1 65535\n" + struct.pack(">2H", 512, 1023)
    assert decode(full, 1, 2, 1, None, "squash", 1023)[0, :, 0].tolist() == [128, 255]


def test_colour_of_16_bits_becomes_8() -> None:
    row = struct.pack(">3H", 65535, 256, 0)
    png = write_png(1, 16, 2, row, struct.pack(">3H", 1, 1, 1))
    assert decode(png, 1, 1, 3)[0].tolist() == [[255, 1, 0]]


def test_padding_keeps_proportions_and_lays_the_rest_on_the_background() -> None:
    wide = Image.new("RGB", (8, 4), (10, 20, 30))
    found = decode(wide, 4, 4, 3, (200, 100, 50), "pad")
    assert found[1:3].reshape(-1, 3).tolist() == [[10, 20, 30]] * 8
    assert found[[0, 3]].reshape(-1, 3).tolist() == [[200, 100, 50]] * 8
    tall = decode(wide.transpose(Image.Transpose.ROTATE_90), 4, 6, 1, (255, 0, 0), "pad")[0, :, 0]
    assert tall.tolist() == [76, 76, 18, 18, 76, 76]
    assert decode(Image.new("L", (400, 1), 7), 4, 4, 1, (0, 0, 0), "pad")[:, 0, 0].tolist() == [0, 7, 0, 0]


def test_cropping_keeps_the_middle() -> None:
    columns = Image.fromarray(np.repeat(np.array([[10, 20, 30, 40, 50, 60]], np.uint8), 2, axis=0))
    assert decode(columns, 2, 2, 1, None, "crop")[0, :, 0].tolist() == [30, 40]
    assert decode(columns, 1, 1, 1, None, "crop")[0, :, 0].tolist() == [35]
    rows = columns.transpose(Image.Transpose.TRANSPOSE)
    assert decode(rows, 2, 2, 1, None, "crop")[:, 0, 0].tolist() == [30, 40]


@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
def test_an_image_of_the_right_size_is_kept_bit_for_bit(fit: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    assert decode(Image.fromarray(noise), 5, 7, 3, (0, 0, 0), fit).tolist() == noise.tolist()


def make_photo(width: int, height: int) -> Image.Image:
    """Colours that change slowly, and an edge."""
    down, across = np.mgrid[:height, :width]
    pixels = np.stack([255 * across / width, 255 * down / height, 127 + 120 * np.sin(across / 30 + down / 50)], axis=2)
    pixels[height // 3 : height // 2, width // 4 : width // 2] = (250, 40, 10)
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
@pytest.mark.parametrize("format", ["JPEG", "MPO"])
def test_a_large_jpeg_is_shrunk_by_its_own_decoder_to_twice_the_result_or_more(
    format: str, fit: str, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = Image.Exif()
    turned[0x0112] = orientation
    shrunk: list[tuple[int, int]] = []
    load = Image.Image.resize

    def note(image: Image.Image, *arguments: Any, **options: Any) -> Image.Image:
        shrunk.append(image.size)
        return load(image, *arguments, **options)

    monkeypatch.setattr(Image.Image, "resize", note)
    photo = make_photo(800, 600)
    options = {"save_all": True, "append_images": [photo]} if format == "MPO" else {}
    found = decode(photo, 48, 48, 3, (0, 0, 0), fit, format=format, quality=95, exif=turned, **options)
    upright = photo if orientation == 1 else photo.transpose(Image.Transpose.ROTATE_270)
    expected = decode(upright, 48, 48, 3, (0, 0, 0), fit)
    half = {"squash": (200, 150), "pad": (100, 75), "crop": (200, 150)}[fit]
    assert shrunk[0] == (half if orientation == 1 else half[::-1])
    assert np.abs(found.astype(int) - expected).mean() < 1.5  # most of it is what JPEG loses


def test_a_jpeg_below_twice_the_result_is_decoded_in_full() -> None:
    photo = make_photo(190, 190)
    data = io.BytesIO()
    photo.save(data, "JPEG")
    whole = Image.open(io.BytesIO(data.getvalue())).convert("RGB").resize((96, 96), Image.Resampling.BILINEAR)
    assert decode(data.getvalue(), 96, 96, 3).tolist() == np.asarray(whole).tolist()
    older = Image.open(io.BytesIO(data.getvalue())).convert("RGB").resize((12, 12), Image.Resampling.BILINEAR)
    assert decode(data.getvalue(), 12, 12, 3, None).tolist() == np.asarray(older).tolist()
    assert decode(data.getvalue(), 12, 12, 3).tolist() != np.asarray(older).tolist()
