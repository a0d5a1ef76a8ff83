"""Calls a plug-in with those keys of its section that its signature names."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from trainables.errors import CaucusError, PluginUnusable
from trainables.plugins.kind import Kind, is_plugin


def takes(function: Callable[..., Any], positional: int) -> tuple[frozenset[str], bool]:
    """The keys that `function` names after its first `positional` parameters, and whether it takes any others (`**keys`).

    Raises `TypeError` where it takes fewer positional arguments.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:  # a function in C, without a signature
        return frozenset(), False
    first = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    if len(first) < positional and not any(one.kind is one.VAR_POSITIONAL for one in parameters):
        raise TypeError(f"it takes {len(first)} positional argument(s), but is called with {positional}")
    named = {one.name for one in (*first[positional:], *(one for one in parameters if one.kind is one.KEYWORD_ONLY))}
    return frozenset(named), any(one.kind is one.VAR_KEYWORD for one in parameters)


def choose_keys(
    function: Callable[..., Any], positional: int, known: Mapping[str, Any], extra: Mapping[str, Any]
) -> dict[str, Any]:
    """The keyword arguments for a call: of `known`, those that `function` names; of `extra`, those too, or all with `**keys`."""
    named, takes_all = takes(function, positional)
    return {key: value for key, value in known.items() if key in named} | {
        key: value for key, value in extra.items() if takes_all or key in named
    }


@contextlib.contextmanager
def naming(where: str, error: type[CaucusError] = PluginUnusable, what: str = "it") -> Iterator[None]:
    """An exception in the block becomes an `error` that says where it was raised; errors for people stay as they are."""
    try:
        yield
    except CaucusError:
        raise
    except Exception as raised:
        raise error(f"{where}: {what} raised {type(raised).__name__}: {raised}") from raised


def build(
    kind: Kind,
    name: str,
    positional: tuple[Any, ...],
    known: Mapping[str, Any],
    extra: Mapping[str, Any],
    protocol: tuple[str, ...],
) -> Any:
    """The object that the class (or function) `name` makes of `positional`, and of those of `known` and `extra` that its signature names.

    Raises `PluginUnusable` where a plug-in does not take a key, raises an error, or makes an object without the methods of `protocol`.
    """
    make = kind.find(name)
    if not is_plugin(name):
        return make(*positional, **choose_keys(make, len(positional), known, {}))
    where = f"{kind.key} is {name}"
    with naming(where):
        refuse_unknown(kind.key.partition(".")[0], extra, {name: (make, len(positional))})
        found = make(*positional, **choose_keys(make, len(positional), known, extra))
    if missing := [method for method in protocol if not callable(getattr(found, method, None))]:
        raise PluginUnusable(
            f"{where}: it made a {type(found).__name__}, which is no {kind.name}: it has no {', '.join(missing)}"
        )
    return Guarded(found, where)


class Guarded:
    """An object of a plug-in. An error in one of its methods is a `PluginUnusable` that names the plug-in and the method."""

    def __init__(self, part: Any, where: str) -> None:
        self._part, self._where = part, where

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # asked for by copy before there is anything in here
            raise AttributeError(name)
        found = getattr(self._part, name)
        if not callable(found):
            return found

        def call(*positional: Any, **keys: Any) -> Any:
            with naming(self._where, what=f"its {name}"):
                return found(*positional, **keys)

        return call


def refuse_unknown(
    section: str,
    keys: Mapping[str, Any],
    plugins: Mapping[str, tuple[Callable[..., Any], int]],
    by_name: bool = False,
) -> None:
    """Raise `PluginUnusable` where none of `plugins`, by name with their numbers of positional arguments, takes one of `keys`.

    With `by_name`, `**keys` in a signature takes none of them.
    """
    taken = {}
    for name, (function, positional) in plugins.items():
        try:
            taken[name] = takes(function, positional)
        except TypeError as error:
            raise PluginUnusable(f"{section} names {name}: {error}") from None
    for key, value in keys.items():
        if not any(key in named or (takes_all and not by_name) for named, takes_all in taken.values()):
            known = sorted(frozenset[str]().union(*(named for named, _ in taken.values())))
            raise PluginUnusable(
                f"{section}.{key} is {value!r}, but {_enumerate(taken)} take{'s' * (len(taken) == 1)} no {key}: {'it takes' if len(taken) == 1 else 'they take'} "
                f"{', '.join(known) or 'no keys'}; name it in its signature or remove the key"
            )


def _enumerate(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
