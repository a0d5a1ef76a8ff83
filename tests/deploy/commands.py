"""Commands that the files under deploy/ tell a person or a machine to run: do they name what is there?"""

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
    """Fails unless `command` starts a program of this project or of Ray, with files that exist and words that are right."""
    words = shlex.split(command.replace("$STORE", "s3://a-bucket/caucus").replace("YOUR-BUCKET", "a-bucket"))
    program, verb = words[0].rpartition("/")[2], words[1]
    if program == "python":
        assert verb == "runner/nightly.py"
        _check_sweep(words[2:])
    elif program == "caucus":
        assert verb in {one.name or one.callback.__name__ for one in app.registered_commands if one.callback}
        _check_sweep(words[2:])
    elif program == "ray":
        assert verb in RAY_VERBS
        files = [word for word in words[2:] if re.fullmatch(r"\S+\.(yaml|py)", word)]
        assert files
        assert all((ROOT / name).is_file() for name in files), files
    else:
        assert (program, verb) == ("make", "setup")


def _check_sweep(words: list[str]) -> None:
    """A sweep file that is there, with overrides that it takes; options are left to the program's own tests."""
    sweeps = [word for word in words if word.endswith(".yaml")]
    for sweep in sweeps:
        read_spec(str(ROOT / sweep), [word for word in words if re.match(r"[a-z.]+=", word)])


def cron_lines() -> list[str]:
    """The lines of the crontab that start something, those that are commented out too."""
    return [line.lstrip("#") for line in (DEPLOY / "cron").read_text().splitlines() if re.match(r"#?\d", line)]


def workflow() -> dict[Any, Any]:
    """GitHub's file. YAML 1.1 reads the word `on` as True."""
    told: dict[Any, Any] = yaml.safe_load((DEPLOY / "github-actions.yml").read_text())
    return told


def kuberay(name: str) -> dict[str, Any]:
    """One of KubeRay's files."""
    told: dict[str, Any] = yaml.safe_load((DEPLOY / "kuberay" / name).read_text())
    return told


def airflow_words() -> dict[str, Any]:
    """The words of Airflow's operator, as far as they are literals."""
    (code,) = re.findall(r"```python\n(.*?)```", (DEPLOY / "airflow.md").read_text(), re.DOTALL)
    (call,) = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "BashOperator"
    ]
    return {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg and word.arg != "retry_delay"}


def nightly_words(command: str) -> list[str]:
    """What follows `nightly.py` in a command line of a shell, or of `ray submit`, which quotes nothing."""
    command = re.sub(r"\{\{.*?\}\}", "2026-01-31", command)  # what Airflow fills in
    command = re.sub(r"\s*(>>|2>&1|;|&&).*$", "", command[command.index("runner/nightly.py") :])
    words = shlex.split(command.replace("$STORE", "runs").replace("/home/ray/caucus/", ""))
    return words[1:]


def every_nightly_command() -> dict[str, list[str]]:
    """The words of each night that a file under deploy/ starts, by the name of what starts it."""
    (step,) = [step["run"] for step in workflow()["jobs"]["nightly"]["steps"] if "nightly.py" in step.get("run", "")]
    (job,) = re.findall(r"python runner/nightly.py [^`\n]+", (DEPLOY / "README.md").read_text())
    return {
        "cron": nightly_words(cron_lines()[0]),
        "cron with ray submit": nightly_words(cron_lines()[1]),
        "GitHub Actions": nightly_words(step),
        "Airflow": nightly_words(airflow_words()["bash_command"]),
        "RayJob": nightly_words(kuberay("rayjob.yaml")["spec"]["entrypoint"]),
        "RayCronJob": nightly_words(kuberay("raycronjob.yaml")["spec"]["jobTemplate"]["entrypoint"]),
        "ray job submit": nightly_words(job),
    }
