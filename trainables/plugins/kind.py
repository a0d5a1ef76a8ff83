"""A kind of exchangeable part, such as votes: which names it has, and which object a name stands for.

A name is that of a built-in part (`soft`), of a plug-in in an installed package (`package/name`, where the package registers
`name` as an entry point), or of any object that can be imported (`module:object`). A record that names a plug-in can therefore
be read where the plug-in is not installed.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import PydanticCustomError

from trainables.errors import PluginUnusable
from trainables.plugins.trust import check_trusted, trust

Part = TypeVar("Part")

UNKNOWN_NAME = "plugin_name"
"""Pydantic's type of the error for a name that is no part of its kind."""

FAMILIES = ("torchvision", "timm")
"""Prefixes of built-in models, which no package can have."""

_IMPORTED = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*")
_INSTALLED = re.compile(rf"(?!(?:{'|'.join(FAMILIES)})/)[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*")

_REGISTERED: dict[tuple[str, str], Any] = {}
"""Parts that this process has registered, by group and name."""


def is_plugin(name: object) -> bool:
    """Whether `name` has the form of a plug-in's name, `module:object` or `package/name`. False for what is no string."""
    return isinstance(name, str) and bool(_IMPORTED.fullmatch(name) or _INSTALLED.fullmatch(name))


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of exchangeable part, of which there is one object.

    name        what one is called: `vote`
    key         the key of a sweep file that names one
    group       the group of entry points in which packages register theirs
    built_in    `module:object` by name; `torchvision/*` stands for all names with that prefix
    is_called   whether a part is a function or class; else it is a value
    """

    name: str
    key: str
    group: str
    built_in: Mapping[str, str]
    is_called: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The built-in names."""
        return tuple(self.built_in)

    def check(self, name: str) -> str:
        """`name`, if it is built in or has the form of a plug-in's name: a validator for pydantic. Nothing is imported."""
        if self._built_in(name) is None and not is_plugin(name):
            known = ", ".join(one.replace("*", "NAME") if "*" in one else repr(one) for one in self.names if one)
            either = f"{known}, " if known else ""
            raise PydanticCustomError(UNKNOWN_NAME, f"Input should be {either}module:function or package/name")
        return name

    def is_built_in(self, name: str) -> bool:
        """Whether `name` is a built-in one."""
        return self._built_in(name) is not None

    def find(self, name: str) -> Any:
        """The object that `name` stands for.

        Raises `PluginUnusable`, with nothing imported, where a plug-in's name comes from a store and not from a person, and
        where there is no such object.
        """
        if built_in := self._built_in(name):
            module, _, attribute = built_in.partition(":")
            return getattr(importlib.import_module(module), attribute)
        check_trusted(self.key, name)
        if (self.group, name) in _REGISTERED:
            return _REGISTERED[self.group, name]
        if ":" in name:
            return self._import(name)
        entry = self._find_entry(name)
        try:
            return entry.load()
        except Exception as error:
            raise PluginUnusable(
                f"{self.key} is {name}, which package {entry.dist.name if entry.dist else name} registers as {entry.value}, "
                f"but that cannot be imported ({type(error).__name__}: {error}): repair the package"
            ) from error

    def register(self, name: str) -> Callable[[Part], Part]:
        """A decorator for notebooks and programs: the decorated object is `name` (`package/name`) in this process.

        What runs in other processes, models and augmentations, has to be in a module that these can import.
        """
        if not _INSTALLED.fullmatch(name):
            better = re.sub(r"[^A-Za-z0-9_]", "-", name) or "first"
            raise PluginUnusable(
                f"a {self.name} was registered as {name!r}: a name is package/name, such as mine/{better}, so that nobody takes it for a "
                "built-in one"
            )

        def keep(part: Part) -> Part:
            _REGISTERED[self.group, name] = part
            trust([name])
            return part

        return keep

    def module_of(self, name: str) -> str:
        """The module that defines the plug-in `name`; "" where that is not known, or where this process registered it."""
        if ":" in name:
            return name.partition(":")[0]
        if (self.group, name) in _REGISTERED:
            return ""
        try:
            return self._find_entry(name).module
        except PluginUnusable:
            return ""

    def entries(self) -> dict[str, EntryPoint]:
        """The plug-ins of this kind in installed packages, by `package/name`."""
        found = entry_points(group=self.group)
        return {f"{_normalise(entry.dist.name)}/{entry.name}": entry for entry in found if entry.dist}

    def _built_in(self, name: str) -> str | None:
        prefix, slash, rest = name.partition("/")
        if slash:
            return self.built_in.get(f"{prefix}/*") if re.fullmatch(r"[A-Za-z0-9_.]+", rest) else None
        return self.built_in.get(name)

    def _find_entry(self, name: str) -> EntryPoint:
        package, _, short = name.partition("/")
        entries = self.entries()
        if entry := entries.get(f"{_normalise(package)}/{short}"):
            return entry
        theirs = ", ".join(sorted(entries))
        raise PluginUnusable(
            f"{self.key} is {name}, but no installed package {package} registers {short} as a {self.name} "
            f"(entry points in the group {self.group}): install it{f'; there are {theirs}' if theirs else ''}"
        )

    def _import(self, name: str) -> Any:
        """The object `module:object`. Modules are searched on Python's path, and in the current folder."""
        module_name, _, attribute = name.partition(":")
        here = str(Path.cwd())
        added = here not in sys.path
        if added:
            sys.path.append(here)
        try:
            module = importlib.import_module(module_name)
        except Exception as error:
            missing = isinstance(error, ModuleNotFoundError) and module_name.startswith(str(error.name))
            raise PluginUnusable(
                f"{self.key} is {name}: {module_name} cannot be imported ({type(error).__name__}: {error})"
                + ("; put it into the folder of the sweep file, or into the current one" if missing else "")
            ) from error
        finally:
            if added:
                sys.path.remove(here)
        part = getattr(module, attribute, None)
        if part is None or (self.is_called and not callable(part)):
            there = [
                one for one, value in vars(module).items() if inspect.isfunction(value) and not one.startswith("_")
            ]
            raise PluginUnusable(
                f"{self.key} is {name}: {module_name} has no {'function' if self.is_called else 'value'} {attribute}; it has {', '.join(there) or 'none'}"
            )
        return part


def _normalise(package: str) -> str:
    """The name of a package as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()
