"""Faults planted in a sound set: each is mended, told to the person, or refused with the name of the file."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.trainables.layouts.written import put, zip_of
from trainables.config.data import DataConfig
from trainables.data.describe import describe_images
from trainables.data.images import ImageSet
from trainables.datasets.load import load_images
from trainables.errors import DataError

CLASSES = ("ant", "bee", "cow")
SIDE = 24
SMOOTH = np.linspace(20, 230, SIDE)
WEDGE = np.stack(
    [np.add.outer(SMOOTH, SMOOTH) / 2, np.add.outer(SMOOTH, SMOOTH[::-1]) / 2, np.full((SIDE, SIDE), 90.0)], 2
)
PICTURE = WEDGE.round().astype(np.uint8)
"""The picture in which each fault is planted: a colour wedge that survives JPEG, brighter to the right and to the bottom."""


def save(pixels: npt.NDArray[Any] | Image.Image, format: str = "PNG", **options: Any) -> bytes:
    data = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(data, format, **options)
    return data.getvalue()


JPEG = save(PICTURE, "JPEG", quality=95)
PNG = save(PICTURE)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """3 classes of 12 pictures of noise."""
    random = np.random.default_rng(3)
    for name in CLASSES:
        for number in range(12):
            put(tmp_path / "set", f"{name}/{number:02d}.png", save(random.integers(0, 256, (SIDE, SIDE, 3), np.uint8)))
    return tmp_path / "set"


def load(path: Path, **keys: object) -> ImageSet:
    return load_images(DataConfig(path=str(path), **keys))  # type: ignore[arg-type]


def pixels_of(images: ImageSet, name: str) -> npt.NDArray[np.float64]:
    return images.pixels[images.image_ids.index(name)].astype(float)


def said_of(images: ImageSet) -> str:
    """All that a person reads before anything is trained."""
    return "\n".join(describe_images(images))


def bomb() -> bytes:
    """The head of a PNG of 400 megapixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


