"""Which keys a report shows."""

from __future__ import annotations

from ensembles.analysis.varied_keys import keys_that_vary
from trainables.config.model import ModelConfig
from trainables.config.training import OptimizerConfig
from trainables.config.trial import TrialConfig
from trainables.results.record import TrialRecord


def record(seed: int, width: int, lr: float) -> TrialRecord:
    return TrialRecord(
        TrialConfig(data_id="d", seed=seed, model=ModelConfig(width=width), optimizer=OptimizerConfig(lr=lr))
    )


def test_only_keys_with_more_than_one_value_are_shown_and_never_the_seed() -> None:
    assert keys_that_vary([record(0, 8, 0.1), record(1, 8, 0.2)]) == ["optimizer.lr"]
    assert keys_that_vary([record(0, 8, 0.1), record(1, 16, 0.2)]) == ["model.width", "optimizer.lr"]
    assert keys_that_vary([record(0, 8, 0.1), record(1, 8, 0.1)]) == []
    assert keys_that_vary([]) == []
