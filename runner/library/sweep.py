"""A sweep that a program describes and runs: the same keys as a sweep file, with objects where those say more."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from ensembles.config import EnsembleConfig
from runner.config.checks import parse_spec
from runner.config.custom_code import hash_custom_code
from runner.config.overrides import plugin_names
from runner.config.sweep import SweepSpec
from runner.journal.log import Listener
from runner.library.run import Run
from runner.library.space import Searched
from runner.plan.plan import Plan, plan_sweep
from trainables.config.data import DataConfig
from trainables.data.images import ImageSet
from trainables.data.subset import sort_images
from trainables.datasets.arrays import MEMORY, images_from_arrays, images_from_dataset
from trainables.datasets.frame import images_from_frame, is_frame
from trainables.errors import SweepFileError
from trainables.plugins.kinds import DATA
from trainables.plugins.trust import trust

logger = logging.getLogger("caucus")


class Sweep:
    """What is searched, over which images, and how the best checkpoints vote. Valid by construction.

        sweep = Sweep((images, labels), optimizer={"lr": log(1e-3, 1e-1)}, search=RandomSearch(trials=8))
        run = sweep.run()

    data         `digits`, a folder with one folder of images a class, `csv:` and a table's path, a mapping of the keys of
                 `data`, an `ImageSet`, a pair of arrays (see `images_from_arrays`), a `torch.utils.data.Dataset`, or a data frame
                 of file names and labels (see `images_from_frame`)
    search       an object such as `RandomSearch(trials=8)`, a method's name, or a mapping of the keys of `search`
    scheduler    the same for `scheduler`
    parts        any other part of a sweep file: `model`, `optimizer`, `ensemble`, `budget`, ...; a value may be one of
                 `log`, `uniform`, `integers` and `choice`

    Raises `SweepFileError` where a key or a value is wrong, and `DataError` where arrays are no images.
    """

    def __init__(
        self,
        data: Any,
        *,
        name: str = "sweep",
        store: str | Mapping[str, Any] = "runs",
        search: str | Mapping[str, Any] | BaseModel = "random",
        scheduler: str | Mapping[str, Any] | BaseModel = "asha",
        **parts: Any,
    ) -> None:
        self._images, described = _read_data(data)
        raw: dict[str, Any] = {"name": name, "data": described, "store": _plain(store)}
        raw["search"], raw["scheduler"] = _method("search", search), _method("scheduler", scheduler)
        searched: dict[str, Any] = {}
        raw["data"] = _take_searched(described, "data", searched)
        for part, value in parts.items():
            if isinstance(value, Searched):
                searched[part] = value.payload
            else:
                raw[part] = _take_searched(_named(part, _plain(value)), part, searched)
        if searched:
            space = raw["search"].get("space", {})
            if not isinstance(space, Mapping):
                raise SweepFileError(f"Sweep: search.space is {space!r}: give a mapping of keys to distributions")
            raw["search"]["space"] = {**space, **searched}
        trust(plugin_names(raw))
        self.spec: SweepSpec = hash_custom_code(parse_spec(raw, "Sweep"))

    def plan(self, **options: Any) -> Plan:
        """What the sweep would do and cost; `options` are those of `plan_sweep`."""
        return plan_sweep(self.spec, None, images=self._images, **options)

    def run(
        self,
        callbacks: Sequence[Listener] = (),
        *,
        run_id: str | None = None,
        address: str | None = None,
        verify: bool = False,
    ) -> Run:
        """Run the sweep to its end, or on from where it is in the store; trains what is not trained yet.

        `callbacks` get every event with the state of the run. `address` names a Ray cluster; left out, Ray starts on this
        machine. An interrupt (Ctrl-C) stops the trials and returns a partial run, which the next call continues. What
        happens is logged by the logger `caucus`. Raises `CaucusError`.
        """
        from runner.pipeline import run_sweep

        result = run_sweep(
            self.spec,
            run_id,
            address,
            f"Sweep({self.spec.name!r}).run()",
            list(callbacks),
            logger.info,
            verify=verify,
            images=self._images,
        )
        return Run.of(self.spec, result)

    def __repr__(self) -> str:
        return f"Sweep({self.spec.name!r}, store={self.spec.store.uri!r}, search={self.spec.search.method!r})"


def _read_data(data: Any) -> tuple[ImageSet | None, dict[str, Any]]:
    """The images, where they are in memory, and the `data` part of the sweep."""
    if isinstance(data, str):
        if data in DATA.built_in and data != MEMORY:
            return None, {"name": data}
        kind, _, path = data.partition(":")
        return None, {"csv": path} if kind == "csv" else {"path": data}
    if isinstance(data, Mapping):
        return None, dict(data)
    if isinstance(data, BaseModel):
        cache = {"cache": data.cache} if isinstance(data, DataConfig) and data.cache != "auto" else {}  # no dump has it
        return None, data.model_dump(mode="json", exclude_defaults=True) | cache
    if isinstance(data, ImageSet):
        return sort_images(data), {"name": MEMORY}
    if isinstance(data, tuple) and len(data) in (2, 3):
        return sort_images(images_from_arrays(*data)), {"name": MEMORY}
    if is_frame(data):
        return images_from_frame(data), {"name": MEMORY}
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return sort_images(images_from_dataset(data)), {"name": MEMORY}
    raise SweepFileError(
        f"Sweep: data is a {type(data).__name__}: give a name, a folder, a mapping, (images, labels), a dataset or a data frame"
    )


def _plain(value: Any) -> Any:
    if not isinstance(value, BaseModel):
        return value
    # A metric decides everywhere where it is said, also where it is the default.
    said = {"metric": value.metric} if isinstance(value, EnsembleConfig) and "metric" in value.model_fields_set else {}
    return value.model_dump(mode="json", exclude_defaults=True) | said


def _method(part: str, value: str | Mapping[str, Any] | BaseModel) -> dict[str, Any]:
    """The mapping of a `search` or `scheduler`; an object keeps its method though that is its default."""
    if isinstance(value, str):
        return {"method": value}
    if isinstance(value, BaseModel):
        return {**value.model_dump(mode="json", exclude_defaults=True), "method": getattr(value, "method", "random")}
    if isinstance(value, Mapping):
        return dict(value)
    raise SweepFileError(
        f"Sweep: {part} is {value!r}: give a name, a mapping, or an object such as RandomSearch(trials=8)"
    )


def _named(part: str, value: Any) -> Any:
    """A model by its name, or by a function that another process can import."""
    if part != "model" or isinstance(value, Mapping):
        return value
    if callable(value):
        module, name = getattr(value, "__module__", "__main__"), getattr(value, "__qualname__", "")
        if module == "__main__" or not name.isidentifier():
            raise SweepFileError(
                f"Sweep: model is {name or value!r}, which no other process can import: put it into a module beside this "
                "program, and name it as module:function"
            )
        value = f"{module}:{name}"
    return {"name": value}


def _take_searched(value: Any, key: str, searched: dict[str, Any]) -> Any:
    """`value` without what is searched, which goes into `searched` under its dotted key."""
    if not isinstance(value, Mapping):
        return value
    kept: dict[str, Any] = {}
    for name, one in value.items():
        if isinstance(one, Searched):
            searched[f"{key}.{name}"] = one.payload
        else:
            kept[name] = _take_searched(one, f"{key}.{name}", searched)
    return kept
