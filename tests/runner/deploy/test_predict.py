"""What a person types to predict images, what is written, and what they are told when it cannot be done."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from ensembles.bundle.cascade import NEVER
from ensembles.bundle.manifest import read_bundle
from ensembles.pool.pool import read_pool
from runner.cli.main import app
from runner.deploy.export import export_run
from runner.deploy.loaded_bundle import make_ready
from runner.deploy.predict import shorten, write_table
from tests.runner.deploy.test_export import vote_of_stored
from tests.sample_runs.trained_digits import TrainedRun
from tests.services.servers import S3Server
from trainables.data.data_table import read_data_table
from trainables.store.folder import Folder
from trainables.store.open import open_store

pytestmark = pytest.mark.usefixtures("one_thread")

COLUMNS = ["image", "class", "probability", "agreement"]
TAKEN = 60
"""Test images that are predicted."""

AWKWARD = {3: 'x,"y"\n.png', 4: "=cmd|' /C calc'!A0.png", 5: "ü ß.png", 6: "<b>.png"}
"""Names of some of the images, by their position among the test images."""


@pytest.fixture(scope="module")
def images(digits_run: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first test images as files, some in folders, some under names that need care; and three bad ones."""
    folder = tmp_path_factory.mktemp("images")
    for position, row in enumerate(digits_run.images.rows("test")[:TAKEN]):
        path = folder / name_of(position)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits_run.images.pixels[row, :, :, 0]).save(path)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "x.png").write_bytes(b"rubbish")
    (folder / "0" / ".DS_Store").touch()
    (folder / "bad.png").write_bytes(b"rubbish")
    (folder / "cut.png").write_bytes((folder / name_of(0)).read_bytes()[:60])
    (folder / os.fsdecode(b"\xff\x1b[2J.png")).write_bytes(b"")
    return folder


def name_of(position: int) -> str:
    return AWKWARD.get(position, f"{position % 3}/deep/{position:02d}.png")


