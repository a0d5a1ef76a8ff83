import json

import pytest

from runner.journal.events import (
    KINDS,
    Decided,
    EpochRepeated,
    EpochReported,
    Line,
    NodesChanged,
    RangeTested,
    RunClosed,
    RunOpened,
    TrialAudited,
    TrialEnded,
    TrialMeasured,
    TrialPaused,
    TrialPlanned,
    TrialPromoted,
    TrialStarted,
    read_line,
    to_line,
)
from tests.sample_runs.sample_run import make_result
from trainables.errors import StoreError
from trainables.results.record import TrialCost

WHEN = {"at_unix_s": 1700000000.125, "elapsed_s": 12.5}

EVENTS = [
    RunOpened(**WHEN, versions={"python": "3.11", "torch": "2.15"}, slots=2),
    TrialPlanned(**WHEN, trial_id="a", config={"seed": 3, "model": {"width": 8}}),
    TrialStarted(**WHEN, trial_id="a"),
    TrialMeasured(**WHEN, trial_id="a", cost=TrialCost(650, 1300, 1e-5, 64, 1e-4, 2**20, False)),
    EpochReported(**WHEN, trial_id="a", result=make_result(1, 0.1 + 0.2), trained=True),
    EpochReported(**WHEN, trial_id="a", result=make_result(2, 1 / 3), trained=False),
    EpochRepeated(**WHEN, trial_id="a", epoch=2, busy_s=1.5),
    TrialPlanned(**WHEN, trial_id="b", config={"seed": 4}, stage="fine", max_epochs=9, why="warm start"),
    TrialPaused(**WHEN, trial_id="b", reason="waits at rung 1, rank 2 of 2"),
    TrialPromoted(**WHEN, trial_id="b", reason="promoted from rung 1"),
    TrialAudited(**WHEN, trial_id="b", epoch=3),
    Decided(
        **WHEN, what="border", reason="it grows", stage="fine", trial_id="b", values={"key": "optimizer.lr", "n": [1]}
    ),
    RangeTested(**WHEN, key="c", low=1e-3, high=0.1, reason="", rates=[0.1, 0.2], losses=[2.0, 1.5], busy_s=2.5),
    NodesChanged(**WHEN, nodes=3),
    TrialEnded(**WHEN, trial_id="a", state="failed", reason="Grüße aus\nZeile zwei \u2028 and three"),
    RunClosed(**WHEN, state="partial", reason=""),
]


def test_the_examples_are_of_every_kind():
    assert {event.kind for event in EVENTS} == set(KINDS)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_every_kind_comes_back_from_its_line_as_it_was(event):
    line = to_line(event)
    assert read_line(line, "x").event == event
    assert line.endswith(b"\n")
    assert len(line.splitlines()) == 1


def test_a_line_is_one_json_object_that_names_its_kind():
    assert json.loads(to_line(EVENTS[2])) == {"kind": "trial-started", "trial_id": "a", **WHEN}


def test_a_kind_of_a_later_version_is_skipped_and_named():
    line = b'{"kind": "trial-cloned", "at_unix_s": 1, "elapsed_s": 1, "parent": "a"}'
    assert read_line(line, "x") == Line(None, "an event 'trial-cloned'")


def test_a_field_of_a_later_version_is_named_and_the_rest_counts():
    payload = json.loads(to_line(EVENTS[2])) | {"mood": "good"}
    assert read_line(json.dumps(payload).encode(), "x") == Line(EVENTS[2], "trial-started with the key mood")


def test_a_field_of_a_result_of_a_later_version_is_named_and_the_rest_counts():
    payload = json.loads(to_line(EVENTS[4]))
    payload["result"]["mood"] = "good"
    assert read_line(json.dumps(payload).encode(), "x") == Line(EVENTS[4], "epoch-reported with the key result.mood")


