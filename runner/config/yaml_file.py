"""Reads a sweep file: YAML 1.2, so that `1e-3` is a number, `no` a string and a duplicate key an error."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from trainables.errors import SweepFileError
from trainables.store.keys import is_unicode

MOST_BYTES = 1_000_000
MOST_VALUES = 100_000
"""Values in a file once its aliases are followed: a file of nine lines can stand for a thousand million."""

MOST_BITS = 128
"""Most bits of an integer: no key takes more than 63, and much larger ones do not fit into a float."""


def read_sweep_file(path: str) -> dict[str, Any]:
    """The mapping in the file at `path`. Raises `SweepFileError`, whose message names the file and what is wrong."""
    if not is_unicode(path) or "\0" in path:
        raise SweepFileError(f"{path!a}: the name of a sweep file is text in UTF-8, as its run records it: rename it")
    try:
        with Path(path).open("rb") as file:  # which may be a pipe: it has no size before it is read
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise SweepFileError(f"{path}: larger than {MOST_BYTES:,} bytes, this is no sweep file")
        text = data.decode()
    except FileNotFoundError:
        raise SweepFileError(f"{path}: no such sweep file{_others(path)}") from None
    except UnicodeDecodeError:
        raise SweepFileError(f"{path}: not a text file in UTF-8") from None
    except OSError as error:
        raise SweepFileError(f"{path}: cannot be read ({error.strerror})") from None
    raw = parse_yaml(text, path)
    if not isinstance(raw, dict):
        found = "empty" if raw is None else f"a {type(raw).__name__}"
        raise SweepFileError(
            f"{path}: is {found}, not a mapping: a sweep file is a list of `key: value` lines, see sweeps/digits.yaml"
        )
    return raw


def read_found_file(path: Path) -> str:
    """The text of a file that nobody named, but that lies where one is looked for. Raises `OSError` and `UnicodeDecodeError`.

    A pipe would be waited for in vain, and a device may have no end: both are an `OSError`, as a file of more than `MOST_BYTES` is.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EINVAL, "a pipe or a device, no file")
    if found.st_size > MOST_BYTES:
        raise OSError(errno.EFBIG, f"larger than {MOST_BYTES:,} bytes")
    return path.read_text(encoding="utf-8")


def parse_yaml(text: str, where: str) -> Any:
    """The value that the YAML `text` stands for. Raises `SweepFileError`, which begins with `where`."""
    try:
        raw = YAML(typ="safe", pure=True).load(text)
        if _count(raw, MOST_VALUES) > MOST_VALUES:
            raise SweepFileError(
                f"{where}: stands for more than {MOST_VALUES:,} values: write it without nested aliases"
            )
        if broken := next(_unwritable(raw), ""):
            raise SweepFileError(f"{where}: {broken}")
        return raw
    except SweepFileError:
        raise
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise SweepFileError(f"{where}: {place}not valid YAML: {problem}") from None
    except RecursionError:
        raise SweepFileError(f"{where}: nested too deeply to be a sweep file") from None
    except ValueError as error:  # such as a date of the 31st of February
        raise SweepFileError(f"{where}: not valid YAML: {error}") from None


def _count(value: Any, most: int) -> int:
    """Number of values inside `value`, counting what aliases repeat; stops soon after `most`."""
    if not isinstance(value, dict | list):
        return 1
    total = 1
    for child in value.values() if isinstance(value, dict) else value:
        total += _count(child, most - total)
        if total > most:
            break
    return total


def _unwritable(value: Any) -> Iterator[str]:
    """Sentences on strings and integers inside `value` that no file name, record or calculation can represent."""
    if isinstance(value, str):
        if "\0" in value or not is_unicode(value):
            yield f"{value!a} holds a character that no text has (a zero byte, or half of a pair): write it again"
    elif isinstance(value, int):
        if value.bit_length() > MOST_BITS:
            yield f"a whole number has {value.bit_length():,} bits, more than {MOST_BITS}: write a smaller one"
    elif isinstance(value, dict | list):
        for child in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from _unwritable(child)


def _others(path: str) -> str:
    """A hint at the sweep files beside the one that is missing."""
    parent = Path(path).parent
    found = sorted(str(other) for other in parent.glob("*.yaml"))[:5] if parent.is_dir() else []
    return f"; there are {', '.join(found)}" if found else ""
