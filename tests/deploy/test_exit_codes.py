"""Exit codes meet what reads them: each file's own command line, with a night that ends in 3, in 4, or on wrong input."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from runner.cli.nightly import run_nightly
from tests.deploy.commands import every_nightly_command
from tests.sample_runs.sweeps import ROOT

FAILURES = {"GitHub Actions", "RayJob", "RayCronJob", "ray job submit"}
"""They take every code but 0 for a failure; the others can tell 3 from one, or read none."""


@pytest.fixture
def night(monkeypatch):
    """Runs a command line up to the night itself, which gets the verdict that the test sets. The nights' names are listed."""
    import runner.nights.night

    verdicts: list[str] = []
    names: list[str] = []

    def run_night(spec: Any, run: str, *more: Any) -> Any:
        names.append(run)
        return SimpleNamespace(summary=SimpleNamespace(verdict=verdicts[-1]), result=None)

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(runner.nights.night, "run_night", run_night)
    monkeypatch.setattr("runner.cli.tables.night.night_to_json", lambda night: {})
    monkeypatch.setattr("runner.cli.tables.night.show_night", lambda night: [])
    monkeypatch.setattr("runner.cli.tables.result.show_result", lambda result, console: None)
    app = typer.Typer()
    app.command()(run_nightly)

    def run(arguments: list[str], verdict: str = "accepted") -> Any:
        verdicts.append(verdict)
        return CliRunner().invoke(app, arguments)

    return SimpleNamespace(run=run, names=names)


@pytest.mark.parametrize("starter", every_nightly_command())
def test_a_night_that_is_no_better_is_no_failure_to_what_started_it(starter, night):
    arguments = every_nightly_command()[starter]
    assert night.run(arguments, "no worse").exit_code == (0 if starter in FAILURES else 3)
    assert night.run(arguments, "partial").exit_code == 4


@pytest.mark.parametrize(
    ("verdict", "code"), [("worse", 0), ("no worse", 0), ("accepted", 0), ("partial", 4), ("failed", 4)]
)
def test_all_other_verdicts_keep_their_codes(verdict, code, night):
    assert night.run(every_nightly_command()["RayJob"], verdict).exit_code == code


def test_wrong_input_stays_a_failure_whatever_no_better_is(night):
    done = night.run([*every_nightly_command()["RayJob"], "model.widht=4"])
    assert (done.exit_code, night.names) == (2, [])
    assert "did you mean width?" in done.output


@pytest.mark.parametrize(("code", "ends"), [("7", 7), ("255", 255), ("0", 0)])
def test_no_better_can_be_any_code_that_a_process_can_end_with(code, ends, night):
    assert night.run(["sweeps/nightly.yaml", f"--no-better-is={code}"], "worse").exit_code == ends


@pytest.mark.parametrize("code", ["256", "-1", "0.5", "zero", ""])
def test_and_none_that_it_cannot(code, night):
    done = night.run(["sweeps/nightly.yaml", f"--no-better-is={code}"], "worse")
    assert (done.exit_code, night.names) == (2, [])
    assert "--no-better-is" in re.sub(r"\x1b\[[0-9;]*m", "", done.output)
