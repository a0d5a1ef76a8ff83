"""Where the code of custom (user-defined) models lies, and how all processes find it."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from runner.config.overrides import custom_model_names

if TYPE_CHECKING:
    from runner.config.sweep import SweepSpec


def add_module_paths(sweep_file: str) -> None:
    """Append the folder of the sweep file, and the current one, to the path on which modules are found.

    They come last, so that no file there shadows an installed package. Child processes inherit the path.
    """
    for folder in (Path(sweep_file).absolute().parent, Path.cwd()):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def find_custom_code(spec: SweepSpec) -> list[Path]:
    """Files and folders of the modules that `spec` names as models, for workers; installed modules are left out.

    For a module in a package it is the folder of the outermost package.
    """
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")]
    found: dict[Path, None] = {}
    for name in custom_model_names(spec.model_dump(mode="json")):
        module = importlib.util.find_spec(name.partition(":")[0].partition(".")[0])
        if module is None or module.origin is None:
            continue  # its import reports that
        path = Path(module.origin).resolve()
        path = path.parent if module.submodule_search_locations else path
        if not any(path.is_relative_to(folder) for folder in installed):
            found[path] = None
    return list(found)
