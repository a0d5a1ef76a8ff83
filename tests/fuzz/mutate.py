"""Inputs that are almost right: bytes changed, cut, repeated and spliced, and JSON with other keys and values and a seal that holds."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from runner.journal.journal import seal
from trainables.store.json_records import seal_json

ODD_BYTES = (0, 1, 2, 3, 4, 5, 91, 0x7F, 0x80, 0xFE, 0xFF)
ODD_NUMBERS = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 2**63, -(2**63), 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "a", "0", "\0", "\ud800",
    "../x", "x" * 5000, "0123456789ab", "2026-01-01", [], {}, [[]], [None], {"a": 1}, {"": None}, [0, 1, 2], ["a@1"],
)  # fmt: skip
ODD_KEYS = ("", "new_key", "kind", "trial_id", "config", "a.b", "\0", "x" * 300, "sha256", "sum", "__class__")


def mutate_bytes(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    """`data` after one to four changes."""
    for _ in range(dice.choice((1, 1, 2, 2, 3, 4))):
        data = dice.choice(_CHANGES)(data, others, dice)
    return data


def _flip(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    if not data:
        return b"\0"
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]


def _set(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    if not data:
        return b"\xff"
    at = min(dice.randrange(len(data)), dice.randrange(len(data)))  # heads are small, and decide
    return data[:at] + bytes([dice.choice(ODD_BYTES)]) + data[at + 1 :]


def _number(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    width = dice.choice((2, 4, 8))
    if len(data) < width:
        return data
    at = dice.randrange(len(data) - width + 1) // width * width
    number = dice.choice(ODD_NUMBERS) % 2 ** (8 * width)
    return data[:at] + number.to_bytes(width, "little") + data[at + width :]


def _cut(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def _take_out(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    start, end = _part(data, dice)
    return data[:start] + data[end:]


def _repeat(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    start, end = _part(data, dice)
    return data[:end] + data[start:end] * dice.choice((1, 1, 2, 20)) + data[end:]


def _splice(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    other = dice.choice(others)
    start, end = _part(other, dice)
    at = dice.randrange(len(data) + 1)
    return data[:at] + other[start:end] + data[at + (end - start if dice.random() < 0.5 else 0) :]


def _cross(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    other = dice.choice(others)
    at = dice.randrange(len(data) + 1)
    return data[:at] + other[min(at, len(other)) :]


def _swap(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    start, end = _part(data, dice)
    middle = (start + end) // 2
    return data[:start] + data[middle:end] + data[start:middle] + data[end:]


_CHANGES: tuple[Callable[[bytes, Sequence[bytes], random.Random], bytes], ...] = (
    _flip, _flip, _set, _set, _number, _number, _cut, _take_out, _repeat, _splice, _cross, _swap,
)  # fmt: skip


def _part(data: bytes, dice: random.Random) -> tuple[int, int]:
    start = dice.randrange(len(data) + 1)
    return start, min(len(data), start + dice.choice((1, 4, 8, 16, 64, 256, 4096)))


def mutate_json(value: Any, others: Sequence[Any], dice: random.Random) -> Any:
    """`value` after one to three changes of its keys and values."""
    value = copy.deepcopy(value)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        value = _change(value, others, dice)
    return value


def _change(value: Any, others: Sequence[Any], dice: random.Random) -> Any:
    places = list(_places(value))
    if not places or dice.random() < 0.02:
        return copy.deepcopy(dice.choice(ODD_VALUES))
    holder, key = dice.choice(places)
    match dice.randrange(6):
        case 0 | 1:
            holder[key] = copy.deepcopy(dice.choice(ODD_VALUES))
        case 2:
            del holder[key]
        case 3 if isinstance(holder, dict):
            holder[dice.choice(ODD_KEYS)] = copy.deepcopy(dice.choice(ODD_VALUES))
        case 4 if isinstance(holder, dict):
            holder[dice.choice([str(key) + "x", dice.choice(ODD_KEYS)])] = holder.pop(key)
        case _:
            other = dice.choice(others)
            found = list(_places(other))
            if found:
                there, at = dice.choice(found)
                holder[key] = copy.deepcopy(there[at])
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    below: list[Any] = [value]
    while below:
        one = below.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for key in keys:
            found.append((one, key))
            below.append(one[key])
    return found


def mutate_record(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    """A JSON record: its bytes changed, or its keys and values with a seal that holds."""
    if dice.random() < 0.25:
        return mutate_bytes(data, others, dice)
    value = mutate_json(_unsealed(data), [_unsealed(other) for other in others], dice)
    if isinstance(value, dict) and dice.random() < 0.8:
        try:
            return seal_json(value)
        except (ValueError, TypeError):
            pass
    return json.dumps(value, indent=dice.choice((None, 1))).encode()


def _unsealed(data: bytes) -> Any:
    value = json.loads(data)
    if isinstance(value, dict):
        value.pop("sha256", None)
    return value


def mutate_journal(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    """A segment of a journal: its bytes changed, or some of its events, in lines whose checksums hold."""
    if dice.random() < 0.2:
        return mutate_bytes(data, others, dice)
    events = [json.loads(line) for line in data.splitlines()]
    for _ in range(dice.choice((1, 1, 2, 4))):
        at = dice.randrange(len(events)) if events else 0
        match dice.randrange(8):
            case 0 if events:
                del events[at]
            case 1 if events:
                events.insert(dice.randrange(len(events)), copy.deepcopy(events[at]))
            case 2 if events:
                events.insert(dice.randrange(len(events)), events.pop(at))
            case _ if events:
                events[at] = mutate_json(events[at], events, dice)
    lines, chained = [], 0
    for event in events:
        fields = (
            {key: value for key, value in event.items() if key != "sum"} if isinstance(event, dict) else {"x": event}
        )
        line, chained = seal(json.dumps(fields, separators=(",", ":")).encode() + b"\n", chained)
        lines.append(line)
    return b"".join(lines)
