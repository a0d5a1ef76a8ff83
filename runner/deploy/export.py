"""`caucus export`: the team of a run, or its best single checkpoint, as a bundle that can be deployed."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ensembles.bundle.decision import Decision, decide, vote_as_one
from ensembles.bundle.manifest import CARD, PROGRAM, BundleError, Manifest, check_empty, make_manifest, write_bundle
from ensembles.bundle.model_card import write_card
from ensembles.calibration.calibrate import CustomCalibrator
from ensembles.config import VoteMethod
from ensembles.pool.pool import read_pool
from ensembles.team import Team
from runner.evaluation.conclusion import Conclusion, choose_and_evaluate
from runner.runs.stored_run import StoredRun
from runner.runs.versions import versions
from trainables.config.preparation import PreparationConfig
from trainables.config.trial import TrialConfig
from trainables.data.decoding import Decoding
from trainables.data.image_shape import ImageShape
from trainables.datasets.load import load_images
from trainables.errors import DamagedObject, MismatchedPredictions, RunMismatch
from trainables.models.normalisation import Normalisation
from trainables.results.checkpoint import CheckpointId, read_json_part, read_part
from trainables.results.config_file import read_config
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json
from trainables.store.open import open_store

if TYPE_CHECKING:
    from trainables.export.team_net import TeamNet

PROGRAM_IMAGES = 16

NOISE_IMAGES = 500
"""Made-up answers on which the program has to name the same classes as the members' vote."""

TOLERANCE = 0.02
"""How far the program's probabilities may be from those of the vote in numpy: in bfloat16 a kernel of another batch or another
layout rounds otherwise, by 0.004 of a logit's size. On the same machine they are equal to 1e-6."""

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """A bundle that was written."""

    uri: str
    manifest: Manifest
    size_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """The result as one JSON object."""
        manifest = self.manifest
        return {
            "bundle": self.uri,
            "run": manifest.run,
            "team": manifest.team,
            "members": len(manifest.members),
            "vote": manifest.vote,
            "files": len(manifest.files) + 1,
            "size_bytes": self.size_bytes,
            "program": PROGRAM in manifest.files,
            "test_accuracy": manifest.scores["team" if manifest.team else "best"]["test_accuracy"],
            "verdict": " ".join(manifest.scores["verdict"]),
        }


@dataclass(frozen=True, eq=False)
class StoredMember:
    """The configuration, weights and cost of a member, read from the store."""

    config: TrialConfig
    weights: bytes
    precision: str
    cost: Mapping[str, Any]
    normalised: Normalisation | None


def export_run(
    stored: StoredRun,
    bundle_uri: str,
    single: bool = False,
    endpoint_url: str | None = None,
    notify: Notify = lambda line: None,
) -> Exported:
    """Write the team of a run, selected and fitted as in its report, into the empty folder (or prefix) `bundle_uri`.

    With `single`, the best single checkpoint instead. Raises `NothingToVote` if the run has no team, `BundleError` if the
    folder is not empty, and `StoreError`; then no manifest is written, and no reader takes it for a bundle.
    """
    target = open_store(bundle_uri, endpoint_url)
    target.check()
    check_empty(target)
    conclusion = choose_and_evaluate(stored)
    team = team_of_one(conclusion.best) if single else conclusion.team
    method: VoteMethod = "soft" if single else stored.ensemble.vote
    members = [read_member(stored.store, member) for member in team.members]
    pool = read_pool(stored.store, list(team.members), "validation", conclusion.table)
    if pool.left_out:
        raise MismatchedPredictions("{} cannot vote any more: {}".format(*pool.left_out[0]))
    decision = decide(
        pool,
        team,
        method,
        stored.ensemble.calibrate,
        [float(member.cost.get("flops") or 0) for member in members],
        stored.ensemble.custom_keys,
    )
    prepared = read_preparation(stored, conclusion)
    fields = describe_bundle(stored, conclusion, decision, members, prepared, single)
    files = {
        f"members/{name.trial_id}-{name.epoch}.safetensors": one.weights
        for name, one in zip(team.members, members, strict=True)
    }
    program = trace(decision, members, prepared, conclusion, notify)
    if program is not None:
        files[PROGRAM] = program
    files[CARD] = b""  # its place among the files, which the card lists
    files[CARD] = write_card(make_manifest(fields, files)).encode()
    manifest = write_bundle(target, fields, files)
    return Exported(target.uri, manifest, sum(len(data) for data in files.values()))