REFUSED = {
    "a JPEG cut in half": ("ant/x.jpg", JPEG[: len(JPEG) // 2], r"ant/x.jpg \(.*[Tt]runcated"),
    "a JPEG without its last 20 bytes": ("ant/x.jpg", JPEG[:-20], r"ant/x.jpg \(.*truncated"),
    "a PNG cut in half": ("ant/x.png", PNG[: len(PNG) // 2], r"ant/x.png \("),
    "a file of zero bytes": ("ant/x.jpg", b"", r"ant/x.jpg \(an empty file\)"),
    "a page of the web": ("ant/x.jpg", b"<!DOCTYPE html><html>404 Not Found</html>", r"ant/x.jpg \(none of PNG, JPEG"),
    "a file of null characters": ("ant/x.jpg", bytes(4000), r"ant/x.jpg \(none of PNG, JPEG"),
    "a pointer of Git LFS": (
        "ant/x.jpg",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
        r"ant/x.jpg \(",
    ),
    "a decompression bomb": ("ant/x.png", bomb(), r"ant/x.png \(.*pixels.* bomb"),
    "floats": ("ant/x.tif", save(np.ones((SIDE, SIDE), np.float32), "TIFF"), r"ant/x.tif \(.*save"),
    "whole numbers of 32 bits": ("ant/x.tif", save(np.full((SIDE, SIDE), 70_000, np.int32), "TIFF"), r"ant/x.tif \("),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_file_that_cannot_be_an_image_is_refused_by_name(base: Path, fault: str) -> None:
    name, content, complaint = REFUSED[fault]
    put(base, name, content)
    with pytest.raises(DataError, match=f"1 of 37 images cannot be decoded: {complaint}") as refused:
        load(base)
    assert "data.unreadable=skip goes on without them" in str(refused.value)
    images = load(base, unreadable="skip")
    assert len(images.labels) == 36
    assert f"1 of 37 images cannot be decoded: {name}" in said_of(images)


def test_a_dangling_link_is_refused_by_name(base: Path) -> None:
    (base / "ant" / "x.png").symlink_to(base / "nowhere.png")
    with pytest.raises(DataError, match=r"1 of 37 images cannot be decoded: ant/x.png \(No such file"):
        load(base)


def test_a_name_that_is_not_utf_8_is_refused(base: Path) -> None:
    try:
        os.rename(base / "ant" / "00.png", os.fsencode(base / "ant") + b"/caf\xe9.png")  # noqa: PTH104
    except OSError:
        pytest.skip("this file system takes no names that are not UTF-8")
    with pytest.raises(DataError, match=r"1 file names .* are not UTF-8: 'ant/caf\\udce9.png': rename them"):
        load(base)


@pytest.mark.parametrize("left", ["", "dog/.DS_Store", "dog/x.heic", "dog/notes.txt"])
def test_an_empty_class_folder_is_refused_by_name(base: Path, left: str) -> None:
    (base / "dog").mkdir()
    if left:
        put(base, left, b"x")
    with pytest.raises(DataError, match=r"1 of 4 class folders in .* hold no image: dog/: add images"):
        load(base)
    assert load(base, classes=["ant", "cow"]).class_names == ("ant", "cow")


@pytest.mark.parametrize(
    "name",
    [
        "__MACOSX/set/ant/._00.png",
        "ant/._00.png",
        "ant/.hidden.png",
        "ant/.ipynb_checkpoints/00-checkpoint.png",
        ".ipynb_checkpoints/00-checkpoint.png",
        ".git/objects/00.png",
        "ant/Thumbs.db",
        "ant/desktop.ini",
        "@eaDir/ant/00.png/SYNOPHOTO_THUMB_M.png",
        "ant/@eaDir/00.png/SYNOPHOTO_THUMB_M.png",
        "$RECYCLE.BIN/00.png",
        "#recycle/00.png",
        "lost+found/00.png",
        "ant/00.png~",
        "ant/~$00.png",
        "ant/Icon",
    ],
)
@pytest.mark.parametrize("where", ["folder", "zip"])
def test_what_systems_leave_behind_is_passed_over_and_counted(base: Path, name: str, where: str) -> None:
    before = load(base).data_id
    put(base, name, JPEG)
    if where == "zip":
        put(base.parent, "set.zip", zip_of(base))
    images = load(base if where == "folder" else base.parent / "set.zip")
    assert images.data_id == before
    assert images.class_names == CLASSES
    assert "1 file passed over" in said_of(images)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ant/x.heic", b"\x00\x00\x00\x18ftypheic"),
        ("ant/x.HEIF", b"\x00\x00\x00\x18ftypmif1"),
        ("ant/x.tga", b"\x00" * 40),
        ("ant/x.dcm", b"\x00" * 200),
        ("ant/x.NEF", b"MM\x00*" + b"\x00" * 40),
        ("ant/x.jxl", b"\xff\x0a"),
        ("ant/x.svg", b"<svg/>"),
        ("ant/x.jpg.part", JPEG),
        ("ant/x.mp4", b"\x00" * 40),
        ("ant/notes", b"these are ants"),
    ],
)
def test_what_no_reader_here_decodes_is_counted_by_its_ending(base: Path, name: str, content: bytes) -> None:
    put(base, name, content)
    images = load(base)
    assert len(images.labels) == 36
    assert [other.name for other in images.reading.passed_over] == [name]
    assert f"1 file passed over ({Path(name).suffix.lower() or 'notes'})" in said_of(images)


def test_an_image_beside_the_class_folders_is_counted(base: Path) -> None:
    put(base, "x.png", PNG)
    images = load(base)
    assert len(images.labels) == 36
    assert [(other.name, other.reason) for other in images.reading.passed_over] == [
        ("x.png", "lies beside the class folders")
    ]
    assert "1 file passed over (.png)" in said_of(images)


def test_classes_that_differ_by_case_are_told(base: Path) -> None:
    put(base, "Ant/x.png", PNG)
    assert "the classes 'Ant' and 'ant' differ by case, spaces or dashes alone" in said_of(load(base))


def test_a_circle_of_links_is_walked_once(base: Path) -> None:
    before = load(base).data_id
    (base / "ant" / "again").symlink_to(base / "ant")
    (base / "bee" / "up").symlink_to(base)
    assert load(base).data_id == before


def cmyk() -> bytes:
    return save(Image.fromarray(PICTURE).convert("CMYK"), "JPEG", quality=95)


def turned(orientation: int) -> bytes:
    """The picture as a camera stores it that was held otherwise."""
    back = {3: (2,), 6: (1,), 8: (3,)}[orientation][0]
    exif = Image.Exif()
    exif[0x0112] = orientation
    return save(np.rot90(PICTURE, back), "JPEG", quality=95, exif=exif)


def animated(format: str, **options: Any) -> bytes:
    frames = [Image.fromarray(255 - PICTURE)] * 2
    return save(Image.fromarray(PICTURE), format, save_all=True, append_images=frames, **options)


def palette() -> bytes:
    return save(Image.fromarray(PICTURE).quantize(256))


def deep_colour() -> bytes:
    """A PNG with 16 bits a channel, which Pillow does not write."""
    rows = b"".join(b"\x00" + (row.astype(">u2") * 257).tobytes() for row in PICTURE)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", SIDE, SIDE, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


MENDED: dict[str, tuple[str, bytes | Callable[[], bytes]]] = {
    "JPEG": ("x.jpg", JPEG),
    "an ending in capitals": ("x.JPG", JPEG),
    "the ending .jpe": ("x.JPE", JPEG),
    "the ending .jfif": ("x.jfif", JPEG),
    "the ending .pjpeg": ("x.pjpeg", JPEG),
    "the ending .avif": ("x.avif", lambda: save(PICTURE, "AVIF", quality=95)),
    "the ending .webp": ("x.webp", lambda: save(PICTURE, "WEBP", lossless=True)),
    "the ending .apng": ("x.apng", PNG),
    "the ending .ppm": ("x.ppm", lambda: save(PICTURE, "PPM")),
    "no ending": ("x", JPEG),
    "no ending but a dot in the name": ("a. x", PNG),
    "an ending that says nothing": ("x.image", PNG),
    "an address as a name": ("x.jpg_large", JPEG),
    "a PNG called .jpg": ("x.jpg", PNG),
    "a JPEG called .png": ("x.png", JPEG),
    "a WebP called .jpg": ("x.jpg", lambda: save(PICTURE, "WEBP", lossless=True)),
    "garbage behind the JPEG": ("x.jpg", JPEG + b"garbage" * 99),
    "a picture turned by 180 degrees": ("x.jpg", lambda: turned(3)),
    "a picture turned to the right": ("x.jpg", lambda: turned(6)),
    "a picture turned to the left": ("x.jpg", lambda: turned(8)),
    "CMYK": ("x.jpg", cmyk),
    "a palette": ("x.png", palette),
    "a palette in a GIF": ("x.gif", lambda: save(Image.fromarray(PICTURE).quantize(256), "GIF")),
    "16 bits a channel": ("x.png", deep_colour),
    "an animated GIF": ("x.gif", lambda: animated("GIF")),
    "an animated WebP": ("x.webp", lambda: animated("WEBP", lossless=True)),
    "an animated PNG": ("x.png", lambda: animated("PNG")),
    "a TIFF of several pages": ("x.tif", lambda: animated("TIFF")),
    "a packed TIFF": ("x.tiff", lambda: save(PICTURE, "TIFF", compression="tiff_lzw")),
    "JPEGs of a stereo camera": ("x.jpg", lambda: animated("MPO", quality=95)),
    "a progressive JPEG": ("x.jpg", lambda: save(PICTURE, "JPEG", quality=95, progressive=True)),
    "full alpha": ("x.png", lambda: save(Image.fromarray(PICTURE).convert("RGBA"))),
    "a folder within the class folder": ("batch 2/x.png", PNG),
    "folders ten deep": ("/".join("abcdefghij") + "/x.png", PNG),
    "a name in Japanese": ("ねこ/画像.png", PNG),
    "a name with a space, a quote and a percent sign": ("it's 100 %.png", PNG),
    "a name with a line break": ("two\nlines.png", PNG),
    "a name of 240 letters": ("x" * 240 + ".png", PNG),
}


@pytest.mark.parametrize("fault", MENDED)
def test_a_picture_is_read_as_it_was_meant(base: Path, fault: str) -> None:
    name, content = MENDED[fault]
    put(base, f"ant/{name}", content if isinstance(content, bytes) else content())
    images = load(base)
    assert len(images.labels) == 37
    assert images.class_names[images.labels[images.image_ids.index(f"ant/{name}")]] == "ant"
    difference = np.abs(pixels_of(images, f"ant/{name}") - PICTURE).mean()
    assert difference < 6
    assert images.reading.notes == ()
    assert images.reading.passed_over == ()


def test_a_class_in_grey_among_colour_keeps_its_brightness(base: Path) -> None:
    grey = np.asarray(Image.fromarray(PICTURE).convert("L"))
    for number, content in enumerate((save(grey), save(grey, "JPEG", quality=95), save(grey, "TIFF"))):
        put(base, f"ant/x{number}.{('png', 'jpg', 'tif')[number]}", content)
    images = load(base)
    for name in ("ant/x0.png", "ant/x1.jpg", "ant/x2.tif"):
        assert np.abs(pixels_of(images, name) - grey[..., None]).mean() < 2


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_grey_of_a_sensor_keeps_its_brightness(tmp_path: Path, bits: int) -> None:
    random = np.random.default_rng(3)
    stored: dict[str, npt.NDArray[np.float64]] = {}
    for name in CLASSES:
        for number in range(12):
            deep = random.integers(0, 2**bits, (SIDE, SIDE))
            deep[0, 0] = 2**bits - 1
            stored[f"{name}/{number}.png"] = deep * 255 / (2**bits - 1)
            put(tmp_path, f"{name}/{number}.png", save(deep.astype(np.uint16)))
    images = load(tmp_path)
    assert images.pixels.shape == (36, SIDE, SIDE, 1)
    for name, meant in stored.items():
        assert np.abs(pixels_of(images, name)[..., 0] - meant).max() <= 0.51
    assert (f"files of 16 bits hold {bits}: {2**bits - 1} is white" in said_of(images)) == (bits < 16)


def icons(mode: str) -> tuple[bytes, npt.NDArray[np.uint8]]:
    """An icon that is black wherever it is not transparent, and what a person sees of it on white."""
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    alpha[6:18, 6:12] = 255
    black = np.zeros_like(alpha)
    if mode == "palette":
        image = Image.fromarray((alpha > 0).astype(np.uint8), "P")
        image.putpalette([0, 0, 0, 0, 0, 0])
        return save(image, transparency=0), 255 - alpha
    image = Image.merge(mode, [Image.fromarray(black)] * (len(mode) - 1) + [Image.fromarray(alpha)])
    return save(image), 255 - alpha


@pytest.mark.parametrize("mode", ["RGBA", "LA", "palette"])
def test_a_shape_that_is_in_the_alpha_alone_is_seen(base: Path, mode: str) -> None:
    content, meant = icons(mode)
    put(base, "ant/x.png", content)
    assert np.array_equal(pixels_of(load(base), "ant/x.png"), np.repeat(meant[..., None], 3, 2))
    dark = pixels_of(load(base, background="black"), "ant/x.png")
    assert dark.max() == 0


@pytest.mark.parametrize(("height", "width"), [(1, 1), (10, 4000), (48, 48)])
def test_a_picture_of_another_size_is_told(base: Path, height: int, width: int) -> None:
    put(base, "ant/x.png", save(np.zeros((height, width, 3), np.uint8)))
    assert "images of 2 sizes become 64 x 64 pixels: data.size names another size" in said_of(load(base))


def test_all_kinds_of_bad_files_are_told_at_once(base: Path) -> None:
    for number, (name, content, _) in enumerate(list(REFUSED.values())[:5]):
        put(base, f"bee/{number}_{Path(name).name}", content)
    with pytest.raises(DataError, match=r"5 of 41 images cannot be decoded: bee/0_x\.jpg .* bee/4_x\.jpg"):
        load(base)


@pytest.mark.parametrize("where", ["folder", "zip"])
def test_a_folder_of_a_class_that_only_systems_use_is_no_class(base: Path, where: str) -> None:
    (base / "__MACOSX").mkdir()
    (base / ".empty").mkdir()
    if where == "zip":
        put(base.parent, "set.zip", zip_of(base))
    assert load(base if where == "folder" else base.parent / "set.zip").class_names == CLASSES


@pytest.mark.parametrize("start", ["/home/me/set/", "./set/", "set\\\\"])
def test_names_in_a_zip_archive_may_start_from_a_root(base: Path, start: str) -> None:
    with zipfile.ZipFile(base.parent / "set.zip", "w") as archive:
        for path in base.rglob("*.png"):
            name = zipfile.ZipInfo()
            name.filename = start + str(path.relative_to(base))
            archive.writestr(name, path.read_bytes())
    assert load(base.parent / "set.zip").data_id == load(base).data_id


def test_a_text_a_picture_is_no_table_of_the_set(base: Path) -> None:
    before = load(base).data_id
    for path in list(base.rglob("*.png")):
        path.with_suffix(".txt").write_text("0 0.5 0.5 0.2 0.2\n")
        put(base, f"{path.parent.name}/{path.stem}.json", '{"boxes": []}')
    assert load(base).data_id == before


def test_a_text_of_boxes_for_each_image_is_no_table_of_images(tmp_path: Path) -> None:
    for number in range(12):
        put(tmp_path, f"images/{number:03d}.png", PNG)
        put(tmp_path, f"labels/{number:03d}.txt", f"{number % 3} 0.5 0.5 0.2 0.2\n")
    with pytest.raises(DataError, match=r"class folders .* hold no image: labels/"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("emotion,pixels,Usage", "{label},1 2 3 4,Training"),
        ("label," + ",".join(f"pixel{at}" for at in range(20)), "{label}" + ",7" * 20),
        ("label," + ",".join(f"{at + 1}x1" for at in range(20)), "{label}" + ",7" * 20),
    ],
)
def test_a_table_of_pixels_is_refused_as_one(tmp_path: Path, header: str, row: str) -> None:
    put(tmp_path, "fer.csv", "\n".join([header, *(row.format(label=at % 3) for at in range(9))]))
    with pytest.raises(DataError, match=r"fer.csv holds pixels as numbers, which is not read: save the images"):
        load(tmp_path / "fer.csv")


@pytest.mark.parametrize("names", [("imgs", "cls"), ("X", "Y"), ("train_images", "train_labels")])
def test_arrays_are_found_by_the_names_that_people_give_them(tmp_path: Path, names: tuple[str, str]) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (36, 8, 8), np.uint8)
    np.savez(tmp_path / "set.npz", **{names[0]: pixels, names[1]: np.arange(36) % 3})  # type: ignore[arg-type]
    assert load(tmp_path / "set.npz").class_names == ("0", "1", "2")


@pytest.mark.parametrize("column", ["split", "subset"])
def test_a_class_that_a_table_never_trains_is_refused(base: Path, column: str) -> None:
    rows = [f"{path.relative_to(base)},{path.parent.name}" for path in sorted(base.rglob("*.png"))]
    splits = ["test" if row.endswith("cow") or at % 4 == 0 else "train" for at, row in enumerate(rows)]
    lines = [f"{row},{split}" for row, split in zip(rows, splits, strict=True)]
    put(base, "labels.csv", "\n".join([f"image,label,{column}", *lines]))
    with pytest.raises(DataError, match=r"1 class\(es\) of labels have no image to train on, .*: cow: add some"):
        load(base / "labels.csv")
    assert load(base / "labels.csv", classes=["ant", "bee"], validation=0.2).class_names == ("ant", "bee")
    assert load(base / "labels.csv", keep_split=False).class_names == CLASSES


def test_pipes_and_devices_do_not_block(base: Path) -> None:
    os.mkfifo(base / "ant" / "x.png")
    with pytest.raises(DataError, match=r"ant/x.png \(a pipe or a device, no file\)"):
        load(base)


def test_a_folder_called_as_an_image_is_a_folder(base: Path) -> None:
    put(base, "ant/x.png/00.png", PNG)
    assert "ant/x.png/00.png" in load(base).image_ids
