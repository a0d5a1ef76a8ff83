"""The ready sweep files: each can be read, and says what it is for."""

from __future__ import annotations

import pytest

from runner.search.listed import list_trials
from runner.spec import read_spec
from tests.sweeps import ROOT

READY = sorted((ROOT / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_a_ready_sweep_can_be_read_and_has_its_trials(path):
    spec = read_spec(str(path), [])
    assert len(list_trials(spec, "any data")) == spec.search.trials
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
