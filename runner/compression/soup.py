"""Averages the weights of several epochs of a trial into one net, stores it as a checkpoint, and evaluates it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from ensembles.compression.soup_summary import SoupSummary, compare, score, to_json
from ensembles.config import Metric
from ensembles.evaluation.ledger import COUNTED, record_use
from ensembles.metrics.scores import cost_of, measure
from ensembles.pool.pool import PredictionPool, read_pool
from runner.compression.trained_trial import find_trial, parts_of, place_as_trained, read_images
from runner.runs.stored_run import StoredRun
from trainables.data.data_table import DataTable, read_data_table
from trainables.data.images import hash_labels
from trainables.errors import CaucusError, DamagedObject, MismatchedPredictions, ObjectMissing
from trainables.results.checkpoint import CheckpointId, committed_epochs, read_json_part, read_part, write_checkpoint
from trainables.results.record import EpochResult, TrialRecord
from trainables.results.soup_id import KINDS, SoupId, SoupKind, name_soup
from trainables.store import layout
from trainables.store.json_records import to_json as json_bytes

if TYPE_CHECKING:
    from trainables.training.training import Evaluation

Notify = Callable[[str], None]

METRICS: tuple[Metric, ...] = ("accuracy", *(metric for metric in get_args(Metric) if metric != "accuracy"))
"""The metrics of a greedy soup; the first is that of Wortsman et al. (2022)."""


class CannotMakeSoup(CaucusError, ValueError):
    """No such kind of soup, no such epochs, or too few of them."""


@dataclass(frozen=True)
class SoupResult:
    """A soup, and where the store has it."""

    summary: SoupSummary
    checkpoint: str
    """The prefix of the soup in the store."""
    key: str
    """Key of its summary."""

    def to_dict(self) -> dict[str, Any]:
        """The result as one JSON object."""
        return {**to_json(self.summary), "checkpoint": self.checkpoint, "key": self.key}


def soup_run(
    stored: StoredRun,
    trial_ids: Sequence[str],
    kind: SoupKind,
    epochs: str,
    metric: Metric,
    notify: Notify = lambda line: None,
) -> SoupResult:
    """A soup of epochs of one trial, or of trials that continue from one checkpoint; by default, of the best on validation.

    `epochs` is `last 5`, `all`, `3-9` or `3,5,9`, of each trial. A soup that the store has already is read. The test split
    is scored once the soup is made. Raises, with nothing written, `NoSuchTrial`, `CannotMakeSoup`, `RunMismatch` if the data
    are not the run's, `ObjectMissing` or `DamagedObject` if a checkpoint is missing or damaged, `CheckpointMismatch` if the
    trials do not belong together.
    """
    records = [find_trial(stored, name) for name in trial_ids] or [find_trial(stored, None)]
    ordered = order_candidates(stored, records, epochs)
    if len(ordered) < 2:
        raise CannotMakeSoup(
            f"--epochs {epochs} leaves {', '.join(str(name) for name, _ in ordered) or 'no checkpoint'} of "
            f"{', '.join(record.trial_id for record in records)} in the store: a soup takes two or more; name others"
        )
    names = [name for name, _ in ordered]
    owner = next(record for record in records if record.trial_id == names[0].trial_id)
    table = read_data_table(stored.store, owner.config.data_id)
    soup = name_soup(kind, names, metric)
    known = _is_stored(stored, soup, table)
    if not known:
        _make_soup(stored, {record.trial_id: record for record in records}, soup, names, metric, table)
    measured = read_json_part(stored.store, soup, layout.METRICS)
    notify(f"{soup}: of {', '.join(measured['ingredients'])}" + (" (from the store)" if known else ""))
    ingredients = [name for name in names if str(name) in set(measured["ingredients"])]
    summary = _describe(stored, owner, soup, names, ingredients, metric, table)
    key = layout.soup_summary_key(stored.name, stored.run_id, soup.trial_id, soup.kind, soup.digest)
    stored.store.put(key, json_bytes(to_json(summary)))
    images = {split: len(table.rows(split)) for split in COUNTED}
    record_use(stored.store, table.data_id, images, stored.run, {"soup": str(soup)})
    return SoupResult(summary, soup.key(""), key)


def parse_kind(text: str) -> SoupKind:
    """The kind of that name. Raises `CannotMakeSoup`."""
    for kind in KINDS:
        if text == kind:
            return kind
    raise CannotMakeSoup(f"--kind is {text!r}, not one of {', '.join(KINDS)}")


def parse_metric(text: str | None) -> Metric:
    """The metric of that name, accuracy where none is named. Raises `CannotMakeSoup`."""
    for metric in METRICS:
        if text in (None, metric):
            return metric
    raise CannotMakeSoup(f"--metric is {text!r}, not one of {', '.join(METRICS)}")


def choose_epochs(text: str, there: Sequence[int]) -> list[int]:
    """Those of the existing epochs, in ascending order, that `text` names. Raises `CannotMakeSoup` if it cannot be read.

    >>> choose_epochs("last 3", [1, 2, 3, 4, 5]), choose_epochs("2-4", [1, 2, 4, 5]), choose_epochs("5,1", [1, 2, 5])
    ([3, 4, 5], [2, 4], [1, 5])
    """
    if text == "all":
        return list(there)
    if last := re.fullmatch(r"last\s*([1-9]\d*)", text):
        return list(there)[-int(last[1]) :]
    named: set[int] = set()
    for part in text.split(","):
        span = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if span is None:
            raise CannotMakeSoup(f"--epochs is {text!r}: say last 5, all, 3-9 or 3,5,9")
        named |= set(range(int(span[1]), int(span[2] or span[1]) + 1))
    missing = sorted(named - set(there)) if "-" not in text else []
    if missing:
        raise CannotMakeSoup(
            f"--epochs is {text}, but the store has no checkpoint of epoch {missing[0]}; it has {', '.join(map(str, there))}"
        )
    return [epoch for epoch in there if epoch in named]


def order_candidates(
    stored: StoredRun, records: Sequence[TrialRecord], epochs: str
) -> list[tuple[CheckpointId, EpochResult]]:
    """The candidates that the store has, by the sweep's metric on validation; among equals, the lower loss, then the earlier one."""
    found = []
    for record in records:
        results = {result.epoch: result for result in record.epochs}
        there = [epoch for epoch in committed_epochs(stored.store, record.trial_id) if epoch in results]
        found += [(CheckpointId(record.trial_id, epoch), results[epoch]) for epoch in choose_epochs(epochs, there)]
    return sorted(found, key=lambda pair: (-pair[1].merit, pair[1].validation_loss, pair[0]))


