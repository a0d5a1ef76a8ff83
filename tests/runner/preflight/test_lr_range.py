import numpy as np
import pytest
from rich.console import Console

from runner.journal.state import RunState
from runner.preflight.lr_range import CURVE_WIDTH, draw_curve, list_architectures, measure_ranges, show_ranges
from runner.search.base.protocol import Measure
from runner.search.choose import choose_search
from tests.runner.search.sample_searches import make_sweep
from trainables.errors import SweepFileError

SPACE = {
    "model.width": {"choice": [4, 8]},
    "model.dropout": {"uniform": [0.0, 0.4]},
    "optimizer.name": {"choice": ["sgd", "adamw"]},
    "optimizer.lr": {"range_test": True},
}


def test_architectures_differ_by_choices_of_model_and_optimizer_alone():
    found = list(list_architectures(make_sweep({"space": SPACE}), "data"))
    assert [tuple(values.values()) for values, _ in found] == [(4, "sgd"), (4, "adamw"), (8, "sgd"), (8, "adamw")]
    assert {trial.model.dropout for _, trial in found} == {0.2}


def test_a_run_tests_the_same_architectures():
    spec = make_sweep({"space": SPACE, "trials": 40})
    step = choose_search(spec, "data").step(RunState())
    assert isinstance(step, Measure)
    assert set(step.architectures) == {trial.trial_id for _, trial in list_architectures(spec, "data")}


def test_too_many_architectures_are_refused_before_any_is_tested():
    spec = make_sweep({"space": {"model.width": {"int": [1, 30]}}})
    with pytest.raises(SweepFileError, match="30 architectures, more than 24: fix some keys"):
        next(measure_ranges(spec, 50))


def test_the_bounds_and_the_curve_of_a_real_net_are_shown():
    tested = list(measure_ranges(make_sweep({}, model={"width": 8}), 60))
    (one,) = tested
    assert 1e-6 < one.low < one.high <= 10
    assert len(one.rates) == len(one.losses) > 10
    found = one.to_dict()
    assert (found["low"], found["high"], len(found["rates"])) == (one.low, one.high, len(one.rates))
    console = Console(width=160, record=True, file=None)
    with console.capture() as shown:
        console.print(show_ranges(tested))
    assert f"{one.high:.2g}" in shown.get()
    assert "range_test: true" in shown.get()


def test_a_curve_is_high_where_the_loss_is():
    rates = np.geomspace(1e-4, 1.0, 50)
    drawn = draw_curve(rates, np.abs(np.log10(rates) + 2))
    assert len(drawn) == CURVE_WIDTH
    assert drawn[CURVE_WIDTH // 2] == "▁"
    assert drawn[0] == drawn[-1] == "█"
    assert draw_curve(rates[:1], rates[:1]) == ""
