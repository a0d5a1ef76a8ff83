"""Code and package versions of this driver, which explain differences between nights."""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from ensembles.nights.summary import NightFacts
from runner.config.custom_code import find_custom_code
from runner.config.sweep import SweepSpec
from trainables import distribution
from trainables.distribution import CHECKOUT, PACKAGES, installed_version

GIT_S = 10.0
HASH_DIGITS = 12

SCHEME = "2"
"""Version of the scheme of `hash_code`: hashes of different schemes cannot be compared. Scheme 1 hashed names and bytes of
files, so that a file that was only moved counted as changed."""

EXTRAS = ("kornia", "optuna", "timm")
"""Optional packages that affect results where they are installed."""


def collect_facts(spec: SweepSpec, data_id: str) -> NightFacts:
    """Everything besides the sweep file that affects a night's results. Imports no large package."""
    packages = [CHECKOUT / package for package in PACKAGES]
    return NightFacts(
        data_id=data_id,
        caucus=installed_version(),
        commit=_commit(CHECKOUT),
        code=f"{SCHEME}-{hash_code(packages)}",
        custom_code={path.name: hash_sources([path]) for path in find_custom_code(spec)},
        versions={"python": platform.python_version(), **_versions()},
    )


def hash_sources(places: Iterable[Path]) -> str:
    """Hash of all Python files in `places`, files and folders, by their names and bytes."""
    digest = hashlib.sha256()
    for place in places:
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            data = path.read_bytes()
            digest.update(f"{path.relative_to(place.parent).as_posix()} {len(data)}\n".encode())
            digest.update(data)
    return digest.hexdigest()[:HASH_DIGITS]


def hash_code(packages: Iterable[Path]) -> str:
    """Hash of the behaviour of the code in `packages`: all top-level statements except imports, regardless of their file.

    Moving a definition to another file, or changing a comment or docstring, does not change it.
    """
    found = []
    for path in (path for package in packages for path in package.rglob("*.py")):
        for node in ast.parse(path.read_bytes()).body:
            if not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr):
                for inner in ast.walk(node):
                    _drop_docstring(inner)
                found.append(hashlib.sha256(ast.dump(node).encode()).digest())
    return hashlib.sha256(b"".join(sorted(found))).hexdigest()[:HASH_DIGITS]


def are_comparable(one: str, other: str) -> bool:
    """Whether `NightFacts.code` of two nights have the same scheme, so that a difference means a change of the code."""
    return _scheme(one) == _scheme(other)


def _scheme(code: str) -> str:
    return code.partition("-")[0] if "-" in code else "1"


def _drop_docstring(node: ast.AST) -> None:
    """Remove docstrings and other bare strings from a body. An empty body is fine: it is never run."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        node.body = [
            one
            for one in node.body
            if not (
                isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str)
            )
        ]


def _versions() -> dict[str, str]:
    """Versions of the installed requirements of Caucus, by name."""
    needed = [requirement for requirement in requires(distribution.NAME) or () if "extra ==" not in requirement]
    names = [found[0] for requirement in needed if (found := re.match(r"[A-Za-z0-9._-]+", requirement))]
    versions = {}
    for name in sorted({*names, *EXTRAS}):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _commit(checkout: Path) -> str | None:
    """The commit that is checked out; None where it is unknown, as in an image without git."""
    commit = _git(checkout, "rev-parse", f"--short={HASH_DIGITS}", "HEAD")
    if not commit:
        return None
    changed = _git(checkout, "status", "--porcelain", "--", *PACKAGES)
    return f"{commit}+" if changed else commit


def _git(checkout: Path, *arguments: str) -> str | None:
    if not (checkout / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_S,
            check=False,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
