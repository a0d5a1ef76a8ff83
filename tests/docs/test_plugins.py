"""The package of docs/plugins.md: installed beside this one, each of its ten parts works in a sweep, a vote and a bundle."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.config.checks import read_spec
from runner.plan.plan import plan_sweep
from tests.sample_runs.sweeps import CAUCUS, ROOT
from trainables.errors import CaucusError
from trainables.plugins.kinds import KINDS

DOCUMENT = ROOT / "docs" / "plugins.md"

BLOCK = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)


def read_files() -> dict[str, str]:
    """The files that the document shows, by name; parts of one file follow each other."""
    files: dict[str, str] = defaultdict(str)
    for name, text in BLOCK.findall(DOCUMENT.read_text(encoding="utf-8")):
        files[name] += f"{text}\n\n"
    return files


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder in which the package is installed: its modules, and what an installer writes of its `pyproject.toml`."""
    files = read_files()
    project = tomllib.loads(files["pyproject.toml"])["project"]
    site = tmp_path / "site"
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    for name, text in files.items():
        if name.endswith(".py"):
            (site / name).write_text(text)
    (tmp_path / "stripes.yaml").write_text(files["stripes.yaml"])
    return site


def caucus(package: Path, *words: str, code: int = 0) -> dict[str, Any]:
    """The JSON object of a verb that is typed beside the sweep file."""
    folder = package.parent
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(package), str(ROOT)]),
        "SHARED_FOLDER": str(folder / "shared"),
    }
    done = subprocess.run([*CAUCUS, *words, "--json"], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_document_has_a_part_of_every_kind() -> None:
    entries = tomllib.loads(read_files()["pyproject.toml"])["project"]["entry-points"]
    assert set(entries) == {kind.group for kind in KINDS}
    text = DOCUMENT.read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"| {kind.name} |" in text
        assert f"`{kind.group}`" in text


def test_the_parts_of_an_installed_package_are_listed(package: Path) -> None:
    kinds = {one["kind"]: one["installed"] for one in caucus(package, "plugins")["kinds"]}
    assert kinds["vote"] == {
        "my-parts/trimmed": "my_parts:trimmed_mean",
        "my-parts/trusting": "my_parts:TrustingVote",
    }
    assert all(len(installed) >= 1 for installed in kinds.values())


def test_a_plan_calls_the_search_the_scheduler_the_data_source_and_the_store(package: Path) -> None:
    plan = caucus(package, "plan", "stripes.yaml", "--no-probe")
    assert (plan["search"], plan["scheduler"], plan["trials"]["planned"]) == ("my-parts/evenly", "my-parts/floor", 4)
    assert not (package.parent / "shared").exists()


@pytest.mark.long
def test_the_parts_pass_the_contract_suites_as_the_document_runs_them(package: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package), str(ROOT)])}
    words = ["-q", "-p", "no:cacheprovider", "--rootdir", str(package.parent), str(package / "test_my_parts.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=package.parent,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(r"^3\d passed", done.stdout, re.MULTILINE), done.stdout[-4000:]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("ensemble.vote=my-parts/trimed", "my-parts registers trimed as a vote .*there are my-parts/trimmed"),
        ("ensemble.shaer=1", "ensemble.shaer is 1, but .* take no shaer"),
        ("scheduler.flor=1", "scheduler.flor is 1, but my-parts/floor takes no flor: it takes floor, grace_epochs"),
        ("search.revers=true", "search.revers is True, but my-parts/evenly takes no revers"),
        ("data.image=3", "data.image is 3, but my-parts/stripes takes no image: it takes images, seed, size"),
        ("data.channels=3", "data.channels is 3, but my-parts/stripes takes no channels"),
        ("ensemble.vote=sfot", "ensemble.vote is 'sfot': must be 'hard'"),
        ("diagnosis.rules=[my-parts/trimmed]", "no installed package my-parts registers trimmed as a diagnosis rule"),
    ],
)
def test_a_plan_refuses_a_word_that_nobody_knows(
    package: Path, monkeypatch: pytest.MonkeyPatch, word: str, said: str
) -> None:
    monkeypatch.syspath_prepend(package)
    monkeypatch.chdir(package.parent)
    monkeypatch.setenv("SHARED_FOLDER", str(package.parent / "shared"))
    with pytest.raises(CaucusError, match=said):
        plan_sweep(read_spec("stripes.yaml", [word]), None, measure=False)


