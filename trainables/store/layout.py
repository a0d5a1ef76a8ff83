"""The layout of a store: the one place that defines its keys.

caucus.json                            the format of the store
data/<data_id>/                        data.json, images.parquet; floor.json where a sweep asked for another metric than accuracy
data/<data_id>/pseudo/<hash>.parquet   images that an ensemble has labelled
data/<data_id>/ledger/<split>/         one object for each decision that was taken on a split
data/<data_id>/means/<hash>.arrow      the mean of many checkpoints' predictions: a cache, may be deleted
weights/<sha256>.safetensors           initial weights of trials, copied from elsewhere
trials/<trial_id>/                     config.json, and a folder for each stored epoch
trials/<trial_id>/epoch-0003/          weights, optimizer, validation, validation-truth, test, metrics, watched, timing,
                                       LAST manifest.json
trials/<trial_id>/pruned/0003-…/       weights, predictions, metrics of a pruned checkpoint, LAST manifest.json
trials/<trial_id>/soups/greedy-…/      weights, predictions, metrics of an average of checkpoints, LAST manifest.json
sweeps/<name>/<run>/                   sweep.json, events/, status.json, trials.parquet, epochs.parquet, ensemble.json,
                                       report.html, report.json, missed.csv
sweeps/<name>/<run>/pruned/            curves of accuracy against sparsity: JSON and chart
sweeps/<name>/<run>/soups/             summaries of soups: scores of the ingredients and of the soup
sweeps/<name>/<run>/drivers/           the run's lease: an object for each driver that started, and its heartbeat
sweeps/<name>/<run>/night.json         of a night: the comparison with the last accepted one, with its reasons
sweeps/<name>/<run>/answers.arrow      of a night: its team's prediction for each test image
sweeps/<name>/<run>/deleted.json       epochs of its trials whose checkpoints were deleted on purpose
sweeps/<name>/<run>/proved.json        in a bucket: checkpoints that were read back and verified, with their listings at that time
sweeps/<name>/<run>/parts.cache        in a bucket: parts of checkpoints that the vote reads, in one object: a cache, may be deleted
sweeps/<name>/latest                   the name of the newest run
"""

from __future__ import annotations

import re

FORMAT = 1
"""Version of the format; raised when older versions of Caucus cannot read what a newer one writes."""

FORMAT_KEY = "caucus.json"

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
OPTIMIZER = "optimizer.safetensors"
METRICS = "metrics.json"
"""Measurements of an epoch: the same bytes whenever the same trial is trained on the same machine."""
LAYER_STATISTICS = "watched.arrow"
"""Statistics of each layer at the end of an epoch."""
BOOST = "boost.arrow"
"""Image weights that a round of boosting passes to the next one."""
TIMING = "timing.json"
"""Durations and circumstances of an epoch: never the same twice."""

SPLITS = ("train", "validation", "test")

EVENTS = "events/"
SWEEP = "sweep.json"
STATUS = "status.json"
ENSEMBLE = "ensemble.json"
TRIALS_TABLE = "trials.parquet"
EPOCHS_TABLE = "epochs.parquet"
REPORT = "report.html"
REPORT_JSON = "report.json"
"""The report's figures without its text."""
MISSED = "missed.csv"
"""Test images that no member of the team classifies correctly."""

NIGHT = "night.json"
ANSWERS = "answers.arrow"
"""The prediction of a night's team for each test image."""

DELETED = "deleted.json"
"""Epochs whose checkpoints retention has deleted: not lost, so not to be trained again."""

VERIFIED = "proved.json"
"""Checkpoints that were read back and verified, each with a mark of its listing at that time."""

PARTS_CACHE = "parts.cache"
"""Parts of many checkpoints in one object: those that a vote reads."""

DATA = "data/"
TRIALS = "trials/"
WEIGHTS_FOLDER = "weights/"
SWEEPS = "sweeps/"

_EPOCH = re.compile(r"epoch-(\d{4,})")


def data_key(data_id: str, part: str) -> str:
    """Key of `part` (data.json, images.parquet) of a data set."""
    return f"data/{data_id}/{part}"


def pseudo_key(data_id: str, name: str) -> str:
    """Key of a table of pseudo-labelled images; its name is the hash of its bytes."""
    return data_key(data_id, f"pseudo/{name}.parquet")


def ledger_prefix(data_id: str, split: str) -> str:
    """Prefix of the decisions that used `split` of a data set."""
    return data_key(data_id, f"ledger/{split}/")


def ledger_key(data_id: str, split: str, name: str) -> str:
    """Key of one decision; its name is the hash of the decision."""
    return f"{ledger_prefix(data_id, split)}{name}.json"