def predict(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check_rows(run: TrainedRun, bundle: Path, rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """`rows` are of the first test images, under `names`, and agree with the vote of the stored predictions."""
    probabilities, predicted = vote_of_stored(run, read_bundle(Folder(bundle)).manifest)
    at = {row["image"]: row for row in rows}
    assert set(at) == set(names)
    for position, name in enumerate(names):
        assert at[name]["class"] == run.images.class_names[predicted[position]]
        assert float(at[name]["probability"]) == pytest.approx(probabilities[position].max(), abs=2e-5)


def test_a_folder_becomes_a_table_and_what_has_no_row_is_named_with_code_4(
    digits_run: TrainedRun, digits_bundle: Path, images: Path, tmp_path: Path
) -> None:
    answer = predict(digits_bundle, images, "--out", tmp_path / "out.csv", "--json")
    assert answer.exit_code == 4, answer.output
    result = json.loads(answer.stdout)
    assert (result["images"], result["out"]) == (TAKEN, str(tmp_path / "out.csv"))
    assert [one["image"] for one in result["bad"]] == ["bad.png", "cut.png", ascii("\udcff\x1b[2J.png")]
    assert all(one["reason"] for one in result["bad"])
    assert "\x1b" not in answer.stderr
    assert result["bad"][2]["reason"] == "its name is not UTF-8: rename it"
    assert result["passed_over"] == [
        {"file": ".hidden/", "reason": "a hidden folder, or one that a system makes"},
        {"file": "0/.DS_Store", "reason": "a hidden file, or one that a system leaves"},
        {"file": "notes.txt", "reason": "ends with .txt, which is no image's ending"},
    ]
    assert len(answer.stderr.splitlines()) == 6
    assert "notes.txt: passed over, ends with .txt, which is no image's ending" in answer.stderr
    rows = read_csv(tmp_path / "out.csv")
    assert list(rows[0]) == COLUMNS
    check_rows(digits_run, digits_bundle, rows, [name_of(position) for position in range(TAKEN)])


def test_parquet_says_the_same_as_csv(digits_bundle: Path, images: Path, tmp_path: Path) -> None:
    for name in ("out.csv", "out.PARQUET"):
        assert predict(digits_bundle, images, "--out", tmp_path / name).exit_code == 4
    table = pq.read_table(tmp_path / "out.PARQUET")
    assert table.column_names == COLUMNS
    for row, other in zip(table.to_pylist(), read_csv(tmp_path / "out.csv"), strict=True):
        assert (row["image"], row["class"]) == (other["image"], other["class"])
        assert row["probability"] == pytest.approx(float(other["probability"]), abs=1e-6)
        assert row["agreement"] == pytest.approx(float(other["agreement"]), abs=1e-6)


def test_tables_arrays_and_single_files_are_read(
    digits_run: TrainedRun, digits_bundle: Path, images: Path, tmp_path: Path
) -> None:
    names = [name_of(position) for position in range(10)]
    with (images / "table.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["image", "label"], *([name, "?"] for name in names)])
    np.savez(tmp_path / "arrays.npz", images=digits_run.images.pixels[digits_run.images.rows("test")[:10]])
    for source, expected in (
        (images / "table.csv", names),
        (tmp_path / "arrays.npz", [str(position) for position in range(10)]),
        (images / name_of(0), [str(images / name_of(0))]),
    ):
        answer = predict(digits_bundle, source, "--out", tmp_path / "out.csv")
        assert answer.exit_code == 0, answer.output
        assert f"{len(expected)} image" in answer.stdout
        check_rows(digits_run, digits_bundle, read_csv(tmp_path / "out.csv"), expected)


def test_bundle_and_images_may_lie_in_a_bucket(
    digits_run: TrainedRun,
    digits_bundle: Path,
    images: Path,
    tmp_path: Path,
    moto_s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moto_s3.login(monkeypatch)
    place = f"s3://{moto_s3.new_bucket()}"
    export_run(digits_run.stored(), f"{place}/bundles/team")
    here, there = Folder(digits_bundle), open_store(f"{place}/bundles/team")
    assert {found.key: here.get(found.key) for found in here.find("")} == {
        found.key: there.get(found.key) for found in there.find("")
    }
    store = open_store(f"{place}/images")
    for position in range(3):
        store.put(name_of(position), (images / name_of(position)).read_bytes())
    store.put("notes.txt", b"no image")
    answer = predict(f"{place}/bundles/team", f"{place}/images", "--out", tmp_path / "out.csv", "--json")
    assert answer.exit_code == 0, answer.output  # what is no image by its name was not asked for
    assert json.loads(answer.stdout)["passed_over"][0]["file"] == "notes.txt"
    store.put("bad.png", b"rubbish")
    answer = predict(f"{place}/bundles/team", f"{place}/images", "--out", tmp_path / "out.csv", "--json")
    assert answer.exit_code == 4, answer.output
    assert json.loads(answer.stdout)["bad"][0]["image"] == "bad.png"
    check_rows(digits_run, digits_bundle, read_csv(tmp_path / "out.csv"), [name_of(position) for position in range(3)])


def test_agreement_is_the_share_of_members_that_name_the_class(digits_run: TrainedRun, digits_bundle: Path) -> None:
    pixels = digits_run.images.pixels[digits_run.images.rows("test")]
    read = read_bundle(Folder(digits_bundle))
    answers = make_ready(read).predict(pixels)
    table = read_data_table(digits_run.store, read.manifest.data.id)
    pool = read_pool(digits_run.store, list(read.manifest.checkpoints), "test", table)
    for position in range(len(pixels)):
        named = [int(predictions[position].argmax()) for predictions in pool.probabilities]
        assert answers.agreement[position] == named.count(answers.predicted[position]) / 3
    assert 0 < (answers.agreement < 1).mean() < 0.5


def test_a_cascade_asks_fewer_members_and_answers_like_the_team_if_it_asks_all(
    digits_run: TrainedRun, digits_bundle: Path, images: Path, tmp_path: Path
) -> None:
    answer = predict(digits_bundle, images, "--out", tmp_path / "out.csv", "--json", "--cascade")
    result = json.loads(answer.stdout)
    assert (result["images"], result["members"]) == (TAKEN, 3)
    assert 1 <= result["members_asked"] < 3
    read = read_bundle(Folder(digits_bundle))
    pixels = digits_run.images.pixels[digits_run.images.rows("test")]
    whole, steps = make_ready(read).predict(pixels), make_ready(read, cascade=True).predict(pixels)
    everybody = steps.asked == 3
    assert everybody.any()
    assert np.allclose(steps.probabilities[everybody], whole.probabilities[everybody], atol=1e-5)
    labels = digits_run.images.labels[digits_run.images.rows("test")]
    assert abs((steps.predicted == labels).mean() - (whole.predicted == labels).mean()) < 0.02


def test_a_cascade_with_a_threshold_of_never_is_the_team(digits_run: TrainedRun, digits_bundle: Path) -> None:
    read = read_bundle(Folder(digits_bundle))
    pixels = digits_run.images.pixels[digits_run.images.rows("test")]
    team = make_ready(read, cascade=True)
    assert team.cascade is not None
    never = replace(team, cascade=replace(team.cascade, threshold=NEVER)).predict(pixels)
    whole = make_ready(read).predict(pixels)
    assert np.array_equal(never.probabilities, whole.probabilities)
    assert np.array_equal(never.agreement, whole.agreement)


def test_class_names_and_file_names_survive_a_csv(tmp_path: Path, digits_run: TrainedRun, digits_bundle: Path) -> None:
    answers = make_ready(read_bundle(Folder(digits_bundle))).predict(digits_run.images.pixels[:3])
    hostile = ('a,b"c\nd', "<script>", "=1+1", *digits_run.images.class_names[3:])
    write_table(tmp_path / "out.csv", ["x\ny", "'", '"'], [shorten(answers)], tuple(hostile))
    rows = read_csv(tmp_path / "out.csv")
    assert [row["image"] for row in rows] == ["x\ny", "'", '"']
    assert [row["class"] for row in rows] == [hostile[position] for position in answers.predicted]


def test_what_cannot_be_done_is_said_with_exit_code_2(digits_bundle: Path, images: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "only_bad").mkdir()
    (tmp_path / "only_bad" / "x.png").write_bytes(b"rubbish")
    damaged = tmp_path / "damaged"
    for found in Folder(digits_bundle).find(""):
        Folder(damaged).put(found.key, Folder(digits_bundle).get(found.key))
    weights = next((damaged / "members").iterdir())
    weights.write_bytes(bytes([*weights.read_bytes()[:-1], 0xFF]))
    out = tmp_path / "out.csv"
    for arguments, message in (
        ([tmp_path / "empty", images, "--out", out], "is no bundle"),
        ([damaged, images, "--out", out], "is not what the manifest promises"),
        ([digits_bundle, tmp_path / "empty", "--out", out], "holds no image"),
        ([digits_bundle, tmp_path / "only_bad", "--out", out], "none of the 1 images"),
        ([digits_bundle, tmp_path / "gone", "--out", out], "does not exist"),
        ([digits_bundle, damaged / "manifest.json", "--out", out], "is an object, no table: write a list of objects"),
        ([digits_bundle, images, "--out", tmp_path / "out.txt"], "name a file that ends with .csv or .parquet"),
        ([digits_bundle, images, "--out", tmp_path / "no" / "out.csv"], "which is no folder"),
        ([digits_bundle, "ftp://x/y", "--out", out], "ftp://"),
    ):
        answer = predict(*arguments, "--json")
        assert answer.exit_code == 2, (message, answer.output)
        assert message in json.loads(answer.stdout)["error"]
        assert "Traceback" not in answer.output
    assert not out.exists()


def test_an_unfinished_table_is_never_seen(
    digits_bundle: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out.csv").write_text("before")

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    answer = predict(digits_bundle, images, "--out", tmp_path / "out.csv")
    assert (answer.exit_code, "No space left" in answer.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert (tmp_path / "out.csv").read_text() == "before"
