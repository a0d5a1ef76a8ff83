"""Images to be predicted, from every place they may lie in, and what becomes of those that cannot be read."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.services.servers import S3Server
from trainables.data.decoding import Decoding
from trainables.datasets.new_images import find_new_images, locate_images, read_chunks
from trainables.decoding.decode import decode_content
from trainables.errors import DataError, StoreError
from trainables.layouts.base.listing import ListedImage
from trainables.store.open import open_store

GREY = Decoding(4, 6, 1)
COLOUR = Decoding(4, 6, 3)


def draw(seed: int, height: int = 8, width: int = 12) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def as_png(seed: int) -> bytes:
    data = io.BytesIO()
    draw(seed).save(data, "PNG")
    return data.getvalue()


def make_folder(folder: Path) -> list[str]:
    """Images at three depths under names that need care, and files that are none."""
    names = ["a.png", "b/c d.jpg", 'b/x,"y"\n.png', "b/deep/ü.webp", "=1+1.png"]
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        draw(seed).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(as_png(0))
    return sorted(names)


def read(images: Sequence[ListedImage], decoding: Decoding = GREY) -> tuple[list[str], np.ndarray, dict[str, str]]:
    chunks = list(read_chunks(images, decoding))
    names = [name for chunk in chunks for name in chunk.names]
    bad = {one.name: one.reason for chunk in chunks for one in chunk.bad}
    return names, np.concatenate([chunk.pixels for chunk in chunks]), bad


@pytest.mark.parametrize("decoding", [GREY, COLOUR, Decoding(5, 5, 3, (0, 0, 0), "pad")])
def test_a_folder_gives_every_image_below_it_decoded_as_it_is_told(tmp_path: Path, decoding: Decoding) -> None:
    names = make_folder(tmp_path)
    found, pixels, bad = read(find_new_images(str(tmp_path)), decoding)
    assert (found, bad) == (names, {})
    expected = [decode_content(io.BytesIO((tmp_path / name).read_bytes()), decoding) for name in names]
    assert np.array_equal(pixels, expected)


def test_images_come_in_their_order_however_many_chunks_they_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(tmp_path)
    images = find_new_images(str(tmp_path))
    whole = read(images)
    monkeypatch.setattr("trainables.datasets.new_images.MOST_IN_CHUNK", 2)
    assert [len(chunk.names) for chunk in read_chunks(images, GREY)] == [2, 2, 1]
    parts = read(images)
    assert parts[0] == whole[0]
    assert np.array_equal(parts[1], whole[1])


def test_what_cannot_be_read_is_bad_with_a_reason_and_the_rest_is_not(tmp_path: Path) -> None:
    draw(0).save(tmp_path / "good.png")
    (tmp_path / "cut.png").write_bytes(as_png(1)[:120])
    (tmp_path / "text.jpg").write_text("<script>")
    (tmp_path / "empty.gif").write_bytes(b"")
    Image.fromarray(np.zeros((3, 3), np.float32)).save(tmp_path / "float.tiff")
    (tmp_path / os.fsdecode(b"\xff.png")).write_bytes(as_png(0))
    names, _, bad = read(find_new_images(str(tmp_path)))
    assert names == ["good.png"]
    assert set(bad) == {"cut.png", "text.jpg", "empty.gif", "float.tiff", ascii("\udcff.png")}
    assert "none of PNG" in bad["text.jpg"]
    assert bad["empty.gif"] == "an empty file"
    assert "floating-point" in bad["float.tiff"]
    assert "not UTF-8" in bad[ascii("\udcff.png")]


def test_everything_that_is_passed_over_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = ("a.png", "sub/b.PNG", "sub/browser.jfif", "sub/no_ending", "sub/other.ending")
    others = (
        "sub/c.heic",
        "sub/README",
        "sub/notes.txt",
        ".git/x.png",
        "__MACOSX/y.png",
        "sub/.x.png",
        "sub/Thumbs.db",
    )
    for name in (*images, *others, "locked/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"To be read first." if name == "sub/README" else as_png(0))
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    real = os.scandir

    def scan(path: str) -> Any:  # the tests may run as root, whom no folder is closed to
        if str(path).endswith("/locked"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scan)
    found = locate_images(str(tmp_path))
    assert [one.image_id for one in found.images] == list(images)
    assert {one.name: one.reason for one in found.passed_over} == {
        ".git/": "a hidden folder, or one that a system makes",
        "__MACOSX/": "a hidden folder, or one that a system makes",
        "sub/.x.png": "a hidden file, or one that a system leaves",
        "sub/Thumbs.db": "a hidden file, or one that a system leaves",
        "sub/README": "ends with nothing, and its first bytes are no image's",
        "sub/c.heic": "HEIC, which no reader here decodes: save it as JPEG or PNG",
        "sub/notes.txt": "ends with .txt, which is no image's ending",
        "sub/up/": "a link to a folder that it lies in",
    }
    assert [(one.name, one.reason) for one in found.unread] == [
        ("locked/", "a folder that cannot be read (Permission denied)")
    ]


def test_a_folder_without_an_image_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.heic").touch()
    with pytest.raises(DataError, match=r"holds no image .*; it holds a\.heic .HEIC, which no reader here decodes"):
        find_new_images(str(tmp_path))


def test_one_file_is_named_as_it_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw(0).save("one.PNG")
    assert read(find_new_images("one.PNG"))[0] == ["one.PNG"]
    Path("one.PNG").rename("one")
    assert read(find_new_images("one"))[0] == ["one"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_names_files_relative_to_its_folder(tmp_path: Path, delimiter: str) -> None:
    make_folder(tmp_path / "images")
    rows = ["id,image,more", "1,images/a.png,x", '2,"images/b/x,""y""\n.png",', "", "3,gone.png,", "4,,"]
    text = "\r\n".join(rows) if delimiter == "," else "\n".join(["image;x", "images/a.png;"]).replace(";", delimiter)
    (tmp_path / "table.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    names, _, bad = read(find_new_images(str(tmp_path / "table.csv")))
    if delimiter == ",":
        assert names == ["images/a.png", 'images/b/x,"y"\n.png']
        assert bad == {"gone.png": "No such file or directory", "3": "its row of the table names no image"}
    else:
        assert (names, bad) == (["images/a.png"], {})


def test_parquet_holds_names_or_the_files_themselves(tmp_path: Path) -> None:
    draw(0).save(tmp_path / "a.png")
    pq.write_table(pa.table({"image": ["a.png", None, "b.png"]}), tmp_path / "names.parquet")
    pq.write_table(pa.table({"image": [as_png(0), b"rubbish"]}), tmp_path / "bytes.parquet")
    both = [{"bytes": as_png(0), "path": "x.png"}, {"bytes": None, "path": "a.png"}]
    pq.write_table(pa.table({"image": both}), tmp_path / "both.parquet")
    by_name, by_bytes, by_both = (
        read(find_new_images(str(tmp_path / f"{one}.parquet"))) for one in ("names", "bytes", "both")
    )
    assert (by_name[0], list(by_name[2])) == (["a.png"], ["1", "b.png"])
    assert (by_bytes[0], list(by_bytes[2])) == (["0"], ["1"])
    assert by_both[0] == ["x.png", "a.png"]
    assert np.array_equal(by_name[1], by_bytes[1])
    assert np.array_equal(by_both[1][0], by_name[1][0])


def test_arrays_are_converted_and_resized_as_files_are(tmp_path: Path) -> None:
    colour = np.stack([np.asarray(draw(seed)) for seed in range(3)])
    for seed in range(3):
        draw(seed).save(tmp_path / f"{seed}.png")
    np.savez(tmp_path / "arrays.npz", images=colour, labels=np.arange(3))
    for decoding in (GREY, COLOUR):
        names, pixels, _ = read(find_new_images(str(tmp_path / "arrays.npz")), decoding)
        assert names == ["0", "1", "2"]
        files = [replace(find_new_images(str(tmp_path / f"{seed}.png"))[0], image_id=str(seed)) for seed in range(3)]
        assert np.array_equal(pixels, read(files, decoding)[1])
    np.savez(tmp_path / "grey.npz", colour[..., 0])
    assert read(find_new_images(str(tmp_path / "grey.npz")), COLOUR)[1].shape == (3, 4, 6, 3)


def test_a_place_without_images_or_of_an_unknown_kind_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.raw").write_text("x")
    (tmp_path / "no_column.csv").write_text("views,label\n12,1\n13,2\n")
    (tmp_path / "binary.csv").write_bytes(b"image\n\x81.png\n")
    (tmp_path / "no.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "no.npz").write_bytes(b"PK no")
    np.savez(tmp_path / "floats.npz", images=np.full((2, 4, 4), 300.5))
    np.savez(tmp_path / "two.npz", a=np.zeros(2), b=np.zeros(2))
    np.savez(tmp_path / "flat.npz", x=np.zeros(2), y=np.zeros(2))
    np.savez(tmp_path / "pickle.npz", images=np.array([{"a": 1}], dtype=object))
    pq.write_table(pa.table({"views": [1, 2]}), tmp_path / "numbers.parquet")
    for name, said in (
        ("empty", "holds no image"),
        ("gone", "does not exist"),
        ("a.txt", "has no column 'image', only 'x'"),
        ("a.raw", "ends with .raw and holds no image: images end with"),
        ("no_column.csv", "has no column 'image', only 'views', 'label': name one with data.image_column="),
        ("binary.csv", "no text in UTF-8"),
        ("no.parquet", "cannot be read as Parquet"),
        ("no.npz", "cannot be read as arrays"),
        ("floats.npz", "whole numbers from 0 to 255, or floats from 0 to 1"),
        ("two.npz", "holds arrays a, b: call the one with images 'images'"),
        ("flat.npz", r"x of .*flat.npz has the shape \(2,\)"),
        ("pickle.npz", r"images of .*pickle.npz holds Python objects, that is pickle, which is never read"),
        ("numbers.parquet", "has no column 'image', only 'views'"),
    ):
        with pytest.raises(DataError, match=said):
            find_new_images(str(tmp_path / name))


def test_a_table_with_thousands_of_columns_is_refused_in_a_short_sentence(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("," * 99_999 + "x" * 99_999)
    with pytest.raises(DataError, match=r"wide\.csv has no column 'image', only '', .*, …: name one") as refused:
        find_new_images(str(tmp_path / "wide.csv"))
    assert len(str(refused.value)) < 1000


def test_a_bucket_is_read_as_a_folder_is(tmp_path: Path, moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    moto_s3.login(monkeypatch)
    uri = f"s3://{moto_s3.new_bucket()}/some/images"
    store = open_store(uri)
    for seed, name in enumerate(("a.png", "b/c d.png", "b/.hidden.png", "notes.txt")):
        store.put(name, as_png(seed))
    store.put("bad.png", b"rubbish")
    store.put("table.csv", b"image\nb/c d.png\ngone.png\n../../x.png\n/etc/passwd\n")
    names, pixels, bad = read(find_new_images(uri))
    assert (names, list(bad)) == (["a.png", "b/c d.png"], ["bad.png"])
    draw(0).save(tmp_path / "a.png")
    assert np.array_equal(pixels[0], read(find_new_images(str(tmp_path)))[1][0])
    names, _, bad = read(find_new_images(f"{uri}/table.csv"))
    assert (names, list(bad)) == (["b/c d.png"], ["gone.png", "../../x.png", "/etc/passwd"])
    assert read(find_new_images(f"{uri}/a.png"))[0] == [f"{uri}/a.png"]
    for missing in (f"{uri}/nothing/here", f"{uri}/gone.png"):
        with pytest.raises((DataError, StoreError)):
            find_new_images(missing)