def show_export(found: Exported) -> str:
    """The result as lines of text."""
    manifest = found.manifest
    count = len(manifest.members)
    what = f"the team of {count}" if manifest.team and count > 1 else "one checkpoint"
    lines = [f"{found.uri}: {what} of {manifest.run}, {manifest.vote} vote, {found.size_bytes / 1000:,.0f} kB"]
    lines += manifest.scores["verdict"]
    if cascade := manifest.cascade_found:
        lines.append(
            f"as a cascade: {cascade.members_asked:.2f} of {count} members an image, {cascade.cost_share:.0%} of the cost, "
            f"validation {cascade.accuracy:.2%} ({cascade.whole_accuracy:.2%} by all)"
        )
    if manifest.team and count > 1 and not manifest.scores["ship"]:
        lines.append("to bundle that single checkpoint: the same with --single and another BUNDLE")
    lines.append(f"try it: caucus predict {shlex.quote(found.uri)} IMAGES --out predictions.csv")
    return "\n".join(lines)


def team_of_one(best: CheckpointId) -> Team:
    """A team of one."""
    return Team((best,), (1.0,), "best", "accuracy", (), (), 0.0)


def read_member(store: Store, member: CheckpointId) -> StoredMember:
    """Read a member from the store, verified by its manifest. Raises `StoreError`."""
    timing = read_json_part(store, member, layout.TIMING)
    config = read_config(store, member.trial_id)
    precision = timing.get("precision", "float32")
    normalised = _read_normalisation(timing, f"{store.uri}/{member.key(layout.TIMING)}") if _has_own(config) else None
    weights = read_part(store, member, layout.WEIGHTS)
    return StoredMember(config, weights, precision, timing.get("cost") or {}, normalised)


def _has_own(config: TrialConfig) -> bool:
    return config.data != PreparationConfig()


def _read_normalisation(timing: Mapping[str, Any], where: str) -> Normalisation:
    """The mean and deviation that a checkpoint was trained with, which are not those on record with the data."""
    try:
        found = timing["normalisation"]
        return Normalisation(*(tuple(map(float, found[key])) for key in ("mean", "std")))
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedObject(f"{where} does not say by what its pixels were normalised ({error})") from None


def read_preparation(stored: StoredRun, conclusion: Conclusion) -> dict[str, Any]:
    """How images were prepared for the run's nets, from the record of the data.

    Records of an older version lack mean and standard deviation: then the images themselves are read; they lack the decoding, too,
    and images came without alpha then. Raises
    `RunMismatch` if they cannot be found.
    """
    record = get_json(stored.store, layout.data_key(conclusion.table.data_id, "data.json"))
    shape, statistics = record.get("image_shape"), record.get("normalisation")
    if not isinstance(shape, dict):
        raise DamagedObject(f"the record of data {conclusion.table.data_id} in {stored.store.uri} has no image shape")
    if not isinstance(statistics, dict):
        images = load_images(stored.spec.data) if stored.spec else None
        if images is None or images.data_id != conclusion.table.data_id:
            raise RunMismatch(
                f"run {stored.run} was recorded without the mean of its images, and its sweep does not name the same images any "
                "more: restore them, or run the sweep again"
            )
        mean, std = images.statistics
        statistics = {"mean": mean.tolist(), "std": std.tolist()}
    decoded = record.get("decoding")
    try:
        decoding = Decoding.from_dict(decoded if isinstance(decoded, dict) else shape)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedObject(
            f"the record of data {conclusion.table.data_id} in {stored.store.uri} says no decoding ({error})"
        ) from None
    return {**decoding.to_dict(), "mean": tuple(statistics["mean"]), "std": tuple(statistics["std"])}


def describe_bundle(
    stored: StoredRun,
    conclusion: Conclusion,
    decision: Decision,
    members: Sequence[StoredMember],
    prepared: Mapping[str, Any],
    single: bool,
) -> dict[str, Any]:
    """The content of the manifest, without its files."""
    verdict, table, team = conclusion.verdict, conclusion.table, decision.team
    return {
        "team": not single,
        "run": stored.run,
        "command": stored.command,
        "data": {
            "id": table.data_id,
            "name": table.name,
            "images": {split: len(table.rows(split)) for split in layout.SPLITS},
        },
        "class_names": table.class_names,
        "preparation": dict(prepared),
        "members": [
            {
                "trial_id": name.trial_id,
                "epoch": name.epoch,
                "weight": weight,
                "precision": member.precision,
                "validation_accuracy": accuracy,
                **{key: member.cost.get(key) for key in ("flops", "parameters", "latency_s")},
                "config": member.config,
                "normalisation": member.normalised._asdict() if member.normalised else None,
            }
            for name, weight, member, accuracy in zip(
                team.members, team.weights, members, decision.accuracies, strict=True
            )
        ],
        "vote": "soft" if single else stored.ensemble.vote,
        "voter": decision.voter.to_dict(),
        "calibrator": decision.calibrator.to_dict(),
        "cascade": decision.cascade.to_dict() if decision.cascade else None,
        "cascade_found": decision.found,
        "scores": {
            "team": asdict(verdict.votes[verdict.vote]),
            "best": asdict(verdict.best),
            "verdict": list(verdict.sentences),
            "ship": verdict.ship,
            **({"metric": verdict.in_metric.metric} if verdict.in_metric else {}),
            "never_predicted": [
                asdict(one) for one in (verdict.best_never_predicted if single else verdict.never_predicted)
            ],
            "gain": verdict.gain,
            "gain_ci95": list(verdict.gain_ci95),
            "mcnemar_p": verdict.mcnemar_p,
        },
        "versions": {**stored.state.versions, "caucus": versions()["caucus"]},
    }


