"""What changed between two nights, by hand: named, in the order of how likely it makes a night worse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ensembles.nights.summary import NightFacts
from runner.nights.causes import MOST_KEYS, NightInputs, describe_changed_keys, find_causes, flatten_spec
from runner.nights.data_change import DataRecord, describe_changed_images, describe_relabelled
from tests.sample_runs.sample_run import make_spec

FACTS = NightFacts("d1", "0.1.0", "abc", "c0de", {"own.py": "1"}, {"numpy": "2.0", "torch": "2.14"})
DATA = DataRecord(
    "d1",
    ("cat", "dog"),
    {"p": ("cat", "train"), "q": ("dog", "train"), "r": ("cat", "validation"), "s": ("dog", "test")},
)
NIGHT = NightInputs(FACTS, {"scheduler.max_epochs": 6, "search.trials": 5}, DATA, {"finished": 5})


def changed(**more: object) -> NightInputs:
    facts = {key: value for key, value in more.items() if key in FACTS.__dataclass_fields__}
    return replace(
        NIGHT, facts=replace(FACTS, **facts), **{key: value for key, value in more.items() if key not in facts}
    )


def other_data(**images: tuple[str, str] | None) -> NightInputs:
    """The night over images of which these are others; None is gone."""
    found = {name: each for name, each in (DATA.images | images).items() if each is not None}
    return changed(data_id="d2", data=replace(DATA, data_id="d2", images=found))


def test_nothing_changed():
    causes, unchanged = find_causes(NIGHT, NIGHT)
    assert causes == ()
    assert unchanged == (
        "the data",
        "the configuration",
        "the code",
        "your own models",
        "the versions of packages",
    )


def test_code_that_was_hashed_in_another_way_is_neither_a_cause_nor_unchanged():
    causes, unchanged = find_causes(changed(code="2-beef"), NIGHT)
    assert causes == ()
    assert "the code" not in unchanged
    causes, _ = find_causes(changed(code="2-beef"), changed(code="2-cafe"))
    assert [cause.kind for cause in causes] == ["code"]


@pytest.mark.parametrize(
    ("now", "kind", "description"),
    [
        (
            changed(config={"scheduler.max_epochs": 1, "search.trials": 5}),
            "configuration",
            "scheduler.max_epochs 6 -> 1",
        ),
        (changed(ends={"finished": 3, "failed": 2}), "trials", "2 trials failed (0 then)"),
        (changed(custom_code={"own.py": "2"}), "custom code", "your own code in own.py"),
        (
            changed(code="beef", commit="abc+"),
            "code",
            "caucus 0.1.0 (commit abc) -> 0.1.0 (commit abc+, sources beef)",
        ),
        (changed(code="beef", commit=None), "code", "caucus 0.1.0 (commit abc) -> 0.1.0 (sources beef)"),
        (changed(versions={"numpy": "2.0", "torch": "2.15"}), "versions", "torch 2.14 -> 2.15"),
        (changed(versions={"numpy": "2.0"}), "versions", "torch 2.14 -> absent"),
        (
            other_data(p=("dog", "train"), s=("cat", "test")),
            "labels",
            "2 of 4 images have another label (1 in train, 1 in test): data d1 -> d2",
        ),
        (
            other_data(q=None, x=("dog", "train"), r=("cat", "test")),
            "images",
            "1 images new (1 in train), 1 images gone (1 in train), 1 images moved to another split (1 in test): data d1 -> d2",
        ),
        (other_data(), "images", "the same images in another order, or in other groups or sources: data d1 -> d2"),
    ],
)
def test_one_change_is_the_cause(now, kind, description):
    causes, unchanged = find_causes(now, NIGHT)
    assert [(cause.kind, cause.description) for cause in causes] == [(kind, description)]
    assert len(unchanged) == (5 if kind == "trials" else 4)


def test_the_likeliest_cause_comes_first():
    now = replace(
        other_data(p=("dog", "train"), x=("cat", "train")),
        config={"scheduler.max_epochs": 1},
        ends={"finished": 4, "diverged": 1},
    )
    now = replace(now, facts=replace(now.facts, code="beef", versions={}, custom_code={}))
    causes, unchanged = find_causes(now, NIGHT)
    assert [cause.kind for cause in causes] == [
        "trials",
        "labels",
        "configuration",
        "images",
        "custom code",
        "code",
        "versions",
    ]
    assert unchanged == ()


def test_a_commit_that_changes_no_source_is_no_cause():
    assert find_causes(changed(commit="def"), NIGHT)[0] == ()


def test_many_keys_are_counted():
    now = {f"model.key{number}": number for number in range(MOST_KEYS + 3)}
    result = describe_changed_keys(now, {})
    assert result.startswith("model.key0 absent -> 0, ")
    assert result.endswith(", 3 more")
    assert describe_changed_keys({"search.space": ["x" * 200]}, {}).endswith("…")


def test_classes_that_changed_are_reported():
    now = replace(DATA, class_names=("cat", "dog", "emu"))
    assert describe_changed_images(now, DATA) == "2 classes became 3, or have other names"
    assert describe_relabelled(now, DATA) == ""


def test_a_sweep_is_flattened_without_what_decides_no_number():
    spec = make_spec("runs", search={"space": {"optimizer.lr": {"log": [0.001, 0.1]}}, "warm_start": {"run": "dots"}})
    flat = flatten_spec(spec)
    assert flat["search.space.optimizer.lr.log"] == [0.001, 0.1]
    assert flat["search.warm_start.run"] == "dots"
    assert (flat["scheduler.max_epochs"], flat["ensemble.size"]) == (3, 3)
    assert not [key for key in flat if key.split(".")[0] in ("name", "store", "nightly", "keep", "resources")]
    by_night = flatten_spec(spec, by_night=True)
    assert flat.keys() - by_night.keys() == {
        "search.seed",
        *(key for key in flat if key.startswith("search.warm_start")),
    }
