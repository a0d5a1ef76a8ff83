"""The names of everything that a store holds. The one place where a key is spelled.

caucus.json                            the format of the store
data/<data_id>/                        data.json, images.parquet
trials/<trial_id>/                     config.json, then a folder per kept epoch
trials/<trial_id>/epoch-0003/          weights, optimizer, validation, test, metrics, timing, LAST manifest.json
sweeps/<name>/<run>/                   sweep.json, events/, status.json, trials.parquet, ensemble.json, report.html
sweeps/<name>/latest                   the name of the newest run
"""

from __future__ import annotations

import re

FORMAT = 1
"""Raised when an older Caucus could not read what a newer one writes."""

FORMAT_KEY = "caucus.json"

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
OPTIMIZER = "optimizer.safetensors"
METRICS = "metrics.json"
"""What an epoch measured: the same bytes whenever the same trial is trained on the same machine."""
TIMING = "timing.json"
"""What an epoch took, and on what: never the same twice."""

SPLITS = ("train", "validation", "test")

EVENTS = "events/"
SWEEP = "sweep.json"
STATUS = "status.json"
ENSEMBLE = "ensemble.json"
TRIALS_TABLE = "trials.parquet"
REPORT = "report.html"

TRIALS = "trials/"
SWEEPS = "sweeps/"

_EPOCH = re.compile(r"epoch-(\d{4,})")


def data_key(data_id: str, part: str) -> str:
    """Key of `part` (data.json, images.parquet) of a data set."""
    return f"data/{data_id}/{part}"


def trial_prefix(trial_id: str) -> str:
    """Everything that a trial leaves behind lies under this prefix."""
    return f"{TRIALS}{trial_id}/"


def config_key(trial_id: str) -> str:
    """Key of the configuration of a trial."""
    return f"{trial_prefix(trial_id)}config.json"


def checkpoint_prefix(trial_id: str, epoch: int) -> str:
    """Everything that a trial leaves behind at the end of `epoch` (counted from 1) lies under this prefix."""
    return f"{trial_prefix(trial_id)}epoch-{epoch:04d}/"


def epoch_of(key: str) -> int | None:
    """The epoch in a checkpoint's key, or None where the key is none of a checkpoint.

    >>> epoch_of("trials/0f3a/epoch-0012/manifest.json"), epoch_of("trials/0f3a/config.json")
    (12, None)
    """
    found = _EPOCH.search(key)
    return int(found[1]) if found else None


def predictions_part(split: str) -> str:
    """Name of a predictions file inside a checkpoint: a file of its own for each split."""
    return f"{split}.arrow"


def sweep_prefix(name: str) -> str:
    """All runs of a sweep lie under this prefix."""
    return f"{SWEEPS}{name}/"


def latest_key(name: str) -> str:
    """Key of the name of the newest run of a sweep."""
    return f"{sweep_prefix(name)}latest"


def run_key(name: str, run: str, part: str) -> str:
    """Key of `part` (sweep.json, status.json, report.html …) of one run."""
    return f"{sweep_prefix(name)}{run}/{part}"
