"""A report as JSON: figures, no drawings, and nothing that JSON does not know."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest

from ensembles.report.charts.charts import Chart
from ensembles.report.team.baselines import Drawn
from ensembles.report.to_json import to_plain
from tests.ensembles.samples import make_record
from trainables.results.checkpoint import CheckpointId


@dataclass(frozen=True)
class Part:
    name: str
    drawn: Drawn
    chart: Chart
    members: tuple[CheckpointId, ...]


def test_figures_stay_and_drawings_go() -> None:
    part = Part("x", Drawn(1, 2, 3), Chart("<svg>", "seen"), (CheckpointId("ab" * 6, 3),))
    assert to_plain(part) == {"name": "x", "chart": "seen", "members": [{"trial_id": "ab" * 6, "epoch": 3}]}


def test_trials_are_written_as_their_ids() -> None:
    record = make_record((0.9,))
    assert to_plain({"best": record}) == {"best": record.trial_id}


def test_numbers_that_are_none_are_null() -> None:
    plain = to_plain([float("nan"), float("inf"), 1.5, np.array([[1.0, np.nan]])])
    assert plain == [None, None, 1.5, [[1.0, None]]]
    assert json.dumps(plain, allow_nan=False)


def test_an_unsupported_type_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot represent"):
        to_plain({1, 2})
