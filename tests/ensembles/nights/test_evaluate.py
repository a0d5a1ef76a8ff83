"""The verdict on a night in a word and a sentence, and the summary that is stored of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ensembles.evaluation.comparison import Change
from ensembles.nights.compare import NightComparison
from ensembles.nights.evaluate import decide_verdict
from ensembles.nights.summary import (
    Cause,
    NightFacts,
    NightMember,
    NightSummary,
    compare_teams,
    read_summary,
    write_summary,
)
from trainables.errors import DamagedObject

BETTER = Change(0.90, 0.95, 0.05, (0.02, 0.08), 0.004)
WORSE = Change(0.95, 0.90, -0.05, (-0.08, -0.02), 0.004)
ALIKE = Change(0.95, 0.94, -0.01, (-0.02, 0.01), 0.6)
CAUSES = (Cause("configuration", "scheduler.max_epochs 6 -> 1"), Cause("versions", "torch 2.14 -> 2.15"))


def compared(change: Change, **changes: object) -> NightComparison:
    found = NightComparison(400, 400, 400, "content", 0, change, 3, 5, ("a",), ("b",))
    return replace(found, **changes)


def test_the_first_night_is_accepted():
    assert decide_verdict(0.95, 400, None, None, ()) == (
        "accepted",
        "accepted: right on 95.00% of 400 test images; no night was accepted before it",
    )


def test_a_night_that_nothing_compares_with_the_accepted_one_is_accepted_and_says_so():
    verdict, sentence = decide_verdict(0.95, 400, "digits/a", None, CAUSES)
    assert verdict == "accepted"
    assert "none of them was a test image of digits/a" in sentence


@pytest.mark.parametrize(("change", "verdict"), [(BETTER, "accepted"), (WORSE, "worse"), (ALIKE, "no worse")])
def test_the_change_decides(change, verdict):
    said, sentence = decide_verdict(0.95, 400, "digits/a", compared(change), CAUSES)
    assert said == verdict
    assert sentence.startswith(verdict)
    assert f"{100 * change.difference:+.2f} points" in sentence
    assert "on the same 400 test images" in sentence


def test_a_worse_night_names_the_likely_cause_first():
    _, sentence = decide_verdict(0.9, 400, "digits/a", compared(WORSE), CAUSES)
    assert "Likely cause: scheduler.max_epochs 6 -> 1; also changed: torch 2.14 -> 2.15; digits/a stays" in sentence
    _, sentence = decide_verdict(0.9, 400, "digits/a", compared(WORSE), ())
    assert "Nothing that is on record changed: likely what training scatters by" in sentence


def test_the_same_outcome_on_every_image_is_no_better():
    verdict, sentence = decide_verdict(0.95, 400, "digits/a", compared(ALIKE, gained=0, lost=0), ())
    assert verdict == "no worse"
    assert sentence.endswith("each of the same 400 test images has the same outcome")


def test_a_comparison_on_some_of_the_images_says_on_how_many():
    _, sentence = decide_verdict(0.95, 500, "digits/a", compared(BETTER, images=300, images_now=500), ())
    assert "on the 300 test images that both have (of 500 now and 400 then)" in sentence


def member(number: int, epoch: int = 1, weight: float = 0.5) -> NightMember:
    return NightMember(f"{number:012x}", epoch, weight, f"optimizer.lr={number}")


def test_members_that_stayed_joined_and_left_follow_from_trial_and_epoch():
    found = compare_teams((member(1), member(2, epoch=3), member(4)), (member(1, weight=1.0), member(2), member(3)))
    assert found.stayed == (member(1),)
    assert found.joined == (member(2, epoch=3), member(4))
    assert found.left == (member(2), member(3))


SUMMARY = NightSummary(
    run="digits/2026-11-02",
    number=2,
    decided_unix_s=1.5,
    verdict="worse",
    sentence="worse than digits/2026-11-01",
    facts=NightFacts("d1", "0.1.0", None, "c0de", {"own.py": "f00d"}, {"torch": "2.15"}),
    against="digits/2026-11-01",
    test_accuracy=0.9,
    test_images=400,
    validation_accuracy=0.91,
    team=(member(1), member(2)),
    answers_sha256="ab",
    comparison=compared(WORSE),
    members=compare_teams((member(1),), (member(2),)),
    causes=CAUSES,
    unchanged=("the data",),
    notes=("nothing was trained",),
)


@pytest.mark.parametrize(
    "summary", [SUMMARY, replace(SUMMARY, comparison=None, members=None, verdict="accepted", causes=())]
)
def test_a_summary_is_read_back_as_it_was(summary):
    record = json.loads(write_summary(summary))
    del record["sha256"]
    assert read_summary(record) == summary
    assert record["accepted"] is (summary.verdict == "accepted")


def test_a_night_that_was_recorded_under_former_names_is_read() -> None:
    payload = json.loads(write_summary(replace(SUMMARY, causes=(Cause("custom code", "your own code in own.py"),))))
    del payload["sha256"]
    expected = read_summary(payload)
    payload["facts"]["own_code"] = payload["facts"].pop("custom_code")
    payload["causes"] = [{"kind": "own code", "told": "your own code in own.py"}]
    assert read_summary(payload) == expected


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("verdict", "fine", "verdict: "),
        ("number", "two", "number: "),
        ("number", True, "number: "),
        ("facts", {}, "facts."),
        ("causes", [{"kind": "x"}], "causes.0"),
        ("decided_unix_s", float("nan"), "Out of range float values"),
    ],
)
def test_an_invalid_summary_is_refused(key, value, why):
    with pytest.raises(DamagedObject, match=f"the record of a night cannot be read \\({why}"):
        read_summary(SUMMARY.to_dict() | {key: value})
