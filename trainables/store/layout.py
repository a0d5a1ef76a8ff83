"""The names of everything that a store holds. The one place where a key is spelled.

caucus.json                            the format of the store
data/<data_id>/                        data.json, images.parquet
data/<data_id>/pseudo/<hash>.parquet   images that an ensemble has labelled
data/<data_id>/ledger/<split>/         one object for each decision that was taken on a split
data/<data_id>/means/<hash>.arrow      the mean of many checkpoints' predictions: can be deleted, is made again
weights/<sha256>.safetensors           weights from elsewhere that trials start from
trials/<trial_id>/                     config.json, then a folder per kept epoch
trials/<trial_id>/epoch-0003/          weights, optimizer, validation, validation-truth, test, metrics, watched, timing,
                                       LAST manifest.json
trials/<trial_id>/pruned/0003-…/       weights, predictions, metrics of a pruned checkpoint, LAST manifest.json
trials/<trial_id>/soups/greedy-…/      weights, predictions, metrics of an average of checkpoints, LAST manifest.json
sweeps/<name>/<run>/                   sweep.json, events/, status.json, trials.parquet, epochs.parquet, ensemble.json,
                                       report.html, report.json, missed.csv
sweeps/<name>/<run>/pruned/            a curve of accuracy against sparsity each: JSON and its chart
sweeps/<name>/<run>/soups/             a soup's story each: what its ingredients and it are worth
sweeps/<name>/<run>/drivers/            who drives the run: an object for each execution that began, and its heartbeat
sweeps/<name>/<run>/night.json         of a night: its verdict beside the last accepted one, and why
sweeps/<name>/<run>/answers.arrow      of a night: what its team says of each test image
sweeps/<name>/<run>/deleted.json       epochs of its trials whose checkpoints were deleted on purpose
sweeps/<name>/<run>/proved.json        in a bucket: which checkpoints were read back and found whole, and what was listed of them then
sweeps/<name>/<run>/parts.cache        in a bucket: parts of checkpoints that the vote reads, in one object: can be deleted, is made again
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
LAYER_STATISTICS = "watched.arrow"
"""What was seen of each layer at the end of an epoch."""
BOOST = "boost.arrow"
"""What a round of boosting leaves to the one after it."""
TIMING = "timing.json"
"""What an epoch took, and on what: never the same twice."""

SPLITS = ("train", "validation", "test")

EVENTS = "events/"
SWEEP = "sweep.json"
STATUS = "status.json"
ENSEMBLE = "ensemble.json"
TRIALS_TABLE = "trials.parquet"
EPOCHS_TABLE = "epochs.parquet"
REPORT = "report.html"
REPORT_JSON = "report.json"
"""The report's figures without its words."""
MISSED = "missed.csv"
"""Test images that no member of the team has right."""

NIGHT = "night.json"
ANSWERS = "answers.arrow"
"""What the team of a night says of each test image."""

DELETED = "deleted.json"
"""Epochs whose checkpoints retention has deleted: not lost, so not to be trained again."""

VERIFIED = "proved.json"
"""Checkpoints that were read back and found whole, each with what a listing said of it then."""

PARTS_CACHE = "parts.cache"
"""Parts of many checkpoints in one object: what a vote reads of them."""

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
    """The decisions that were taken on `split` of a data set lie under this prefix."""
    return data_key(data_id, f"ledger/{split}/")


def ledger_key(data_id: str, split: str, name: str) -> str:
    """Key of one decision; its name is the hash of what was decided."""
    return f"{ledger_prefix(data_id, split)}{name}.json"


def mean_key(data_id: str, name: str) -> str:
    """Key of the mean of some checkpoints' predictions; its name follows from the hashes of theirs."""
    return data_key(data_id, f"means/{name}.arrow")


def initial_weights_key(sha256: str) -> str:
    """Key of a file of weights that trials start from; its name is the hash of its bytes."""
    return f"weights/{sha256}.safetensors"


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


def trial_of(key: str) -> str:
    """The trial in a key under `TRIALS`.

    >>> trial_of("trials/0f3a/epoch-0012/manifest.json")
    '0f3a'
    """
    return key.removeprefix(TRIALS).partition("/")[0]


def predictions_part(split: str) -> str:
    """Name of a predictions file inside a checkpoint: a file of its own for each split."""
    return f"{split}.arrow"


def true_class_part(split: str) -> str:
    """Name of the file inside a checkpoint with those columns of its predictions that choosing needs."""
    return f"{split}-truth.arrow"


def sweep_prefix(name: str) -> str:
    """All runs of a sweep lie under this prefix."""
    return f"{SWEEPS}{name}/"


def latest_key(name: str) -> str:
    """Key of the name of the newest run of a sweep."""
    return f"{sweep_prefix(name)}latest"


def run_key(name: str, run: str, part: str) -> str:
    """Key of `part` (sweep.json, status.json, report.html …) of one run."""
    return f"{sweep_prefix(name)}{run}/{part}"


def drivers_prefix(name: str, run: str) -> str:
    """What tells the drivers of a run apart lies under this prefix."""
    return run_key(name, run, "drivers/")


def claim_key(name: str, run: str, number: int) -> str:
    """Key of the claim of a run's driver (they are counted from 1): created once, never changed."""
    return f"{drivers_prefix(name, run)}{number:06d}.json"


def beat_key(name: str, run: str, number: int) -> str:
    """Key of the heartbeat of a run's driver, which it alone writes, again and again."""
    return f"{drivers_prefix(name, run)}{number:06d}.beat"


def pruned_prefix(trial_id: str, epoch: int, method: str, sparsity: float, epochs: int) -> str:
    """What pruning a checkpoint to `sparsity` leaves behind, after so many epochs of fine-tuning, lies under this prefix.

    >>> pruned_prefix("0f3a", 12, "magnitude", 0.9, 5)
    'trials/0f3a/pruned/0012-magnitude-0.9-5/'
    """
    return f"{trial_prefix(trial_id)}pruned/{epoch:04d}-{method}-{sparsity!r}-{epochs}/"


def pruned_curves_prefix(name: str, run: str) -> str:
    """The curves of a run's pruned checkpoints lie under this prefix."""
    return run_key(name, run, "pruned/")


def pruned_curve_key(name: str, run: str, trial_id: str, method: str, kind: str = "json") -> str:
    """Key of the curve of one trial's checkpoint by one method, or (`kind` svg) of its chart."""
    return f"{pruned_curves_prefix(name, run)}{trial_id}-{method}.{kind}"


def soup_prefix(trial_id: str, kind: str, digest: str) -> str:
    """The average of some checkpoints, named by a hash of which, lies under this prefix.

    >>> soup_prefix("0f3a", "greedy", "9c1e")
    'trials/0f3a/soups/greedy-9c1e/'
    """
    return f"{trial_prefix(trial_id)}soups/{kind}-{digest}/"


def soup_summaries_prefix(name: str, run: str) -> str:
    """What a run's soups came to lies under this prefix."""
    return run_key(name, run, "soups/")


def soup_summary_key(name: str, run: str, trial_id: str, kind: str, digest: str) -> str:
    """Key of what one soup came to."""
    return f"{soup_summaries_prefix(name, run)}{trial_id}-{kind}-{digest}.json"
