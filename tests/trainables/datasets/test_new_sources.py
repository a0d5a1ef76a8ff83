"""One set of images to be predicted, kept in every way that is read: the pixels are the same, and labels count for nothing."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy.io import savemat

from tests.services.servers import S3Server
from tests.trainables.datasets.test_new_images import read
from trainables.config.data import DataConfig
from trainables.data.decoding import Decoding
from trainables.datasets.new_images import find_new_images, locate_images
from trainables.errors import DataError, StoreError
from trainables.layouts.base import unlabelled_files
from trainables.places.bucket import BucketPlace
from trainables.store.open import open_store

COUNT = 7
PIXELS = np.random.default_rng(3).integers(0, 256, (COUNT, 32, 32, 3)).astype(np.uint8)
NAMES = [f"{position // 4}/{position}.png" for position in range(COUNT)]
ROWS = [str(position) for position in range(COUNT)]
WHOLE = Decoding(32, 32, 3)


def png(position: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(PIXELS[position]).save(data, "PNG")
    return data.getvalue()


def write_files(folder: Path) -> None:
    for position, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(position))


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for position, name in enumerate(NAMES):
            archive.writestr(name, png(position))
        archive.writestr("__MACOSX/0/._0.png", b"\0")


def write_tar(path: Path, positions: range = range(COUNT), mode: str = "w") -> None:
    """A shard of WebDataset: each image has a file with its label beside it."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for position in positions:
            for name, content in ((NAMES[position], png(position)), (f"{NAMES[position][:-4]}.cls", b"1")):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))


def held(names: bool) -> pa.Table:
    images = [{"bytes": png(row), "path": NAMES[row] if names else None} for row in range(COUNT)]
    return pa.table({"image": pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()}))})


def write_feather(path: Path) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, held(True).schema) as writer:
        writer.write_table(held(True))


def text(path: Path, content: str) -> None:
    write_files(path.parent)
    path.write_text(content, encoding="utf-8")


def write_blanks(path: Path) -> None:
    for row in ROWS:
        (path.parent / f"IMG {row}.png").write_bytes(png(int(row)))
    path.write_text("\n".join(f"IMG {row}.png" for row in ROWS))


