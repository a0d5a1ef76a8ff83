"""The sets that are published as MNIST is: how they are told apart, since all use the same file names, and their classes."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterable

DIGITS = tuple(string.digits)
FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
"""Readings of the ten hiragana (Clanuwat et al. 2018), as torchvision has them."""

_OWN_LOWER_CASE = "abdefghnqrt"
"""Letters whose lower case is a class of its own in EMNIST's merged splits (Cohen et al. 2017)."""

_EMNIST = {
    "byclass": tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase),
    "bymerge": tuple(string.digits + string.ascii_uppercase + _OWN_LOWER_CASE),
    "balanced": tuple(string.digits + string.ascii_uppercase + _OWN_LOWER_CASE),
    "letters": tuple(string.ascii_lowercase),
    "digits": DIGITS,
    "mnist": DIGITS,
}

CLASS_NAMES = {
    "MNIST": DIGITS,
    "Fashion-MNIST": FASHION,
    "KMNIST": _KUZUSHIJI,
    "QMNIST": DIGITS,
    **{f"EMNIST {split}": names for split, names in _EMNIST.items()},
}
"""Class names in the order of the labels, by set."""

_MD5 = {
    # The files of `MNIST` (LeCun, Cortes and Burges 1998) as published, training first, and unpacked.
    "MNIST": (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    # Xiao, Rasul and Vollgraf 2017, as published, and unpacked.
    "Fashion-MNIST": (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
    # Clanuwat et al. 2018, as published.
    "KMNIST": (
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
    # Yadav and Bottou 2019, as published.
    "QMNIST": (
        "ed72d4157d28c017586c42bc6afe6370",
        "0058f8dd561b90ffdd0f734c6a30e5e4",
        "1394631089c404de565df7b7aeaf9412",
        "5b5b05890a5e13444e108efe57b788aa",
    ),
}

_SET_OF = {md5: name for name, hashes in _MD5.items() for md5 in hashes}


def recognise(name: str, packed: bytes, unpacked: bytes) -> str:
    """The set that a file belongs to, from its name where that says so, or from its content; "" where neither is known."""
    if found := re.match(r"(?i)(emnist)-([a-z]+)-|(qmnist)-", name):
        if found[3]:
            return "QMNIST"
        return f"EMNIST {found[2].lower()}" if found[2].lower() in _EMNIST else ""
    return _SET_OF.get(_md5(packed)) or (_SET_OF.get(_md5(unpacked), "") if unpacked is not packed else "")


def find_set(names: Iterable[str]) -> str:
    """The set of all files: that of each if it is the same, else ""."""
    found = set(names)
    return found.pop() if len(found) == 1 else ""


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
