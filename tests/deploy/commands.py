"""Commands in the files under deploy/: do they name programs, verbs and files that exist?"""

from __future__ import annotations

import ast
import re
import shlex
from typing import Any

import yaml

from runner.cli.main import app
from runner.config.checks import read_spec
from tests.sample_runs.sweeps import ROOT

TINY = [
    "search.trials=2",
    "scheduler.method=none",
    "scheduler.max_epochs=2",
    "scheduler.grace_epochs=1",
    "model.width=4",
]
"""Four epochs of digits."""

DEPLOY = ROOT / "deploy"

RAY_VERBS = {"up", "down", "submit", "job"}


def check_command(command: str) -> None:
    """Fails unless `command` starts a program of this project or of Ray, with files that exist and valid arguments."""
    arguments = shlex.split(command.replace("$STORE", "s3://a-bucket/caucus").replace("YOUR-BUCKET", "a-bucket"))
    program, verb = arguments[0].rpartition("/")[2], arguments[1]
    if program == "python":
        assert verb == "runner/nightly.py"
        _check_sweep(arguments[2:])
    elif program == "caucus":
        assert verb in {one.name or one.callback.__name__ for one in app.registered_commands if one.callback}
        _check_sweep(arguments[2:])
    elif program == "ray":
        assert verb in RAY_VERBS
        files = [argument for argument in arguments[2:] if re.fullmatch(r"\S+\.(yaml|py)", argument)]
        assert files
        assert all((ROOT / name).is_file() for name in files), files
    else:
        assert (program, verb) == ("make", "setup")


def _check_sweep(arguments: list[str]) -> None:
    """A sweep file that is there, with overrides that it takes; options are left to the program's own tests."""
    sweeps = [argument for argument in arguments if argument.endswith(".yaml")]
    for sweep in sweeps:
        read_spec(str(ROOT / sweep), [argument for argument in arguments if re.match(r"[a-z.]+=", argument)])


def cron_lines() -> list[str]:
    """The lines of the crontab that start something, those that are commented out too."""
    return [line.lstrip("#") for line in (DEPLOY / "cron").read_text().splitlines() if re.match(r"#?\d", line)]


def workflow() -> dict[Any, Any]:
    """GitHub's file. YAML 1.1 reads the word `on` as True."""
    config: dict[Any, Any] = yaml.safe_load((DEPLOY / "github-actions.yml").read_text())
    return config


def kuberay(name: str) -> dict[str, Any]:
    """One of KubeRay's files."""
    manifest: dict[str, Any] = yaml.safe_load((DEPLOY / "kuberay" / name).read_text())
    return manifest


def airflow_arguments() -> dict[str, Any]:
    """The arguments of Airflow's operator, as far as they are literals."""
    (code,) = re.findall(r"```python\n(.*?)```", (DEPLOY / "airflow.md").read_text(), re.DOTALL)
    (call,) = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "BashOperator"
    ]
    return {
        keyword.arg: ast.literal_eval(keyword.value)
        for keyword in call.keywords
        if keyword.arg and keyword.arg != "retry_delay"
    }


def nightly_arguments(command: str) -> list[str]:
    """The arguments of `nightly.py` in a command line of a shell, or of `ray submit`, which quotes nothing."""
    command = re.sub(r"\{\{.*?\}\}", "2026-01-31", command)  # what Airflow fills in
    command = re.sub(r"\s*(>>|2>&1|;|&&).*$", "", command[command.index("runner/nightly.py") :])
    arguments = shlex.split(command.replace("$STORE", "runs").replace("/home/ray/caucus/", ""))
    return arguments[1:]


def every_nightly_command() -> dict[str, list[str]]:
    """The arguments of each night that a file under deploy/ starts, by the name of the scheduler."""
    (step,) = [step["run"] for step in workflow()["jobs"]["nightly"]["steps"] if "nightly.py" in step.get("run", "")]
    (job,) = re.findall(r"python runner/nightly.py [^`\n]+", (DEPLOY / "README.md").read_text())
    return {
        "cron": nightly_arguments(cron_lines()[0]),
        "cron with ray submit": nightly_arguments(cron_lines()[1]),
        "GitHub Actions": nightly_arguments(step),
        "Airflow": nightly_arguments(airflow_arguments()["bash_command"]),
        "RayJob": nightly_arguments(kuberay("rayjob.yaml")["spec"]["entrypoint"]),
        "RayCronJob": nightly_arguments(kuberay("raycronjob.yaml")["spec"]["jobTemplate"]["entrypoint"]),
        "ray job submit": nightly_arguments(job),
    }
