"""A bundle says what its run has stored: by its members and by its program."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from ensembles.bundle.manifest import BundleError, Manifest, read_bundle
from ensembles.calibration.calibrate import calibrate, read_calibrator
from ensembles.pool.pool import read_pool
from ensembles.voting.vote import read_voter
from runner.cli.main import app
from runner.deploy import export
from runner.deploy.export import export_run
from runner.deploy.loaded_bundle import make_ready
from runner.runs.stored_run import NothingToVote
from tests.sample_runs.trained_digits import TrainedRun, write_trained_run
from trainables.data.data_table import read_data_table
from trainables.errors import DamagedObject, StoreError
from trainables.export.program import find_pickles, read_program
from trainables.plugins.trust import trust
from trainables.store import layout
from trainables.store.base import StoredObject
from trainables.store.folder import Folder
from trainables.store.json_records import get_json, to_json

pytestmark = pytest.mark.usefixtures("one_thread")

CLOSE = 1e-5
"""The same arithmetic as when the run was trained, bfloat16 where that was: what is left are batches of another size."""


@pytest.fixture
def bundle(digits_bundle: Path) -> Folder:
    return Folder(digits_bundle, "team")


def vote_of_stored(run: TrainedRun, manifest: Manifest) -> tuple[np.ndarray, np.ndarray]:
    """What the members' stored predictions on test come to, by the vote and calibration of the manifest."""
    table = read_data_table(run.store, manifest.data.id)
    pool = read_pool(run.store, list(manifest.checkpoints), "test", table)
    ballot = calibrate(read_voter(manifest.voter).vote(pool), read_calibrator(manifest.calibrator))
    return ballot.probabilities, ballot.predicted


def check_equal(run: TrainedRun, folder: Folder, custom_code: bool = False) -> None:
    """The bundle's members and its program say of the test images what is stored."""
    read = read_bundle(folder)
    pixels = run.images.pixels[run.images.rows("test")]
    expected, predicted = vote_of_stored(run, read.manifest)
    answers = make_ready(read, custom_code=custom_code).predict(pixels)
    assert np.abs(answers.probabilities - expected).max() < CLOSE
    assert np.array_equal(answers.predicted, predicted)
    program = read_program(folder.get("program.pt2"))
    with torch.inference_mode():
        for images in (pixels, pixels.astype(np.float32)):
            assert np.abs(program(torch.from_numpy(images)).numpy() - expected).max() < CLOSE
        assert np.abs(program(torch.from_numpy(pixels[:1])).numpy() - expected[:1]).max() < CLOSE


def test_members_and_program_predict_what_the_run_has_stored(digits_run: TrainedRun, bundle: Folder) -> None:
    check_equal(digits_run, bundle)


@pytest.mark.parametrize(
    ("vote", "calibration"),
    [
        ("stacked", "isotonic"),
        pytest.param("geometric", "vector", marks=pytest.mark.long),
        pytest.param("majority", "none", marks=pytest.mark.long),
        pytest.param("weighted", "temperature", marks=pytest.mark.long),
    ],
)
def test_every_kind_of_vote_and_calibration_survives(
    digits_run: TrainedRun, tmp_path: Path, vote: Any, calibration: Any
) -> None:
    export_run(digits_run.stored(vote=vote, calibrate=calibration), str(tmp_path / "b"))
    manifest = read_bundle(Folder(tmp_path / "b")).manifest
    assert (manifest.vote, manifest.calibrator["kind"]) == (vote, calibration)
    check_equal(digits_run, Folder(tmp_path / "b"))


def test_weights_are_copies_and_there_is_no_pickle(digits_run: TrainedRun, bundle: Folder) -> None:
    manifest = read_bundle(bundle).manifest
    assert len(manifest.members) == 3
    for member in manifest.members:
        assert bundle.get(member.file) == digits_run.store.get(member.checkpoint.key(layout.WEIGHTS))
    assert find_pickles(bundle.get("program.pt2")) == []
    assert {found.key for found in bundle.find("")} == {*manifest.files, "manifest.json"}


