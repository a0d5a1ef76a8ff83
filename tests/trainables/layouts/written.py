"""The same small images, written in every layout that `data.path` reads: for the contract suite."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from scipy.io import savemat

NAMES = ("cat", "dog", "fox")
NUMBERS = ("0", "1", "2")
CIFAR = ("airplane", "automobile", "bird")
STL = ("airplane", "bird", "car")
PETS = ("Abyssinian", "beagle", "pug")
BIRDS = ("001.Albatross", "002.Auklet", "003.Wren")


@dataclass(frozen=True)
class Pictures:
    """Images with their labels and the splits that they come in."""

    pixels: npt.NDArray[np.uint8]
    """uint8 (images, height, width[, 3])."""
    labels: Sequence[str]
    splits: Sequence[str]
    """One of `train`, `val` and `test` for each image; "" where the images come without a split."""
    class_names: Sequence[str]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """The position of each label in `class_names`."""
        return np.array([self.class_names.index(label) for label in self.labels], np.int64)

    @property
    def parts(self) -> dict[str, Pictures]:
        """The pictures of each split, in the order train, val, test."""
        found = [split for split in ("", "train", "val", "test") if split in self.splits]
        return {split: self.take(row for row, of_row in enumerate(self.splits) if of_row == split) for split in found}

    def take(self, rows: Iterable[int]) -> Pictures:
        """Those of `rows`."""
        chosen = list(rows)
        return Pictures(
            self.pixels[chosen],
            [self.labels[row] for row in chosen],
            [self.splits[row] for row in chosen],
            self.class_names,
        )


def draw(
    class_names: Sequence[str] = NAMES, splits: Sequence[str] = (), size: int = 32, grey: bool = False
) -> Pictures:
    """Images of noise, as many of each class, as few as can be split; the first 3, or 6 a class are in the first of `splits`."""
    count, first = {0: (21, 0), 2: (27, 18), 3: (15, 9)}[len(splits)]
    random = np.random.default_rng(7)
    shape = (count, size, size) if grey else (count, size, size, 3)
    of_row = [""] * count
    if splits:
        of_row = [splits[0] if row < first else splits[1 + row // 3 % (len(splits) - 1)] for row in range(count)]
    labels = [class_names[row % len(class_names)] for row in range(count)]
    return Pictures(random.integers(0, 256, shape, dtype=np.uint8), labels, of_row, class_names)


@dataclass(frozen=True)
class Layout:
    """A way to write pictures."""

    write: Callable[[Path, Pictures], str]
    """Writes them into an empty folder; returns the file that `data.path` names, "" for the folder itself."""
    pictures: Pictures
    """Pictures that the layout can hold: with names it has, in the size and the splits that it has."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys of `data` that it needs beside `path`."""
    says_nothing: bool = False
    """Whether the layout is understood without a word to the person."""


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A PNG file."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def put(folder: Path, name: str, content: bytes | str) -> None:
    """Write a file and the folders above it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def zip_of(folder: Path) -> bytes:
    """A zip archive of all that a folder holds."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return data.getvalue()


