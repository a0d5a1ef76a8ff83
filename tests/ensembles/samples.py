"""Small pools by hand, and a whole run as it might have been, for the tests of this folder."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ensembles.config import EnsembleConfig
from ensembles.evaluate import evaluate
from ensembles.pool import PredictionPool, candidates
from ensembles.report import ReportInput
from ensembles.select import Choice, rank_members, select
from trainables.checkpoint import CheckpointId
from trainables.config import ModelConfig, OptimizerConfig, TrialConfig
from trainables.data_table import DataTable
from trainables.record import EpochResult, TrialRecord, TrialState, rank

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


def make_choice(*weights: float) -> Choice:
    """A team of members 0, 1, 2 … with these weights."""
    members = tuple(member(number) for number in range(len(weights)))
    return Choice(members, tuple(weights), "all", "accuracy", (), (), 0.0)


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
            told = shares[splits == 1], labels[splits == 1]
            predictions[CheckpointId(config.trial_id, epoch)] = shares.astype(np.float32)
            epochs.append(
                EpochResult(
                    epoch=epoch,
                    train_loss=0.4,
                    train_accuracy=0.9,
                    validation_loss=float(-np.log(told[0][np.arange(1000), told[1]]).mean()),
                    validation_accuracy=float((told[0].argmax(1) == told[1]).mean()),
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
    choice = select(validation, ensemble)
    best = validation.members[rank_members(validation)[0]]
    return ReportInput(
        run=run,
        table=table,
        records=records,
        choice=choice,
        verdict=evaluate(choice, ensemble, validation, test, best),
        left_out=(),
        command="caucus run sweeps/fashion_mnist.yaml search.seed=0 scheduler.max_epochs=27",
        versions={"python": "3.11.9", "caucus": "0.1.0", "torch": "2.15.0", "ray": "2.60.0", "numpy": "2.4.1"},
        notes=[],
    )
