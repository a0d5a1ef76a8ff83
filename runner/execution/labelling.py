"""Lets the first stage's team label images: the team, the labels on which it agrees, and the decision for the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles.pool.candidates import candidates
from ensembles.pool.pool import PredictionPool, read_pool
from ensembles.pseudo_labels.agreement import agree
from ensembles.pseudo_labels.labelling import Labelling, count_labels
from ensembles.selection.select import select
from ensembles.team import Team
from runner.cluster.connect import Cluster
from runner.config.pseudo_labels import PSEUDO, PseudoConfig
from runner.config.rules import stage_scheduler
from runner.config.sweep import SweepSpec
from runner.journal.state import RunState
from runner.search.base.decisions import PseudoLabelled, Retrained
from runner.search.base.protocol import Decide
from trainables.config.trial import TrialConfig
from trainables.data.data_table import read_data_table
from trainables.data.images import ImageArrays, ImageSet
from trainables.data.mapped import MappedArrays, without_copy
from trainables.data.pseudo_table import PseudoTable, read_pseudo_table, write_pseudo_table
from trainables.datasets.unlabelled import UnlabelledImages, load_unlabelled
from trainables.errors import CaucusError, DamagedObject, ObjectMissing, RunCutShort, RunMismatch, StoreError
from trainables.hardware.gpu_share import pretends_gpus, restrict_to_assigned_gpus
from trainables.plugins.trust import trust, trusted
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialRecord, rank
from trainables.store.base import Store


@dataclass(frozen=True)
class LabellingTeam:
    """The team that labels: selected on validation from the first stage alone, as the ensemble of the sweep is."""

    team: Team
    best: CheckpointId
    trials: tuple[TrialRecord, ...]
    """Trials whose configurations are trained again, in order."""


def read_unlabelled(spec: SweepSpec, images: ImageSet) -> UnlabelledImages:
    """The images that the sweep's `pseudo_labels` names, none of them among `images`. Raises `DataError`."""
    config = _pseudo_config(spec)
    return load_unlabelled(config.data, images, spec.train_share)


def label(
    store: Store,
    spec: SweepSpec,
    state: RunState,
    images: ImageSet,
    cluster: Cluster,
    unlabelled: UnlabelledImages | None,
) -> Decide:
    """The decision on a second stage: its table, which is in the store by then, and its trials; or why there is none.

    `unlabelled` is read where it is None. Raises `RunCutShort` where no member could be asked
    for `resources.patience`, and `StoreError` where the store has lost the weights of a member.
    """
    config = _pseudo_config(spec)
    first = [record for record in state.trials.values() if not record.config.pseudo_table]
    decision = PseudoLabelled(table="", candidates=len(first), trials=(), labelling=None)
    labellers = choose_team(store, spec, images.data_id, first)
    if labellers is None:
        return _skip(decision, "no trial has come to the end of an epoch")
    members = labellers.team.members
    team = {
        "members": tuple((member.trial_id, member.epoch) for member in members),
        "weights": labellers.team.weights,
        "best": (labellers.best.trial_id, labellers.best.epoch),
    }
    decision = decision.model_copy(update=team)
    if len(members) < config.agreement:
        return _skip(
            decision,
            f"pseudo_labels.agreement is {config.agreement}, but the team has {len(members)} "
            f"member{'s' * (len(members) != 1)}: lower it, or let more vote (ensemble.select=top, a larger ensemble.size)",
        )
    unlabelled = unlabelled or read_unlabelled(spec, images)
    table, found = _agree_on(store, spec, state, images, cluster, unlabelled, labellers.team)
    decision = decision.model_copy(update={"labelling": found.to_dict()})
    if table is None:
        return _skip(
            decision,
            f"of {found.asked.labelled} images there is none that the vote gives a probability of {config.confidence:g} "
            f"and {config.agreement} of {len(members)} members agree on: lower pseudo_labels.confidence or agreement",
        )
    trials = tuple(
        Retrained(trial_id=record.trial_id, max_epochs=_last_epoch(spec, record)) for record in labellers.trials
    )
    decision = decision.model_copy(update={"table": write_pseudo_table(store, table), "trials": trials})
    return decision.record(
        f"{found.kept.labelled} of {found.asked.labelled} images labelled: the vote gives the class at least "
        f"{config.confidence:g}, and at least {config.agreement} of {len(members)} members say it; "
        f"{len(labellers.trials)} trial{'s are' if len(labellers.trials) != 1 else ' is'} trained again with them",
        stage=PSEUDO,
    )


def choose_team(store: Store, spec: SweepSpec, data_id: str, records: Sequence[TrialRecord]) -> LabellingTeam | None:
    """The team of the trials in `records`, selected on validation; None if none has an epoch."""
    ranked = rank(list(records))
    members = candidates(ranked, spec.ensemble.pool)
    if not members:
        return None
    pool = read_pool(store, members, "validation", read_data_table(store, data_id), merge=True)
    team = select(pool, spec.ensemble)
    best = select(pool, spec.ensemble.model_copy(update={"select": "best"})).members[0]
    by_name = {record.trial_id: record for record in ranked}
    again = list(dict.fromkeys(member.trial_id for member in team.members))
    if (count := _pseudo_config(spec).trials) is not None:
        again = [record.trial_id for record in ranked if record.best][:count]
    return LabellingTeam(team, best, tuple(by_name[name] for name in again))


