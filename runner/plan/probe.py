"""Measures how long an epoch of each architecture takes on this machine, in as many processes at once as a run has slots."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np

from runner.cluster.node_types import count_gpus
from runner.cluster.slot import NodeType, NoSlot, Slot, choose_slot
from runner.config.run import ResourcesConfig
from runner.control.architecture import name_architecture, spread
from trainables.config.trial import TrialConfig
from trainables.data.images import ImageArrays
from trainables.data.mapped import find_file
from trainables.plugins.trust import trust, trusted
from trainables.training.epoch_timer import EpochTime, EpochTimer, ProbeFailed

EACH_S = 1.0
"""Seconds of one measurement. (Its preparations take about half as much in addition.)"""

MOST_EACH = 18
"""Measurements of one process: half a minute. Of more architectures than that, some stand for the others."""

ROUNDS, USUAL_EACH = 3, 9
"""Few architectures are measured again, in rounds, while that takes no more than `USUAL_EACH` measurements: something
else may have kept the machine busy the first time."""

TIMEOUT_S = 60.0
"""A measurement that takes longer than this, from the start of the processes or since the last one, is given up."""


@dataclass(frozen=True)
class Probe:
    """The measurements of a probe."""

    times: Mapping[str, tuple[EpochTime, ...]]
    """One or more measurements of each architecture, by its name."""
    import_s: float = 0.0
    """Seconds that a process took to import torch, while the others did so, too."""
    failure: str = ""
    """Why an architecture has no time; "" if all have one."""


def probe(
    images: ImageArrays, configs: Sequence[TrialConfig], slots: int, resources: ResourcesConfig, gpus: int
) -> Probe:
    """Measure a trial of each architecture, `slots` at a time, each process with the cores and the GPU that a slot has.

    No process idles while another measures: the list is filled up with architectures that are measured once more.
    Those that did not come to an end in time are left out.
    """
    slot_here = find_slot_here(resources)
    cores = slot_here.cpus if slot_here else resources.cpus or 1
    selected = spread(configs, MOST_EACH * slots)
    selected += [selected[at % len(selected)] for at in range(-len(selected) % slots)]
    rounds = min(ROUNDS, max(1, USUAL_EACH * slots // len(selected)))
    # In each round a process has other architectures, if there are any.
    shares = [
        [config for at in range(rounds) for config in selected[(slot + at) % slots :: slots]] for slot in range(slots)
    ]
    with tempfile.TemporaryDirectory(prefix="caucus-images-") as folder:
        _save(images, Path(folder))
        context = multiprocessing.get_context("spawn")
        start = context.Barrier(slots)
        pipes: dict[Connection, SpawnProcess] = {}
        for slot in range(slots):
            here, there = context.Pipe(duplex=False)
            share = [config.model_dump(mode="json") for config in shares[slot]]
            visible = _visible_gpus(slot, gpus, resources)
            # `daemon`: they end with this process, however that ends.
            process = context.Process(
                target=_measure, args=(there, start, folder, cores, visible, share, trusted()), daemon=True
            )
            process.start()
            there.close()
            pipes[here] = process
        try:
            return _collect(pipes)
        finally:
            for process in pipes.values():
                process.terminate()
                process.join()


def _collect(pipes: Mapping[Connection, SpawnProcess]) -> Probe:
    """Collect the messages of the processes, until all have ended or none has sent one for too long."""
    times: dict[str, tuple[EpochTime, ...]] = {}
    imports: list[float] = []
    failure = ""
    left = list(pipes)
    while left:
        ready = wait(left, TIMEOUT_S)
        if not ready:
            return Probe(times, max(imports, default=0.0), failure or f"no measurement ended within {TIMEOUT_S:g} s")
        for pipe in ready:
            assert isinstance(pipe, Connection)
            try:
                message = pipe.recv()
            except EOFError:
                left.remove(pipe)
                pipes[pipe].join()
                if pipes[pipe].exitcode:
                    failure = failure or f"a process died with exit code {pipes[pipe].exitcode}"
                continue
            if isinstance(message, str):
                failure = failure or message
            elif isinstance(message, float):
                imports.append(message)
            else:
                name, took = message
                times[name] = (*times.get(name, ()), took)
    return Probe(times, max(imports, default=0.0), failure)


def _measure(
    pipe: Connection,
    start: Any,
    folder: str,
    cores: int,
    visible_gpus: str | None,
    raw_configs: list[dict[str, Any]],
    models: tuple[str, ...] = (),
) -> None:
    """Runs in each process: sends the seconds to import torch, then an (architecture, time) or an error for each configuration.

    It may import the user-defined models named `models`.
    """
    trust(models)
    os.environ["OMP_NUM_THREADS"] = str(cores)
    if visible_gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible_gpus
    start_s = time.monotonic()
    import trainables.training.training  # noqa: F401

    pipe.send(time.monotonic() - start_s)
    try:
        timer = EpochTimer(_load(Path(folder)), cores)
    except Exception as error:
        start.abort()
        pipe.send(f"{type(error).__name__}: {error}")
        return
    with contextlib.suppress(Exception):  # a process that died leaves the barrier broken: the others measure alone
        start.wait(TIMEOUT_S)
    for one in raw_configs:
        config = TrialConfig.model_validate(one)
        try:
            pipe.send((name_architecture(config), timer.time_epoch(config, EACH_S)))
        except ProbeFailed as error:
            pipe.send(str(error))


def _visible_gpus(slot: int, gpus: int, resources: ResourcesConfig) -> str | None:
    """CUDA_VISIBLE_DEVICES of a slot, as Ray would set it, "" for a slot without a GPU; None if there are no GPUs."""
    share = 1.0 if resources.gpus is None else resources.gpus
    if not gpus:
        return None
    if not share:
        return ""
    known = (os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))).split(",")
    first = int(slot * share + 1e-9)
    return ",".join(known[first : first + max(1, round(share))])


def _save(images: ImageArrays, folder: Path) -> None:
    """The arrays as files, which all processes share in memory; pixels that lie in a file already are linked to it."""
    file = find_file(images.pixels)
    if file is not None:  # the file of a cache is one of numpy's, too
        (folder / "pixels.npy").symlink_to(file.path)
    for name in ("pixels",) * (file is None) + ("labels", "splits") + ("groups",) * (images.groups is not None):
        np.save(folder / f"{name}.npy", getattr(images, name), allow_pickle=False)
    (folder / "classes").write_text(str(images.classes))


def _load(folder: Path) -> ImageArrays:
    pixels, labels, splits = (
        np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("pixels", "labels", "splits")
    )
    groups = np.load(folder / "groups.npy", allow_pickle=False) if (folder / "groups.npy").exists() else None
    return ImageArrays(pixels, labels, splits, int((folder / "classes").read_text()), groups)


def count_slots(resources: ResourcesConfig) -> int:
    """Trials at a time that a run on this machine alone would have, at least 1."""
    slot = find_slot_here(resources)
    return slot.now if slot else 1


def find_slot_here(resources: ResourcesConfig) -> Slot | None:
    """The slot of a trial on this machine alone, as a run chooses it; None if it has no room for one."""
    try:
        return choose_slot(resources, [NodeType("this machine", count_cores(), count_gpus())], can_grow=False)
    except NoSlot:
        return None


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
