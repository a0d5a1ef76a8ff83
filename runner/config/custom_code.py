"""Where the code of plug-ins lies, how all processes find it, and what its source is."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from runner.config.overrides import custom_augmentation_names, custom_model_names, plugin_names
from trainables.plugins.kinds import AUGMENTATION, MODEL
from trainables.plugins.source import hash_plugin

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
    """Files and folders of the modules that `spec` names as plug-ins, for workers; installed modules are left out.

    For a module in a package it is the folder of the outermost package.
    """
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")]
    found: dict[Path, None] = {}
    for name, kind in plugin_names(spec.model_dump(mode="json")).items():
        top = kind.module_of(name).partition(".")[0]
        module = importlib.util.find_spec(top) if top else None
        if module is None or module.origin is None:
            continue  # its import reports that
        path = Path(module.origin).resolve()
        path = path.parent if module.submodule_search_locations else path
        if not any(path.is_relative_to(folder) for folder in installed):
            found[path] = None
    return list(found)


def hash_custom_code(spec: SweepSpec) -> SweepSpec:
    """`spec` with a hash of the source of each custom model and augmentation, which is part of its trials' names."""
    raw = spec.model_dump(mode="json")
    names = {
        **dict.fromkeys(custom_model_names(raw), MODEL),
        **dict.fromkeys(custom_augmentation_names(raw), AUGMENTATION),
    }
    sources = {name: source for name, kind in names.items() if (source := hash_plugin(kind, name))}
    return spec.model_copy(update={"sources": sources})