def idx(values: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return gzip.compress(head + values.tobytes())


def cifar() -> bytes:
    return b"".join(b"\3" + image.transpose(2, 0, 1).tobytes() for image in PIXELS)


def fold(path: Path, **files: bytes) -> None:
    path.mkdir()
    for name, content in files.items():
        (path / name.replace("__", ".")).write_bytes(content)


SOURCES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "class folders": (write_files, NAMES),
    "split folders": (lambda path: write_files(path / "train"), [f"train/{name}" for name in NAMES]),
    "set.zip": (write_zip, NAMES),
    "set.tar": (write_tar, NAMES),
    "set.tgz": (lambda path: write_tar(path, mode="w:gz"), NAMES),
    "names.csv": (lambda path: text(path, "\n".join(["image", *NAMES])), NAMES),
    "labels.csv": (lambda path: text(path, "\n".join(["id;file_name;label", *(f"1;{n};cat" for n in NAMES)])), NAMES),
    "several.tsv": (lambda path: text(path, "\n".join(["path\ta\tb", *(f"{n}\tx\ty" for n in NAMES)])), NAMES),
    "list.txt": (lambda path: text(path, "\n".join(NAMES)), NAMES),
    "blanks.txt": (write_blanks, [f"IMG {row}.png" for row in ROWS]),
    "set.jsonl": (lambda path: text(path, "\n".join(json.dumps({"image": name}) for name in NAMES)), NAMES),
    "set.json": (lambda path: text(path, json.dumps([{"file_name": name, "n": 1} for name in NAMES])), NAMES),
    "named.parquet": (
        lambda path: (write_files(path.parent), pq.write_table(pa.table({"image": NAMES}), path)),
        NAMES,
    ),
    "held.parquet": (lambda path: pq.write_table(held(True), path), NAMES),
    "nameless.parquet": (lambda path: pq.write_table(held(False), path), ROWS),
    "held.arrow": (write_feather, NAMES),
    "alone.npz": (lambda path: np.savez(path, PIXELS), ROWS),
    "labelled.npz": (lambda path: np.savez(path, x_train=PIXELS, y_train=np.zeros(COUNT, int)), ROWS),
    "several.npz": (
        lambda path: np.savez(path, x_train=PIXELS[:3], x_test=PIXELS[3:] / 255, y_test=np.zeros(9)),
        [*(f"x_train/{row}" for row in range(3)), *(f"x_test/{row}" for row in range(4))],
    ),
    "x.npy": (lambda path: np.save(path, PIXELS.transpose(0, 3, 1, 2)), ROWS),
    "test-images-idx4-ubyte.gz": (lambda path: path.write_bytes(idx(PIXELS)), ROWS),
    "test_batch.bin": (
        lambda path: (path.write_bytes(cifar()), (path.parent / "data_batch_1.bin").write_bytes(cifar())),
        ROWS,
    ),
    "test_32x32.mat": (
        lambda path: savemat(path, {"X": PIXELS.transpose(1, 2, 3, 0), "y": np.full((COUNT, 1), 10)}),
        ROWS,
    ),
    "folder of Parquet files": (
        lambda path: (path.mkdir(), pq.write_table(held(True), path / "0.parquet")),
        [f"0.parquet/{name}" for name in NAMES],
    ),
    "folder of arrays": (
        lambda path: (
            path.mkdir(),
            np.save(path / "x_test.npy", PIXELS),
            np.save(path / "y_test.npy", np.zeros(COUNT)),
        ),
        [f"x_test.npy/{row}" for row in ROWS],
    ),
    "folder of IDX files": (
        lambda path: fold(
            path, **{"a-images-idx4-ubyte__gz": idx(PIXELS), "a-labels-idx1-ubyte__gz": idx(np.zeros(COUNT, np.uint8))}
        ),
        [f"a-images-idx4-ubyte.gz/{row}" for row in ROWS],
    ),
    "folder of CIFAR": (
        lambda path: fold(path, test_batch__bin=cifar(), batches__meta__txt=b"airplane\n"),
        [f"test_batch.bin/{row}" for row in ROWS],
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_same_images_come_from_every_kind_of_source(tmp_path: Path, name: str) -> None:
    write, expected = SOURCES[name]
    write(tmp_path / name)
    found = locate_images(str(tmp_path / name))
    names, pixels, bad = read(found.images, WHOLE)
    assert (names, bad) == (expected, {})
    assert np.array_equal(pixels, PIXELS)
    assert not found.unread


def test_shards_are_read_with_few_of_them_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for position in range(COUNT):
        write_tar(tmp_path / f"shard-{position}.tar", range(position, position + 1))
    (tmp_path / "cut.tar").write_bytes((tmp_path / "shard-0.tar").read_bytes()[:700])
    monkeypatch.setattr(unlabelled_files, "_MOST_OPEN", 2)
    found = locate_images(str(tmp_path))
    names, pixels, bad = read(found.images, WHOLE)
    assert names == [f"shard-{position}.tar/{NAMES[position]}" for position in range(COUNT)]
    assert np.array_equal(pixels, PIXELS)
    assert list(bad) == ["cut.tar"]
    assert "cut short" in bad["cut.tar"]
    assert found.passed_over == ()


def test_a_bucket_holds_the_same(tmp_path: Path, moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    moto_s3.login(monkeypatch)
    uri = f"s3://{moto_s3.new_bucket()}/set"
    store = open_store(uri)
    write_zip(tmp_path / "set.zip")
    np.savez(tmp_path / "set.npz", images=PIXELS)
    pq.write_table(held(True), tmp_path / "set.parquet")
    for name in ("set.zip", "set.npz", "set.parquet"):
        store.put(f"more/{name}", (tmp_path / name).read_bytes())
    for position, name in enumerate(NAMES):
        store.put(f"files/{name}", png(position))
    store.put("table.jsonl", "\n".join(json.dumps({"file": name[:-4]}) for name in NAMES).encode())
    for where in ("files", "more/set.zip", "more/set.npz", "more/set.parquet"):
        assert np.array_equal(read(find_new_images(f"{uri}/{where}"), WHOLE)[1], PIXELS)
    config = DataConfig(path="any", root=f"{uri}/files", ending="png", image_column="file")
    names, pixels, bad = read(find_new_images(f"{uri}/table.jsonl", config), WHOLE)
    assert (names, bad) == ([name[:-4] for name in NAMES], {})
    assert np.array_equal(pixels, PIXELS)
    images = locate_images(f"{uri}/files").images

    def fail(self: BucketPlace, file: str) -> None:
        raise StoreError("the server does not answer")

    monkeypatch.setattr(BucketPlace, "open", fail)
    with pytest.raises(StoreError, match="does not answer"):
        read(images, WHOLE)


def test_a_folder_without_an_image_in_any_of_its_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("image\nhttp://x/y.png\n")
    np.save(tmp_path / "y_test.npy", np.zeros(3))
    np.save(tmp_path / "ids.npy", np.zeros(3))
    pq.write_table(pa.table({"image": ["a.png"]}), tmp_path / "names.parquet")
    with pytest.raises(DataError, match=r"holds no image .*; it holds ids\.npy .* and 1 more"):
        find_new_images(str(tmp_path))


def test_of_a_folder_of_many_files_only_the_names_are_kept(tmp_path: Path) -> None:
    write_files(tmp_path)
    images = locate_images(str(tmp_path)).images
    assert isinstance(images, unlabelled_files.LazyImages)
    assert isinstance(images[1:3], unlabelled_files.LazyImages)
    assert [image.image_id for image in images[1:3]] == sorted(NAMES)[1:3]
