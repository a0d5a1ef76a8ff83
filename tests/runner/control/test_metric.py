"""Search and scheduler maximise the metric that the sweep asks for, whichever way that goes."""

from __future__ import annotations

import pytest

from runner.control.simulator import Simulation, simulate
from runner.journal.events import to_line
from runner.search.base.best import best_group
from runner.search.choose import choose_search
from tests.runner.search.sample_searches import make_sweep
from trainables.config.trial import TrialConfig
from trainables.metric import Metric
from trainables.results.record import EpochResult, rank

RATES = [0.01, 0.02, 0.03, 0.04]
METRICS: list[Metric] = ["balanced_accuracy", "log_loss", "brier"]


def run(scheduler: dict[str, object], metric: Metric, search: dict[str, object] | None = None) -> Simulation:
    """Accuracy and loss are best at the lowest learning rate, the metric is best at the highest."""
    low_is_good = metric in ("log_loss", "brier")

    def outcome(trial: TrialConfig, epoch: int) -> EpochResult:
        rate = trial.optimizer.lr
        score = 1 - 10 * rate if low_is_good else 10 * rate
        return EpochResult(epoch, 0.5, 0.5, rate, 1 - rate, 2.0, 0.0, metric=metric, validation_score=score)

    grid = {"method": "grid", "space": {"optimizer.lr": {"choice": RATES}}}
    spec = make_sweep(search or grid, scheduler=scheduler, ensemble={"metric": metric})
    return simulate(spec, choose_search(spec, "data"), 4, outcome)


def finished(simulation: Simulation) -> set[float]:
    return {one.config.optimizer.lr for one in simulation.state.trials.values() if one.state == "finished"}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "scheduler",
    [
        {"method": "asha-promote", "max_epochs": 4, "reduction": 2, "grace_epochs": 2},
        {"method": "hyperband", "max_epochs": 4, "reduction": 2, "grace_epochs": 2},
        {"method": "median", "max_epochs": 8, "grace_epochs": 1},
    ],
    ids=lambda scheduler: str(scheduler["method"]),
)
def test_schedulers_end_the_trials_that_are_worst_by_the_metric(scheduler: dict[str, object], metric: Metric) -> None:
    done = finished(run(scheduler, metric))
    assert max(RATES) in done
    assert min(RATES) not in done


@pytest.mark.parametrize("metric", METRICS)
def test_the_best_trial_and_configuration_are_those_by_the_metric(metric: Metric) -> None:
    records = list(run({"method": "none", "max_epochs": 2}, metric).state.trials.values())
    assert [one.config.optimizer.lr for one in rank(records)] == sorted(RATES, reverse=True)
    best = best_group(records)
    assert best is not None
    assert best.config.optimizer.lr == max(RATES)
    assert best.shown_merit.startswith(
        {"balanced_accuracy": "balanced accuracy 40", "log_loss": "log-loss 0.6", "brier": "Brier score 0.6"}[metric]
    )


def test_a_model_is_told_the_metric_and_its_suggestions_follow_it() -> None:
    search = {"method": "tpe", "trials": 24, "startup": 6, "space": {"optimizer.lr": {"log": [0.001, 0.09]}}}
    simulation = run({"method": "none", "max_epochs": 1}, "log_loss", search)
    rates = [one.config.optimizer.lr for one in simulation.state.trials.values()]
    assert sorted(rates[-10:])[5] > 0.03  # by accuracy they would go to the lower end


def test_a_journal_names_the_metric_and_one_without_is_as_it_was() -> None:
    lines = [to_line(event).decode() for event in run({"method": "none", "max_epochs": 1}, "brier").events]
    assert any('"metric":"brier","validation_score":' in line for line in lines)
    spec = make_sweep({"method": "grid", "space": {"optimizer.lr": {"choice": RATES}}})
    plain = simulate(
        spec, choose_search(spec, "data"), 4, lambda trial, at: EpochResult(at, 0.5, 0.5, 0.5, 0.5, 2.0, 0.0)
    )
    assert not any("validation_score" in to_line(event).decode() for event in plain.events)
