"""What holds for every search: the contract suite, on each method and on the searches that put others after one another."""

from dataclasses import replace

import pytest

from runner.search.base.former import Former
from runner.search.choose import choose_search
from runner.testing.search_run import SearchRun, simulate_epoch
from runner.testing.searches import search_checks
from tests.runner.search.sample_searches import make_search, make_sweep

RATE = {"optimizer.lr": {"log": [1e-4, 1e-1], "factor": 10}}
WIDTHS = {"model.width": {"choice": [4, 8, 16]}}
BOTH = {**RATE, "model.width": {"choice": [8, 16]}}
NONE = {"method": "none", "max_epochs": 3}
LADDER = {"method": "ladder", "steps": [{"model.width": width} for width in (4, 8, 16, 32)], "repeats": 2}
COARSE = {"name": "coarse", "method": "grid", "epochs": 1, "space": RATE}
FINE = {"name": "fine", "method": "grid", "space": {"optimizer.lr": {"around": "coarse", "factor": 3, "steps": 3}}}


def former():
    """A run whose trials and schedule others begin with."""
    run = SearchRun(make_search({"method": "pbt", "space": RATE, "population": {"size": 3}}, scheduler=NONE))
    run.finish(lambda record: record.config.optimizer.lr)
    return Former("t/r0", tuple(run.state.trials.values()), tuple(run.state.decisions))


SEARCHES = {
    "random": {"space": BOTH, "trials": 6, "repeats": 2},
    "random, range test": {"space": {**WIDTHS, "optimizer.lr": {"range_test": True}}, "trials": 5},
    "grid": {"method": "grid", "space": BOTH, "border": 2},
    "jittered": {"method": "jittered", "space": RATE, "border": 2, "repeats": 2},
    "ablation": {"method": "ablation", "changes": {"dropout": {"model.dropout": 0.3}}, "repeats": 2},
    "ladder": LADDER,
    "bagging": {"method": "bagging", "bags": 3, "repeats": 2},
    "samme": {"method": "boosting", "boosting": {"kind": "samme", "rounds": 3}, "repeats": 2},
    "gradient": {"method": "boosting", "boosting": {"kind": "gradient", "rounds": 3, "stop_early": True}},
    "pbt": {"method": "pbt", "space": RATE, "population": {"size": 4, "interval": 1, "quantile": 0.5}},
    "replay": {"method": "replay", "replay": "t", "repeats": 3},
    "tpe": {"method": "tpe", "space": BOTH, "trials": 5, "startup": 2},
    "gp": {"method": "gp", "space": BOTH, "trials": 3, "startup": 1},
    "bohb": {"method": "bohb", "space": BOTH, "trials": 5, "startup": 2},
    "stages": {"stages": [COARSE, FINE, {"name": "capacity", **LADDER, "repeats": 1}]},
    "warm start": {"space": RATE, "trials": 4, "warm_start": {"run": "t", "best": 2}},
    "warm start, tpe": {"method": "tpe", "space": RATE, "trials": 4, "startup": 1, "warm_start": {"run": "t"}},
}


def weigh(trial, epoch):
    """A made-up epoch of a boosted round, which has a weight."""
    result = simulate_epoch(trial, epoch)
    return result and replace(result, round_error=0.3, round_weight=result.validation_accuracy - 0.1)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name == "gp" else []) for name in SEARCHES]
)
@pytest.mark.parametrize("check", search_checks(weigh), ids=str)
def test_it_keeps_the_promises_of_a_search(name, check):
    if name.split()[-1] in ("tpe", "gp", "bohb"):
        pytest.importorskip("optuna")
    earlier = former() if name == "replay" or "warm" in name else None
    spec = make_sweep(SEARCHES[name], scheduler=NONE)
    check(lambda: choose_search(spec, "data", earlier))