def test_the_manifest_names_the_origin_and_the_scores(digits_run: TrainedRun, bundle: Folder) -> None:
    manifest = read_bundle(bundle).manifest
    assert manifest.run == f"small/{digits_run.run_id}"
    assert manifest.data.id == digits_run.images.data_id
    assert manifest.data.images == {split: len(digits_run.images.rows(split)) for split in layout.SPLITS}
    assert manifest.class_names == digits_run.images.class_names
    assert torch.__version__.startswith(manifest.versions["torch"])
    predicted = vote_of_stored(digits_run, manifest)[1]
    labels = digits_run.images.labels[digits_run.images.rows("test")]
    assert manifest.scores["team"]["test_accuracy"] == pytest.approx((predicted == labels).mean())
    assert manifest.cascade_found is not None
    assert manifest.cascade_found.accuracy >= manifest.cascade_found.whole_accuracy - 0.001
    card = bundle.get("model_card.md").decode()
    assert f"{manifest.scores['team']['test_accuracy']:.2%}" in card
    assert manifest.data.id in card


def test_the_same_run_gives_the_same_bytes(digits_run: TrainedRun, bundle: Folder, tmp_path: Path) -> None:
    export_run(digits_run.stored(), str(tmp_path / "again"))
    again = Folder(tmp_path / "again")
    assert {key.key: again.get(key.key) for key in again.find("")} == {
        key.key: bundle.get(key.key) for key in bundle.find("")
    }


def test_the_single_model_is_bundled_where_that_is_asked_for(digits_run: TrainedRun, tmp_path: Path) -> None:
    found = export_run(digits_run.stored(), str(tmp_path / "one"), single=True)
    manifest = found.manifest
    assert (len(manifest.members), manifest.team, manifest.cascade) == (1, False, None)
    assert found.to_dict()["test_accuracy"] == manifest.scores["best"]["test_accuracy"]
    check_equal(digits_run, Folder(tmp_path / "one"))


def test_a_run_that_was_recorded_without_mean_and_deviation_reads_its_images(
    digits_run: TrainedRun, bundle: Folder, tmp_path: Path
) -> None:
    key = layout.data_key(digits_run.images.data_id, "data.json")
    whole = digits_run.store.get(key)
    record = get_json(digits_run.store, key)
    del record["normalisation"]
    try:
        digits_run.store.put(key, to_json(record))
        found = export_run(digits_run.stored(), str(tmp_path / "old"))
    finally:
        digits_run.store.put(key, whole)
    assert found.manifest.preparation == read_bundle(bundle).manifest.preparation


def test_damaged_weights_stop_it_before_anything_is_written(
    digits_run: TrainedRun, bundle: Folder, tmp_path: Path
) -> None:
    member = read_bundle(bundle).manifest.members[0]
    key = member.checkpoint.key(layout.WEIGHTS)
    whole = digits_run.store.get(key)
    try:
        digits_run.store.put(key, whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(DamagedObject, match="not what its manifest promises"):
            export_run(digits_run.stored(), str(tmp_path / "b"))
    finally:
        digits_run.store.put(key, whole)
    assert not (tmp_path / "b").exists()


def test_a_store_that_gives_out_on_the_way_leaves_no_bundle(
    digits_run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Folder.put

    def give_out(self: Folder, key: str, data: bytes) -> StoredObject:
        if key == "model_card.md":
            raise StoreError("no space left on device")
        return put(self, key, data)

    monkeypatch.setattr(Folder, "put", give_out)
    with pytest.raises(StoreError, match="no space"):
        export_run(digits_run.stored(), str(tmp_path / "half"))
    with pytest.raises(BundleError, match="is no bundle"):
        read_bundle(Folder(tmp_path / "half"))
    assert Folder(tmp_path / "half").find("") == []


def test_a_run_without_an_epoch_and_a_folder_in_use_are_refused(digits_run: TrainedRun, bundle: Folder) -> None:
    with pytest.raises(BundleError, match="is a bundle already"):
        export_run(digits_run.stored(), str(bundle.root))
    empty = digits_run.stored()
    for record in list(empty.state.trials):
        del empty.state.trials[record]
    with pytest.raises(NothingToVote, match="nothing to vote with"):
        export_run(empty, str(bundle.root.parent / "none"))


CUSTOM_MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, shape, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, shape.classes))

    def forward(self, images):
        return self.layers(images)

