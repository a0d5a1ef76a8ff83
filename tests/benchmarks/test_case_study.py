"""The case study: its table read from a record by hand, and a small one run whole."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.case_study import format_table
from ensembles.analysis.ablation import Arm, compare
from runner.config.checks import read_spec
from runner.search.base.stage_context import StageContext
from runner.search.methods.ablation import list_arms
from tests.ensembles.samples import make_record
from tests.sample_runs.sweeps import ROOT, run_sweep
from trainables.datasets.fashion_mnist import DEBIAN
from trainables.errors import RunMissing

SWEEPS = [ROOT / "sweeps" / name for name in ("case_study.yaml", "case_study_vehicles.yaml")]

VERDICT: dict[str, Any] = {
    "vote": "soft",
    "votes": {"soft": {"members": 5, "test_accuracy": 0.9, "ci95": [0.88, 0.92]}},
    "best": {"test_accuracy": 0.89, "ci95": [0.87, 0.91]},
}


def make_payload() -> dict[str, Any]:
    """What ensemble.json holds after an ablation of two seeds and one epoch, as JSON gives it back."""

    def arm(name: str, validation: tuple[float, float], fit: float, **changes: float) -> Arm:
        records = [make_record((value,), train=(0.8,), seed=seed) for seed, value in enumerate(validation)]
        seen = [replace(one, epochs=(replace(one.epochs[0], fit_accuracy=fit),)) for one in records]
        return Arm(name, changes, tuple(seen))

    found = compare(arm("baseline", (0.70, 0.70), 0.99), [arm("drop | out", (0.71, 0.73), 0.75, x=0.5)])
    assert found is not None
    payload: dict[str, Any] = json.loads(json.dumps({"ablation": asdict(found), "verdict": VERDICT}))
    return payload


def test_the_table_is_markdown_with_the_figures_of_the_record() -> None:
    lines = list(format_table(make_payload()))
    assert lines[2] == "| baseline | 2 | 80.0 ± 0.0 % | 99.0 ± 0.0 % | 70.0 ± 0.0 % | 29.0 ± 0.0 | 1.0 | 1.0 |"
    # Two seeds two points apart: t of 12.7062 times one point.
    assert lines[3] == "| drop / out | 2 | 80.0 ± 0.0 % | 75.0 ± 0.0 % | 72.0 ± 12.7 % | 3.0 ± 12.7 | 1.0 | 1.0 |"
    assert lines[-2:] == [
        "| best single | 89.00% | 87.00% to 91.00% |",
        "| soft vote of 5 | 90.00% | 88.00% to 92.00% |",
    ]


def test_what_was_not_measured_or_not_reached_is_shown_as_such() -> None:
    payload = make_payload()
    payload["ablation"]["levels"][1] |= {"fit": None, "gap": None}
    payload["ablation"]["levels"][1]["train_reach"] = {"epochs": None, "reached": 0, "repeats": 2}
    payload["ablation"]["rows"][0]["reach"] = {"epochs": 3.0, "reached": 1, "repeats": 2}
    assert list(format_table(payload))[3].endswith("| - | 72.0 ± 12.7 % | - | none of 2 | 3.0 (1 of 2) |")


def test_a_run_without_an_ablation_is_refused() -> None:
    with pytest.raises(RunMissing, match="has no ablation"):
        list(format_table({"verdict": VERDICT}))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_the_study_has_the_arms_of_the_articles_with_ten_seeds_each(path: Path) -> None:
    spec = read_spec(str(path), [])
    arms = {name: trials for name, _, trials in list_arms(StageContext(spec, "data", "", spec.search, {}))}
    assert list(arms) == ["baseline", "dropout", "batch norm", "both", "both, augmented"]
    assert all(len({trial.seed for trial in trials}) == 10 for trials in arms.values())
    first = {name: trials[0] for name, trials in arms.items()}
    assert [(trial.model.dropout, trial.model.batch_norm) for trial in first.values()] == [
        (0.0, False),
        (0.5, False),
        (0.0, True),
        (0.5, True),
        (0.5, True),
    ]
    assert [trial.augment.flip for trial in first.values()] == [0, 0, 0, 0, 0.5]
    assert spec.data.train == 1646
    assert spec.scheduler.max_epochs == 25


@pytest.mark.long
@pytest.mark.extended
@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Fashion-MNIST is not installed")
def test_a_small_study_runs_and_its_table_can_be_printed(tmp_path: Path) -> None:
    small = ["search.repeats=2", "scheduler.max_epochs=2", "model.width=4", "data.train=100", "data.size=14"]
    result = run_sweep(str(SWEEPS[0]), *small, f"data.root={DEBIAN}", f"store={tmp_path}")
    assert result["trials"]["finished"] == 10
    printed = subprocess.run(
        [sys.executable, "-m", "benchmarks.case_study", "case-study", "--store", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout.splitlines()
    assert [line.split("|")[1].strip() for line in printed[2:7]] == [
        "baseline",
        "dropout",
        "batch norm",
        "both",
        "both, augmented",
    ]
    assert all(line.split("|")[2].strip() == "2" for line in printed[2:7])
    page = next(tmp_path.glob("sweeps/case-study/*/report.html")).read_text()
    assert page.count("Where each arm ends") == 1