def _is_stored(stored: StoredRun, soup: SoupId, table: DataTable) -> bool:
    try:
        read_part(stored.store, soup, layout.WEIGHTS)
        for split in ("validation", "test"):
            read_pool(stored.store, [soup], split, table)
        return bool(read_json_part(stored.store, soup, layout.METRICS)["ingredients"])
    except (ObjectMissing, DamagedObject, MismatchedPredictions, KeyError, ValueError):
        return False


def _make_soup(
    stored: StoredRun,
    records: dict[str, TrialRecord],
    soup: SoupId,
    names: Sequence[CheckpointId],
    metric: Metric,
    table: DataTable,
) -> None:
    store, config = stored.store, records[soup.trial_id].config
    weights = {name: read_part(store, name, layout.WEIGHTS) for name in names}
    images = read_images(stored, records[soup.trial_id])
    placed = place_as_trained(store, config, images)
    from trainables.compression.soup import Ingredient, SoupTask, check_ingredients, make_soup

    ordered = [Ingredient(name, records[name.trial_id].config, weights[name]) for name in names]
    check_ingredients(ordered)
    labels = table.labels_of("validation")

    def loss_of(found: Evaluation) -> float:
        return -cost_of(metric, measure(metric, found.probabilities, labels))

    task = SoupTask(config, placed, hash_labels(images), parts_of(store, names[0]))
    write_checkpoint(store, soup, make_soup(task, soup, ordered, loss_of).parts)


def _describe(
    stored: StoredRun,
    owner: TrialRecord,
    soup_id: SoupId,
    names: Sequence[CheckpointId],
    ingredients: Sequence[CheckpointId],
    metric: Metric,
    table: DataTable,
) -> SoupSummary:
    """The soup compared with the best single epoch of the trial, if the store has it, else with the best candidate."""
    assert owner.best is not None
    best = CheckpointId(owner.trial_id, owner.best.epoch)
    if stored.store.stat(best.key(layout.MANIFEST)) is None:
        best = names[0]
    members = list(dict.fromkeys([best, *ingredients]))
    # Everything is chosen by now; predictions on test are opened here.
    pools = [read_pool(stored.store, [soup_id, *members], split, table) for split in ("validation", "test")]
    predictions = {
        str(soup_id): [pool.probabilities[pool.position(soup_id)] for pool in pools],
        str(best): [pool.probabilities[pool.position(best)] for pool in pools],
        "vote": [_vote(pool, ingredients) for pool in pools],
    }
    labels, groups = [pool.labels for pool in pools], pools[1].groups
    soup, single, vote = (
        score(name, validation, labels[0], test, labels[1], groups) for name, (validation, test) in predictions.items()
    )
    gained, lost, p = compare(predictions[str(soup_id)][1], predictions[str(best)][1], labels[1], groups)
    return SoupSummary(
        run=stored.run,
        trial_id=soup_id.trial_id,
        kind=soup_id.kind,
        metric=metric,
        candidates=tuple(map(str, names)),
        ingredients=tuple(map(str, ingredients)),
        test_images=len(labels[1]),
        best=single,
        soup=soup,
        vote=vote,
        gained=gained,
        lost=lost,
        p=p,
    )


def _vote(pool: PredictionPool, members: Sequence[CheckpointId]) -> npt.NDArray[np.float64]:
    """The soft vote of `members`: mean probabilities float64 (images, classes)."""
    at = [pool.position(member) for member in members]
    mean: npt.NDArray[np.float64] = pool.probabilities[at].mean(0, dtype=np.float64)
    return mean
