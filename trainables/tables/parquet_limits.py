"""Reads Parquet and Arrow tables in a child process: a damaged or forged file can crash only the child, and gives one error message here.

Arrow's Parquet reader trusts more of a file than it verifies: of 3,568 files with one flipped bit 13 crashed the process that
read them. The child checks the unpacked size before it unpacks: a file of a kilobyte can declare a thousand million equal rows.
Therefore numbers are counted beforehand, and strings stay dictionary-encoded as in Parquet, each distinct one once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trainables.store.base import sha256_of
from trainables.tables.parquet_child import ENDED, ERROR, MISSING, TABLE, WHOLE, unpack

START_S = 60.0
"""Seconds that the child may take to start on a busy machine; each megabyte of the table adds `MEGABYTE_S`."""

MEGABYTE_S = 1.0

LARGEST_CACHED_BYTES = 16 * 2**20
"""Tables of files up to this size are cached, the newest `CACHED_TABLES` of them: verbs read a data set's record several times."""

CACHED_TABLES = 8

_cache: OrderedDict[tuple[str, tuple[str, ...]], pa.Table] = OrderedDict()
_trusted: set[str] = set()
"""Hashes of files that this process has written itself."""


class ColumnsMissing(pa.ArrowInvalid):  # type: ignore[misc]  # pyarrow has no types
    """A table lacks a requested column, or has two of that name; `names` are the columns that it has."""

    def __init__(self, message: str, names: Sequence[str]) -> None:
        super().__init__(message)
        self.names = tuple(names)


def trust_written(data: bytes) -> None:
    """Allow `data` to be read without a child process, because this process has written these bytes itself."""
    _trusted.add(sha256_of(data))


def read_whole(data: bytes) -> pa.Table:
    """All columns of a Parquet file, an Arrow file or an Arrow stream that `parquet_child.kind_of` knows; lists are JSON.

    Raises `pyarrow.ArrowInvalid` as `read_columns` does.
    """
    return _read_elsewhere(data, (), WHOLE)


def read_columns(data: bytes, columns: Sequence[str]) -> pa.Table:
    """The named columns of a Parquet file, an Arrow file or an Arrow stream; see `to_objects`.

    Strings and bytes of Parquet are dictionary-encoded.

    Raises `ColumnsMissing`, and `pyarrow.ArrowInvalid` where a column is of an unsupported type, where the file would unpack to
    far more than its size, and where it cannot be read.
    """
    key = sha256_of(data), tuple(columns)
    if key in _cache:
        _cache.move_to_end(key)
        return _cache[key]
    table = unpack(data, columns) if key[0] in _trusted else _read_elsewhere(data, columns)
    if len(data) <= LARGEST_CACHED_BYTES:
        _cache[key] = table
        while len(_cache) > CACHED_TABLES:
            _cache.popitem(last=False)
    return table


def to_objects(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column of `read_columns`; equal strings are one object."""
    return [value for chunk in column.chunks for value in _objects(chunk)]


def _read_elsewhere(data: bytes, columns: Sequence[str], wanted: bytes = TABLE) -> pa.Table:
    body = _ask(data, wanted, columns)
    messages = iter(pa.ipc.MessageReader.open_stream(pa.py_buffer(body)))
    if b"ARROW:extension:" in next(messages).metadata.to_pybytes():  # checked before pyarrow builds such a type
        raise pa.ArrowInvalid("it has a column of a type that another package defines")
    table = pa.ipc.open_stream(pa.py_buffer(body)).read_all()
    table.validate(full=True)
    return table


def _ask(data: bytes, wanted: bytes, columns: Sequence[str]) -> bytes:
    """The body of the child's answer. Raises `ColumnsMissing` and `pyarrow.ArrowInvalid`."""
    # -P: do not import a pyarrow.py in the current folder. The search path is our own folder, then that of this process.
    command = [sys.executable, "-P", "-c", "from trainables.tables.parquet_child import main; main()"]
    command += [wanted.decode(), *columns]
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *(path for path in sys.path if path)])
    # Arrow's own allocators reserve more addresses than the process may have.
    env = {**os.environ, "PYTHONPATH": paths, "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
    most_s = START_S + MEGABYTE_S * len(data) / 1e6
    try:
        done = subprocess.run(
            command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, timeout=most_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise pa.ArrowInvalid(f"to read it took more than {most_s:.0f} s") from None
    except OSError as error:
        raise pa.ArrowInvalid(f"the process that reads it could not be started: {error.strerror}") from None
    kind, body = done.stdout[:1], done.stdout[1:]
    if not done.stdout.endswith(ENDED) or done.returncode:
        raise pa.ArrowInvalid(f"it is damaged: the process that read it {_describe_end(done.returncode)}")
    body = body.removesuffix(ENDED)
    if kind == MISSING:
        answer = json.loads(body)
        raise ColumnsMissing(answer["error"], answer["names"])
    if kind == ERROR:
        raise pa.ArrowInvalid(body.decode(errors="replace"))
    assert kind == wanted
    return body


def _describe_end(code: int) -> str:
    if code >= 0:
        return f"ended with {code}"
    name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
    return f"died of it ({name})"


def _objects(chunk: pa.Array) -> list[Any]:
    if pa.types.is_dictionary(chunk.type):
        different = np.array([*chunk.dictionary.to_pylist(), None], object)
        found: list[Any] = different[chunk.indices.fill_null(len(different) - 1).to_numpy()].tolist()
        return found
    if pa.types.is_struct(chunk.type):
        names = [field.name for field in chunk.type]
        parts = zip(*(_objects(chunk.field(name)) for name in names), strict=True)
        there = chunk.is_valid().to_pylist()
        return [
            dict(zip(names, part, strict=True)) if is_there else None
            for part, is_there in zip(parts, there, strict=True)
        ]
    return chunk.to_pylist()  # type: ignore[no-any-return]