class Moody(Net):
    def forward(self, images):
        return super().forward(images) if float(images.sum()) < 1e9 else super().forward(-images)

def build(shape, width=8):
    return Net(shape, width)

def build_moody(shape, width=8):
    return Moody(shape, width)
"""


@pytest.fixture
def custom_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "caucus_test_nets.py").write_text(CUSTOM_MODEL)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "caucus_test_nets", raising=False)
    trust(["caucus_test_nets:build", "caucus_test_nets:build_moody"])


def test_a_user_defined_model_is_exported_and_its_code_runs_only_where_that_is_allowed(
    custom_code: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    custom = write_trained_run(tmp_path / "runs", model={"name": "caucus_test_nets:build", "width": 8}, **SMALLER)
    export_run(custom.stored(), str(tmp_path / "own"))
    bundle = Folder(tmp_path / "own")
    make_ready(read_bundle(bundle))  # this process was told its name
    monkeypatch.setattr("trainables.plugins.trust._TRUSTED", set())
    with pytest.raises(BundleError, match=r"caucus_test_nets:build.*--custom-code"):
        make_ready(read_bundle(bundle))
    check_equal(custom, bundle, custom_code=True)


@pytest.mark.long
def test_a_team_whose_members_see_other_pixels_says_what_it_stored_and_so_does_its_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = ["none", "histogram", "clahe"]
    grid = {"method": "grid", "space": {"data.equalise": {"choice": kinds}}}
    run = write_trained_run(tmp_path / "runs", 1, **{**SMALLER, "search": grid})
    manifest = export_run(run.stored(), str(tmp_path / "team")).manifest
    assert {member.config.data.equalise: member.normalisation is None for member in manifest.members} == {
        "none": True,
        "histogram": False,
        "clahe": False,
    }
    check_equal(run, Folder(tmp_path / "team"))
    read = export.read_json_part
    monkeypatch.setattr(
        export,
        "read_json_part",
        lambda *named: {key: value for key, value in read(*named).items() if key != "normalisation"},
    )
    with pytest.raises(DamagedObject, match=r"timing.json does not say by what its pixels were normalised"):
        export_run(run.stored(), str(tmp_path / "other"))


def test_a_net_that_torch_cannot_follow_is_bundled_without_a_program(custom_code: None, tmp_path: Path) -> None:
    custom = write_trained_run(tmp_path / "runs", 1, model={"name": "caucus_test_nets:build_moody"}, **SMALLER)
    lines: list[str] = []
    found = export_run(custom.stored(), str(tmp_path / "own"), notify=lines.append)
    assert lines[0].startswith("no program.pt2: torch.export cannot follow this net")
    assert found.to_dict()["program"] is False
    assert "There is no `program.pt2`" in Folder(tmp_path / "own").get("model_card.md").decode()
    pixels = custom.images.pixels[custom.images.rows("test")]
    answers = make_ready(read_bundle(Folder(tmp_path / "own")), custom_code=True).predict(pixels)
    assert np.abs(answers.probabilities - vote_of_stored(custom, found.manifest)[0]).max() < CLOSE


SMALLER: dict[str, Any] = {
    "search": {"method": "grid", "space": {"optimizer.lr": {"choice": [0.02, 0.1]}}},
    "ensemble": {"select": "all", "bootstraps": 0},
}


def test_the_verb_reports_what_it_wrote(digits_run: TrainedRun, tmp_path: Path) -> None:
    arguments = ["export", "small", str(tmp_path / "b"), "ensemble.size=2", "--store", digits_run.store.uri]
    answer = CliRunner().invoke(app, [*arguments, "--json"])
    assert answer.exit_code == 0, answer.output
    result = json.loads(answer.stdout)
    assert {key: result[key] for key in ("bundle", "members", "vote", "program")} == {
        "bundle": str(tmp_path / "b"),
        "members": 2,
        "vote": "soft",
        "program": True,
    }
    again = CliRunner().invoke(app, arguments)
    assert (again.exit_code, "is a bundle already" in again.stderr) == (2, True)
    person = CliRunner().invoke(app, [*arguments[:2], str(tmp_path / "c"), *arguments[3:]])
    assert person.exit_code == 0
    assert f"caucus predict {tmp_path / 'c'} IMAGES" in person.stdout
