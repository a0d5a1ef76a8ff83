"""Imports a user-defined function that is named as `module:function`."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainables.errors import ModelUnusable
from trainables.plugins.trust import check_trusted


def find_function(name: str) -> Callable[..., Any]:
    """The function that `module:function` names. Modules are searched on Python's path, and in the current folder.

    Raises `ModelUnusable`, with nothing imported, where the name comes from a store alone.
    """
    check_trusted(name)
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and module_name.startswith(str(error.name))
        raise ModelUnusable(
            f"model.name is {name}: {module_name} cannot be imported ({type(error).__name__}: {error})"
            + ("; put it into the folder of the sweep file, or into the current one" if missing else "")
        ) from error
    finally:
        if added:
            sys.path.remove(here)
    function = getattr(module, function_name, None)
    if not callable(function):
        there = [one for one, value in vars(module).items() if inspect.isfunction(value) and not one.startswith("_")]
        raise ModelUnusable(
            f"model.name is {name}: {module_name} has no function {function_name}; it has {', '.join(there) or 'none'}"
        )
    return function  # type: ignore[no-any-return]