@pytest.mark.parametrize(
    ("raw", "unread"),
    [
        ({"trial_id": 3}, "trial-ended whose trial_id is 3: Input should be a valid string"),
        ({"elapsed_s": "1"}, "trial-ended whose elapsed_s is '1': Input should be a valid number"),
        ({"state": "hibernated"}, "trial-ended whose state is 'hibernated': Input should be 'waiting', "),
    ],
)
def test_a_value_that_is_none_for_its_key_is_named_and_the_event_is_left_out(raw, unread):
    ended = next(json.loads(to_line(event)) for event in EVENTS if isinstance(event, TrialEnded))
    found = read_line(json.dumps(ended | raw).encode(), "x")
    assert found.event is None
    assert found.unread.startswith(unread)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b"{}",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"kind": ["run-opened"]}',
        b'{"kind": "nodes-changed", "at_unix_s": NaN, "elapsed_s": 1, "nodes": 1}',
        b'{"kind": "nodes-changed", "at_unix_s": 1e999, "elapsed_s": 1, "nodes": 1}',
        b'{"kind": "nodes-changed", "at_unix_s": 1, "elapsed_s": 1, "nodes": 1' + b"0" * 400 + b"}",
    ],
    ids=lambda line: line[:40],
)
def test_a_damaged_line_is_an_error_that_names_its_object(line):
    with pytest.raises(StoreError, match=r"runs/sweeps/x/events/000000\.jsonl holds a line that is no event"):
        read_line(line, "runs/sweeps/x/events/000000.jsonl")


@pytest.mark.parametrize(
    ("line", "unread"),
    [
        (b'{"kind": "trial-started", "at_unix_s": 1, "elapsed_s": 1}', "trial-started whose trial_id is missing"),
        (
            b'{"kind": "epoch-reported", "at_unix_s": 1, "elapsed_s": 1, "trial_id": "a", "trained": true, "result": {}}',
            "epoch-reported whose result.epoch is missing",
        ),
    ],
)
def test_a_line_without_a_key_is_named_and_left_out(line, unread):
    assert read_line(line, "x") == Line(None, unread)


def test_a_number_that_json_cannot_hold_is_not_written():
    with pytest.raises(ValueError, match="JSON"):
        to_line(EpochRepeated(**WHEN, trial_id="a", epoch=1, busy_s=float("nan")))


def test_an_epoch_of_a_version_without_statistics_is_read_as_one_without_them():
    event = next(event for event in EVENTS if isinstance(event, EpochReported))
    payload = json.loads(to_line(event))
    watched = ("fit_loss", "fit_accuracy", "rate", "grad_norm", "update_ratio", "dead_share", "surge")
    for name in watched:
        del payload["result"][name]
    found = read_line(json.dumps(payload).encode(), "x").event
    assert isinstance(found, EpochReported)
    assert [getattr(found.result, name) for name in watched] == [None] * 7
    assert found.result.validation_loss == event.result.validation_loss


@pytest.mark.parametrize(
    ("key", "value", "bounds"),
    [
        ("epoch", 0, "1 and 1e+09"),
        ("epoch", -1, "1 and 1e+09"),
        ("epoch", 10**18, "1 and 1e+09"),
        ("validation_accuracy", 7.0, "0 and 1"),
        ("train_accuracy", -0.1, "0 and 1"),
        ("fit_accuracy", 1.1, "0 and 1"),
        ("train_s", -1.0, "0 and 1e+09"),
        ("evaluate_s", 1e300, "0 and 1e+09"),
    ],
)
def test_an_epoch_that_cannot_be_is_left_out_with_its_key_and_the_rule(key, value, bounds):
    payload = json.loads(to_line(EVENTS[4]))
    payload["result"][key] = value
    found = read_line(json.dumps(payload).encode(), "x")
    assert found == Line(None, f"epoch-reported whose result.{key} is {value!r}: it must lie between {bounds}")


@pytest.mark.parametrize(
    ("state", "reason", "by_budget"),
    [
        ("stopped", "the budget ran out in epoch 3", True),
        ("stopped", "store runs: no space left", False),
        ("failed", "the budget ran out in epoch 3", False),
    ],
)
def test_the_end_of_a_version_that_had_the_reason_alone_tells_whether_a_budget_was_it(state, reason, by_budget):
    line = json.loads(to_line(TrialEnded(**WHEN, trial_id="a", state=state, reason=reason)))
    del line["by_budget"]
    event = read_line(json.dumps(line).encode(), "x").event
    assert isinstance(event, TrialEnded)
    assert event.by_budget is by_budget
