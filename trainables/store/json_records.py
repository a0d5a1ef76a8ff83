"""JSON records of a store: sealed with a hash of their content when they are written, checked when they are read."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Mapping
from typing import Any

from trainables.errors import DamagedObject, ObjectMissing, StoreTooNew
from trainables.store import layout
from trainables.store.base import Store, sha256_of


def to_json(value: object) -> bytes:
    """`value` as the bytes of an indented JSON document; equal values give equal bytes."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


_SEAL = "sha256"


def seal_json(value: Mapping[str, object]) -> bytes:
    """`to_json` with a hash of all other content at the end, which `get_json` verifies and removes.

    Without it, a flipped bit could leave a valid document with another content.
    """
    body = to_json(value).removesuffix(b"\n}\n")
    return body + f',\n "{_SEAL}": "{sha256_of(body)}"\n}}\n'.encode()


def _unseal(value: dict[str, object], data: bytes) -> bool:
    """Remove the hash from `value`, if it has one, and return whether `data` matches it. Documents without a hash pass, because
    older versions sealed nothing."""
    name = next(reversed(value), "")
    if len(name) != len(_SEAL) or sum(map(operator.ne, name, _SEAL)) > 1:  # a bit of its name may be flipped as well
        return True
    del value[name]
    return seal_json(value) == data


def get_json(store: Store, key: str) -> dict[str, object]:
    """The JSON object under `key`, without its seal.

    Raises `ObjectMissing`, or `DamagedObject` where it is not a JSON object or not what was sealed.
    """
    return unseal_json(store.get(key), f"{store.uri}/{key}")


def unseal_json(data: bytes, where: str) -> dict[str, object]:
    """The JSON object in `data`, without its seal. Raises `DamagedObject`, which names `where`, as `get_json` does."""
    value = parse_json(data, where)
    try:
        is_whole = _unseal(value, data)
    except ValueError:  # half of a surrogate pair is no text, and can be written as JSON
        is_whole = False
    if not is_whole:
        raise DamagedObject(f"{where} is not what was written: restore or delete it")
    return value


def load_json(data: bytes | str) -> Any:
    """The value of a JSON document. Raises `ValueError`, also for numbers that no record contains (NaN, infinities, integers of
    more than 64 bits), and `RecursionError`."""
    return json.loads(data, parse_constant=_refuse, parse_float=_finite, parse_int=_small)


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large")
    return number


def _small(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (number := int(text)) < 2**64:
        raise ValueError(f"{text[:20]} is too large")
    return number


def parse_json(data: bytes, where: str) -> dict[str, Any]:
    """The JSON object in `data`. Raises `DamagedObject`, which names `where`, for anything else."""
    try:
        value = load_json(data)
    except (ValueError, RecursionError) as error:
        raise DamagedObject(f"{where} is not readable as JSON ({error}): restore or delete it") from None
    if not isinstance(value, dict):
        raise DamagedObject(f"{where} holds a {type(value).__name__}, not a JSON object: restore or delete it")
    return value


def check_format(store: Store) -> bool:
    """Whether the store has Caucus's format mark. Raises `StoreTooNew` if a newer version wrote it."""
    try:
        mark = get_json(store, layout.FORMAT_KEY)
    except ObjectMissing:
        return False
    found = mark.get("format")
    if type(found) is not int or not 0 < found <= layout.FORMAT:
        raise StoreTooNew(
            f"store {store.uri} has format {found!r}, written by Caucus {mark.get('written_by', '?')}; "
            f"this version reads up to {layout.FORMAT}: upgrade caucus, or name another store"
        )
    return True


def mark_format(store: Store, written_by: str) -> None:
    """Write the store's format mark, unless it exists. Raises like `check_format`."""
    if not check_format(store):
        store.put(layout.FORMAT_KEY, seal_json({"format": layout.FORMAT, "written_by": written_by}))
