"""Real sweeps of boosting: rounds that Ray schedules, killed and cut off; voting, or added up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.sample_runs.sweeps import ROOT, caucus, events, outcome, run_sweep, start_sweep, trial_bits

pytestmark = pytest.mark.long

SMALL = ["name=boosting", "search.boosting.rounds=3", "scheduler.max_epochs=4"]
WORDS = {
    "samme": [str(ROOT / "sweeps" / "boosting.yaml"), *SMALL],
    "gradient": [str(ROOT / "sweeps" / "gradient_boosting.yaml"), *SMALL],
}


def events_of(store, kind):
    return [event for event in events(store, "boosting") if event["kind"] == kind]


@dataclass(frozen=True)
class Undisturbed:
    """A sweep that ran through, and its words."""

    kind: str
    words: list[str]
    store: Path
    result: dict[str, Any]


@pytest.fixture(scope="module", params=list(WORDS))
def undisturbed(request, tmp_path_factory):
    store = tmp_path_factory.mktemp(request.param) / "runs"
    words = WORDS[request.param]
    return Undisturbed(request.param, words, store, run_sweep(*words, f"store={store}"))


def test_the_rounds_vote_with_the_weights_that_they_earned_or_the_best_sum_of_them_alone(undisturbed):
    store, result = undisturbed.store, undisturbed.result
    assert (result["outcome"], result["epochs_trained"], result["trials"]["finished"]) == ("done", 12, 3)
    decided = events_of(store, "decided")
    assert [one["values"]["round"] for one in decided] == [1, 2, 3]
    planned = [event["config"]["boost"] for event in events_of(store, "trial-planned")]
    names = [one["trial_id"] for one in decided]
    assert [boost.get("former") for boost in planned] == [
        None,
        *({"trial_id": name, "epoch": 4} for name in names[:2]),
    ]
    choice = json.loads((store / "sweeps" / result["run"] / "ensemble.json").read_text())["choice"]
    members = [(member["trial_id"], member["epoch"]) for member in choice["members"]]
    weights = [one["values"]["weight"] for one in decided]
    if undisturbed.kind == "samme":
        assert members == [(name, 4) for name in names]
        assert choice["weights"] == pytest.approx([one / sum(weights) for one in weights])
        return
    assert weights == [1.0, 1.0, 1.0]
    assert [boost.get("round") for boost in planned] == [None, 2, 3]
    ends = [
        one["result"]["validation_loss"] for one in events_of(store, "epoch-reported") if one["result"]["epoch"] == 4
    ]
    assert ends == sorted(ends, reverse=True)  # each round lowers the loss, so the last one votes
    assert (members, choice["weights"]) == ([(names[-1], 4)], [1.0])


def test_a_run_killed_between_and_inside_rounds_comes_to_the_same_bits(undisturbed, tmp_path):
    reference, first, words = undisturbed.store, undisturbed.result, undisturbed.words
    store = tmp_path / "runs"

    def epochs():
        return len(events_of(store, "epoch-reported"))

    moments = {
        "samme": [
            lambda: epochs() >= 2,  # inside the first round
            lambda: len(events_of(store, "trial-ended")) >= 3,  # the last one has ended, and is not judged, or just now
        ],
        "gradient": [
            lambda: len(events_of(store, "decided")) >= 1,  # between two rounds
            lambda: epochs() >= 7,
        ],
    }
    for moment in moments[undisturbed.kind]:
        sweep = start_sweep(*words, f"store={store}")
        sweep.wait_for(moment)
        sweep.kill()
    last = run_sweep(*words, f"store={store}")
    assert outcome(last) == outcome(first)
    assert trial_bits(store) == trial_bits(reference)
    values = [[one["values"] for one in events_of(place, "decided")] for place in (store, reference)]
    assert values[0] == values[1]


@pytest.mark.extended  # test_search_resume ends sweeps by budgets, too
def test_a_budget_ends_the_rounds_and_a_larger_one_goes_on(undisturbed, tmp_path):
    store = tmp_path / "runs"
    words = undisturbed.words
    cut = run_sweep(*words, f"store={store}", "budget.epochs=6")
    assert (cut["outcome"], cut["epochs_trained"], cut["ensemble"]["members"]) == ("done", 6, 1)
    assert caucus("status", f"{store}/sweeps/{cut['run']}")["trials"]["stopped"] == 1
    last = run_sweep(*words, f"store={store}", "budget.epochs=1000")
    assert outcome(last) == outcome(undisturbed.result)
    assert trial_bits(store) == trial_bits(undisturbed.store)


@pytest.mark.parametrize("words", [WORDS["samme"], [*WORDS["gradient"], "search.boosting.stop_early=true"]])
def test_a_plan_counts_the_rounds_at_most(words, tmp_path):
    planned = caucus("plan", *words, f"store={tmp_path / 'runs'}")
    assert planned["stages"][0]["trials"] == 3
    assert planned["forecast"]["epochs"] == 12
