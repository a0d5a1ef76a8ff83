"""The sheet that shows augmentation: its rows, its pixels, and the message if there is nothing to show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from runner.cli.main import app
from runner.config.sweep import SweepSpec
from runner.preflight.preview import GAP, IMAGES, MARGIN, TITLE, Row, choose_images, draw_sheet, preview
from tests.trainables.training.tiny_trials import make_images
from trainables.config.data import DataConfig
from trainables.data.equalise import equalise_pixels

SWEEP = "name: t\ndata: {name: digits}\nstore: no-store\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("sweep.yaml").write_text(SWEEP)
    return tmp_path


def make(**augment: float) -> SweepSpec:
    return SweepSpec.model_validate({"name": "t", "data": {"name": "digits"}, "augment": augment})


def test_rows_are_the_images_as_they_are_then_each_operation_alone_then_all() -> None:
    rows = preview(make(exposure=0.5, flip=1.0))

    assert [row.title for row in rows] == ["as they are", "flip 1", "exposure 0.5", "all of them"]
    assert [row.values for row in rows] == [{}, {"flip": 1.0}, {"exposure": 0.5}, {"flip": 1.0, "exposure": 0.5}]
    assert {row.pixels.shape for row in rows} == {(IMAGES, 8, 8, 1)}
    assert np.array_equal(rows[1].pixels, rows[0].pixels[:, :, ::-1])
    assert not np.array_equal(rows[2].pixels, rows[0].pixels)
    again = preview(make(exposure=0.5, flip=1.0))
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(rows, again, strict=True))


def test_images_that_are_mixed_are_shown_mixed_and_a_single_operation_has_no_row_of_all() -> None:
    rows = preview(make(cutmix=1.0))
    assert [row.title for row in rows] == ["as they are", "cutmix 1"]
    assert not np.array_equal(rows[0].pixels, rows[1].pixels)


def test_a_sweep_that_equalises_shows_equalised_images() -> None:
    spec = make(flip=1.0)
    plain, equalised = (
        preview(spec),
        preview(spec.model_copy(update={"data": DataConfig(name="digits", equalise="clahe")})),
    )
    assert [row.title for row in equalised] == ["equalised, clahe", "flip 1"]
    before, after = (torch.from_numpy(rows[0].pixels) for rows in (plain, equalised))
    assert torch.equal(after.float(), equalise_pixels(before, "clahe"))
    assert np.array_equal(equalised[1].pixels, equalised[0].pixels[:, :, ::-1])


def test_images_are_training_images_of_all_classes_in_turn() -> None:
    images = make_images(train=30)
    chosen = choose_images(images, 7)
    assert (images.splits[chosen] == 0).all()
    assert images.labels[chosen].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert len(set(chosen.tolist())) == 7
    assert len(choose_images(images, 100)) == 30


@pytest.mark.parametrize("channels", [1, 3])
def test_the_sheet_has_every_pixel_as_a_square_in_its_own_colour(channels: int) -> None:
    pixels = np.arange(2 * 2 * 3 * channels, dtype=np.uint8).reshape(2, 2, 3, channels) * 5
    sheet = np.asarray(draw_sheet("t", [Row("one", {}, pixels), Row("two", {}, 255 - pixels)]))

    side = 36  # two pixels make 72
    top = MARGIN + 2 * TITLE
    for number, payload in ((0, pixels), (1, 255 - pixels)):
        row = top + number * (TITLE + 2 * side + GAP)
        for image in (0, 1):
            left = MARGIN + image * (3 * side + GAP)
            shown = sheet[row : row + 2 * side, left : left + 3 * side]
            assert (shown == payload[image].repeat(side, 0).repeat(side, 1)).all()


def test_the_command_writes_a_picture_and_prints_its_rows(home: Path) -> None:
    answer = CliRunner().invoke(app, ["preview", "sweep.yaml", "augment.crop=1,2", "augment.noise=0.1", "--json"])

    assert answer.exit_code == 0, answer.output
    payload = json.loads(answer.stdout)
    assert payload == {
        "path": "t-preview.png",
        "rows": [
            {"title": "as they are", "values": {}},
            {"title": "crop 2", "values": {"augment.crop": 2}},
            {"title": "noise 0.1", "values": {"augment.noise": 0.1}},
            {"title": "all of them", "values": {"augment.crop": 2, "augment.noise": 0.1}},
        ],
    }
    with Image.open(home / "t-preview.png") as picture:
        assert picture.format == "PNG"
    assert sorted(path.name for path in home.iterdir()) == ["sweep.yaml", "t-preview.png"]


def test_the_picture_goes_to_the_path_of_out(home: Path) -> None:
    answer = CliRunner().invoke(app, ["preview", "sweep.yaml", "augment.flip=0.5", "--out", "sheet.png"])
    assert answer.exit_code == 0, answer.output
    assert answer.stdout == "sheet.png\n"
    assert (home / "sheet.png").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "t augments nothing: set a key, such as augment.flip=0.5"),
        (["augment.hue=0.1"], "augment.hue needs images with three channels, and these have 1"),
        (
            ["augment.flip=0.5", "--out", "no/such/folder.png"],
            "--out is 'no/such/folder.png': it lies in no/such, which is no folder",
        ),
    ],
)
def test_what_cannot_be_shown_is_said(home: Path, overrides: list[str], message: str) -> None:
    answer = CliRunner().invoke(app, ["preview", "sweep.yaml", *overrides])
    assert answer.exit_code == 2
    assert message in answer.stderr


def test_a_run_that_needs_colours_of_grey_images_is_refused_before_anything_is_written(home: Path) -> None:
    answer = CliRunner().invoke(app, ["run", "sweep.yaml", "augment.saturation=0.2"])
    assert answer.exit_code == 2
    assert "augment.saturation needs images with three channels" in answer.stderr
    assert sorted(path.name for path in home.iterdir()) == ["sweep.yaml"]
