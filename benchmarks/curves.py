"""Learning curves of real trials, and a surrogate that makes up curves like them for any configuration of their space.

    python -m benchmarks.curves    how close the surrogate comes, on configurations that it has not seen

The recording (benchmarks/record_curves.py) is a random sample of benchmarks/curves.yaml. Training a searcher's 10,000
trials takes days; asking a forest that was fitted to recorded ones takes seconds (Eggensperger, Hutter, Hoos and
Leyton-Brown 2015, "Efficient benchmarking of hyperparameter optimizers via surrogates"). Where we differ: a forest for
whole curves instead of one for final scores; whether training gets off the ground is modelled apart; and noise comes
from the recorded trials instead of a distribution.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from scipy.special import expit, logit
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import GroupKFold

from runner.config.checks import read_spec
from runner.space.distribution import Distribution, Value
from runner.space.draws import share_of

SWEEP = Path(__file__).with_name("curves.yaml")
PARQUET = Path(__file__).parent / "recorded" / "fashion_mnist.parquet"
SERIES = ("train_loss", "validation_loss", "validation_accuracy", "busy_s")

CHANCE = 0.1
STUCK_BELOW = 0.2
"""A trial whose last accuracy is lower has not learned: ten classes give 0.1, and no trial ends between 0.11 and 0.55."""

TREES = 50
FOLDS = 10

LATE = 9
LEVEL_KEPT = 0.5
"""Share of a residual's level (its mean over the `LATE` last epochs) that is noise; the rest is what the forest does not
know of a configuration. Two seeds of 25 recorded configurations that learn end 0.009 apart, two made-up ones 0.008; with
the whole level it would be 0.012. Early epochs and jitter need no such correction: there residuals are as large as the
differences between seeds."""

NEIGHBOURS = 8
LIKENESS = (1, 3, 9, 27)
"""Epochs in which expected curves are compared, to find a recorded trial whose residual suits."""

BEST_OF = 20_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curves:
    """Recorded trials. Series are float64 (trials, epochs), NaN from the epoch in which a trial diverged.

    configurations  one a trial, dotted keys; a configuration that was trained with two seeds is there twice
    accuracy, loss  of validation
    busy_s          processor seconds of training and validation
    about           date, versions, numbers of images, command
    """

    configurations: tuple[dict[str, Value], ...]
    accuracy: Floats
    loss: Floats
    train_loss: Floats
    busy_s: Floats
    diverged: npt.NDArray[np.bool_]
    about: dict[str, str]

    @property
    def failed(self) -> npt.NDArray[np.bool_]:
        """Trials that diverged or ended no better than chance, bool (trials,)."""
        return self.diverged | (self.accuracy[:, -1] < STUCK_BELOW)

    @cached_property
    def groups(self) -> npt.NDArray[np.int64]:
        """A number for each configuration, int64 (trials,): equal where a trial has the same one with another seed."""
        number: dict[str, int] = {}
        return np.array([number.setdefault(_name(one), len(number)) for one in self.configurations])

    def take(self, rows: npt.NDArray[np.int64]) -> Curves:
        """The trials at `rows` alone."""
        return Curves(
            configurations=tuple(self.configurations[row] for row in rows.tolist()),
            accuracy=self.accuracy[rows],
            loss=self.loss[rows],
            train_loss=self.train_loss[rows],
            busy_s=self.busy_s[rows],
            diverged=self.diverged[rows],
            about=self.about,
        )


@dataclass(frozen=True, eq=False)
class Curve:
    """One made-up trial: float64 (epochs,), fewer where it diverges.

    diverged_epoch  the epoch, counted from 1, that raises `TrialDiverged`; None where it trains to the end
    """

    accuracy: Floats
    loss: Floats
    busy_s: Floats
    diverged_epoch: int | None


def load_space() -> dict[str, Distribution]:
    """The space that was recorded, by dotted key."""
    return read_spec(str(SWEEP), []).search.space


def load_curves(path: Path = PARQUET) -> Curves:
    """All recorded trials, in the order of drawing."""
    table = pq.read_table(path)
    about = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    epochs = int(about["epochs"])
    series = {name: np.full((table.num_rows, epochs), np.nan) for name in SERIES}
    for name in SERIES:
        for row, values in enumerate(table[name].to_pylist()):
            series[name][row, : len(values)] = values
    keys = [name for name in table.column_names if "." in name]
    return Curves(
        configurations=tuple(table.select(keys).to_pylist()),
        accuracy=series["validation_accuracy"],
        loss=series["validation_loss"],
        train_loss=series["train_loss"],
        busy_s=series["busy_s"],
        diverged=table["diverged"].to_numpy(),
        about=about,
    )


class _Forest:
    """Extremely randomised trees, held_out without scikit-learn's checks: those take longer than the trees."""

    def __init__(self, inputs: Floats, outputs: Floats) -> None:
        forest = ExtraTreesRegressor(TREES, random_state=0)
        forest.fit(inputs, outputs if outputs.shape[1] > 1 else outputs[:, 0])
        self._trees = [one.tree_ for one in forest.estimators_]
        self._means = [tree.value[:, :, 0] for tree in self._trees]

    def mean(self, inputs: Floats) -> Floats:
        """Mean output of the leaves that each row of `inputs` comes to, float64 (rows, outputs)."""
        rows = np.ascontiguousarray(inputs, np.float32)
        total = sum(means[tree.apply(rows)] for means, tree in zip(self._means, self._trees, strict=True))
        return np.asarray(total / len(self._trees), np.float64)


