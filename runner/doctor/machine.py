"""Whether Caucus can run here: this machine and installation, then, if a sweep is named, its data and its store."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import shutil
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from runner.cluster.auth_token import asks_for_token, find_token_fault
from runner.cluster.private_ray import OBJECT_STORE_BYTES
from runner.config.run import StoreConfig
from runner.config.sweep import SweepSpec
from runner.doctor.cluster_rules import CONSTRAINTS, pinned_ray
from runner.doctor.data import check_data, read_named
from runner.doctor.finding import Checkup, DataCheckup, Fact, Finding
from runner.doctor.gpu_driver import find_driver, find_fault, least_driver
from trainables.distribution import (
    CHECKOUT,
    COMMAND,
    ENTRY,
    NAME,
    find_foreign_command,
    installed_version,
    setup_command,
)
from trainables.errors import CaucusError, StoreError
from trainables.hardware.gpu_share import HIDDEN
from trainables.store.base import Store
from trainables.store.folder import Folder
from trainables.store.json_records import check_format
from trainables.store.open import open_store

LEAST_FREE_BYTES = 2 * 1024**3
"""Ray alone writes some hundred megabytes of logs and spilled objects; below this a night is likely to end early."""

OLDEST_PYTHON = (3, 11)

SCRIPT_BYTES = 4096
"""What pip writes as a command is shorter."""

SHARED_MEMORY = Path("/dev/shm")


def check_machine(sweep: str | None, overrides: list[str]) -> Checkup:
    """The checkup of this machine, and of the sweep file `sweep`, or of the images there, if one is named. Trains nothing.

    The store gets a probe, which is deleted again where deleting is allowed.
    """
    spec: SweepSpec | None = None
    fault: list[Fact | Finding] = []
    if sweep is not None:
        try:
            spec = read_named(sweep, overrides)
        except CaucusError as error:
            fault = [Finding("sweep", str(error))]
    found: list[Fact | Finding | DataCheckup] = [*_check_installation(), *_check_disk(_find_folder(spec)), *fault]
    if spec is not None:
        found += [Fact("sweep", f"{sweep}: {spec.name}, {spec.search.method}"), *check_data(spec), *_check_store(spec)]
    facts = tuple(one for one in found if isinstance(one, Fact))
    findings = tuple(one for one in found if isinstance(one, Finding))
    return Checkup(facts, findings, next((one for one in found if isinstance(one, DataCheckup)), None))


def _check_installation() -> Iterator[Fact | Finding]:
    python = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        yield Finding(
            "Python",
            f"is {python}",
            "3.11 is the oldest that Caucus runs on",
            "install a newer Python, then Caucus in it",
        )
    else:
        yield Fact(
            "Python", f"{python}, {len(os.sched_getaffinity(0)) if sys.platform == 'linux' else os.cpu_count()} cores"
        )
    yield Fact("Caucus", f"{installed_version()} in {CHECKOUT}")
    yield from _check_command()
    yield _check_torch()
    ray, pinned = version("ray"), pinned_ray(Path())
    if pinned and ray != pinned:
        advice = f"pip install --constraint {CONSTRAINTS} --editable ."
        yield Finding("Ray", f"is {ray}", f"{CONSTRAINTS} says {pinned}, and all nodes need the same", advice)
    else:
        yield Fact("Ray", f"{ray}, as {CONSTRAINTS} pins it" if pinned else ray)
    if fault := find_token_fault(os.environ):
        yield Finding("token", fault)
    elif asks_for_token(os.environ):
        yield Fact("token", "there, and readable by nobody else")


def _check_command() -> Iterator[Finding]:
    """Another project's `caucus`, installed beside ours or found before it: what a person types would start that one."""
    if foreign := find_foreign_command():
        owner = f"{foreign.dist.name} {foreign.dist.version}" if foreign.dist else foreign.value
        rule = f"The command {COMMAND} is then that of the program that was installed last"
        advice = f"pip uninstall {foreign.dist.name if foreign.dist else COMMAND}, then install {NAME} again"
        yield Finding("command", f"{owner} is installed too, another program of the name {COMMAND}", rule, advice)
        return
    found = shutil.which(COMMAND)
    installed = Path(sysconfig.get_path("scripts")) / COMMAND
    if found and installed.exists() and not installed.samefile(found) and not _starts_ours(Path(found)):
        rule = f"Yours is {installed}"
        yield Finding(
            "command", f"the shell finds {found}, another program", rule, f"put {installed.parent} first in PATH"
        )


