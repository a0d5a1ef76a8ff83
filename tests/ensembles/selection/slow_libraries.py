"""What AutoGluon's and auto-sklearn's `EnsembleSelection` do, said as plainly and slowly as can be, as the oracle of tests.

benchmarks/select.py runs AutoGluon's own class on the same pool as this, so that it cannot drift from it unseen.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, log_loss

from ensembles.config import Metric


def slow_autogluon(
    pool: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], size: int, metric: Metric, seed: int = 0
) -> tuple[list[int], list[float], int]:
    """Picks, costs along them, and how many of them are kept: AutoGluon 1.6, `multiclass`, ties at random."""
    rng = np.random.RandomState(seed)
    mean = np.zeros(pool.shape[1:])
    picks: list[int] = []
    path: list[float] = []
    rounded = False
    for done in range(size):
        part = np.zeros(pool.shape[1:])
        if done:
            mean *= (done - 1) / done
            mean += pool[picks[-1]] / done
            part = (done / float(done + 1)) * mean
        costs = np.zeros(len(pool))
        for position, given in enumerate(pool):
            team = part + (1.0 / float(done + 1)) * given
            team = team / team.sum(axis=1)[:, np.newaxis]
            if metric == "accuracy":
                costs[position] = 1 - accuracy_score(labels, team.argmax(1))
            else:
                costs[position] = log_loss(y_true=labels, y_proba=team, labels=np.arange(pool.shape[2]))
            if rounded:
                costs[position] = np.round(costs[position], 6)
        equals = np.flatnonzero(np.isclose(costs, costs.min(), atol=0, rtol=1e-12)).tolist()
        again = [position for position in equals if position in picks]
        pick = int(rng.choice(again or equals))
        cost = costs[pick]
        if not done and abs(cost) > 1e-4:
            rounded, cost = True, np.round(cost, 6)
        picks.append(pick)
        path.append(float(cost))
        if len(pool) == 1:
            break
    return picks, path, path.index(min(path)) + 1


def slow_auto_sklearn(
    pool: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], size: int, metric: Metric, seed: int = 0
) -> tuple[list[int], list[float], int]:
    """The same of auto-sklearn 0.15 in its fast mode, with the log-loss of scikit-learn 0.24."""
    rng = np.random.RandomState(seed)
    total = np.zeros(pool.shape[1:])
    truth = np.eye(pool.shape[2])[labels]
    picks: list[int] = []
    path: list[float] = []
    for done in range(size):
        if done:
            total = total + pool[picks[-1]]
        costs = np.zeros(len(pool))
        for position, given in enumerate(pool):
            team = (total + given) * (1.0 / float(done + 1))
            if metric == "accuracy":
                costs[position] = 1 - np.average(team.argmax(1) == labels)
            else:
                team = np.clip(team, 1e-15, 1 - 1e-15)
                team = team / team.sum(axis=1)[:, np.newaxis]
                costs[position] = np.average(-(truth * np.log(team)).sum(axis=1))
        picks.append(int(rng.choice(np.flatnonzero(costs == costs.min()))))
        path.append(float(costs[picks[-1]]))
        if len(pool) == 1:
            break
    return picks, path, len(path)


SLOW = {"autogluon": slow_autogluon, "auto-sklearn": slow_auto_sklearn}
