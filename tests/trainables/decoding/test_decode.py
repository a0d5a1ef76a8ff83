"""Image files to pixels: sizes, channels, orientations, depths, and files that are no images."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.config.data import DataConfig
from trainables.data.decoding import Decoding
from trainables.decoding.decode import (
    FORMATS,
    MIXED_SIZE_PX,
    SUFFIXES,
    decode_content,
    fit_grey,
    read_head,
)
from trainables.decoding.decode_listing import decode_listing
from trainables.errors import DataError
from trainables.layouts.base.listing import list_file
from trainables.places.folder import FolderPlace

GREY = np.arange(0, 240, 10, dtype=np.uint8).reshape(4, 6)
"""4 high, 6 wide, no two pixels alike: every turn and flip of it is another image."""


def save(path: Path, pixels: np.ndarray = GREY, **options: object) -> str:
    Image.fromarray(pixels).save(path, **options)
    return path.name


def decode_files(folder: Path, names: list[str], size: int | None, channels: int | None) -> np.ndarray:
    """The pixels of files of a folder."""
    listed = [list_file(FolderPlace(folder), name, "a") for name in names]
    return decode_listing(listed, DataConfig.model_validate({"path": "a", "size": size, "channels": channels})).pixels


def test_equal_sizes_and_grey_files_are_kept_as_they_are(tmp_path: Path) -> None:
    names = [save(tmp_path / "a.png"), save(tmp_path / "b.png", GREY[::-1])]
    pixels = decode_files(tmp_path, names, size=None, channels=None)
    assert pixels.dtype == np.uint8
    assert pixels[..., 0].tolist() == [GREY.tolist(), GREY[::-1].tolist()]


def test_one_colour_file_makes_all_images_colour(tmp_path: Path) -> None:
    colour = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=2)
    names = [save(tmp_path / "a.png"), save(tmp_path / "b.png", colour)]
    pixels = decode_files(tmp_path, names, size=None, channels=None)
    assert pixels.shape == (2, 4, 6, 3)
    assert pixels[0].tolist() == np.repeat(GREY[..., None], 3, axis=2).tolist()
    assert pixels[1].tolist() == colour.tolist()


def test_images_that_differ_in_size_become_64_pixels_square(tmp_path: Path) -> None:
    names = [save(tmp_path / "a.png"), save(tmp_path / "b.png", GREY.T)]
    assert decode_files(tmp_path, names, size=None, channels=1).shape == (2, MIXED_SIZE_PX, MIXED_SIZE_PX, 1)


def test_shrinking_averages_all_pixels(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255  # without antialiasing the result would be all black or all white
    pixels = decode_files(tmp_path, [save(tmp_path / "a.png", stripes)], size=8, channels=1)
    assert pixels.shape == (1, 8, 8, 1)
    assert 120 <= pixels.min() <= pixels.max() <= 135


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, GREY),
        (2, GREY[:, ::-1]),
        (3, GREY[::-1, ::-1]),
        (4, GREY[::-1]),
        (5, GREY.T),
        (6, np.rot90(GREY, -1)),
        (7, np.rot90(GREY, 2).T),
        (8, np.rot90(GREY)),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_images_stand_upright_as_exif_says(tmp_path: Path, suffix: str, orientation: int, upright: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    name = save(tmp_path / f"a.{suffix}", exif=exif, lossless=True)
    assert decode_files(tmp_path, [name], size=None, channels=1)[0, ..., 0].tolist() == upright.tolist()


@pytest.mark.parametrize("suffix", ["jpg", "avif"])
def test_what_loses_a_little_is_turned_too(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    name = save(tmp_path / f"a.{suffix}", exif=exif, quality=100)
    found = decode_files(tmp_path, [name], size=None, channels=None)[0, ..., 0].astype(int)
    assert np.abs(found - np.rot90(GREY, -1)).max() < 8  # what is lost


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bit_grey_is_scaled_to_8_and_rounded(tmp_path: Path, suffix: str) -> None:
    deep = np.array([[0, 128, 129], [257, 32768, 65535]], np.uint16)
    name = save(tmp_path / f"a.{suffix}", deep)
    pixels = decode_files(tmp_path, [name], size=None, channels=None)
    assert pixels[0, ..., 0].tolist() == [[0, 0, 1], [1, 128, 255]]


@pytest.mark.parametrize(
    ("pixels", "complaint"), [(GREY.astype(np.float32), "floating-point"), (GREY.astype(np.int32) * -1, "32-bit")]
)
def test_pixels_of_no_known_scale_are_refused(tmp_path: Path, pixels: np.ndarray, complaint: str) -> None:
    with pytest.raises(DataError, match=rf"a.tif \({complaint} pixels: save it with 8 or 16 bits\)"):
        decode_files(tmp_path, [save(tmp_path / "a.tif", pixels)], size=None, channels=1)


def test_without_a_background_transparency_is_dropped_and_palettes_are_looked_up(tmp_path: Path) -> None:
    see_through = np.dstack([np.full((4, 6, 3), (10, 20, 30), np.uint8), GREY])
    save(tmp_path / "a.png", see_through)
    Image.fromarray(see_through).convert("RGB").quantize(2).save(tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        with (tmp_path / name).open("rb") as file:
            pixels = decode_content(file, Decoding(4, 6, 3, background=None))
        assert pixels.shape == (4, 6, 3)
        assert (pixels == (10, 20, 30)).all()


def test_black_and_white_files_are_grey(tmp_path: Path) -> None:
    Image.fromarray(GREY > 100).save(tmp_path / "a.png")
    pixels = decode_files(tmp_path, ["a.png"], size=None, channels=None)
    assert pixels[0, ..., 0].tolist() == np.where(GREY > 100, 255, 0).tolist()


def test_colour_becomes_grey_where_one_channel_is_asked_for(tmp_path: Path) -> None:
    red = np.full((4, 6, 3), (255, 0, 0), np.uint8)
    pixels = decode_files(tmp_path, [save(tmp_path / "a.png", red)], size=None, channels=1)
    assert pixels.shape == (1, 4, 6, 1)
    assert (pixels == 76).all()  # 0.299 of 255


FORMAT_OF = {".jif": "JPEG", ".jfi": "JPEG", ".pjpeg": "JPEG", ".pjp": "JPEG"}
"""Formats of endings that Pillow does not write by itself."""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_ending_can_be_read(tmp_path: Path, suffix: str) -> None:
    grey = np.full((4, 6), 255 if suffix == ".pbm" else 100, np.uint8)
    name = save(tmp_path / f"a{suffix}", grey, format=FORMAT_OF.get(suffix))
    pixels = decode_files(tmp_path, [name], size=None, channels=1)
    assert pixels.shape == (1, 4, 6, 1)
    assert np.abs(pixels[..., 0].astype(int) - grey).max() <= 1


def test_of_several_frames_the_first_counts(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((4, 6), grey, np.uint8)) for grey in (50, 200)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    assert (decode_files(tmp_path, ["a.tif"], size=None, channels=None) == 50).all()


def test_files_that_are_no_images_are_named_five_and_how_many_more(tmp_path: Path) -> None:
    names = [save(tmp_path / "good.png")]
    for at in range(7):
        (tmp_path / f"bad{at}.png").write_text("no image")
        names.append(f"bad{at}.png")
    reason = rf"\(none of {', '.join(FORMATS)}\)"
    named = ", ".join(f"bad{at}.png {reason}" for at in range(5))
    expected = rf"7 of 8 images cannot be decoded: {named} and 2 more: repair them, or leave them out"
    with pytest.raises(DataError, match=expected):
        decode_files(tmp_path, names, size=None, channels=None)


@pytest.mark.parametrize("size", [None, 8])
def test_an_image_that_ends_too_early_is_refused(tmp_path: Path, size: int | None) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    whole = tmp_path / save(tmp_path / "a.png", noise)
    whole.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"a.png \(.*truncated"):
        decode_files(tmp_path, ["a.png"], size=size, channels=3)


def test_a_missing_file_is_named_once_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.png \(No such file or directory\)"):
        decode_files(tmp_path, ["a.png"], size=8, channels=1)


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(bomb)
    with pytest.raises(DataError, match=r"a.png \(.*decompression bomb"):
        decode_files(tmp_path, ["a.png"], size=8, channels=1)


def test_a_format_that_starts_other_programs_is_not_read_whatever_its_name(tmp_path: Path) -> None:
    postscript = io.BytesIO()
    Image.fromarray(GREY).save(postscript, "EPS")
    (tmp_path / "a.png").write_bytes(postscript.getvalue())
    with pytest.raises(DataError, match="none of PNG"):
        decode_files(tmp_path, ["a.png"], size=8, channels=1)


def test_grey_arrays_are_resized_and_repeated() -> None:
    grey = np.full((2, 4, 4), 7, np.uint8)
    assert fit_grey(grey, None, None).shape == (2, 4, 4, 1)
    larger = fit_grey(grey, 8, 3)
    assert larger.shape == (2, 8, 8, 3)
    assert (larger == 7).all()
    assert fit_grey(grey, (3, 5), 1).shape == (2, 3, 5, 1)


def test_an_empty_file_is_called_so() -> None:
    with pytest.raises(ValueError, match="an empty file"):
        decode_content(io.BytesIO(), Decoding(4, 4, 1))


def test_a_head_has_the_upright_size_and_whether_all_is_grey() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    data = io.BytesIO()
    Image.fromarray(GREY).save(data, "PNG", exif=turned)
    data.seek(0)
    assert read_head(data) == read_head(GREY.T) == read_head(GREY.T[..., None])
    head = read_head(np.zeros((2, 3, 4), np.uint8))
    assert (head.height, head.width, head.is_grey) == (2, 3, False)
