"""Parquet tables, read in a process of their own: what a damaged or a forged one does there ends that process, and is one sentence here.

Arrow's reader of Parquet believes the file in more than it proves: of 3,568 files with one flipped bit 13 ended the process that
read them. How much a file may unpack to is settled before it is unpacked, there: a file of a kilobyte can declare a thousand million
rows that are all alike. So numbers are counted beforehand, and texts are kept as Parquet has them: each different one once.
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
from trainables.tables.parquet_child import ENDED, ERROR, MISSING, TABLE, unpack

START_S = 60.0
"""A process may take so long to begin on a machine that is busy; beyond it each megabyte of the table has `MEGABYTE_S`."""

MEGABYTE_S = 1.0

KEPT_BYTES = 16 * 2**20
"""Tables of files up to this size are kept, the newest `KEPT` of them: verbs read a data set's record several times."""

KEPT = 8

_kept: OrderedDict[tuple[str, tuple[str, ...]], pa.Table] = OrderedDict()
_own: set[str] = set()
"""Hashes of files that this process has written itself."""


class ColumnsMissing(pa.ArrowInvalid):  # type: ignore[misc]  # pyarrow has no types
    """A table without a column that is looked for, or with two of that name; `names` are those that it has."""

    def __init__(self, message: str, names: Sequence[str]) -> None:
        super().__init__(message)
        self.names = tuple(names)


def trust_written(data: bytes) -> None:
    """Read this file here: this process has written these bytes itself."""
    _own.add(sha256_of(data))


def read_columns(data: bytes, columns: Sequence[str]) -> pa.Table:
    """The named columns of a Parquet file; texts and bytes are dictionaries, see `to_objects`.

    Raises `ColumnsMissing`, and `pyarrow.ArrowInvalid` where a column is of a type that is never looked for, where the file would
    unpack to far more than it holds, and where it cannot be read.
    """
    key = sha256_of(data), tuple(columns)
    if key in _kept:
        _kept.move_to_end(key)
        return _kept[key]
    table = unpack(data, columns) if key[0] in _own else _read_elsewhere(data, columns)
    if len(data) <= KEPT_BYTES:
        _kept[key] = table
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return table


def to_objects(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column of `read_columns`; texts that are equal are one object."""
    return [value for chunk in column.chunks for value in _objects(chunk)]


def _read_elsewhere(data: bytes, columns: Sequence[str]) -> pa.Table:
    # -P: a file called pyarrow.py in the current folder is not what is meant. The paths are ours, and then those of this process.
    command = [sys.executable, "-P", "-c", "from trainables.tables.parquet_child import main; main()", *columns]
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
        told = json.loads(body)
        raise ColumnsMissing(told["error"], told["names"])
    if kind == ERROR:
        raise pa.ArrowInvalid(body.decode(errors="replace"))
    assert kind == TABLE
    messages = iter(pa.ipc.MessageReader.open_stream(pa.py_buffer(body)))
    if b"ARROW:extension:" in next(messages).metadata.to_pybytes():  # looked for before such a type is made
        raise pa.ArrowInvalid("it has a column of a type that another package defines")
    table = pa.ipc.open_stream(pa.py_buffer(body)).read_all()
    table.validate(full=True)
    return table


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