class Surrogate:
    """Curves for any configuration of the recorded space, in the time it takes to ask three forests.

    A configuration first learns, or fails (diverges, or ends at chance): drawn with the odds that a forest gives. What
    fails has the curve of one of the failed trials next to it, as recorded. What learns has the forest's mean curve (in
    log odds of the accuracy, log of the loss) plus the held-out residual of a recorded trial of which a curve like it
    was expected: level, drift and jitter belong together there and are as large as they are for curves of that kind,
    so curves cross about as they do. Seconds are drawn alike.

    Everything drawn follows from the configuration and `seed`, whatever else is in the same batch.

    What it gets right, on configurations that it has not seen (`check`, ten folds over 320 trials): rank correlation
    0.94 with the recorded last accuracy and R2 0.81; among the 72 % that learn 0.93 and 0.84; after epoch 3 0.93 and
    0.82, among those that learn 0.92 and 0.70; failure with an area under the ROC curve of 0.99. The third and the last
    accuracy of those that learn have a rank correlation of 0.87 as recorded, 0.88 as made up.

    What it does not: its landscape is smoother than the real one, so its best accuracy (0.878) lies below the best
    recorded one (0.884). No recorded trial diverged: with batch norm, too high a rate ends at chance. Seconds are those
    of a busy machine, 0.44 an epoch on average.
    """

    def __init__(self, curves: Curves) -> None:
        self.space = load_space()
        self.epochs = curves.accuracy.shape[1]
        self._curves = curves
        self._inputs = self._place(curves.configurations)
        self._likeness = [epoch - 1 for epoch in LIKENESS if epoch <= self.epochs]
        self._fails = _Forest(self._inputs, curves.failed[:, None].astype(np.float64))
        self._learned: npt.NDArray[np.int64] = np.flatnonzero(~curves.failed)
        self._failed: npt.NDArray[np.int64] = np.flatnonzero(curves.failed)
        self._outputs: Floats = np.hstack([logit(curves.accuracy.clip(0.001, 0.999)), np.log(curves.loss)])[
            self._learned
        ]
        self._learns = _Forest(self._inputs[self._learned], self._outputs)
        self._timed: npt.NDArray[np.int64] = np.flatnonzero(~curves.diverged)
        self._seconds: Floats = np.log(curves.busy_s[self._timed])
        self._lasts = _Forest(self._inputs[self._timed], self._seconds)

    def curve(self, configuration: Mapping[str, Value], seed: int = 0) -> Curve:
        """The curve of one trial. Raises `ValueError` where a key of the space is missing or has a value outside it."""
        return self.curves([configuration], seed)[0]

    def curves(self, configurations: Sequence[Mapping[str, Value]], seed: int = 0) -> list[Curve]:
        """The curve of each trial, as `curve` would give it."""
        inputs = self._place(configurations)
        draws = np.array([_shares({key: one[key] for key in self.space}, seed) for one in configurations])
        draws = draws.reshape(-1, 4)
        learned, seconds = self._draw_learned(inputs, draws[:, 1]), self._draw_seconds(inputs, draws[:, 2])
        fails = self._fails.mean(inputs)[:, 0] > draws[:, 0]
        donors = self._failed[_near(inputs, self._inputs[self._failed], draws[:, 3])]
        found: list[Curve] = []
        for row in range(len(configurations)):
            accuracy, loss, length = learned[row, : self.epochs], learned[row, self.epochs :], self.epochs
            if fails[row]:
                accuracy, loss = self._curves.accuracy[donors[row]].copy(), self._curves.loss[donors[row]].copy()
                length = int(np.isfinite(accuracy).sum())
            diverged_epoch = length + 1 if length < self.epochs else None
            found.append(Curve(accuracy[:length], loss[:length], seconds[row, :length], diverged_epoch))
        return found

    def fail_shares(self, configurations: Sequence[Mapping[str, Value]]) -> Floats:
        """The share of seeds, float64 (configurations,), with which each one diverges or stays at chance."""
        inputs = self._place(configurations)
        return self._fails.mean(inputs)[:, 0]

    def true_accuracies(self, configurations: Sequence[Mapping[str, Value]], epoch: int | None = None) -> Floats:
        """Accuracy without noise, float64 (configurations,), after `epoch` (left out: the last one).

        Of the two outcomes the likelier one: what fails with at least half of the seeds has 0.1.
        """
        inputs = self._place(configurations)
        learned = expit(self._learns.mean(inputs)[:, (epoch or self.epochs) - 1])
        return np.where(self.fail_shares(configurations) < 0.5, learned, CHANCE)

    def true_accuracy(self, configuration: Mapping[str, Value]) -> float:
        """Accuracy after the last epoch, without noise: what regret is counted in. See `true_accuracies`."""
        return float(self.true_accuracies([configuration])[0])

    @cached_property
    def best_accuracy(self) -> float:
        """The highest `true_accuracy` among `BEST_OF` random configurations: what regret is counted from."""
        drawn = [
            {key: how.draw(share_of(2**32, index, key)) for key, how in self.space.items()} for index in range(BEST_OF)
        ]
        return float(self.true_accuracies(drawn).max())

    def _place(self, configurations: Sequence[Mapping[str, Value]]) -> Floats:
        """Each configuration as a point of the unit cube, float64 (configurations, keys)."""
        columns = []
        for key, how in self.space.items():
            try:
                columns.append([_unit(how, one[key]) for one in configurations])
            except KeyError:
                raise ValueError(f"{key} is missing: the recorded space has {', '.join(self.space)}") from None
            except ValueError as error:
                raise ValueError(f"{key} is {error}") from None
        return np.array(columns, np.float64).T

    def _draw_learned(self, inputs: Floats, share: Floats) -> Floats:
        """Accuracy and loss where training gets off the ground, float64 (rows, 2 x epochs)."""
        mean = self._learns.mean(inputs)
        noisy = mean + self._residuals[_near(mean[:, self._likeness], self._expected[:, self._likeness], share)]
        return np.hstack([expit(noisy[:, : self.epochs]), np.exp(noisy[:, self.epochs :])])

    def _draw_seconds(self, inputs: Floats, share: Floats) -> Floats:
        mean = self._lasts.mean(inputs)
        return np.exp(mean + self._seconds_residuals[_pick(share, len(self._seconds))])

    @cached_property
    def _expected(self) -> Floats:
        """Predictions, for each trial that learned, of a forest that was fitted without it."""
        return _held_out(self._inputs[self._learned], self._outputs, self._curves.groups[self._learned])

    @cached_property
    def _residuals(self) -> Floats:
        off = self._outputs - self._expected
        series = off.reshape(len(off), 2, self.epochs)
        level = series[:, :, -LATE:].mean(axis=2, keepdims=True)
        kept: Floats = (series - (1 - LEVEL_KEPT) * level).reshape(off.shape)
        return kept

    @cached_property
    def _seconds_residuals(self) -> Floats:
        return self._seconds - _held_out(self._inputs[self._timed], self._seconds, self._curves.groups[self._timed])