def mean_key(data_id: str, name: str) -> str:
    """Key of the mean of some checkpoints' predictions; its name follows from their hashes."""
    return data_key(data_id, f"means/{name}.arrow")


def initial_weights_key(sha256: str) -> str:
    """Key of a file of initial weights; its name is the hash of its bytes."""
    return f"weights/{sha256}.safetensors"


def trial_prefix(trial_id: str) -> str:
    """Prefix of everything that a trial stores."""
    return f"{TRIALS}{trial_id}/"


def config_key(trial_id: str) -> str:
    """Key of the configuration of a trial."""
    return f"{trial_prefix(trial_id)}config.json"


def checkpoint_prefix(trial_id: str, epoch: int) -> str:
    """Prefix of the checkpoint of a trial at the end of `epoch` (counted from 1)."""
    return f"{trial_prefix(trial_id)}epoch-{epoch:04d}/"


def epoch_of(key: str) -> int | None:
    """The epoch in a checkpoint's key, or None where the key does not belong to a checkpoint.

    >>> epoch_of("trials/0f3a/epoch-0012/manifest.json"), epoch_of("trials/0f3a/config.json")
    (12, None)
    """
    found = _EPOCH.search(key)
    return int(found[1]) if found else None


def trial_of(key: str) -> str:
    """The trial in a key under `TRIALS`.

    >>> trial_of("trials/0f3a/epoch-0012/manifest.json")
    '0f3a'
    """
    return key.removeprefix(TRIALS).partition("/")[0]


def predictions_part(split: str) -> str:
    """Name of the predictions file of a split inside a checkpoint."""
    return f"{split}.arrow"


def true_class_part(split: str) -> str:
    """Name of the file inside a checkpoint with those columns of its predictions that selection needs."""
    return f"{split}-truth.arrow"


def sweep_prefix(name: str) -> str:
    """Prefix of all runs of a sweep."""
    return f"{SWEEPS}{name}/"


def latest_key(name: str) -> str:
    """Key of the object that names the newest run of a sweep."""
    return f"{sweep_prefix(name)}latest"


def run_key(name: str, run: str, part: str) -> str:
    """Key of `part` (sweep.json, status.json, report.html …) of one run."""
    return f"{sweep_prefix(name)}{run}/{part}"


def drivers_prefix(name: str, run: str) -> str:
    """Prefix of the claims and heartbeats of a run's drivers."""
    return run_key(name, run, "drivers/")


def claim_key(name: str, run: str, number: int) -> str:
    """Key of the claim of a run's driver (numbered from 1): created once, never changed."""
    return f"{drivers_prefix(name, run)}{number:06d}.json"


def beat_key(name: str, run: str, number: int) -> str:
    """Key of the heartbeat of a run's driver, which that driver alone writes, periodically."""
    return f"{drivers_prefix(name, run)}{number:06d}.beat"


def pruned_prefix(trial_id: str, epoch: int, method: str, sparsity: float, epochs: int) -> str:
    """Prefix of a checkpoint that was pruned to `sparsity` and fine-tuned for `epochs`.

    >>> pruned_prefix("0f3a", 12, "magnitude", 0.9, 5)
    'trials/0f3a/pruned/0012-magnitude-0.9-5/'
    """
    return f"{trial_prefix(trial_id)}pruned/{epoch:04d}-{method}-{sparsity!r}-{epochs}/"


def pruned_curves_prefix(name: str, run: str) -> str:
    """Prefix of the curves of a run's pruned checkpoints."""
    return run_key(name, run, "pruned/")


def pruned_curve_key(name: str, run: str, trial_id: str, method: str, kind: str = "json") -> str:
    """Key of the curve of one trial's checkpoint by one method, or (`kind` svg) of its chart."""
    return f"{pruned_curves_prefix(name, run)}{trial_id}-{method}.{kind}"


def soup_prefix(trial_id: str, kind: str, digest: str) -> str:
    """Prefix of the average of some checkpoints, whose names are hashed to `digest`.

    >>> soup_prefix("0f3a", "greedy", "9c1e")
    'trials/0f3a/soups/greedy-9c1e/'
    """
    return f"{trial_prefix(trial_id)}soups/{kind}-{digest}/"


def soup_summaries_prefix(name: str, run: str) -> str:
    """Prefix of the summaries of a run's soups."""
    return run_key(name, run, "soups/")


def soup_summary_key(name: str, run: str, trial_id: str, kind: str, digest: str) -> str:
    """Key of the summary of one soup."""
    return f"{soup_summaries_prefix(name, run)}{trial_id}-{kind}-{digest}.json"
