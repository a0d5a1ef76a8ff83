"""A bundle is whole or refused; its card shows hostile names as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ensembles.bundle.manifest import (
    MANIFEST,
    BundleError,
    check_empty,
    make_manifest,
    read_bundle,
    read_manifest,
    write_bundle,
)
from ensembles.bundle.model_card import escape, write_card
from tests.sample_runs.damage import flip
from tests.trainables.store.unwilling_stores import Refusing
from trainables.config.model import ModelConfig
from trainables.config.preparation import PreparationConfig
from trainables.config.trial import TrialConfig
from trainables.errors import StoreError
from trainables.store.base import sha256_of
from trainables.store.folder import Folder
from trainables.store.json_records import to_json

HOSTILE = ("<script>alert(1)</script>", "a|b\nc", "`x` [link](javascript:alert(1)) *y*")

SCORE = {
    "members": 2,
    "validation_accuracy": 0.95,
    "test_accuracy": 0.9,
    "ci95": [0.85, 0.94],
    "corrected": {"value": 0.93, "ci95": [0.9, 0.95]},
    "test_nll_calibrated": 0.25,
    "test_ece_calibrated": 0.0125,
}


def make_member(number: int, **keys: Any) -> dict[str, Any]:
    config = TrialConfig(data_id="d1", seed=number, model=ModelConfig(**keys))
    return {
        "trial_id": config.trial_id,
        "epoch": 3,
        "weight": 0.5,
        "precision": "float32",
        "validation_accuracy": 0.9,
        "flops": 2_000_000,
        "parameters": 1234,
        "latency_s": None,
        "config": config,
    }


def make_payload(**changes: Any) -> dict[str, Any]:
    return {
        "team": True,
        "run": "dots/3f2a",
        "command": "caucus run 'a b.yaml'",
        "data": {"id": "d1", "name": "dots", "images": {"train": 4000, "validation": 500, "test": 500}},
        "class_names": HOSTILE,
        "preparation": {"height": 8, "width": 8, "channels": 1, "mean": (0.5,), "std": (0.25,)},
        "members": [make_member(0), make_member(1)],
        "vote": "soft",
        "voter": {"method": "soft"},
        "calibrator": {"kind": "temperature", "temperature": 1.25},
        "cascade": None,
        "cascade_found": {"members_asked": 1.25, "cost_share": 0.6, "accuracy": 0.95, "whole_accuracy": 0.951},
        "scores": {
            "team": SCORE,
            "best": SCORE | {"test_accuracy": 0.89, "corrected": None},
            "verdict": ["Ship the ensemble: <b>yes</b>."],
            "ship": True,
            "gain": 0.01,
            "gain_ci95": [0.002, 0.018],
            "mcnemar_p": 0.02,
        },
        "versions": {"caucus": "0.1.0", "torch": "2.15.0"},
        **changes,
    }


def make_files() -> dict[str, bytes]:
    names = [f"members/{member['trial_id']}-3.safetensors" for member in make_payload()["members"]]
    return {
        names[0]: b"first weights",
        names[1]: b"second weights",
        "program.pt2": b"program",
        "model_card.md": b"card",
    }


@pytest.fixture
def bundle(tmp_path: Path) -> Folder:
    store = Folder(tmp_path / "bundle", "bundle")
    write_bundle(store, make_payload(), make_files())
    return store


def test_what_was_written_is_read(bundle: Folder) -> None:
    read = read_bundle(bundle)
    assert read.manifest == make_manifest(make_payload(), make_files())
    assert read.weights == (b"first weights", b"second weights")
    assert read.manifest.class_names == HOSTILE


def test_a_member_may_be_normalised_in_its_own_way(tmp_path: Path) -> None:
    own = {"mean": (0.7,), "std": (0.5,)}
    equalised = TrialConfig(data_id="d1", seed=0, data=PreparationConfig(equalise="clahe"))
    members = [make_member(0) | {"normalisation": own, "config": equalised}, make_member(1)]
    store = Folder(tmp_path / "own", "own")
    written = write_bundle(store, make_payload(members=members), make_files())
    first, second = read_bundle(store).manifest.members
    assert first.normalisation is not None
    assert first.normalisation.model_dump() == own
    assert second.normalisation is None
    assert "their brightness equalised (clahe) for 1 of its members" in write_card(written)
    assert "equalised" not in write_card(make_manifest(make_payload(), make_files()))
    members[0]["normalisation"] = {"mean": (0.7, 0.6), "std": (0.5, 0.5)}
    with pytest.raises(ValueError, match="mean and std of a member must be 1 numbers each"):
        make_manifest(make_payload(members=members), make_files())


def test_one_flipped_bit_in_any_file_is_refused(bundle: Folder) -> None:
    for name in [found.key for found in bundle.find("")]:
        path = bundle.root / name
        whole = path.read_bytes()
        for place in range(0, len(whole), max(1, len(whole) // 40)):
            for bit in (0, 5):
                path.write_bytes(flip(whole, 8 * place + bit))
                with pytest.raises(BundleError):
                    read_bundle(bundle)
        path.write_bytes(whole[:-1])
        with pytest.raises(BundleError):
            read_bundle(bundle)
        path.write_bytes(whole)
    read_bundle(bundle)


def test_a_missing_file_is_named(bundle: Folder) -> None:
    (bundle.root / "program.pt2").unlink()
    with pytest.raises(BundleError, match=r"lacks program\.pt2"):
        read_bundle(bundle)


def test_a_bundle_written_half_and_a_folder_that_is_none_are_refused(bundle: Folder, tmp_path: Path) -> None:
    (bundle.root / MANIFEST).unlink()
    with pytest.raises(BundleError, match="written half"):
        read_bundle(bundle)
    with pytest.raises(BundleError, match="is no bundle"):
        read_bundle(Folder(tmp_path / "nothing"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / MANIFEST).write_text('{"trial_id": "3f", "epoch": 3, "parts": {}}')
    with pytest.raises(BundleError, match="has no format"):
        read_bundle(Folder(tmp_path / "other"))
    (tmp_path / "other" / MANIFEST).write_text("[" * 100_000)
    with pytest.raises(BundleError, match="is damaged"):
        read_bundle(Folder(tmp_path / "other"))


def test_a_newer_format_asks_for_an_upgrade(bundle: Folder) -> None:
    payload = {"format": 2, "versions": {"caucus": "9.0"}, "members": "of another kind"}
    (bundle.root / MANIFEST).write_text(json.dumps(payload))
    with pytest.raises(BundleError, match=r"format 2, written by Caucus 9\.0; this version reads up to 1: upgrade"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"members": []}, "members"),
        ({"class_names": ["one"]}, "class_names"),
        ({"preparation": {"height": 8, "width": 8, "channels": 3, "mean": [0.5], "std": [0.2]}}, "3 numbers each"),
        ({"files": {}}, "is not among the files"),
        ({"surprise": 1}, "surprise"),
        ({"files": {"../../etc/passwd": {"size_bytes": 1, "sha256": "0" * 64}}}, "is not among the files"),
    ],
)
def test_a_manifest_that_hangs_together_badly_is_refused_though_its_hash_holds(
    bundle: Folder, change: dict[str, Any], said: str
) -> None:
    payload = json.loads((bundle.root / MANIFEST).read_text())
    del payload["sha256"]
    payload |= change
    (bundle.root / MANIFEST).write_bytes(to_json({**payload, "sha256": sha256_of(to_json(payload))}))
    with pytest.raises(BundleError, match=said):
        read_manifest(bundle)


@pytest.mark.parametrize("refused", ["members/", "program", MANIFEST])
def test_a_bundle_that_cannot_be_written_to_its_end_leaves_nothing(tmp_path: Path, refused: str) -> None:
    store = Refusing(tmp_path / "team", "team", [refused])
    with pytest.raises(StoreError, match="was not taken"):
        write_bundle(store, make_payload(), make_files())
    assert store.find("") == []
    check_empty(store)
    store.refused.clear()
    write_bundle(store, make_payload(), make_files())
    read_bundle(store)


def test_the_rest_of_a_killed_export_is_distinguished_from_foreign_files(bundle: Folder) -> None:
    (bundle.root / MANIFEST).unlink()
    with pytest.raises(
        BundleError, match="was begun and not ended, as by an export that was killed: name a new folder, or"
    ):
        check_empty(bundle)


def test_nothing_is_written_over(bundle: Folder, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is a bundle already"):
        check_empty(bundle)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(BundleError, match=r"holds thesis\.txt"):
        check_empty(Folder(tmp_path / "mine"))
    check_empty(Folder(tmp_path / "new"))


def test_the_card_describes_the_team_and_its_scores() -> None:
    card = write_card(make_manifest(make_payload(), make_files()))
    for expected in (
        "# dots: a team of 2 image classifiers",
        "| team | 90.00% | 85.00% to 94.00% | 95.00% | 93.00% | 0.2500 | 0.0125 |",
        "| best single model | 89.00% | 85.00% to 94.00% | 95.00% | not estimated | 0.2500 | 0.0125 |",
        "4,000 train, 500 validation, 500 test images",
        "1.25 of 2 members are asked an image, 60% of the whole cost",
        "caucus run 'a b.yaml'",
        "torch 2.15.0",
    ):
        assert expected in card


def test_hostile_names_are_text_in_the_card() -> None:
    payload = make_payload(
        command="caucus run ```\n# evil", members=[make_member(0, name="mine:build"), make_member(1)]
    )
    files = make_files() | {f"members/{payload['members'][0]['trial_id']}-3.safetensors": b"x"}
    card = write_card(make_manifest(payload, files))
    assert "<script" not in card.replace("\\<script", "")
    assert "](javascript" not in card.replace("\\](javascript", "")
    assert "\\| b" not in card
    assert "a\\|b c" in card
    assert "--custom-code" in card
    assert "\n# evil" not in card


def test_a_class_that_is_never_predicted_is_named_in_the_card() -> None:
    missed = [{"name": "<b>fox</b>\n# evil", "validation_images": 3, "test_images": 12}]
    card = write_card(
        make_manifest(make_payload(scores=make_payload()["scores"] | {"never_predicted": missed}), make_files())
    )
    assert "**never predicted: \\<b\\>fox\\</b\\> \\# evil (12 test images)**" in card
    assert "never predicted" not in write_card(make_manifest(make_payload(), make_files()))


def test_a_single_model_and_a_verdict_against_the_team_are_said() -> None:
    one = make_payload(team=False, members=[make_member(0) | {"weight": 1.0}], cascade_found=None)
    assert "# dots: the best single model" in write_card(make_manifest(one, make_files()))
    scores = make_payload()["scores"] | {"ship": False}
    assert "--single" in write_card(make_manifest(make_payload(scores=scores), make_files()))


def test_escaping_leaves_plain_text_alone() -> None:
    assert escape("T shirt 2 ü") == "T shirt 2 ü"
    assert escape("a\\b_c") == "a\\\\b\\_c"
