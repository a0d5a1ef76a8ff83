"""Hints that tell a person what to install: `caucus` in the package index is another project's program."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from importlib.metadata import EntryPoint

import pytest

from runner.doctor import machine as doctor
from runner.doctor.machine import check_machine
from tests.sample_runs.sweeps import ROOT
from trainables import distribution

INSTALLS = re.compile(r"\b(?:pip3?|pipx|uv|uvx|conda|poetry) (?:pip )?(?:install|add|run)\b[^\n]*")
"""A command that fetches packages, to the end of its line."""

FOREIGN = re.compile(r"(?<![\w/~.-])caucus(?![-\w/])")
"""The bare name, with an extra or without: no path, no `caucus-sweeps`."""

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def hints() -> list[tuple[str, str]]:
    """Every line of what is shipped or printed that tells somebody to install something, with its file."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    found = []
    for name in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".png", ".parquet", ".arrow", ".gz"} or not path.is_file() or name.startswith("tests/"):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [(name, hint) for hint in INSTALLS.findall(text)]
    return found


def test_no_hint_of_ours_installs_another_projects_program() -> None:
    found = hints()
    assert {name for name, _ in found} >= {"docs/search.md", "cluster.yaml", "trainables/distribution.py"}
    assert [(name, hint) for name, hint in found if FOREIGN.search(hint)] == []


@pytest.mark.parametrize(
    ("hint", "is_foreign"),
    [
        ('pip install "caucus[optuna]"', True),
        ("pip install caucus", True),
        ("uv pip install 'caucus>=1'", True),
        ("pip install 'caucus-sweeps[optuna]'", False),
        ("pip install --editable ~/caucus'[cluster,optuna]'", False),
        ("pip install --constraint ~/caucus/constraints.txt --editable '.[dev]'", False),
    ],
)
def test_a_hint_that_installs_another_projects_code_is_distinguished_from_ours(hint: str, is_foreign: bool) -> None:
    assert INSTALLS.fullmatch(hint)
    assert bool(FOREIGN.search(hint)) == is_foreign


def test_every_extra_that_a_hint_names_exists() -> None:
    extras = set(PROJECT["optional-dependencies"])
    named = [word for _, hint in hints() for group in re.findall(r"\[([a-z,]+)\]", hint) for word in group.split(",")]
    assert {"optuna", "cluster"} <= set(named) <= extras


def test_what_to_install_is_right_for_a_checkout_and_for_a_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    assert distribution.install_command("timm") == f"pip install --editable '{ROOT}[timm]'"
    assert distribution.setup_command() == "make setup"
    monkeypatch.setattr(distribution, "CHECKOUT", tmp_path)
    assert distribution.install_command("timm") == "pip install 'caucus-sweeps[timm]'"
    assert distribution.setup_command() == "pip install --upgrade caucus-sweeps"
    assert PROJECT["name"] == distribution.NAME
    assert PROJECT["scripts"] == {distribution.COMMAND: distribution.ENTRY}


def test_doctor_says_that_another_caucus_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    other = EntryPoint(name="caucus", value="caucus.cli:main", group="console_scripts")
    monkeypatch.setattr(distribution, "entry_points", lambda **_: [other])
    (finding,) = [one for one in check_machine(None, []).findings if one.where == "command"]
    assert "caucus.cli:main is installed too, another program of the name caucus" in str(finding)
    assert "pip uninstall caucus, then install caucus-sweeps again" in str(finding)


@pytest.mark.parametrize(
    ("script", "is_found"), [("#!/bin/sh\nexec agents\n", True), ("from runner.cli.main import main\n", False)]
)
def test_doctor_says_that_the_shell_finds_another_caucus(
    monkeypatch: pytest.MonkeyPatch, tmp_path, script: str, is_found: bool
) -> None:
    there = tmp_path / "caucus"
    there.write_text(script)
    there.chmod(0o755)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: str(there))
    found = [str(one) for one in check_machine(None, []).findings if one.where == "command"]
    assert [f"the shell finds {there}" in one for one in found] == [True] * is_found


@pytest.mark.long
def test_a_wheel_has_its_licence_its_types_and_its_command(tmp_path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path)]
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "caucus.py", "trainables", "ensembles", "runner"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(copy)], check=True)
    subprocess.run([*command, str(copy)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith("caucus_sweeps-")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = Parser().parsestr(archive.read(next(n for n in names if n.endswith("dist-info/METADATA"))).decode())
        scripts = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    assert (metadata["Name"], metadata["License-Expression"]) == ("caucus-sweeps", "Apache-2.0")
    assert metadata["Author"] == "the Caucus authors"
    assert {f"{package}/py.typed" for package in ("trainables", "ensembles", "runner")} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {"caucus.py", "runner/library/sweep.py", "ensembles/report/templates/team/verdict.html.j2"} <= set(names)
    assert "caucus = runner.cli.main:main" in scripts
