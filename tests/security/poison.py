"""Poisoned files and objects: each is written, then read by the program in a process that may take 500 MB more.

`python -m tests.security.poison FOLDER` reads each of those that `write_all` has put there, in a fork of its own, and prints what came of it.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import pickle
import resource
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ensembles.bundle.manifest import read_manifest
from runner.config.yaml_file import read_sweep_file
from runner.journal.events import read_line
from trainables.config.data import DataConfig
from trainables.config.model import ModelConfig
from trainables.config.trial import TrialConfig
from trainables.data.data_table import read_data_table
from trainables.data.image_shape import ImageShape
from trainables.datasets.fashion_mnist import read_idx
from trainables.datasets.load import load_source
from trainables.datasets.new_images import locate_images
from trainables.errors import CaucusError
from trainables.models.pretrained import check_safetensors, start_from
from trainables.results.layer_statistics import layers_from_arrow
from trainables.results.predictions import from_arrow
from trainables.results.true_class import true_class_from_arrow
from trainables.store.folder import Folder
from trainables.store.json_records import get_json

ROOT = Path(__file__).parents[2]

LIMIT_BYTES = 500 * 10**6
LIMIT_S = 60

SHAPE = ImageShape(8, 8, 1, 10)


class Touch:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


@dataclass(frozen=True)
class Poison:
    """One trick. `write` puts it into a folder of its own; `read` is the program's reader, whose refusal says `said`."""

    write: Callable[[Path], object]
    read: Callable[[Path], object]
    said: str


def touching(folder: Path) -> bytes:
    """A pickle that touches `folder`/ran."""
    return pickle.dumps(Touch(folder / "ran"))


def png(width: int, height: int, rows: int) -> bytes:
    """A grey PNG that declares `height` rows and holds some."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(width + 1)) for _ in range(rows)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def tree(folder: Path, image: bytes, suffix: str = ".png") -> None:
    """Two classes of one image each."""
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / f"1{suffix}").write_bytes(image)


def safetensors(header: bytes, body: bytes = b"", size: int | None = None) -> bytes:
    """A safetensors file with this header, and this declared size of it."""
    return struct.pack("<Q", len(header) if size is None else size) + header + body


def tensors(header: dict[str, Any], body: bytes = b"") -> bytes:
    """A safetensors file whose header says `header`."""
    return safetensors(json.dumps(header).encode(), body)


def arrow(table: pa.Table, **options: Any) -> bytes:
    """An Arrow file as a stranger may write it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def parquet(table: pa.Table) -> bytes:
    """A Parquet file with much in little."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


PROOF = {"data_id": "d", "split": "test", "labels_sha256": "0", "rows_sha256": "0", "classes": "10"}


class Unpickled(pa.ExtensionType):
    """A type whose parameters are a pickle, as old versions of Arrow had one."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        super().__init__(pa.int32(), "caucus.unpickled")

    def __arrow_ext_serialize__(self) -> bytes:
        return self._payload

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, payload: bytes) -> Unpickled:
        pickle.loads(payload)  # noqa: S301
        return cls(payload)


def extended(folder: Path) -> bytes:
    """A column of a type that runs code where it is known."""
    kind = Unpickled(touching(folder))
    column = pa.ExtensionArray.from_storage(kind, pa.array([1], pa.int32()))
    table = pa.table({"row": column, "probabilities": column}, metadata=PROOF)
    return arrow(table)


def huge_net() -> TrialConfig:
    """A few bytes that ask for a terabyte."""
    return TrialConfig(
        data_id="d", seed=0, model=ModelConfig(width=1024, growth=4.0, widest=64.0, blocks=5, dense=4, neurons=8192)
    )


def read_net(folder: Path) -> None:
    from trainables.models.load import load_net

    load_net(huge_net(), ImageShape(4096, 4096, 3, 10), tensors({}))


def read_weights(folder: Path) -> None:
    from torch import nn

    data = (folder / "weights").read_bytes()
    check_safetensors(data, "weights")
    start_from(nn.Linear(2, 2), data)


def bytes_of(name: str, reader: Callable[[bytes], object]) -> Callable[[Path], object]:
    return lambda folder: reader((folder / name).read_bytes())


def store_of(reader: Callable[[Folder], object]) -> Callable[[Path], object]:
    return lambda folder: reader(Folder(folder))


def put(name: str, make: Callable[[Path], bytes]) -> Callable[[Path], object]:
    """Writes what `make` makes to a file of that name."""

    def write(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make(folder))

    return write


def npy(declared: tuple[int, ...], held: int, kind: str = "|u1") -> bytes:
    """An array that declares a shape and holds so many zeros."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": declared})
    return file.getvalue() + bytes(held)


def npz(array: bytes) -> bytes:
    """The array `images` in an archive that packs it as well as it can."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("images.npy", array)
    return file.getvalue()