def trace(
    decision: Decision,
    members: Sequence[StoredMember],
    prepared: Mapping[str, Any],
    conclusion: Conclusion,
    notify: Notify,
) -> bytes | None:
    """The team as a torch.export program, verified on noise; None if torch.export cannot trace a net, which `notify` reports."""
    from trainables.export.program import CannotTrace, read_program, write_program
    from trainables.export.team_calibration import build_calibration
    from trainables.export.team_net import MemberWeights, TeamNet
    from trainables.export.team_vote import TeamVote

    shape = ImageShape(prepared["height"], prepared["width"], prepared["channels"], len(conclusion.table.class_names))
    custom = decision.calibrator
    net = TeamNet(
        [MemberWeights(member.config, member.weights, member.precision, member.normalised) for member in members],
        shape,
        prepared["mean"],
        prepared["std"],
        TeamVote(decision.voter.combine),
        build_calibration(
            decision.calibrator.to_dict(), custom.fitted.apply if isinstance(custom, CustomCalibrator) else None
        ),
    )
    try:
        data = write_program(net, shape)
    except CannotTrace as error:
        notify(f"no {PROGRAM}: {error}")
        return None
    _verify_program(read_program(data), net, decision, conclusion.table.class_names)
    return data


ROUNDING = 1e-14
"""Float64 in another order. A tie rule adds 1e-9 of means, which differ by 1e-5 and more here where they differ."""


def _verify_program(program: Any, team: TeamNet, decision: Decision, class_names: tuple[str, ...]) -> None:
    """Raise `BundleError` if the program's answers differ from the members' vote in numpy, on images of noise."""
    import torch

    shape = (PROGRAM_IMAGES, *map(int, (team.shape.height, team.shape.width, team.shape.channels)))
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        by_member = torch.stack([team.ask(at, team.prepare(images, at)) for at in range(len(team.nets))]).numpy()
        answers = program(images).numpy()
    expected, _ = vote_as_one(decision.voter, decision.calibrator, by_member, class_names)
    _compare_classes(team, decision, by_member, class_names)
    far = float(np.abs(answers - expected).max())
    if not far <= TOLERANCE:
        raise BundleError(
            f"{PROGRAM} differs from the members' vote by {far:.3g} on images of noise, more than {TOLERANCE}: "
            "this net does not survive torch.export; report it"
        )


def _compare_classes(
    team: Any, decision: Decision, by_member: npt.NDArray[np.float32], class_names: tuple[str, ...]
) -> None:
    """Raise `BundleError` if the vote in torch names other classes than the one in numpy, which was scored.

    Asked of the answers `by_member`, and of made-up ones, coarse enough that counts, ranks and means tie often.
    """
    import torch

    made_up = (
        np.random.default_rng(0).integers(1, 5, (len(by_member), NOISE_IMAGES, len(class_names))).astype(np.float32)
    )
    for answers in (by_member, made_up / made_up.sum(2, keepdims=True)):
        with torch.inference_mode():
            named = team.calibrate(team.vote(torch.from_numpy(answers))).numpy().argmax(1)
        expected = vote_as_one(decision.voter, decision.calibrator, answers, class_names)
        # Two classes may be equally likely but for rounding: then either will do.
        margin = (
            np.take_along_axis(expected[0], expected[1][:, None], 1)[:, 0] - expected[0][np.arange(len(named)), named]
        )
        if differ := int(np.count_nonzero((named != expected[1]) & (margin > ROUNDING))):
            raise BundleError(
                f"{PROGRAM} names another class than the vote that was scored on {differ} of {len(named)} images: report it"
            )
