"""Plug-ins: parts that a person adds in place of built-in ones, by `module:object` or by the entry point of an installed package.

`kinds` lists every kind of part with its built-in ones, `kind.Kind` finds the object that a name stands for, `trust` says which
names may be imported, `call` passes a part those keys of its section that its signature names, `source` hashes its source.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.plugins.kind import Kind, is_plugin
    from trainables.plugins.kinds import KINDS

__all__ = ["KINDS", "Kind", "is_plugin"]

__getattr__ = lazy_names(__name__, {"kind": ("Kind", "is_plugin"), "kinds": ("KINDS",)})
