"""The ready sweep files: each can be read, and says what it is for."""

from __future__ import annotations

import json

import pytest

from runner.config.checks import read_spec
from runner.config.sweep import SweepSpec
from runner.journal.state import RunState
from runner.search.base.protocol import Measure, Plan
from runner.search.choose import choose_search
from tests.sample_runs.sweeps import ROOT

READY = sorted((ROOT / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_a_ready_sweep_can_be_read_and_has_its_trials(path):
    spec = read_spec(str(path), [])
    step = choose_search(spec, "any data").step(RunState())
    assert isinstance(step, Plan | Measure)
    if spec.search.method == "random" and isinstance(step, Plan) and not spec.search.stages:
        assert len(step.trials) == spec.search.trials
    assert path.read_text().startswith("# ")


def test_the_demonstration_is_as_large_as_promised():
    spec = read_spec(str(ROOT / "sweeps" / "digits.yaml"), [])
    assert spec.search.trials >= 24
    assert set(spec.search.space) == {
        "model.blocks",
        "model.width",
        "model.dropout",
        "model.batch_norm",
        "optimizer.lr",
        "optimizer.weight_decay",
    }
    assert (spec.search.method, spec.scheduler.method, spec.data.name) == ("random", "asha", "digits")


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_the_record_of_a_ready_sweep_is_read_back_as_it_was(path):
    spec = read_spec(str(path), [])
    payload = json.loads(json.dumps(spec.model_dump(mode="json")))
    assert SweepSpec.model_validate(payload) == spec
