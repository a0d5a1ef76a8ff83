"""Where the code of a person's own models lies, and that all processes find it."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from runner.config.overrides import custom_model_names

if TYPE_CHECKING:
    from runner.config.sweep import SweepSpec


def look_beside(sweep_file: str) -> None:
    """From now on modules are also looked for in the folder of the sweep file, and in the current one.

    Behind all others, so that no file there takes the place of an installed package. Processes that this one starts do
    likewise.
    """
    for folder in (Path(sweep_file).absolute().parent, Path.cwd()):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def find_custom_code(spec: SweepSpec) -> list[Path]:
    """Files and folders of the modules that `spec` names as models, for workers; those that are installed are left out.

    Of a module in a package the whole outermost package.
    """
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")]
    found: dict[Path, None] = {}
    for name in custom_model_names(spec.model_dump(mode="json")):
        module = importlib.util.find_spec(name.partition(":")[0].partition(".")[0])
        if module is None or module.origin is None:
            continue  # whoever imports it says so
        path = Path(module.origin).resolve()
        path = path.parent if module.submodule_search_locations else path
        if not any(path.is_relative_to(folder) for folder in installed):
            found[path] = None
    return list(found)
