"""Hashes the source of a plug-in: the module that defines it, and all modules of a person's own that this one imports.

A hash follows from what the code does, not from how it is written down: comments, docstrings and layout do not count. Modules
of installed packages do not count either, except those of the plug-in's own package.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from trainables.distribution import CHECKOUT, PACKAGES
from trainables.plugins.kind import Kind, is_plugin

DIGITS = 12


def hash_source(module: str, installed: bool = False) -> str:
    """Twelve hexadecimal digits for the source of `module`; "" where it has none that can be read.

    With `installed` modules of its own package count though that is installed: a plug-in's, not `torch`.

    Imports are followed as they are written, at any depth of the code; nothing is imported but parents of packages.
    """
    package = module.partition(".")[0] if installed else ""
    found: dict[str, bytes] = {}
    waiting = [*_with_parents(module)]
    while waiting:
        name = waiting.pop()
        path = None if name in found else _find(name, package)
        if path is None:
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):  # importing it says what is wrong
            found[name] = b""
            continue
        is_package = path.name == "__init__.py"
        waiting += _imported(tree, name if is_package else name.rpartition(".")[0])
        found[name] = hashlib.sha256("".join(describe(tree)).encode()).digest()
    if not found:
        return ""
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(name.encode() + b"\0" + found[name])
    return digest.hexdigest()[:DIGITS]


def hash_plugin(kind: Kind, name: str) -> str:
    """The hash of the source of the part `name`; "" where it is built in, or has none that can be read."""
    module = kind.module_of(name) if is_plugin(name) else ""
    return hash_source(module, installed=":" not in name) if module else ""


def describe(node: object) -> Iterator[str]:
    """The meaning of a piece of source, as text: no comments, docstrings or positions, and the same in every Python from 3.11."""
    if isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for name, value in ast.iter_fields(node):
            if value is None or value == [] or name in ("type_comment", "type_ignores", "kind"):
                continue
            yield f" {name}="
            yield from describe(
                [one for one in value if not is_string(one)] if name == "body" and isinstance(value, list) else value
            )
        yield ")"
    elif isinstance(node, list):
        yield "["
        for one in node:
            yield from describe(one)
        yield "]"
    else:
        yield repr(node)


def is_string(node: object) -> bool:
    """Whether a statement is a bare string, such as a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """Names of the modules that `tree`, a module of `package`, imports; names that are no modules are among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from _with_parents(base)
            for alias in node.names:
                yield f"{base}.{alias.name}"


def _with_parents(name: str) -> Iterator[str]:
    """`a.b.c`, `a.b` and `a`: importing a module runs its parents."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _find(name: str, own: str) -> Path | None:
    """The file of the module `name`, if it is a person's own or of the package `own`; else None."""
    top, *below = name.split(".")
    if not all(part.isidentifier() for part in (top, *below)):
        return None
    place = _find_top(top)
    if place is None or (top != own and _is_installed(place)):
        return None
    for part in below:
        folder = place if place.is_dir() else place.parent if place.name == "__init__.py" else None
        place = _below(folder, part) if folder else None
        if place is None:
            return None
    return place if place.is_file() else None


def _below(folder: Path, name: str) -> Path | None:
    """The file of the module `name` in `folder`, or its folder where that has no `__init__.py`."""
    places = (folder / name / "__init__.py", folder / f"{name}.py", folder / name)
    return next((path for path in places if path.is_file() or (path == places[2] and path.is_dir())), None)


def _find_top(name: str) -> Path | None:
    """The file or folder of a top-level module, on Python's path or in the current folder; None where it is no source."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    if found is not None:
        if found.origin is None and found.submodule_search_locations:
            return Path(next(iter(found.submodule_search_locations)))
        return Path(found.origin) if found.origin and found.origin.endswith(".py") else None
    return _below(Path.cwd(), name)


def _is_installed(path: Path) -> bool:
    """Whether a file is part of Python, of an installed package, or of Caucus."""
    folders = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")]
    folders += [CHECKOUT / package for package in PACKAGES]
    resolved = path.resolve()
    return any(resolved.is_relative_to(folder.resolve()) for folder in folders) or path.stem in sys.stdlib_module_names
