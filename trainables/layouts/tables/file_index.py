"""The files of a place by the names that tables give them, which may lack an ending, zeros or folders."""

from __future__ import annotations

import difflib
import os
import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from urllib.parse import unquote

from trainables.errors import DataError
from trainables.layouts.base.image_files import SUFFIXES, is_left_behind
from trainables.layouts.base.split_names import find_split
from trainables.places.folder import FolderPlace
from trainables.places.place import Place

_ENDINGS = frozenset(SUFFIXES)
_LONGEST_NAME = 8192
"""Letters of a name: no file has one of so many, and to look for each end of one takes long."""

_NEAREST_OF = 5000
"""Files among which the one with the nearest name is looked for."""


@dataclass(frozen=True)
class Match:
    """The files that a name may mean, and in what they differ from it."""

    files: tuple[str, ...]
    differs: tuple[str, ...] = ()
    """Keys of `table_files.DIFFERENCES`; () where the name is exact."""
    is_outside: bool = False
    """Whether the name leads out of the place."""


class FileIndex:
    """The files of a place, found by the names that tables give them."""

    def __init__(self, place: Place, ending: str | None = None) -> None:
        """`ending` is what all names lack, with or without its dot."""
        self.place = place
        self._ending = f".{ending.lstrip('.')}" if ending else ""
        self._indices: dict[Callable[[str], str], dict[str, list[str]]] = {}
        self._is_folder = isinstance(place, FolderPlace)
        self._top = os.path.abspath(place.name) if self._is_folder else place.name.rstrip("/")  # noqa: PTH100

    def has(self, name: str) -> bool:
        """Whether `name` is exactly a file of the place. On a disk nothing else is looked at."""
        if self._is_folder and "_walked" not in vars(self.place):
            return os.path.isfile(os.path.join(self._top, name))  # noqa: PTH113, PTH118
        return name in self._files

    def find(self, name: str, split: str = "") -> Match:
        """The files that `name` may mean; of several, those in folders that are called as `split` is."""
        if len(name) > _LONGEST_NAME:
            return Match(())
        if name in self._exact and not name.startswith("/"):
            return Match((name,))
        for path, differs in self._spellings(name):
            below, _ = self._cut_root(path)
            if below == ".." or below.startswith("../"):
                return Match((), is_outside=True)
            if self.has(below):
                return Match((below,), differs)
            if self._ending and self.has(below + self._ending):
                return Match((below + self._ending,), differs)
        for path, differs in self._spellings(name):
            below, is_foreign = self._cut_root(path)
            parts = below.split("/")
            for cut in range(len(parts)):
                tail = "/".join(parts[cut:])
                found, more = self._find_tail(tail, anywhere=not cut or is_foreign)
                if found:
                    before = ("prefix",) if cut else ()
                    return Match(self._prefer(found, split), (*differs, *before, *more))
        return Match((), is_outside=self._is_folder and name.startswith("/") and os.path.exists(name))  # noqa: PTH110

    def nearest(self, name: str) -> str:
        """The file whose name is nearest to `name`; "" where none is near."""
        by_name = {PurePosixPath(file).name: file for file in self.images[:_NEAREST_OF]}
        near = difflib.get_close_matches(PurePosixPath(name).name, by_name, 1)
        return by_name[near[0]] if near else ""

    @cached_property
    def images(self) -> list[str]:
        """All image files of the place; [] where a folder of it cannot be read."""
        return [file for file in sorted(self._files) if ends_as_image(file) and not is_left_behind(file)]

    def images_beside(self, files: Sequence[str]) -> set[str]:
        """The image files in the folders in which `files` lie."""
        folders = {posixpath.dirname(file) for file in files}
        if not self._is_folder or "_files" in vars(self):
            return {file for file in self.images if posixpath.dirname(file) in folders}
        found = set()
        for folder in folders:
            names = os.listdir(os.path.join(self._top, folder))  # noqa: PTH118, PTH208
            found |= {
                posixpath.join(folder, name) for name in names if ends_as_image(name) and not is_left_behind(name)
            }
        return found

    @property
    def _exact(self) -> frozenset[str]:
        """All files where they are known without a walk through a disk."""
        return frozenset() if self._is_folder and "_files" not in vars(self) else self._files

    @cached_property
    def _files(self) -> frozenset[str]:
        try:
            return frozenset(self.place.files())
        except DataError:  # a folder that this user may not read, as in /tmp: files are then found by exact names alone
            return frozenset()

    def _spellings(self, name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        yield name, ()
        slashed = name.replace("\\", "/")
        if slashed != name:
            yield slashed, ("slashes",)
        plain = unquote(slashed)
        if plain != slashed:
            yield plain, ("escapes",)

    def _cut_root(self, path: str) -> tuple[str, bool]:
        """`path` below the place, and whether it starts from a root: another machine's, a drive's or a web site's."""
        if path.startswith(f"{self._top}/"):
            return posixpath.normpath(path[len(self._top) + 1 :]), False
        cut = re.sub(r"^(?:[A-Za-z][A-Za-z0-9+.-]+://[^/]*|[A-Za-z]:)?[\\/]+", "", path)
        is_foreign = cut != path
        if "://" in path:
            cut = re.split("[?#]", cut)[0]
        return posixpath.normpath(cut), is_foreign

    def _find_tail(self, tail: str, anywhere: bool) -> tuple[list[str], tuple[str, ...]]:
        """Files whose name is `tail` or, `anywhere`, ends with it, by the strictest of the keys that finds one."""
        if self.has(tail):
            return [tail], ()
        for word, key in _KEYS.items():
            wanted = key(tail)
            if not wanted:
                continue
            if word == "stem":
                word = "other ending" if ends_as_image(tail) else "ending"
            differs = (word,) if word else ()
            index = self._index(key)
            if found := index.get(wanted):
                return found, differs
            if anywhere and (found := index.get(f"/{wanted}")):
                return found, ("folder", *differs)
        return [], ()

    def _prefer(self, files: Sequence[str], split: str) -> tuple[str, ...]:
        same = [file for file in files if split and any(find_split(part) == split for part in file.split("/")[:-1])]
        return tuple(same if len(files) > 1 and len(same) == 1 else files)

    def _index(self, key: Callable[[str], str]) -> dict[str, list[str]]:
        """Image files by `key`, and with a slash before it by every end of the path."""
        if key in self._indices:
            return self._indices[key]
        index: dict[str, list[str]] = defaultdict(list)
        for file in self.images:
            wanted = key(file)
            if not wanted:
                continue
            index[wanted].append(file)
            cut = wanted.find("/")
            while cut >= 0:
                index[wanted[cut:]].append(file)
                cut = wanted.find("/", cut + 1)
        self._indices[key] = index
        return index


def ends_as_image(file: str) -> bool:
    """As `has_image_ending`, which takes ten times as long for 100,000 names."""
    return file[file.rfind(".") :].lower() in _ENDINGS


def _fold(path: str) -> str:
    return path.casefold() if path.isascii() else unicodedata.normalize("NFC", path).casefold()


def _stem(path: str) -> str:
    folded = _fold(path)
    stem, _, ending = folded.rpartition(".")
    return stem if f".{ending}" in _ENDINGS else folded


def _number(path: str) -> str:
    """The path without leading zeros of a file name that is a number; "" for another name."""
    folder, slash, name = _stem(path).rpartition("/")
    return f"{folder}{slash}{name.lstrip('0') or '0'}" if name.isdecimal() else ""


def _same(path: str) -> str:
    return path


_KEYS: dict[str, Callable[[str], str]] = {"": _same, "case": _fold, "stem": _stem, "zeros": _number}
"""What a name and a file have in common, the strictest first, by what then differs."""
