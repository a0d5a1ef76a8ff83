"""The plug-ins (`module:object`, `package/name`) that this process may import: those that a person has named, no others.

Configurations are also read from stores and bundles, and the author of one could name any object of any installed package,
with arguments of their choice. A name is therefore trusted where it comes from a sweep file, the command line, a program or
`--custom-code`, never where it comes from a store. Processes that this one starts inherit its trusted names.
"""

from __future__ import annotations

from collections.abc import Iterable

from trainables.errors import PluginUnusable

_TRUSTED: set[str] = set()


def trust(names: Iterable[str]) -> None:
    """Allow this process to import the plug-ins of these names."""
    _TRUSTED.update(names)


def trusted() -> tuple[str, ...]:
    """The trusted names, sorted, for processes that this one starts."""
    return tuple(sorted(_TRUSTED))


def check_trusted(key: str, name: str) -> None:
    """Raise `PluginUnusable` unless a person has named this plug-in; `key` is the key of a sweep file that names it."""
    if name not in _TRUSTED:
        raise PluginUnusable(
            f"{key} is {name}: a store or a bundle says so, and not you, so that code is not run: "
            "where you trust it, name it in the sweep file, name the run by that file, or add --custom-code"
        )
