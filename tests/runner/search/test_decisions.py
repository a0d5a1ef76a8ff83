"""Every kind of decision survives its record; what a version does not understand does not stop it."""

from __future__ import annotations

import json

import pytest

from runner.journal.events import Decided
from runner.search.base.decisions import (
    BorderReached,
    Decision,
    FormerResult,
    GenerationEnded,
    LadderEnded,
    Move,
    PseudoLabelled,
    ReplayBegun,
    Retrained,
    RoundEnded,
    ScheduleFound,
    ScheduleStep,
    StageChosen,
    StepEnded,
    WarmStarted,
)
from runner.testing.search_run import WHEN
from trainables.errors import DamagedObject

STEP = ScheduleStep(first_epoch=1, last_epoch=3, trial_id="0f", values={"optimizer.lr": 0.1}, accuracy=0.9)
VALUES = {"optimizer.lr": 0.1, "model.blocks": 2, "model.residual": True, "model.head_dropout": None}

DECISIONS: list[tuple[Decision, dict[str, object]]] = [
    (StageChosen(values=VALUES), VALUES),
    (
        BorderReached(key="optimizer.lr", side="above", grows=True),
        {"key": "optimizer.lr", "side": "above", "grows": True},
    ),
    (
        GenerationEnded(
            generation=2,
            moves=(
                Move(member=0, trial_id="0f", accuracy=0.9),
                Move(member=1, trial_id="1f", accuracy=None, donor=0, values={"optimizer.lr": 0.12}),
            ),
        ),
        {
            "generation": 2,
            "moves": [
                {"member": 0, "trial_id": "0f", "accuracy": 0.9},
                {"member": 1, "trial_id": "1f", "accuracy": None, "from": 0, "values": {"optimizer.lr": 0.12}},
            ],
        },
    ),
    (ScheduleFound(steps=(STEP,)), {"steps": [STEP.model_dump()]}),
    (ReplayBegun(steps=(STEP,)), {"steps": [STEP.model_dump()]}),
    (
        RoundEnded(chain=0, round=2, kind="samme", epoch=None, error=None, weight=None, votes=False, goes_on=False),
        {
            "chain": 0,
            "round": 2,
            "kind": "samme",
            "epoch": None,
            "error": None,
            "weight": None,
            "votes": False,
            "goes_on": False,
        },
    ),
    (
        StepEnded(step=1, pays=True, parameters=None, accuracy=1.0, gained=None, needed=0.002, noise=None),
        {
            "step": 1,
            "pays": True,
            "parameters": None,
            "accuracy": 1.0,
            "gained": None,
            "needed": 0.002,
            "noise": None,
        },
    ),
    (LadderEnded(step=1, accuracy=0.9, values=VALUES), {"step": 1, "accuracy": 0.9, "values": VALUES}),
    (
        WarmStarted(
            points=(VALUES,),
            results=(FormerResult(trial_id="0f", values=VALUES, accuracies=((1, 0.5), (2, 0.75)), state="finished"),),
        ),
        {
            "points": [VALUES],
            "results": [{"trial_id": "0f", "values": VALUES, "accuracies": [[1, 0.5], [2, 0.75]], "state": "finished"}],
        },
    ),
    (
        PseudoLabelled(table="", candidates=4, trials=(), labelling=None),
        {"table": "", "candidates": 4, "trials": [], "labelling": None},
    ),
    (
        PseudoLabelled(
            table="ab",
            candidates=4,
            trials=(Retrained(trial_id="0f", max_epochs=3),),
            labelling={"asked": 3},
            members=(("0f", 3),),
            weights=(1.0,),
            best=("0f", 3),
        ),
        {
            "table": "ab",
            "candidates": 4,
            "trials": [{"trial_id": "0f", "max_epochs": 3}],
            "labelling": {"asked": 3},
            "members": [["0f", 3]],
            "weights": [1.0],
            "best": ["0f", 3],
        },
    ),
]


def event(what: str, values: dict[str, object], stage: str = "") -> Decided:
    return Decided(**WHEN, what=what, reason="", values=json.loads(json.dumps(values)), stage=stage)


@pytest.mark.parametrize(("decision", "values"), DECISIONS, ids=lambda one: type(one).__name__)
def test_a_decision_is_its_fields_in_the_journal_and_comes_back_equal(
    decision: Decision, values: dict[str, object]
) -> None:
    step = decision.record("because", stage="fine", trial_id="0f")
    assert (step.what, step.reason, step.stage, step.trial_id) == (decision.WHAT, "because", "fine", "0f")
    assert json.dumps(step.values) == json.dumps(values)  # in that order
    assert type(decision).read(event(decision.WHAT, values, "fine"), "fine") == decision


def test_every_kind_of_decision_is_tested_here() -> None:
    assert {type(decision) for decision, _ in DECISIONS} == set(Decision.__subclasses__())
    assert len({kind.WHAT for kind in Decision.__subclasses__()}) == len(Decision.__subclasses__())


def test_another_decision_or_one_of_another_stage_is_none_of_it() -> None:
    values = {"key": "optimizer.lr", "side": "below", "grows": False}
    assert BorderReached.read(event("step", values)) is None
    assert BorderReached.read(event("border", values, "fine"), "coarse") is None
    assert BorderReached.read(event("border", values, "fine")) == BorderReached(
        key="optimizer.lr", side="below", grows=False
    )


def test_a_key_of_a_newer_version_is_left_out() -> None:
    found = BorderReached.read(event("border", {"key": "k", "side": "below", "grows": True, "by": 2}))
    assert found == BorderReached(key="k", side="below", grows=True)


def test_results_under_their_former_name_are_read() -> None:
    result = {"trial_id": "0f", "values": VALUES, "accuracies": [[1, 0.5]], "state": "pruned"}
    found = WarmStarted.read(event("warm-start", {"points": [], "told": [result]}))
    assert found is not None
    assert found.results[0].accuracies == ((1, 0.5),)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"key": "k", "side": "below"}, "grows: Field required"),
        ({"key": "k", "side": "left", "grows": True}, "side: Input should be 'below' or 'above'"),
        ({"key": 3, "side": "below", "grows": True}, "key: Input should be a valid string"),
        ({"key": "k", "side": "below", "grows": "yes"}, "grows: Input should be a valid boolean"),
    ],
)
def test_a_damaged_record_is_an_error_that_names_the_field(values: dict[str, object], said: str) -> None:
    with pytest.raises(
        DamagedObject, match=rf"the decision 'border' in the journal is not readable \({said}.*--run-id"
    ):
        BorderReached.read(event("border", values))