def _starts_ours(script: Path) -> bool:
    try:
        with script.open("rb") as file:
            return ENTRY.partition(":")[0].encode() in file.read(SCRIPT_BYTES)
    except OSError:
        return False


def _check_torch() -> Fact | Finding:
    try:
        import torch
    except (ImportError, OSError) as error:  # a CUDA library that does not load is an OSError
        return Finding("torch", f"cannot be imported ({error})", "Trials need it", setup_command())
    driver, cuda, name = find_driver(), torch.version.cuda or "", f"torch {torch.__version__}"
    if driver and not cuda and not torch.version.hip:
        what = f"{name} is built without CUDA, but this machine has an NVIDIA driver ({driver})"
        return Finding("torch", what, "Trials would train on the CPU", "install a torch that is built for CUDA")
    if driver and (fault := find_fault(driver, cuda)):
        advice = f"install NVIDIA driver {least_driver(cuda)} or newer, or a torch for an older CUDA"
        return Finding("torch", f"{name}: {fault}", "Trials would train on the CPU", advice)
    with warnings.catch_warnings(action="ignore"):  # torch warns of what is reported below
        gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if driver and not gpus and os.environ.get("CUDA_VISIBLE_DEVICES") not in HIDDEN:
        what = f"{name} sees no GPU, but this machine has an NVIDIA driver ({driver})"
        return Finding(
            "torch", what, "Trials would train on the CPU", "start a container with --gpus all; see nvidia-smi"
        )
    seen = ", ".join(gpus) if gpus else "no GPU: trials train on the CPU"
    return Fact("torch", f"{torch.__version__}, {seen}" + (f", driver {driver}" if driver and gpus else ""))


def _find_folder(spec: SweepSpec | None) -> Path | None:
    """The folder of the store, or its nearest parent that exists; None if the store is a bucket."""
    uri = (spec.store if spec else StoreConfig()).uri
    try:
        store = open_store(uri)
    except CaucusError:  # reported by the check of the store
        return None
    if not isinstance(store, Folder):
        return None
    return next(folder for folder in (store.root, *store.root.parents) if _is_folder(folder))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # below a folder that is closed to this user
        return False


def _check_disk(runs: Path | None) -> Iterator[Fact | Finding]:
    for folder in dict.fromkeys([*([runs] if runs else []), Path(tempfile.gettempdir())]):
        free = shutil.disk_usage(folder).free
        if free < LEAST_FREE_BYTES:
            what = f"{free / 2**30:.1f} GiB free in {folder}"
            yield Finding("disk", what, f"A run wants {LEAST_FREE_BYTES / 2**30:g} GiB there", "free some space")
        else:
            yield Fact("disk", f"{free / 2**30:.0f} GiB free in {folder}")
    if SHARED_MEMORY.is_dir():
        size = shutil.disk_usage(SHARED_MEMORY).total
        if size < OBJECT_STORE_BYTES:
            rule = f"Ray keeps its objects there, {OBJECT_STORE_BYTES / 2**20:.0f} MiB and the images"
            yield Finding("shared memory", f"{size / 2**20:.0f} MiB", rule, "start the container with --shm-size=2g")


def _check_store(spec: SweepSpec) -> Iterator[Fact | Finding]:
    try:
        store = open_store(spec.store.uri, spec.store.endpoint_url)
        store.check_writable()
        known = check_format(store)
        is_exclusive = _refuses_overwriting(store)
    except CaucusError as error:
        yield Finding("store", str(error))
        return
    yield Fact("store", f"{store.uri}: can be read and written, {'has runs of Caucus' if known else 'new'}")
    if not is_exclusive:
        rule = "A store keeps two drivers of one run apart by conditional writes (If-None-Match)"
        yield Finding(
            "store", f"{store.uri} lets two writers create one object", rule, "take another server, or a folder"
        )


def _refuses_overwriting(store: Store) -> bool:
    """Whether the store refuses to create an object that exists."""
    key = f"probe-{secrets.token_hex(8)}"
    try:
        return store.create(key, b"first") and not store.create(key, b"second")
    finally:
        with contextlib.suppress(StoreError):  # a role that may write but not delete is as it should be
            store.delete(key)
