"""Small pools by hand, and a whole run as it might have been, for the tests of this folder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ensembles.analysis.ablation import Arm, compare
from ensembles.analysis.pruning_audit import AuditedTrial, evaluate_pruning
from ensembles.analysis.search_summary import LineageStep, RangeCurve, SearchDecision, SearchSummary, StageRow
from ensembles.analysis.seed_noise import measure_noise
from ensembles.config import EnsembleConfig
from ensembles.evaluation.verdict import evaluate
from ensembles.pool.candidates import candidates
from ensembles.pool.pool import PredictionPool
from ensembles.report.page import ReportInput
from ensembles.selection.select import rank_members, select
from ensembles.team import Team
from trainables.config.model import ModelConfig
from trainables.config.training import OptimizerConfig
from trainables.config.trial import TrialConfig
from trainables.data.data_table import DataTable
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import EpochResult, TrialRecord, TrialState, rank

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def member(number: int) -> CheckpointId:
    return CheckpointId(f"{number:012x}", 3)


def make_pool(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, split: str = "validation", data_id: str = "d1"
) -> PredictionPool:
    """A pool of members 0, 1, 2 … with these probabilities (members, images, classes)."""
    given = np.asarray(probabilities, np.float32)
    names = tuple(f"class {number}" for number in range(given.shape[2]))
    members = tuple(member(number) for number in range(len(given)))
    return PredictionPool(data_id, split, members, given, np.asarray(labels, np.int64), names)


def make_team(*weights: float) -> Team:
    """A team of members 0, 1, 2 … with these weights."""
    members = tuple(member(number) for number in range(len(weights)))
    return Team(members, tuple(weights), "all", "accuracy", (), (), 0.0)


def make_run(
    trials: int = 24,
    seed: int = 0,
    class_names: tuple[str, ...] = CLASSES,
    ensemble: EnsembleConfig | None = None,
    run: str = "fashion-mnist/9f31c2aa07de",
) -> ReportInput:
    """A run with ASHA (27 epochs, reduction 3) as it might have been: scores, curves and votes hang together."""
    rng = np.random.default_rng(seed)
    ensemble = ensemble or EnsembleConfig()
    splits = np.repeat(np.array([0, 1, 2], np.int8), [3000, 1000, 2000])
    labels = rng.integers(0, len(class_names), len(splits))
    table = DataTable(
        data_id="b7a1f09c22d4e651",
        name="fashion-mnist",
        class_names=class_names,
        image_ids=tuple(f"{number:05d}" for number in range(len(splits))),
        labels=labels,
        splits=splits,
    )
    configs = [
        TrialConfig(
            data_id=table.data_id,
            seed=number,
            model=ModelConfig(
                blocks=int(rng.choice([2, 3])),
                width=int(rng.choice([8, 16, 32])),
                dropout=float(rng.uniform(0, 0.4)),
                batch_norm=bool(rng.random() < 0.8),
            ),
            optimizer=OptimizerConfig(
                lr=float(10 ** rng.uniform(-3, -0.5)), weight_decay=float(10 ** rng.uniform(-5, -2))
            ),
        )
        for number in range(trials)
    ]
    skill = np.sort(rng.normal(0, 1, trials))[::-1]
    rng.shuffle(skill)
    reach = np.full(trials, 1)
    order = np.argsort(-skill)
    for rung, keep in ((3, 3), (9, 6), (27, 9)):
        reach[order[: max(1, round(2 * trials / keep))]] = rung
    noise = rng.normal(size=(len(splits), len(class_names)))
    truth = np.eye(len(class_names))[labels]
    records, predictions = [], {}
    for number, config in enumerate(configs):
        own = rng.normal(size=noise.shape)
        epochs = []
        for epoch in range(1, int(reach[number]) + 1):
            strength = 2.45 + 0.06 * skill[number] + 0.75 * (1 - np.exp(-epoch / 5)) + 0.04 * rng.normal()
            logits = 1.9 * (strength * truth + noise + 0.45 * own)
            shares = np.exp(logits - logits.max(1, keepdims=True))
            shares /= shares.sum(1, keepdims=True)
            held_out = shares[splits == 1], labels[splits == 1]
            predictions[CheckpointId(config.trial_id, epoch)] = shares.astype(np.float32)
            epochs.append(
                EpochResult(
                    epoch=epoch,
                    train_loss=0.4,
                    train_accuracy=0.9,
                    validation_loss=float(-np.log(held_out[0][np.arange(1000), held_out[1]]).mean()),
                    validation_accuracy=float((held_out[0].argmax(1) == held_out[1]).mean()),
                    train_s=1.5,
                    evaluate_s=0.2,
                )
            )
        state: TrialState = "finished" if reach[number] == 27 else "pruned"
        reason = "" if state == "finished" else f"pruned at epoch {reach[number]}"
        if number == trials - 1:
            state, reason, epochs = "diverged", "loss is nan in epoch 1: lower optimizer.lr", []
        records.append(TrialRecord(config, state, reason, tuple(epochs)))
    records = rank(records)
    members = candidates(records, "best")

    def pool(split: int, name: str) -> PredictionPool:
        given = np.stack([predictions[each][splits == split] for each in members])
        return PredictionPool(table.data_id, name, tuple(members), given, labels[splits == split], class_names)

    validation, test = pool(1, "validation"), pool(2, "test")
    team = select(validation, ensemble)
    best = validation.members[rank_members(validation)[0]]
    return ReportInput(
        run=run,
        table=table,
        records=records,
        team=team,
        verdict=evaluate(team, ensemble, validation, test, best),
        left_out=(),
        command="caucus run sweeps/fashion_mnist.yaml search.seed=0 scheduler.max_epochs=27",
        versions={"python": "3.11.9", "caucus": "0.1.0", "torch": "2.15.0", "ray": "2.60.0", "numpy": "2.4.1"},
        notes=[],
    )


def make_record(
    validation: tuple[float, ...],
    state: TrialState = "finished",
    seed: int = 0,
    train: tuple[float, ...] = (),
    loss: tuple[float, ...] = (),
    model: ModelConfig | None = None,
    audited_from: int | None = None,
) -> TrialRecord:
    """A trial with these accuracies at its epochs 1, 2, 3 …; validation losses are what is left to 1 where not given."""
    epochs = tuple(
        EpochResult(
            epoch=epoch,
            train_loss=0.1,
            train_accuracy=train[epoch - 1] if train else value,
            validation_loss=loss[epoch - 1] if loss else 1 - value,
            validation_accuracy=value,
            train_s=1.0,
            evaluate_s=0.1,
        )
        for epoch, value in enumerate(validation, start=1)
    )
    config = TrialConfig(data_id="d1", seed=seed, model=model or ModelConfig())
    return TrialRecord(config, state, "", epochs, audited_from=audited_from)


def make_summary(run: ReportInput, decisions: int = 30) -> SearchSummary:
    """A search in which everything happened, over the trials of `run` where it names any."""
    names = [record.trial_id for record in run.records]

    def arm(name: str, lift: float, wobble: float, **changes: float | bool) -> Arm:
        rng = np.random.default_rng(len(name))
        records = tuple(
            make_record(
                validation=tuple(
                    0.80 + lift + 0.1 * (1 - np.exp(-epoch / 3)) + wobble * rng.normal() for epoch in range(9)
                ),
                train=tuple(0.84 - lift + 0.12 * (1 - np.exp(-epoch / 3)) for epoch in range(9)),
                state="diverged" if name == "no batch norm" and seed == 1 else "finished",
                seed=seed,
            )
            for seed in range(3)
        )
        return Arm(name, {key.replace("__", "."): value for key, value in changes.items()}, records)

    ablation = compare(
        arm("baseline", 0, 0.001),
        [
            arm("dropout", 0.012, 0.001, model__dropout=0.3),
            arm("label smoothing", 0.002, 0.006, optimizer__label_smoothing=0.1),
            arm("no batch norm", -0.02, 0.002, model__batch_norm=False),
            arm(
                "all together",
                0.005,
                0.002,
                model__dropout=0.3,
                optimizer__label_smoothing=0.1,
                model__batch_norm=False,
            ),
        ],
    )
    groups = [
        tuple(
            make_record((0.7, mean + step), seed=seed, model=ModelConfig(width=width, dropout=0.1 * place))
            for seed, step in enumerate((-0.004, 0.001, 0.003))
        )
        for place, (mean, width) in enumerate([(0.912, 32), (0.909, 16), (0.894, 8), (0.871, 4)])
    ]
    ends = [record for record in run.records if record.state == "pruned"][:2]
    audited = [
        AuditedTrial(replace(record, epochs=record.epochs[:1] + best.epochs[1:]), record.epochs[-1].epoch)
        for record, best in zip(ends, run.records[2:], strict=False)
        if best.best
    ]
    kinds = [
        SearchDecision("", "warm-start", "5 points of fashion-mnist/3c1e come first", None),
        SearchDecision("", "range", "2 blocks: loss falls from 0.0012, is lowest at 0.11", None),
        SearchDecision("coarse", "stage", f"{names[0]} is best of 18 with 90.40 %, 3 seeds", names[0]),
        SearchDecision(
            "fine", "border", "the best point lies on the upper border of optimizer.lr: the mesh grows to 0.3"
        ),
        SearchDecision("fine", "border", "optimizer.lr cannot grow past 100", None),
        SearchDecision("population", "generation", "members 2 and 5 go on from member 0", "ab" * 6),
        SearchDecision("", "audit", "pruned at epoch 3, trained on to epoch 27", names[5]),
        SearchDecision("", "budget", "the budget ran out after 30 minutes", None),
    ]
    rates = np.geomspace(1e-4, 3, 60)
    curves = tuple(
        RangeCurve(
            label=f"model.blocks={blocks} model.width=16",
            rates=tuple(rates.tolist()),
            losses=tuple(
                (2.3 - 1.4 / (1 + (0.02 / rates) ** 1.2) + 8 * np.maximum(0, rates - 0.3 * blocks) ** 1.5).tolist()
            ),
            low=0.003,
            high=0.3 * blocks / 2,
        )
        for blocks in (2, 3, 4)
    )
    return SearchSummary(
        decisions=tuple(kinds[number % len(kinds)] for number in range(decisions)),
        stages=(
            StageRow("coarse", "grid", 18, 162, 0.9012, {"model.blocks": 3, "model.width": 32}),
            StageRow("fine", "jittered", 24, 510, 0.9134, {"optimizer.lr": 0.0312, "optimizer.weight_decay": 0.0005}),
            StageRow("polish", "ablation", 0, 0, None, {}),
        ),
        ablation=ablation,
        noise=measure_noise(groups),
        audit=evaluate_pruning(run.records, audited),
        range_tests=curves,
        lineage=tuple(
            LineageStep(3 * step + 1, 3 * step + 3, names[step], {"optimizer.lr": 0.1 / 1.2**step}, 0.85 + 0.01 * step)
            for step in range(5)
        ),
    )
