"""A night by cron, by GitHub Actions or by Airflow: each is well-formed, and runs commands that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.commands import airflow_arguments, check_command, cron_lines
from tests.deploy.commands import workflow as read_workflow
from tests.sample_runs.sweeps import ROOT

FOLDER = ROOT / "deploy"
CRON_LINES = cron_lines()
LARGEST = (59, 23, 31, 12, 7)


def programs(shell: str) -> list[str]:
    """The commands of a line that is joined by && and ;, without redirections, `cd` and assignments."""
    parts = [re.sub(r"\s+(>>|2>&1).*$", "", part).strip() for part in re.split(r"&&|;", shell)]
    return [part for part in parts if not re.match(r"cd |[A-Z]+=", part)]


def test_the_crontab_has_a_line_for_this_machine_and_one_for_a_cluster():
    assert len(CRON_LINES) == 2
    lines = [line for line in (FOLDER / "cron").read_text().splitlines() if not line.startswith("#")]
    assert [line.partition(" ")[0] for line in lines] == ["CRON_TZ=Europe/Berlin", "0"]


@pytest.mark.parametrize("line", CRON_LINES)
def test_a_line_of_the_crontab_is_one_and_names_what_is_there(line):
    *fields, command = line.split(maxsplit=5)
    assert all(field == "*" or 0 <= int(field) <= most for field, most in zip(fields, LARGEST, strict=True))
    assert "%" not in command, "cron takes it for a line break"
    assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0
    found = programs(command)
    assert found
    for program in found:
        check_command(program)


@pytest.fixture
def workflow() -> dict[str, Any]:
    return read_workflow()


def test_the_workflow_is_as_github_wants_it(tmp_path):
    program = Path(sys.executable).with_name("check-jsonschema")
    if not program.is_file() and not shutil.which("check-jsonschema"):
        pytest.skip("check-jsonschema is not installed: pip install check-jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    good = FOLDER / "github-actions.yml"
    assert subprocess.run([*command, good], capture_output=True, check=False).returncode == 0
    bad = tmp_path / "bad.yml"
    bad.write_text(good.read_text().replace("timeout-minutes", "time-out-minutes"))
    assert subprocess.run([*command, bad], capture_output=True, check=False).returncode != 0


def test_the_workflow_runs_every_night_with_no_rights_and_no_secret_of_its_own(workflow):
    on = workflow[True]  # YAML 1.1 reads the word `on` so
    assert [one["cron"] for one in on["schedule"]] == ["0 1 * * *"]
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in (FOLDER / "github-actions.yml").read_text()
    (job,) = workflow["jobs"].values()
    assert job["steps"][-1]["if"] == "always()"
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert any("runner/nightly.py" in run for run in runs)
    for run in runs:
        check_command(run)


def test_the_dag_is_python_whose_command_names_what_is_there():
    arguments = airflow_arguments()
    check_command(re.sub(r"\{\{.*?\}\}", "2026-01-31", arguments["bash_command"]))
    assert arguments["skip_on_exit_code"] == 3


def test_the_readme_names_every_file_and_none_that_is_not_there():
    text = (FOLDER / "README.md").read_text()
    linked = {(FOLDER / link).resolve() for link in re.findall(r"\]\(([^)#]+)\)", text)}
    assert all(path.exists() for path in linked), linked
    files = {path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in (".json", ".dockerignore")}
    assert {*files} - linked == {FOLDER / "README.md"}
