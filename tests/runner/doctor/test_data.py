"""`caucus doctor` on images: a folder with planted faults, as people type it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from runner.doctor.data import OWN_IMAGES, holds_images, read_named
from runner.doctor.finding import Checkup, DataCheckup
from runner.doctor.machine import check_machine
from tests.sample_runs.sweeps import DIGITS, ROOT, caucus
from tests.trainables.findings.planted_faults import CLASSES, clean_set, save_again
from trainables.data.finding import DataFinding


def write_pictures(folder: Path) -> None:
    """The clean set; one cat that is a dog as well, and three foxes of which each is there again, saved once more."""
    images = clean_set()
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
    for image_id, pixels in zip(images.image_ids, images.pixels, strict=True):
        Image.fromarray(pixels).save(folder / Path(image_id).with_suffix(".png"))
    Image.fromarray(images.pixels[0]).save(folder / "dog" / "no#dog.png")
    for row in (2, 5, 8):
        Image.fromarray(save_again(images.pixels[row])).save(folder / "fox" / f"again{row}.png")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("doctor") / "pictures"
    write_pictures(folder)
    return folder


def test_the_command_takes_a_folder_and_lists_what_is_better_left_out(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "leave_out.txt"
    said = caucus("doctor", str(pictures), "data.size=48", f"store={tmp_path / 'runs'}", "--out", str(out), code=2)
    assert (said["images"], said["classes"]) == (124, {"cat": 40, "dog": 41, "fox": 43})
    assert len(said["data_id"]) == 16
    (wrong, *looks) = (one for one in said["findings"] if one["where"] == "data")
    assert wrong["kind"] == "duplicates-under-several-labels"
    assert (wrong["level"], wrong["patch"], wrong["images"]) == (
        "wrong",
        "data.leave_out=FILE",
        ["cat/0000.png", "dog/no#dog.png"],
    )
    assert {one["kind"] for one in looks} <= {"near-duplicates", "near-duplicates-across-splits"}
    assert sum(len(one["images"]) for one in looks) == 6
    assert all(one["what"] == one["detail"] for one in looks)
    lines = out.read_text().splitlines()
    assert lines[:2] == [f"{name}\tduplicates-under-several-labels" for name in ("cat/0000.png", "dog/no#dog.png")]
    assert len(lines) == 5
    again = tmp_path / "again.txt"
    mended = ["data.size=48", f"store={tmp_path / 'runs'}", f"data.leave_out={out}"]
    said = caucus("doctor", str(pictures), *mended, "--out", str(again))
    assert said["images"] == 119
    assert [one for one in said["findings"] if one["where"] == "data"] == []
    assert sorted(line.partition("\t")[0] for line in again.read_text().splitlines()) == sorted(
        line.partition("\t")[0] for line in lines
    )


def test_images_and_sweeps_are_told_apart(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\n")
    assert holds_images(str(pictures))
    assert holds_images("s3://bucket/pictures")
    assert holds_images(str(tmp_path / "labels.csv"))
    assert not holds_images(DIGITS)
    assert not holds_images(str(tmp_path / "missing"))
    assert not holds_images("x" * 5000)


def test_images_alone_are_read_as_the_sweep_for_own_images_reads_them(pictures: Path) -> None:
    written = yaml.safe_load((ROOT / "sweeps" / "own_images.yaml").read_text())
    assert written["store"] == OWN_IMAGES["store"]
    assert {**written["data"], "path": None} == {**OWN_IMAGES["data"], "path": None}
    spec = read_named(str(pictures), ["data.group=1", "search.trials=2"])
    assert (spec.data.path, spec.data.size, spec.data.group, spec.search.trials) == (str(pictures), 64, 1, 2)


def test_a_model_that_does_not_exist_or_cannot_be_built_is_wrong(tmp_path: Path) -> None:
    def find(*overrides: str) -> dict[str, str]:
        checkup = check_machine(DIGITS, [f"store={tmp_path / 'runs'}", *overrides])
        return {one.where: str(one) for one in (*checkup.facts, *checkup.findings)}

    assert find()["model"].startswith("model: cnn")
    assert "no_such_net" in find("model.name=no_such_net")["sweep"]
    assert "weights.safetensors" in find(f"model.weights={tmp_path / 'weights.safetensors'}")["model"]


def test_a_person_reads_what_to_look_at_before_what_is_wrong() -> None:
    look = DataFinding("torn-groups", ("a_1", "a_2"), "names begin several images", "data.group=([^/ _.-]+)[^/]*$")
    wrong = DataFinding("duplicates-across-splits", ("a", "b"), "copies", "data.leave_out=FILE", ("b",), is_wrong=True)
    checkup = Checkup((), (), DataCheckup(4, {"x": 4}, "0" * 16, (wrong, look)))
    assert checkup.lines() == [
        " LOOK  data: names begin several images. 'data.group=([^/ _.-]+)[^/]*$' mends it",
        "WRONG  data: copies. data.leave_out=FILE leaves out 1: --out FILE lists them",
        "1 thing(s) to correct, 1 to look at",
    ]
    assert checkup.is_wrong
    only_look = Checkup((), (), DataCheckup(4, {"x": 4}, "0" * 16, (look,)))
    assert (only_look.is_wrong, only_look.lines()[-1]) == (False, "nothing to correct, 1 to look at")


def test_the_keys_of_torn_groups_pass_the_command_line_as_they_are() -> None:
    rules = (
        "([^/ _.-]+(?:[ _.-]+[^/ _.-]+){0,1})[^/]*$",
        "(?:^|/)(?:[^/ _.-]+[ _.-]+){1}([^/ _.-]+)[^/]*$",
        r"([^/]*?[0-9])[a-zA-Z]?(?:\.[^./]*)?$",
    )
    for rule in rules:
        assert read_named(DIGITS, ["data.name=null", "data.path=x", f"data.group={rule}"]).data.group == rule
    assert np.array(read_named(DIGITS, ["data.name=null", "data.path=x", "data.group=2"]).data.group) == 2