def objects(folder: Path) -> bytes:
    """An archive of an array of objects, which numpy keeps as a pickle."""
    file = io.BytesIO()
    np.savez(file, images=np.array([Touch(folder / "ran")], dtype=object))
    return file.getvalue()


def data_record(folder: Path) -> None:
    """A record of data whose table is a bomb."""
    rows = np.zeros(20_000_000, np.int8)
    table = pa.table(
        {"image_id": pa.DictionaryArray.from_arrays(pa.array(rows, pa.int8()), ["x"]), "label": rows, "split": rows}
    )
    put("data/d/images.parquet", lambda _: parquet(table))(folder)
    record = {"name": "d", "class_names": ["a", "b"]}
    put("data/d/data.json", lambda _: json.dumps(record).encode())(folder)


def long_texts() -> bytes:
    """A text of a megabyte, a million times, in a few kilobytes."""
    rows = pa.array(np.zeros(1_000_000, np.int32))
    return parquet(pa.table({"image": pa.DictionaryArray.from_arrays(rows, pa.array(["x" * 10**6]))}))


NESTED = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
DIGITS = b'{"a": ' + b"9" * 10**6 + b"}"
ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

READ_NPZ: Callable[[Path], object] = lambda folder: locate_images(str(folder / "x.npz"))  # noqa: E731
READ_TABLE: Callable[[Path], object] = lambda folder: locate_images(str(folder / "x.parquet"))  # noqa: E731
READ_TREE: Callable[[Path], object] = lambda folder: load_source(DataConfig(path=str(folder), size=8))  # noqa: E731
READ_SWEEP: Callable[[Path], object] = lambda folder: read_sweep_file(str(folder / "sweep.yaml"))  # noqa: E731
READ_PREDICTIONS = bytes_of("test.arrow", from_arrow)

POISONS: dict[str, Poison] = {
    # Pickles, wherever something is read.
    "a pickle as weights": Poison(put("weights", touching), read_weights, "a pickle of torch"),
    "a pickle as predictions": Poison(put("test.arrow", touching), READ_PREDICTIONS, "not a predictions file"),
    "a pickle as a record of data": Poison(
        lambda folder: (data_record(folder), put("data/d/images.parquet", touching)(folder)),
        store_of(lambda store: read_data_table(store, "d")),
        "is damaged",
    ),
    "a pickle as a manifest": Poison(put("manifest.json", touching), store_of(read_manifest), "is damaged"),
    "objects in an archive of images": Poison(put("x.npz", objects), READ_NPZ, "is pickle, which is never read"),
    "a column of a type that is a pickle": Poison(
        put("test.arrow", extended), READ_PREDICTIONS, "another package defines"
    ),
    # Headers that promise more than there is.
    "weights with a header of a terabyte": Poison(
        put("weights", lambda _: safetensors(b"{}", size=2**40)), read_weights, "no safetensors file"
    ),
    "weights of a shape of a petabyte": Poison(
        put(
            "weights",
            lambda _: tensors({"weight": {"dtype": "F32", "shape": [2**25, 2**25], "data_offsets": [0, 4]}}, bytes(4)),
        ),
        read_weights,
        "no whole safetensors file",
    ),
    "weights that overlap": Poison(
        put(
            "weights",
            lambda _: tensors({n: {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]} for n in ("a", "b")}, bytes(8)),
        ),
        read_weights,
        "no whole safetensors file",
    ),
    "weights of a negative offset": Poison(
        put("weights", lambda _: tensors({"weight": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}})),
        read_weights,
        "no whole safetensors file",
    ),
    "weights in nested brackets": Poison(
        put("weights", lambda _: safetensors(NESTED)), read_weights, "no safetensors file"
    ),
    "a configuration of a net of terabytes": Poison(lambda _: None, read_net, "of another model"),
    "an array that declares a petabyte": Poison(
        put("x.npz", lambda _: npz(npy((2**25, 2**25, 1), 64))),
        READ_NPZ,
        r"declares the shape \(33554432, 33554432, 1\)",
    ),
    # Much in little.
    "an archive of 300 megabytes of nothing": Poison(
        put("x.npz", lambda _: npz(npy((3 * 10**8, 1, 1), 3 * 10**8))), READ_NPZ, "decompression bomb"
    ),
    "a gzip file of 300 megabytes of nothing": Poison(
        put("x.gz", lambda _: gzip.compress(bytes(3 * 10**8), 9)),
        lambda folder: read_idx(folder / "x.gz", 3),
        "decompression bomb",
    ),
    "predictions that are packed": Poison(
        put(
            "test.arrow",
            lambda _: arrow(pa.table({"row": np.zeros(10**7, np.int32)}, metadata=PROOF), compression="zstd"),
        ),
        READ_PREDICTIONS,
        "compressed",
    ),
    "a column of nothing, which takes no bytes a row": Poison(
        put("x.arrow", lambda _: arrow(pa.table({"truth": pa.nulls(10)}, metadata=PROOF))),
        bytes_of("x.arrow", true_class_from_arrow),
        "never written here",
    ),
    "a column that names its texts by number": Poison(
        put("x.arrow", lambda _: arrow(pa.table({"layer": pa.array(["x" * 1000] * 1000).dictionary_encode()}))),
        bytes_of("x.arrow", layers_from_arrow),
        "never written here",
    ),
    "a record of twenty million images in nothing": Poison(
        data_record, store_of(lambda store: read_data_table(store, "d")), "decompression bomb"
    ),
    "JSON in nested brackets": Poison(
        put("x.json", lambda _: NESTED), store_of(lambda store: get_json(store, "x.json")), "not readable as JSON"
    ),
    "a number of a million digits": Poison(
        put("x.json", lambda _: DIGITS), store_of(lambda store: get_json(store, "x.json")), "not readable as JSON"
    ),
    "an event in nested brackets": Poison(
        put("x.jsonl", lambda _: NESTED), bytes_of("x.jsonl", lambda data: read_line(data, "x")), "no event"
    ),
    "a bundle in nested brackets": Poison(
        put("manifest.json", lambda _: NESTED), store_of(read_manifest), "is damaged"
    ),
    # Images.
    "an image of 1.6 gigapixels": Poison(
        lambda folder: tree(folder, png(40_000, 40_000, 10)), READ_TREE, "decompression bomb"
    ),
    "an image of 170 megapixels": Poison(
        lambda folder: tree(folder, png(13_000, 13_000, 10)), READ_TREE, "decompression bomb"
    ),
    "a pipe as an image": Poison(
        lambda folder: (tree(folder, b""), (folder / "a" / "1.png").unlink(), os.mkfifo(folder / "a" / "1.png")),
        READ_TREE,
        "a pipe or a device",
    ),
    "a device as an image": Poison(
        lambda folder: (tree(folder, b""), (folder / "a" / "2.png").symlink_to("/dev/zero")),
        READ_TREE,
        "a pipe or a device",
    ),
    "a table that names files elsewhere": Poison(
        put("x.csv", lambda _: b"image,label\n../../../etc/passwd,a\n/etc/passwd,b\n"),
        lambda folder: load_source(DataConfig(path=str(folder / "x.csv"))),
        "names files outside",
    ),
    # Sweep files.
    "aliases of aliases": Poison(put("sweep.yaml", lambda _: ALIASES.encode()), READ_SWEEP, "stands for more than"),
    "brackets in brackets": Poison(
        put("sweep.yaml", lambda _: b"[" * 100_000), READ_SWEEP, "nested too deeply|not valid YAML"
    ),
    "a tag that calls a function": Poison(
        put("sweep.yaml", lambda folder: f"a: !!python/object/apply:os.mkdir ['{folder}/ran']\n".encode()),
        READ_SWEEP,
        "not valid YAML",
    ),
    "a key that stands twice": Poison(put("sweep.yaml", lambda _: b"a: 1\na: 2\n"), READ_SWEEP, "not valid YAML"),
}
"""What is refused."""