@pytest.mark.long
@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("ensemble.shaer=1", "ensemble.shaer is 1, but .* take no shaer"),
        ("augment.bye=0.5", "augment.bye is 0.5, but my-parts/dim takes no bye"),
        ("model.dept=2", "model.dept is 2, but my-parts/tiny takes no dept"),
    ],
)
def test_a_run_refuses_it_before_anything_is_written(package: Path, word: str, said: str) -> None:
    answer = caucus(package, "run", "stripes.yaml", word, code=2)
    assert re.search(said, answer["error"]), answer
    assert not (package.parent / "shared").exists()


@pytest.mark.long
def test_every_part_works_in_a_sweep_a_vote_and_a_bundle(package: Path) -> None:
    words = ["stripes.yaml", "optimizer.batch_size=8", "scheduler.max_epochs=4", "scheduler.floor=0.0"]
    done = caucus(package, "run", *words)
    assert (done["outcome"], done["trials"]["finished"]) == ("done", 4)
    assert "my-parts/trimmed" in done["votes"]
    assert list((package.parent / "shared" / "stripes" / "trials").iterdir())
    assert caucus(package, "run", *words)["epochs_trained"] == 0

    stored = ["ensemble", "stripes", "--store", "shared://stripes"]
    assert "a store or a bundle says so, and not you" in caucus(package, *stored, code=2)["error"]
    choices = caucus(package, *stored, "vote=my-parts/trusting", "--custom-code")["choices"]
    chosen = next(one for one in choices if one["configured"])
    assert (chosen["select"], chosen["vote"]) == ("my-parts/above-mean", "my-parts/trusting")

    assert "keeps everything: ensemble.select is" in str(caucus(package, "prune", "shared://stripes")["notes"])
    # With its code the selection can be repeated; whether all four are needed for that follows from what the nets came to.
    assert "ensemble.select is" not in str(caucus(package, "prune", "shared://stripes", "--custom-code")["notes"])
    typo = caucus(package, *stored, "sahre=1", "--custom-code", code=2)["error"]
    assert typo.startswith(
        "ensemble.sahre is 1, but my-parts/above-mean, my-parts/trimmed and my-parts/blend take no sahre"
    )

    verdicts = caucus(package, "diagnose", "stripes", "--store", "shared://stripes", "--custom-code")
    assert {one["verdict"] for one in verdicts} == {"tiny-batch"}  # type: ignore[index]

    exported = caucus(package, "export", "stripes", "bundle", "--store", "shared://stripes", "--custom-code")
    assert exported["program"]
    check_bundle(package)


def check_bundle(package: Path) -> None:
    """The bundle predicts new images with `--custom-code` alone; its program needs none of the package, and says the same."""
    folder = package.parent
    code = (
        "import sys, numpy, torch\n"
        "pixels = numpy.random.default_rng(0).integers(0, 256, (9, 8, 8, 1), dtype=numpy.uint8)\n"
        "numpy.savez('new.npz', images=pixels[..., 0])\n"
        "program = torch.export.load('bundle/program.pt2').module()\n"
        "assert 'my_parts' not in sys.modules\n"
        "print(program(torch.from_numpy(pixels)).max(1).values.tolist())\n"
    )
    program = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    words = ["predict", "bundle", "new.npz", "--out", "new.csv"]
    assert "needs plug-ins, my-parts/blend, my-parts/tiny, my-parts/trimmed" in caucus(package, *words, code=2)["error"]
    caucus(package, *words, "--custom-code")
    lines = (folder / "new.csv").read_text().splitlines()[1:]
    predicted = [float(line.split(",")[2]) for line in lines]
    assert predicted == pytest.approx(json.loads(program.stdout), abs=1e-5)
    assert np.min(predicted) >= 0.5
