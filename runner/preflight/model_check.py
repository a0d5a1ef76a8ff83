"""Before a sweep starts, one batch through each of its nets that is not the plain one, and through its custom augmentations, in a
process of its own.

This process need not import torch then, and a net that kills its process kills nothing else.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from runner.config.sweep import SweepSpec
from runner.control.architecture import spread
from runner.space.conditions import active_values, activity, in_order
from trainables.config.augment import AugmentConfig
from trainables.config.model import ModelConfig
from trainables.config.trial import TrialConfig
from trainables.data.images import ImageSet
from trainables.errors import ModelUnusable, PluginUnusable
from trainables.plugins.trust import trust, trusted

MOST = 12
"""Nets that are checked beyond one of each name and file of weights: a step of a large one takes seconds."""

TIMEOUT_S = 600.0


def check_models(
    spec: SweepSpec, images: ImageSet, trials: Sequence[TrialConfig], weights: Mapping[str, bytes]
) -> list[dict[str, Any]]:
    """The results of `check_model` for the nets of `trials`, those known beforehand: one dictionary per net, with its "name".

    Checks nets that are not `cnn`, or that start from `weights`, and custom augmentations; if there are none, no process is started.
    Raises `ModelUnusable` as `check_model` does, and for a net that works only on the CPU if the sweep asks for GPUs; and
    `PluginUnusable` for an augmentation that fails.
    """
    examples = [*trials, *_examples(spec, images.data_id)]
    nets, augments = _choose(examples), _choose_augments(examples)
    if not nets and not augments:
        return []
    _, height, width, channels = images.pixels.shape
    with tempfile.TemporaryDirectory(prefix="caucus-weights-") as folder:
        for name, data in weights.items():
            (Path(folder) / name).write_bytes(data)
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe(duplex=False)
        shape = (height, width, channels, len(images.class_names))
        raw_configs = [[one.model_dump(mode="json") for one in many] for many in (augments, nets)]
        process = context.Process(target=_check, args=(there, folder, shape, raw_configs, trusted()), daemon=True)
        process.start()
        there.close()
        try:
            for augment in augments:
                if problem := str(_receive(here, "augment.function", augment.function)):
                    raise PluginUnusable(problem)
            found = [{"name": net.name, **_receive_model(here, net)} for net in nets]
        finally:
            process.terminate()
            process.join()
    for one in found:
        if one["only_on_cpu"] and spec.resources.gpus:
            raise ModelUnusable(f"model.name is {one['name']}: {one['only_on_cpu']}")
    return found


def _choose(trials: Sequence[TrialConfig]) -> list[ModelConfig]:
    special = [trial for trial in trials if _is_special(trial.model)]
    first: dict[tuple[str, str], ModelConfig] = {}
    for trial in special:
        first.setdefault((trial.model.name, trial.model.weights), trial.model)
    selected = {model.model_dump_json(): model for model in first.values()}
    if special:
        selected |= {trial.model.model_dump_json(): trial.model for trial in spread(special, MOST)}
    return list(selected.values())


def _examples(spec: SweepSpec, data_id: str) -> list[TrialConfig]:
    """A trial of each name and each file of weights, for searches that do not know their trials beforehand."""
    found: list[TrialConfig] = []
    for _, method in spec.search.parts:
        space = in_order(method.space)
        lowest = {key: distribution.extremes()[0] for key, distribution in space.items() if distribution.extremes()}
        for key in ("model.name", "model.weights", "augment.function"):
            for value in space[key].values if key in space else ():
                active = active_values(space, activity(space, spec.fixed), lowest | {key: value})
                found.append(spec.trial(data_id, active))
    return [*found, spec.trial(data_id, {})] if _is_special(spec.model) or spec.augment.has_plugin else found


def _is_special(model: ModelConfig) -> bool:
    return model.name != "cnn" or bool(model.weights)


def _choose_augments(trials: Sequence[TrialConfig]) -> list[AugmentConfig]:
    """One configuration of each custom augmentation and each set of its keys."""
    configs = [trial.augment for trial in trials if trial.augment.has_plugin]
    return list({(config.function, *sorted(config.custom_keys)): config for config in configs}.values())


def _receive(pipe: Connection, key: str, name: str) -> Any:
    if not pipe.poll(TIMEOUT_S):
        raise ModelUnusable(f"{key} is {name}: one batch took longer than {TIMEOUT_S:g} s: take a smaller one")
    try:
        return pipe.recv()
    except EOFError:
        raise ModelUnusable(
            f"{key} is {name}: the process that took one batch through it died, perhaps for lack of memory: "
            "take a smaller one"
        ) from None


def _receive_model(pipe: Connection, net: ModelConfig) -> dict[str, Any]:
    answer = _receive(pipe, "model.name", net.name)
    if isinstance(answer, str):
        raise ModelUnusable(answer)
    return dict(answer)


def _check(
    pipe: Connection,
    folder: str,
    shape: tuple[int, int, int, int],
    raw_configs: list[list[dict[str, Any]]],
    plugins: tuple[str, ...],
) -> None:
    """Runs in the process: sends what is wrong with each augmentation, then the result of each net, or the error. It may import the
    plug-ins named `plugins`."""
    trust(plugins)
    from trainables.augment.check import check_augmentation
    from trainables.data.image_shape import ImageShape
    from trainables.models.check import check_model

    augments, nets = raw_configs
    for one in augments:
        try:
            check_augmentation(AugmentConfig.model_validate(one), ImageShape(*shape))
            pipe.send("")
        except Exception as error:
            pipe.send(str(error) or type(error).__name__)
    for one in nets:
        config = ModelConfig.model_validate(one)
        initial = (Path(folder) / config.weights).read_bytes() if config.weights else None
        try:
            pipe.send(asdict(check_model(config, ImageShape(*shape), initial)))
        except Exception as error:
            pipe.send(str(error) if isinstance(error, ModelUnusable) else f"model.name is {config.name}: {error}")