def _held_out(inputs: Floats, outputs: Floats, groups: npt.NDArray[np.int64]) -> Floats:
    """Predictions of forests that have not seen a configuration, float64 of the shape of `outputs`."""
    expected = np.empty_like(outputs)
    for seen, unseen in GroupKFold(FOLDS).split(inputs, groups=groups):
        expected[unseen] = _Forest(inputs[seen], outputs[seen]).mean(inputs[unseen])
    return expected


def _unit(how: Distribution, value: Any) -> float:
    """Where `value` lies between the ends of its distribution, 0 to 1; logarithmic where that is."""
    if not how.holds(value):
        raise ValueError(f"{value!r}, outside {how.to_dict()}")
    if how.kind == "choice":
        return how.values.index(value) / (len(how.values) - 1)
    if how.kind == "log":
        return math.log(value / how.low) / math.log(how.high / how.low)
    return float((value - how.low) / (how.high - how.low))


def _near(points: Floats, others: Floats, share: Floats) -> npt.NDArray[np.int64]:
    """For each point one of the `NEIGHBOURS` nearest of `others`: `share` (0 to 1) draws which.

    Summed one coordinate after the other: the last bits of a matrix product depend on how many points there are, and
    would decide between two seeds of one configuration, which are equally near.
    """
    away = np.zeros((len(points), len(others)))
    for point, other in zip(points.T, others.T, strict=True):
        away += (point[:, None] - other[None]) ** 2
    near = np.argsort(away, axis=1, kind="stable")[:, :NEIGHBOURS]
    picked: npt.NDArray[np.int64] = near[np.arange(len(points)), _pick(share, near.shape[1])]
    return picked