def rebuild_table(
    store: Store,
    spec: SweepSpec,
    state: RunState,
    images: ImageSet,
    cluster: Cluster,
) -> None:
    """Make the table of the newest decision again, from its team, if the store has lost or damaged it.

    Nothing happens if it is whole. Raises `RunMismatch` if the labels differ from the recorded ones.
    """
    decision = newest_decision(state)
    if not decision or not decision.table:
        return
    try:
        read_pseudo_table(store, images.data_id, decision.table)
    except (ObjectMissing, DamagedObject):
        members = tuple(CheckpointId(name, epoch) for name, epoch in decision.members)
        # How the team came about does not matter to its vote.
        team = Team(members, decision.weights, "all", "accuracy", (), (), 0.0)
        table, _ = _agree_on(store, spec, state, images, cluster, read_unlabelled(spec, images), team)
        name = write_pseudo_table(store, table) if table else "none"
        if name != decision.table:
            raise RunMismatch(
                f"the table of pseudo-labels {decision.table} is lost, and labelling again gives another one ({name}): "
                "the images, the machine or the versions have changed: restore it, or take another --run-id"
            ) from None


def newest_decision(state: RunState) -> PseudoLabelled | None:
    """The newest decision on a second stage; None if there is none."""
    return next((found for one in reversed(state.decisions) if (found := PseudoLabelled.read(one))), None)


def _agree_on(
    store: Store,
    spec: SweepSpec,
    state: RunState,
    images: ImageSet,
    cluster: Cluster,
    unlabelled: UnlabelledImages,
    team: Team,
) -> tuple[PseudoTable | None, Labelling]:
    """The table of images that a team labels, None if there are none, and the figures of the labelling."""
    config = _pseudo_config(spec)
    configs = [state.trials[member.trial_id].config for member in team.members]
    probabilities = _predict_all(store, spec, cluster, team.members, configs, images.arrays, unlabelled.pixels)
    pool = PredictionPool(
        images.data_id, "unlabelled", team.members, probabilities, unlabelled.true_class, images.class_names
    )
    found = agree(pool, team, spec.ensemble.vote, config.confidence, config.agreement)
    figures = count_labels(
        found,
        unlabelled.true_class,
        images.class_names,
        config.confidence,
        config.agreement,
        {key: getattr(unlabelled, key) for key in ("found", "held_out", "trained", "twice")},
    )
    rows = np.flatnonzero(found.labelled)
    if not len(rows):
        return None, figures
    table = PseudoTable(
        data_id=images.data_id,
        pixels=unlabelled.pixels[rows],
        labels=found.labels[rows],
        confidence=found.confidence[rows],
        agreeing=found.agreeing[rows],
        image_ids=tuple(unlabelled.image_ids[row] for row in rows),
    )
    return table, figures


def _predict_all(
    store: Store,
    spec: SweepSpec,
    cluster: Cluster,
    members: Sequence[CheckpointId],
    configs: Sequence[TrialConfig],
    images: ImageArrays,
    pixels: npt.NDArray[np.uint8],
) -> npt.NDArray[np.float32]:
    """Each member's predictions for `pixels`, float32 (members, images, classes): one Ray task per member, as large as a trial."""
    import ray

    from runner.execution.waiting import Waiting, describe_cluster, wait_for_all

    task = ray.remote(num_cpus=cluster.slot.cpus, num_gpus=cluster.slot.gpus)(_predict)
    shared = ray.put(images if cluster.elastic else without_copy(images)), ray.put(pixels)
    raw_configs = [config.model_dump(mode="json") for config in configs]
    rest = (*shared, trusted(), cluster.slot.gpus, spec.resources.gpus is not None, pretends_gpus())
    tasks = [task.remote(store, *pair, *rest) for pair in zip(members, raw_configs, strict=True)]
    wait_for_all(tasks, cluster.slot, Waiting(cluster.slot, spec.resources.patience, cluster.say, describe_cluster))
    answers = ray.get(tasks)
    for answer in answers:
        if isinstance(answer, StoreError):  # raised there, it would come with a traceback of Ray's
            raise answer
        if isinstance(answer, CaucusError):
            raise RunCutShort(f"the team cannot label: {answer}")
    return np.stack(answers)


def _predict(
    store: Store,
    member: CheckpointId,
    config: dict[str, Any],
    images: ImageArrays | MappedArrays,
    pixels: npt.NDArray[np.uint8],
    models: tuple[str, ...] = (),
    gpus: float | None = None,
    is_explicit: bool = True,
    is_pretended: bool = False,
) -> npt.NDArray[np.float32] | CaucusError:
    """Runs in a worker, which may import the user-defined models named `models`: predictions of `member` for `pixels`, or the error."""
    trust(models)
    import ray

    from trainables.hardware.device import open_device, slot_threads
    from trainables.training.device_images import place_images
    from trainables.training.predict import predict_images

    if ray.is_initialized():
        restrict_to_assigned_gpus(ray.get_runtime_context().get_accelerator_ids().get("GPU", ()))
    try:
        device = open_device(slot_threads(), gpus, is_explicit=is_explicit, is_pretended=is_pretended)
        whole = images.open() if isinstance(images, MappedArrays) else images
        return predict_images(store, member, TrialConfig.model_validate(config), place_images(whole, device), pixels)
    except CaucusError as error:
        return error


def _pseudo_config(spec: SweepSpec) -> PseudoConfig:
    if spec.pseudo_labels is None:
        raise ValueError("the sweep asks for no pseudo-labels")
    return spec.pseudo_labels


def _skip(decision: PseudoLabelled, why: str) -> Decide:
    return decision.record(f"no second stage: {why}", stage=PSEUDO)


def _last_epoch(spec: SweepSpec, record: TrialRecord) -> int:
    """The last epoch that the trial could have reached: trained again, nothing stops it earlier."""
    return record.max_epochs or stage_scheduler(spec, record.stage).max_epochs