INERT: dict[str, Poison] = {
    "an image of 81 megapixels in nothing": Poison(lambda folder: tree(folder, png(9_000, 9_000, 1)), READ_TREE, ""),
    "a text of a megabyte, a million times": Poison(put("x.parquet", lambda _: long_texts()), READ_TABLE, ""),
}
"""What may be read, since it takes no more than it holds."""


def write_all(folder: Path) -> None:
    """Each poison in a folder of its number. What is packed here takes up to a gigabyte before it is."""
    for number, poison in enumerate((POISONS | INERT).values()):
        (folder / str(number)).mkdir()
        poison.write(folder / str(number))


def main(folder: Path) -> None:
    """Print a line of JSON for each: what the reader said, and the most memory that it took."""
    import trainables.models.load  # noqa: F401  torch is here before the limit is set

    pa.register_extension_type(Unpickled(b"N."))  # as a package that someone has installed may have done
    for number, (name, poison) in enumerate((POISONS | INERT).items()):
        here, there = os.pipe()
        child = os.fork()
        if not child:
            os.close(here)
            outcome = attempt(poison, folder / str(number))
            os.write(there, json.dumps({"name": name, **outcome}).encode()[:60_000])
            os._exit(0)
        os.close(there)
        with os.fdopen(here, "rb") as answer:
            said = answer.read()
        _, status = os.waitpid(child, 0)
        print(said.decode() or json.dumps({"name": name, "said": f"died of {status}", "refused": False}), flush=True)


def attempt(poison: Poison, folder: Path) -> dict[str, Any]:
    """What the reader says in little memory, and within a minute."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT_BYTES, used + LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        poison.read(folder)
        said, refused = "", False
    except CaucusError as error:
        said, refused = str(error)[:2000], True
    except BaseException as error:
        said, refused = f"{type(error).__name__}: {error}"[:2000], False
    took = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"said": said, "refused": refused, "took_mb": took / 1000, "ran": (folder / "ran").exists()}


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main(Path(sys.argv[1]))
