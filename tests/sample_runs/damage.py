"""Damage to the objects of a store, behind its back and the same every time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Harm = Literal["flip", "cut", "delete"]

HARMS: tuple[Harm, ...] = ("flip", "cut", "delete")


def flip(data: bytes, at: int) -> bytes:
    """`data` with bit number `at` flipped, the lowest of the first byte being 0."""
    return data[: at // 8] + bytes([data[at // 8] ^ 1 << at % 8]) + data[at // 8 + 1 :]


def harm_bytes(data: bytes, harm: Harm, dice: random.Random) -> bytes | None:
    """`data` with one bit flipped, or without an end of it; None where all of it is deleted."""
    match harm:
        case "flip":
            return flip(data, dice.randrange(8 * len(data)))
        case "cut":
            return data[: dice.randrange(len(data))]
        case "delete":
            return None


@dataclass(frozen=True)
class Behind:
    """The objects of a store, for tests that damage them."""

    read: Callable[[str], bytes]
    write: Callable[[str, bytes], Any]
    delete: Callable[[str], Any]
    names: Callable[[], list[str]]

    def harm(self, key: str, harm: Harm, dice: random.Random) -> bytes:
        """Damage one object; returns what it was."""
        whole = self.read(key)
        left = harm_bytes(whole, harm, dice)
        if left is None:
            self.delete(key)
        else:
            self.write(key, left)
        return whole


def behind_folder(folder: Path) -> Behind:
    """The files of a folder."""
    return Behind(
        read=lambda key: (folder / key).read_bytes(),
        write=lambda key, data: (folder / key).write_bytes(data),
        delete=lambda key: (folder / key).unlink(),
        names=lambda: sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()),
    )


def behind_bucket(client: Any, bucket: str) -> Behind:
    """The objects of a bucket, by a client of its own."""

    def names() -> list[str]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return sorted(found["Key"] for page in pages for found in page.get("Contents", ()))

    return Behind(
        read=lambda key: bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read()),
        write=lambda key, data: client.put_object(Bucket=bucket, Key=key, Body=data),
        delete=lambda key: client.delete_object(Bucket=bucket, Key=key),
        names=names,
    )