def tar_of(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    """A tar archive of files; `mode` as `tarfile.open` has it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def _in_class_folders(pictures: Pictures) -> dict[str, bytes]:
    """PNG files by their path: `cat/003.png`, and `train/cat/003.png` where there are splits."""
    return {
        f"{f'{split}/' if split else ''}{label}/{row:03d}.png": png(pixels)
        for row, (pixels, label, split) in enumerate(
            zip(pictures.pixels, pictures.labels, pictures.splits, strict=True)
        )
    }


def write_folders(folder: Path, pictures: Pictures) -> str:
    """Class folders, below split folders where there are splits: what all other layouts are compared with."""
    for name, content in _in_class_folders(pictures).items():
        put(folder, name, content)
    return ""


def _splits_below(folder: Path, pictures: Pictures) -> str:
    for name, content in _in_class_folders(pictures).items():
        split, label, file = name.split("/")
        put(folder, f"{label}/{split}/{file}", content)
    return ""


def _with_unlabelled_test(folder: Path, pictures: Pictures) -> str:
    write_folders(folder, pictures)
    for row in range(4):
        put(folder, f"test/{row}.png", png(255 - pictures.pixels[row]))
    return ""


def _deeper(folder: Path, pictures: Pictures) -> str:
    write_folders(folder / "archive" / "pictures-main", pictures)
    return ""


def _images(folder: Path, pictures: Pictures, where: str = "img/") -> list[dict[str, Any]]:
    """Write plain files; a row of a table for each: image, label and, where there is one, split."""
    rows = []
    for row, (label, split) in enumerate(zip(pictures.labels, pictures.splits, strict=True)):
        put(folder, f"{where}{row:03d}.png", png(pictures.pixels[row]))
        rows.append({"image": f"{where}{row:03d}.png", "label": label} | ({"split": split} if split else {}))
    return rows


def _text(rows: Sequence[Mapping[str, str]], delimiter: str = ",", header: bool = True) -> str:
    lines = [list(rows[0])] * header + [list(row.values()) for row in rows]
    return "".join(delimiter.join(line) + "\n" for line in lines)


def _table(file: str, delimiter: str = ",", header: bool = True) -> Callable[[Path, Pictures], str]:
    def write(folder: Path, pictures: Pictures) -> str:
        put(folder, file, _text(_images(folder, pictures), delimiter, header))
        return file

    return write


def _table_beside_images(folder: Path, pictures: Pictures) -> str:
    rows = _images(folder, pictures)
    put(folder, "labels.csv", _text([{"id": row["image"][4:-4], "breed": row["label"]} for row in rows]))
    return ""


def _table_a_split(folder: Path, pictures: Pictures) -> str:
    rows = _images(folder, pictures)
    for split in pictures.parts:
        mine = [{key: row[key] for key in ("image", "label")} for row in rows if row["split"] == split]
        put(folder, f"{split}.csv", _text(mine))
    return ""


def _yes_and_no(folder: Path, pictures: Pictures) -> str:
    rows = _images(folder, pictures)
    told = [
        {
            "image": row["image"],
            "label": row["label"],
            "is_valid": str(row["split"] == "val"),
            "is_test": str(row["split"] == "test"),
        }
        for row in rows
    ]
    put(folder, "labels.csv", _text(told))
    return "labels.csv"


def _one_hot(folder: Path, pictures: Pictures) -> str:
    rows = _images(folder, pictures)
    put(
        folder,
        "labels.csv",
        _text(
            [
                {"image": row["image"]} | {name: str(int(row["label"] == name)) for name in pictures.class_names}
                for row in rows
            ]
        ),
    )
    return "labels.csv"


def _json_lines(folder: Path, pictures: Pictures) -> str:
    put(folder, "labels.jsonl", "".join(json.dumps(row) + "\n" for row in _images(folder, pictures)))
    return "labels.jsonl"


def _json(folder: Path, pictures: Pictures) -> str:
    put(folder, "labels.json", json.dumps(_images(folder, pictures)))
    return "labels.json"


def _coco(folder: Path, pictures: Pictures) -> str:
    rows = _images(folder, pictures)
    told = {
        "images": [{"id": at, "file_name": row["image"]} for at, row in enumerate(rows)],
        "annotations": [
            {"id": at, "image_id": at, "category_id": number} for at, number in enumerate(pictures.numbers.tolist())
        ],
        "categories": [{"id": at, "name": name} for at, name in enumerate(pictures.class_names)],
    }
    put(folder, "annotations.json", json.dumps(told))
    return "annotations.json"


def _parquet_names(folder: Path, pictures: Pictures) -> str:
    put(folder, "labels.parquet", _parquet(pa.Table.from_pylist(_images(folder, pictures))))
    return "labels.parquet"


def _parquet(table: pa.Table) -> bytes:
    data = io.BytesIO()
    pq.write_table(table, data)
    return data.getvalue()


def _encoded(pictures: Pictures) -> pa.Table:
    """Images as model hubs serve them: {bytes, path}, and a label with its names in the metadata."""
    cells = [{"bytes": png(pixels), "path": f"{row}.png"} for row, pixels in enumerate(pictures.pixels)]
    table = pa.table({"image": cells, "label": pictures.numbers})
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": _features(pictures)})})


def _features(pictures: Pictures) -> dict[str, Any]:
    names = {"names": list(pictures.class_names), "_type": "ClassLabel"}
    return {"features": {"image": {"_type": "Image"}, "label": names}}


def _parquet_images(folder: Path, pictures: Pictures) -> str:
    put(folder, "pictures.parquet", _parquet(_encoded(pictures)))
    return "pictures.parquet"


def _parquet_shards(folder: Path, pictures: Pictures) -> str:
    for split, part in pictures.parts.items():
        called = "validation" if split == "val" else split
        put(folder, f"data/{called}-00000-of-00001.parquet", _parquet(_encoded(part)))
    put(folder, "README.md", "---\n---\n")
    return ""


def _save_to_disk(folder: Path, pictures: Pictures) -> str:
    file = "data-00000-of-00001.arrow"
    table = _encoded(pictures)
    data = io.BytesIO()
    with pa.ipc.new_stream(data, table.schema) as writer:
        writer.write_table(table)
    put(folder, file, data.getvalue())
    put(folder, "state.json", json.dumps({"_data_files": [{"filename": file}], "_split": None}))
    put(folder, "dataset_info.json", json.dumps(_features(pictures)))
    return ""


def _save_dict_to_disk(folder: Path, pictures: Pictures) -> str:
    for split, part in pictures.parts.items():
        _save_to_disk(folder / ("validation" if split == "val" else split), part)
    put(folder, "dataset_dict.json", json.dumps({"splits": list(pictures.parts)}))
    return ""


def _shard(pictures: Pictures) -> bytes:
    files = {}
    for row, (pixels, label) in enumerate(zip(pictures.pixels, pictures.labels, strict=True)):
        files |= {f"{row:05d}.png": png(pixels), f"{row:05d}.cls": label.encode()}
    return tar_of(files)


def _webdataset(folder: Path, pictures: Pictures) -> str:
    for split, part in (pictures.parts if "" not in pictures.splits else {"pictures": pictures}).items():
        half = len(part) // 2
        for number, rows in enumerate((range(half), range(half, len(part)))):
            put(folder, f"{split}-{number:06d}.tar", _shard(part.take(rows)))
    return ""


def _webdataset_shard(folder: Path, pictures: Pictures) -> str:
    put(folder, "pictures.tar", _shard(pictures))
    return "pictures.tar"


def _zip(folder: Path, pictures: Pictures) -> str:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _in_class_folders(pictures).items():
            archive.writestr(f"pictures/{name}", content)
            archive.writestr(f"__MACOSX/pictures/{name.replace('.png', '')}._.png", b"\x00\x05\x16\x07")
    put(folder, "pictures.zip", data.getvalue())
    return "pictures.zip"


def _tar(file: str, mode: str) -> Callable[[Path, Pictures], str]:
    def write(folder: Path, pictures: Pictures) -> str:
        put(folder, file, tar_of({f"./{name}": data for name, data in _in_class_folders(pictures).items()}, mode))
        return file

    return write


def _npz(folder: Path, pictures: Pictures) -> str:
    np.savez_compressed(folder / "pictures.npz", x=pictures.pixels, y=pictures.numbers)
    return "pictures.npz"


def _npz_with_names(folder: Path, pictures: Pictures) -> str:
    np.savez(
        folder / "pictures.npz",
        images=pictures.pixels.transpose(0, 3, 1, 2),
        labels=pictures.numbers.astype(np.uint8)[:, None],
        class_names=np.array(pictures.class_names),
    )
    return "pictures.npz"


def _npz_with_splits(folder: Path, pictures: Pictures) -> str:
    arrays: dict[str, Any] = {}
    for split, part in pictures.parts.items():
        arrays |= {f"x_{split}": part.pixels / 255, f"y_{split}": np.array(part.labels)}
    np.savez(folder / "pictures.npz", **arrays)
    return "pictures.npz"


def _npy_pair(folder: Path, pictures: Pictures) -> str:
    np.save(folder / "images.npy", pictures.pixels)
    np.save(folder / "labels.npy", np.eye(3)[pictures.numbers])
    return ""


def _npy_files(folder: Path, pictures: Pictures) -> str:
    for split, part in pictures.parts.items():
        np.save(folder / f"X_{split}.npy", part.pixels)
        np.save(folder / f"y_{split}.npy", np.array(part.labels))
    return "X_train.npy"


def _idx(values: npt.NDArray[Any]) -> bytes:
    sizes = b"".join(length.to_bytes(4, "big") for length in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def _idx_files(packed: bool) -> Callable[[Path, Pictures], str]:
    def write(folder: Path, pictures: Pictures) -> str:
        for split, part in pictures.parts.items():
            start = {"": "", "train": "train-", "test": "t10k-"}[split]
            for name, values in (("images-idx3-ubyte", part.pixels), ("labels-idx1-ubyte", part.numbers)):
                data = _idx(values)
                put(folder, f"{start}{name}{'.gz' * packed}", gzip.compress(data) if packed else data)
        return ""

    return write


def _cifar(folder: Path, pictures: Pictures) -> str:
    batches = {f"data_batch_{number + 1}.bin": range(number * 4, min(18, number * 4 + 4)) for number in range(5)}
    for name, rows in {**batches, "test_batch.bin": range(18, len(pictures))}.items():
        part = pictures.take(rows)
        planes = part.pixels.transpose(0, 3, 1, 2).reshape(len(part), -1)
        put(
            folder,
            f"cifar-10-batches-bin/{name}",
            np.hstack([part.numbers.astype(np.uint8)[:, None], planes]).tobytes(),
        )
    return ""


def _svhn(folder: Path, pictures: Pictures) -> str:
    for split, part in pictures.parts.items():
        data = io.BytesIO()
        labels = np.where(part.numbers == 0, 10, part.numbers).astype(np.uint8)[:, None]
        savemat(data, {"X": part.pixels.transpose(1, 2, 3, 0), "y": labels}, do_compression=True)
        put(folder, f"{split}_32x32.mat", data.getvalue())
    return ""


def _stl(folder: Path, pictures: Pictures) -> str:
    numbers = {"airplane": 1, "bird": 2, "car": 3}
    for split, part in pictures.parts.items():
        put(folder, f"stl10_binary/{split}_X.bin", part.pixels.transpose(0, 3, 2, 1).tobytes())
        put(folder, f"stl10_binary/{split}_y.bin", bytes(numbers[label] for label in part.labels))
    return ""


def _flowers(folder: Path, pictures: Pictures) -> str:
    ids = {"train": "trnid", "val": "valid", "test": "tstid"}
    rows: dict[str, list[int]] = {name: [] for name in ids.values()}
    for row, split in enumerate(pictures.splits):
        put(folder, f"jpg/image_{row + 1:05d}.jpg", png(pictures.pixels[row]))
        rows[ids[split]].append(row + 1)
    for file, arrays in (("imagelabels.mat", {"labels": pictures.numbers}), ("setid.mat", rows)):
        data = io.BytesIO()
        savemat(data, {name: np.array(values, np.uint16) for name, values in arrays.items()})
        put(folder, file, data.getvalue())
    return ""


def _food(folder: Path, pictures: Pictures) -> str:
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for row, (label, split) in enumerate(zip(pictures.labels, pictures.splits, strict=True)):
        put(folder, f"food-101/images/{label}/{row}.jpg", png(pictures.pixels[row]))
        lists[split].append(f"{label}/{row}")
    for split, names in lists.items():
        put(folder, f"food-101/meta/{split}.txt", "\n".join(names) + "\n")
    put(folder, "food-101/meta/classes.txt", "\n".join(pictures.class_names))
    return ""


def _pets(folder: Path, pictures: Pictures) -> str:
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for row, (label, split) in enumerate(zip(pictures.labels, pictures.splits, strict=True)):
        put(folder, f"images/{label}_{row}.jpg", png(pictures.pixels[row]))
        lists[split].append(f"{label}_{row} {pictures.class_names.index(label) + 1} 2 1")
    put(folder, "annotations/trainval.txt", "\n".join(lists["train"]))
    put(folder, "annotations/test.txt", "\n".join(lists["test"]))
    return ""


def _birds(folder: Path, pictures: Pictures) -> str:
    lists: dict[str, list[str]] = {"images": [], "image_class_labels": [], "train_test_split": []}
    for row, (label, split) in enumerate(zip(pictures.labels, pictures.splits, strict=True)):
        put(folder, f"CUB_200_2011/images/{label}/{row}.jpg", png(pictures.pixels[row]))
        lists["images"].append(f"{row + 1} {label}/{row}.jpg")
        lists["image_class_labels"].append(f"{row + 1} {pictures.class_names.index(label) + 1}")
        lists["train_test_split"].append(f"{row + 1} {int(split == 'train')}")
    lists["classes"] = [f"{number} {name}" for number, name in enumerate(pictures.class_names, 1)]
    for name, lines in lists.items():
        put(folder, f"CUB_200_2011/{name}.txt", "\n".join(lines) + "\n")
    return ""


def _named_files(folder: Path, pictures: Pictures) -> str:
    for row, (label, split) in enumerate(zip(pictures.labels, pictures.splits, strict=True)):
        put(folder, f"{f'{split}/' if split else ''}{label}_{row:03d}.png", png(pictures.pixels[row]))
    return ""


def _metadata(folder: Path, pictures: Pictures) -> str:
    rows = _images(folder, pictures, where="")
    put(folder, "metadata.csv", _text([{"file_name": row["image"], "label": row["label"]} for row in rows]))
    return ""


def _metadata_a_split(folder: Path, pictures: Pictures) -> str:
    for split, part in pictures.parts.items():
        rows = _images(folder / split, part, where="")
        lines = [json.dumps({"file_name": row["image"], "label": row["label"]}) for row in rows]
        put(folder, f"{split}/metadata.jsonl", "\n".join(lines))
    return ""


PLAIN = draw()
SPLIT = draw(splits=("train", "val", "test"))
TRAIN_TEST = draw(splits=("train", "test"))
GREY = draw(NUMBERS, grey=True)
GREY_SPLIT = draw(NUMBERS, ("train", "test"), grey=True)

LAYOUTS: dict[str, Layout] = {
    "class folders": Layout(write_folders, PLAIN, says_nothing=True),
    "class folders in a folder": Layout(_deeper, PLAIN),
    "split folders": Layout(write_folders, SPLIT, says_nothing=True),
    "split folders of grey images": Layout(write_folders, GREY_SPLIT, says_nothing=True),
    "split folders in class folders": Layout(_splits_below, SPLIT, says_nothing=True),
    "split folders with an unlabelled test": Layout(_with_unlabelled_test, draw(splits=("train", "val"))),
    "CSV": Layout(_table("labels.csv"), PLAIN, says_nothing=True),
    "CSV with splits": Layout(_table("labels.csv"), SPLIT, says_nothing=True),
    "CSV with yes and no": Layout(_yes_and_no, SPLIT, says_nothing=True),
    "one-hot CSV": Layout(_one_hot, PLAIN),
    "CSV of ids beside images": Layout(_table_beside_images, PLAIN),
    "CSV a split": Layout(_table_a_split, SPLIT, says_nothing=True),
    "TSV": Layout(_table("labels.tsv", "\t"), PLAIN, says_nothing=True),
    "semicolons": Layout(_table("labels.csv", ";"), SPLIT, says_nothing=True),
    "bars": Layout(_table("labels.csv", "|"), PLAIN, says_nothing=True),
    "list without a header": Layout(_table("list.txt", " ", header=False), PLAIN),
    "JSON lines": Layout(_json_lines, SPLIT, says_nothing=True),
    "JSON": Layout(_json, SPLIT, says_nothing=True),
    "COCO": Layout(_coco, PLAIN, says_nothing=True),
    "Parquet with names": Layout(_parquet_names, SPLIT, says_nothing=True),
    "Parquet with images": Layout(_parquet_images, PLAIN, says_nothing=True),
    "Parquet shards": Layout(_parquet_shards, SPLIT, says_nothing=True),
    "save_to_disk": Layout(_save_to_disk, PLAIN, says_nothing=True),
    "save_to_disk with splits": Layout(_save_dict_to_disk, SPLIT, says_nothing=True),
    "WebDataset": Layout(_webdataset, PLAIN, says_nothing=True),
    "WebDataset with splits": Layout(_webdataset, SPLIT, says_nothing=True),
    "WebDataset shard": Layout(_webdataset_shard, PLAIN, says_nothing=True),
    "zip of class folders": Layout(_zip, PLAIN),
    "zip of split folders": Layout(_zip, SPLIT),
    "tar of class folders": Layout(_tar("pictures.tar", "w"), PLAIN, says_nothing=True),
    "tar.gz of split folders": Layout(_tar("pictures.tar.gz", "w:gz"), SPLIT, says_nothing=True),
    "tar.xz of class folders": Layout(_tar("pictures.txz", "w:xz"), PLAIN, says_nothing=True),
    "npz": Layout(_npz, draw(NUMBERS), says_nothing=True),
    "npz of grey images": Layout(_npz, GREY, says_nothing=True),
    "npz with class names": Layout(_npz_with_names, PLAIN),
    "npz with splits": Layout(_npz_with_splits, SPLIT, says_nothing=True),
    "npy pair": Layout(_npy_pair, draw(NUMBERS), says_nothing=True),
    "npy files with splits": Layout(_npy_files, SPLIT, says_nothing=True),
    "IDX": Layout(_idx_files(packed=False), GREY),
    "IDX with splits, packed": Layout(_idx_files(packed=True), GREY_SPLIT),
    "CIFAR-10": Layout(_cifar, draw(CIFAR, ("train", "test"))),
    "SVHN": Layout(_svhn, draw(NUMBERS, ("train", "test")), says_nothing=True),
    "STL-10": Layout(_stl, draw(STL, ("train", "test"), size=96)),
    "Flowers-102": Layout(_flowers, draw(NUMBERS, ("train", "val", "test")), says_nothing=True),
    "Food-101": Layout(_food, TRAIN_TEST),
    "Oxford-IIIT Pet": Layout(_pets, draw(PETS, ("train", "test")), says_nothing=True),
    "CUB-200-2011": Layout(_birds, draw(BIRDS, ("train", "test"))),
    "labels in names": Layout(_named_files, PLAIN, {"label_regex": "([a-z]+)_[0-9]+"}, says_nothing=True),
    "labels in names with splits": Layout(_named_files, SPLIT, {"label_regex": "([a-z]+)_[0-9]+"}, says_nothing=True),
    "metadata.csv": Layout(_metadata, PLAIN),
    "metadata.jsonl a split": Layout(_metadata_a_split, SPLIT, says_nothing=True),
}
