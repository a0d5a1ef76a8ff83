"""The image, as far as it can be had without a registry: what is copied is there and is enough to run its command."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.deploy.commands import TINY
from tests.sample_runs.sweeps import ROOT

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COPIES = [line.split()[2:] for line in DOCKERFILE.splitlines() if line.startswith("COPY")]
IGNORED = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()


def command() -> list[str]:
    (line,) = re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)
    arguments: list[str] = json.loads(line)
    return arguments


def test_it_starts_from_the_pinned_ray():
    pinned = re.search(r"^ray==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert f"FROM rayproject/ray:{pinned[1]}-py311\n" in DOCKERFILE


def test_what_it_copies_is_there_and_is_not_ignored():
    sources = [name for names in COPIES for name in names[:-1]]
    assert sources
    assert all((ROOT / name).exists() for name in sources)
    assert {line[1:] for line in IGNORED if line.startswith("!")} == set(sources)
    assert "*" in IGNORED
    assert not any(fnmatch(".venv", line[1:]) for line in IGNORED if line.startswith("!"))


def copy_as_docker_would(folder: Path) -> None:
    for *names, target in COPIES:
        for name in names:
            to = folder / target / ("" if (ROOT / name).is_dir() else name)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, to)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_what_is_copied_is_enough_to_run_its_command(tmp_path):
    copy_as_docker_would(tmp_path)
    python, script, sweep, *arguments = command()
    assert (python, (tmp_path / sweep).is_file()) == ("python", True)
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    env["PYTHONPATH"] = str(tmp_path)  # before the checkout that is installed here
    small = [sys.executable, script, "sweeps/digits.yaml", *TINY, *arguments, "--json", "--address", "own"]
    done = subprocess.run(small, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "done"
    assert (tmp_path / "runs").is_dir()