def _pick(share: Floats, count: int) -> npt.NDArray[np.int64]:
    """Positions below `count` for draws from 0 to 1."""
    return (share * count).astype(np.int64)


def _name(configuration: Mapping[str, Value]) -> str:
    return json.dumps(dict(configuration), sort_keys=True)


def _shares(configuration: Mapping[str, Value], seed: int) -> list[float]:
    """Four draws, 0 to 1, that belong to this configuration and seed."""
    digest = hashlib.sha256(f"{seed}/{_name(configuration)}".encode()).digest()
    return [int.from_bytes(digest[start : start + 6], "big") / 2**48 for start in range(0, 24, 6)]


def check(curves: Curves) -> dict[str, float]:
    """How close surrogates come to configurations that they have not seen, in `FOLDS` folds.

    rank, R2     of the last and the third accuracy, expected against recorded; `learned`: of trials that learn alone
    crossing     rank correlation of the third and the last accuracy of the trials that learn: recorded, and drawn
    seeds        rank correlation of the last accuracy, and its mean absolute difference, between two seeds that learn
    """
    trials, last = len(curves.configurations), curves.accuracy.shape[1]
    clean, drawn, again = (np.full((trials, last), np.nan) for _ in range(3))
    fail_share = np.empty(trials)
    for seen, unseen in GroupKFold(FOLDS).split(curves.accuracy, groups=curves.groups):
        surrogate = Surrogate(curves.take(seen))
        held_out = [curves.configurations[row] for row in unseen.tolist()]
        fail_share[unseen] = surrogate.fail_shares(held_out)
        for epoch in (3, last):
            clean[unseen, epoch - 1] = surrogate.true_accuracies(held_out, epoch)
        for seed, into in enumerate((drawn, again)):
            for row, curve in zip(unseen.tolist(), surrogate.curves(held_out, seed), strict=True):
                into[row, : len(curve.accuracy)] = curve.accuracy
    real, whole = curves.accuracy, ~curves.diverged
    learned = ~curves.failed
    figures = {"trials": float(trials), "failed": curves.failed.mean(), "diverged": curves.diverged.mean()}
    figures["failure, area under ROC"] = float(roc_auc_score(curves.failed, fail_share))
    for epoch in (last, 3):
        for among, rows in (("", whole), (" learned", learned & (fail_share < 0.5))):
            pair = real[rows, epoch - 1], clean[rows, epoch - 1]
            figures[f"epoch {epoch}{among}, rank"] = _rank_correlation(*pair)
            figures[f"epoch {epoch}{among}, R2"] = float(r2_score(*pair))
    for name, values in (("recorded", real), ("drawn", drawn)):
        rows = np.isfinite(values[:, -1]) & (values[:, -1] >= STUCK_BELOW)
        figures[f"crossing, {name}"] = _rank_correlation(values[rows, 2], values[rows, -1])
    first = np.unique(curves.groups, return_index=True)[1]
    pairs = [(first[group], row) for row, group in enumerate(curves.groups.tolist()) if first[group] != row]
    one, other = np.array(pairs).T
    for name, left, right in (("recorded", real[one], real[other]), ("drawn", drawn[one], again[one])):
        rows = (left[:, -1] >= STUCK_BELOW) & (right[:, -1] >= STUCK_BELOW)
        figures[f"seeds {name}, rank"] = _rank_correlation(left[rows, -1], right[rows, -1])
        figures[f"seeds {name}, difference"] = float(np.abs(left[rows, -1] - right[rows, -1]).mean())
    return figures


def _rank_correlation(left: Floats, right: Floats) -> float:
    return float(spearmanr(left, right).statistic)


def main() -> None:
    curves = load_curves()
    for name, figure in check(curves).items():
        print(f"{name:32} {figure:.3f}")
    print(f"{'best accuracy without noise':32} {Surrogate(curves).best_accuracy:.3f}")


if __name__ == "__main__":
    main()
