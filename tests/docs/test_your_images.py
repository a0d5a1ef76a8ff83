"""The commands of docs/your_images.md, typed one after the other on a phone's folder."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.sample_runs.sweeps import CAUCUS, ROOT

PAGE = (ROOT / "docs" / "your_images.md").read_text()
COMMANDS = re.findall(r"^    caucus (.+)$", PAGE, re.MULTILINE)
QUICK = ["search.trials=2", "scheduler.max_epochs=2", "model.blocks=3", "model.width=16", "data.size=24"]


def take_pictures(folder: Path) -> None:
    """Forty JPEGs of each of three classes, of several sizes and two cameras, and what else lies on a phone."""
    rng = np.random.default_rng(0)
    for at, kind in enumerate(("cat", "dog", "fox")):
        (folder / kind).mkdir(parents=True)
        for number in range(40):
            picture = rng.integers(0, 90, (60 + number % 3, 80, 3)).astype(np.uint8)
            picture[:, :, at] += 120
            camera = "IMG" if number < 20 else "DSC"
            Image.fromarray(picture).save(folder / kind / f"{camera}_{1000 + 100 * at + number // 2}_{number % 2}.JPG")
    for beside in (
        "cat/IMG_9.heic",
        "dog/IMG_8.HEIC",
        "notes.txt",
        "cat/Thumbs.db",
        ".DS_Store",
        "__MACOSX/cat/._IMG_1000.JPG",
    ):
        (folder / beside).parent.mkdir(parents=True, exist_ok=True)
        (folder / beside).write_bytes(b"no picture")


@pytest.mark.long
def test_the_commands_of_the_page_lead_from_a_folder_to_predictions(tmp_path: Path) -> None:
    take_pictures(tmp_path / "pictures")
    take_pictures(tmp_path / "new_pictures")
    (tmp_path / "sweeps").symlink_to(ROOT / "sweeps")
    said = []
    for command in COMMANDS:
        words = shlex.split(command)
        done = subprocess.run(
            [*CAUCUS, *words, *(QUICK if words[0] == "run" else [])],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        # A machine may lack what doctor wants of it; that is no matter of the images.
        assert done.returncode == 0 or words[0] == "doctor", (command, done.stderr)
        said.append(done.stdout + done.stderr)
    counts = "3 classes: cat 40, dog 40, fox 40 · split dealt: train 72, validation 24, test 24"
    assert f"class folders · {counts}" in said[0]
    assert "IMG_9.heic" not in said[0]
    assert counts in said[1]
    assert "60 groups" in said[-2]
    assert "on 100.0% to 100.0% where a source is left out." in said[-1]
    rows = (tmp_path / "predictions.csv").read_text().splitlines()
    assert len(rows) == 1 + 120
    assert next((tmp_path / "runs" / "sweeps" / "own-images").glob("*/report.html")).stat().st_size > 10_000


def test_the_line_that_the_page_shows_is_printed(tmp_path: Path) -> None:
    from trainables.config.data import DataConfig
    from trainables.data.describe import describe_images
    from trainables.datasets.load import load_images

    take_pictures(tmp_path)
    images = load_images(DataConfig(path=str(tmp_path), size=8, validation=0.2, test=0.2))
    (shown,) = re.findall(r"^    ok data: (.+)$", PAGE, re.MULTILINE)
    assert describe_images(images)[0] == shown
