"""Verbs for use before a run, called as people call them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from runner.cli.main import app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sweep of grey squares: bright is `day` and dark is `night`, but camera 2 is brighter throughout."""
    monkeypatch.chdir(tmp_path)
    Path("sweep.yaml").write_text("name: t\ndata: {path: images}\nstore: no-store\n")
    rng = np.random.default_rng(0)
    for camera, night, day in (("1", 40, 100), ("2", 160, 220)):
        for label, level in (("night", night), ("day", day)):
            folder = tmp_path / "images" / label
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(12):
                pixels = rng.integers(level - 9, level + 9, (8, 8), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"cam{camera}_{number}.png")
    return tmp_path


def test_evaluate_says_what_a_source_that_was_never_seen_costs(home: Path) -> None:
    # Seen, every square is right. Unseen, camera 1 looks like the nights of camera 2, and camera 2 like the days of camera 1.
    answer = CliRunner().invoke(
        app, ["evaluate", "sweep.yaml", "data.source=(cam.)", "--leave-out", "source", "--json"]
    )
    assert answer.exit_code == 0, answer.output
    payload = json.loads(answer.stdout)
    assert (payload["images"], payload["dealt"], payload["groups"]) == (48, 1.0, None)
    assert payload["sources"] == [
        {"source": "cam1", "images": 24, "seen": 1.0, "unseen": 0.5},
        {"source": "cam2", "images": 24, "seen": 1.0, "unseen": 0.5},
    ]
    assert not (home / "no-store").exists()
    shown = CliRunner().invoke(app, ["evaluate", "sweep.yaml", "data.source=(cam.)"])
    assert "source cam1" in shown.stdout
    assert "on 50.0% to 50.0% where a source is left out." in shown.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the images have neither groups nor sources"),
        (["--leave-out", "group", "data.source=(cam.)"], "the images have no groups to leave out"),
        (["data.source=(images|)"], "data.source is '(images|)', which gives no name for 48 of 48 images"),
    ],
)
@pytest.mark.usefixtures("home")
def test_evaluate_refuses_what_it_cannot_leave_out(words: list[str], said: str) -> None:
    answer = CliRunner().invoke(app, ["evaluate", "sweep.yaml", *words])
    assert answer.exit_code == 2, answer.output
    assert said in answer.stderr
