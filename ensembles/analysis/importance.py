"""The importance of hyperparameters for a trial's accuracy: permutation importance in a random forest, on held-out trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.results.record import TrialRecord

LEAST_TRIALS = 20
"""From fewer trials a forest learns nothing that could be distinguished from chance."""
MOST_TRIALS = 600
"""Of more trials, this many are sampled evenly: a report must not take minutes."""
LEAST_R2 = 0.1
"""If a forest explains less than this on held-out trials, its importances mean nothing."""
TREES, FOLDS, SHUFFLES = 60, 5, 5


@dataclass(frozen=True)
class KeyImportance:
    """One key, and by how much R2 falls when its values are shuffled: about 0 for a key that does not matter."""

    key: str
    lost_r2: float


@dataclass(frozen=True)
class Importance:
    """The importance of keys in a random forest."""

    epoch: int
    """The last epoch that enough trials have; a trial's score is its best validation accuracy up to it."""
    trials: int
    r2: float
    """Share of the variance between trials that forests explain on held-out trials."""
    keys: tuple[KeyImportance, ...]
    """The most important first; empty where `r2` is below `LEAST_R2`."""


def measure_importance(records: Sequence[TrialRecord], keys: Sequence[str]) -> Importance | None:
    """The importance of `keys`; None if fewer than `LEAST_TRIALS` trials can be compared.

    A random forest (Breiman 2001) predicts each trial's accuracy from its keys; each key's values are shuffled among
    the trials that the forest has not seen, and what R2 loses is the key's importance. Breiman shuffles out-of-bag
    rows tree by tree; here it is 5 folds, so that R2 and importance are of the same rows. Keys that vary together
    share their importance. Trials are compared at one epoch: else pruned trials would seem worse because they are shorter.
    """
    epoch = _common_epoch(records)
    compared = sorted((record for record in records if _reaches(record, epoch)), key=lambda record: record.trial_id)
    if epoch == 0 or len(compared) < LEAST_TRIALS or not keys:
        return None
    if len(compared) > MOST_TRIALS:
        compared = [compared[round(at)] for at in np.linspace(0, len(compared) - 1, MOST_TRIALS)]
    score = np.array([max(at.validation_accuracy for at in record.epochs if at.epoch <= epoch) for record in compared])
    if np.ptp(score) == 0:
        return None
    table = np.column_stack([_encode([record.config.flat().get(key) for record in compared]) for key in keys])
    r2, lost = _forest(table, score)
    ranked = sorted(zip(keys, lost, strict=True), key=lambda pair: -pair[1]) if r2 >= LEAST_R2 else []
    return Importance(epoch, len(compared), r2, tuple(KeyImportance(key, value) for key, value in ranked))


def _common_epoch(records: Sequence[TrialRecord]) -> int:
    """The last epoch that half of the trials with an epoch have, but at least `LEAST_TRIALS`; 0 if there is none."""
    lengths = sorted((record.epochs[-1].epoch for record in records if record.epochs), reverse=True)
    least = max(LEAST_TRIALS, (len(lengths) + 1) // 2)
    return lengths[least - 1] if len(lengths) >= least else 0


def _reaches(record: TrialRecord, epoch: int) -> bool:
    return bool(record.epochs) and record.epochs[-1].epoch >= epoch


def _encode(values: Sequence[object]) -> npt.NDArray[np.float64]:
    """Numbers as they are, strings by their alphabetical order, missing values below all: a tree only compares."""
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    missing = min(numbers, default=0.0) - 1
    names = {name: place for place, name in enumerate(sorted({str(one) for one in values if isinstance(one, str)}))}
    above = max(numbers, default=0.0) + 1
    return np.array(
        [
            float(one) if isinstance(one, int | float) else above + names[one] if isinstance(one, str) else missing
            for one in values
        ]
    )


def _forest(table: npt.NDArray[np.float64], score: npt.NDArray[np.float64]) -> tuple[float, list[float]]:
    """R2 on held-out trials, and its loss when each column is shuffled."""
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(0)
    trials, keys = table.shape
    fold_of = rng.permutation(trials) % FOLDS
    error, shuffled = 0.0, np.zeros(keys)
    for fold in range(FOLDS):
        seen, unseen = fold_of != fold, fold_of == fold
        forest = RandomForestRegressor(TREES, min_samples_leaf=2, max_features=0.5, random_state=fold, n_jobs=1)
        forest.fit(table[seen], score[seen])
        rows, targets = table[unseen], score[unseen]
        error += float(np.square(forest.predict(rows) - targets).sum())
        shuffled_rows = np.tile(rows, (keys * SHUFFLES, 1, 1))
        for number in range(keys * SHUFFLES):
            shuffled_rows[number, :, number % keys] = rng.permutation(rows[:, number % keys])
        predicted = forest.predict(shuffled_rows.reshape(-1, keys)).reshape(SHUFFLES, keys, -1)
        shuffled += np.square(predicted - targets).sum(2).mean(0)
    spread = float(np.square(score - score.mean()).sum())
    return 1 - error / spread, [float(one) for one in (shuffled - error) / spread]
