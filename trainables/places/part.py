"""A folder of another place as a place of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import BinaryIO

from typing_extensions import override

from trainables.places.place import Place


class PartPlace(Place):
    """What lies in the folder `folder` of `whole`."""

    def __init__(self, whole: Place, folder: str) -> None:
        self._whole = whole
        self._prefix = folder.rstrip("/") + "/"

    @property
    @override
    def name(self) -> str:
        return f"{self._whole.name.rstrip('/')}/{self._prefix.rstrip('/')}"

    @override
    def files(self) -> Sequence[str]:
        return self._files

    @override
    def folders(self) -> Sequence[str]:
        return self._folders

    @override
    def open(self, file: str) -> BinaryIO:
        return self._whole.open(self._prefix + file)

    @override
    def stamp(self, file: str) -> str:
        return self._whole.stamp(self._prefix + file)

    @cached_property
    def _files(self) -> list[str]:
        return _below(self._whole.files(), self._prefix)

    @cached_property
    def _folders(self) -> list[str]:
        return _below(self._whole.folders(), self._prefix)


def _below(names: Sequence[str], prefix: str) -> list[str]:
    return [name[len(prefix) :] for name in names if name.startswith(prefix)]
