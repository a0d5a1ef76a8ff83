"""Labelling without Ray or a net: the members' predictions are made up."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import runner.execution.labelling
from ensembles.config import EnsembleConfig
from ensembles.pseudo_labels.labelling import read_labelling
from runner.evaluation.pseudo_label_summary import summarise_pseudo_labels
from runner.execution.labelling import choose_team, label, rebuild_table
from runner.journal.events import Decided
from runner.testing.search_run import WHEN
from tests.sample_runs.sample_run import write_sample_run
from trainables.data.data_table import read_data_table
from trainables.data.pseudo_table import read_pseudo_table
from trainables.datasets.unlabelled import UnlabelledImages
from trainables.errors import RunMismatch
from trainables.store import layout

PSEUDO_CONFIG = {"data": {"path": "more"}, "confidence": 0.9, "agreement": 2}

# The probability that each of two or three members gives to the first class; the rest goes to the next class.
SURE, TORN, LOW = (0.97, 0.95, 0.99), (0.97, 0.2, 0.99), (0.6, 0.6, 0.6)


@pytest.fixture
def run(tmp_path):
    return write_sample_run(tmp_path)


def spec_of(run, select="top", size=2, **settings):
    return type(run.spec).model_validate(
        {
            **run.spec.model_dump(mode="json"),
            "ensemble": {"select": select, "size": size},
            "pseudo_labels": PSEUDO_CONFIG | settings,
        }
    )


def make_unlabelled(count=4):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (count, 2, 2, 1)).astype(np.uint8)
    return UnlabelledImages(pixels, tuple(f"more/{at}" for at in range(count)), np.array([2, 1, -1, 0]), 9, 3, 2, 0)


def set_member_answers(monkeypatch, *shares):
    """The members give these probabilities to class 2, 1, 0, 2 of image 0, 1, 2 …"""
    classes = [2, 1, 0, 2]

    def predict(store, spec, cluster, members, configs, images, pixels):
        found = np.zeros((len(members), len(shares), 3), np.float32)
        for image, confidences in enumerate(shares):
            for place in range(len(members)):
                found[place, image, classes[image]] = confidences[place]
                found[place, image, (classes[image] + 1) % 3] = 1 - confidences[place]
        return found

    monkeypatch.setattr(runner.execution.labelling, "_predict_all", predict)


def decide(run, spec, unlabelled=None):
    return label(run.store, spec, run.state, run.images, None, unlabelled or make_unlabelled())


def test_what_the_team_agrees_on_is_in_the_store_by_the_name_in_the_decision(run, monkeypatch):
    set_member_answers(monkeypatch, SURE, TORN, SURE, LOW)
    decision = decide(run, spec_of(run))
    table = read_pseudo_table(run.store, run.images.data_id, decision.values["table"])
    assert table.labels.tolist() == [2, 0]
    assert table.image_ids == ("more/0", "more/2")
    assert table.confidence.tolist() == pytest.approx([0.96, 0.96])
    assert table.agreeing.tolist() == [2, 2]
    assert np.array_equal(table.pixels, make_unlabelled().pixels[[0, 2]])
    assert "2 of 4 images labelled" in decision.reason
    found = read_labelling(decision.values["labelling"])
    assert (found.kept.labelled, found.kept.known, found.kept.right) == (2, 1, 1)
    assert (found.found, found.held_out, found.trained) == (9, 3, 2)


def test_true_classes_are_not_in_the_table(run, monkeypatch):
    set_member_answers(monkeypatch, SURE, TORN, SURE, LOW)
    one = decide(run, spec_of(run))
    other = decide(run, spec_of(run), replace(make_unlabelled(), true_class=np.array([0, 0, 0, 0])))
    assert one.values["table"] == other.values["table"]
    assert one.values["labelling"] != other.values["labelling"]


def test_the_team_is_the_ensemble_of_the_first_stage_and_is_trained_again(run, monkeypatch):
    set_member_answers(monkeypatch, SURE, TORN, SURE, LOW)
    values = decide(run, spec_of(run)).values
    team = choose_team(run.store, spec_of(run), run.images.data_id, list(run.state.trials.values()))
    assert values["members"] == [[member.trial_id, member.epoch] for member in team.team.members]
    assert values["weights"] == [0.5, 0.5]
    assert values["best"] == [team.best.trial_id, team.best.epoch]
    assert values["trials"] == [{"trial_id": name, "max_epochs": 3} for name, _ in values["members"]]
    assert values["candidates"] == len(run.state.trials)


def test_how_many_are_trained_again_may_be_said(run, monkeypatch):
    set_member_answers(monkeypatch, SURE, TORN, SURE, LOW)
    assert len(decide(run, spec_of(run, trials=1)).values["trials"]) == 1
    assert len(decide(run, spec_of(run, trials=3)).values["trials"]) == 3
    assert len(decide(run, spec_of(run, trials=99)).values["trials"]) == 4  # the others have no epoch


def test_where_nothing_is_agreed_on_the_stage_is_skipped_and_says_so(run, monkeypatch):
    set_member_answers(monkeypatch, LOW, LOW, TORN, LOW)
    decision = decide(run, spec_of(run))
    assert decision.reason == (
        "no second stage: of 4 images there is none that the vote gives a probability of 0.9 and 2 of 2 members agree on: "
        "lower pseudo_labels.confidence or agreement"
    )
    assert (decision.values["table"], decision.values["trials"]) == ("", [])
    assert not run.store.find(f"data/{run.images.data_id}/pseudo/")


def test_a_team_smaller_than_the_agreement_is_reported_without_predictions(run):
    """Greedy may pick 20 members, of which some are the same."""
    decision = decide(run, spec_of(run, "greedy", 20, agreement=20))
    assert re.search(r"agreement is 20, but the team has \d members?: lower it, or let more vote", decision.reason)
    assert decision.values["table"] == ""


def recorded(step):
    """The event of a decision, as it comes back from the journal."""
    values = json.loads(json.dumps(step.values))
    return Decided(**WHEN, what=step.what, reason=step.reason, stage=step.stage, values=values)


def test_a_lost_or_damaged_table_is_made_again(run, monkeypatch):
    set_member_answers(monkeypatch, SURE, TORN, SURE, LOW)
    spec = spec_of(run)
    state = run.state
    decision = decide(run, spec)
    state.decisions.append(recorded(decision))
    key = layout.pseudo_key(run.images.data_id, decision.values["table"])
    whole = run.store.get(key)
    monkeypatch.setattr(runner.execution.labelling, "load_unlabelled", lambda *_: make_unlabelled())
    for damage in (run.store.delete, lambda key: run.store.put(key, whole[:-3])):
        damage(key)
        rebuild_table(run.store, spec, state, run.images, None)
        assert run.store.get(key) == whole
    set_member_answers(monkeypatch, SURE, SURE, SURE, SURE)
    run.store.delete(key)
    with pytest.raises(RunMismatch, match="is lost, and labelling again gives another one"):
        rebuild_table(run.store, spec, state, run.images, None)


def test_a_table_that_is_whole_is_left_alone(run, monkeypatch):
    set_member_answers(monkeypatch, SURE, TORN, SURE, LOW)
    spec, state = spec_of(run), run.state
    rebuild_table(run.store, spec, state, run.images, None)  # nothing is decided yet
    state.decisions.append(recorded(decide(run, spec)))
    monkeypatch.setattr(runner.execution.labelling, "_predict_all", lambda *_: pytest.fail("asked again"))
    rebuild_table(run.store, spec, state, run.images, None)


def test_the_summary_compares_the_recorded_team_with_the_newest_one(run, monkeypatch):
    set_member_answers(monkeypatch, SURE, TORN, SURE, LOW)
    spec, state = spec_of(run), run.state
    table = read_data_table(run.store, run.images.data_id)
    team = choose_team(run.store, spec, run.images.data_id, list(state.trials.values()))
    arguments = (run.store, state, spec, table, EnsembleConfig(), team.team, team.best)
    assert "no image is labelled yet" in summarise_pseudo_labels(*arguments).reason
    assert summarise_pseudo_labels(run.store, state, run.spec, *arguments[3:]) is None
    state.decisions.append(recorded(decide(run, spec)))
    summary = summarise_pseudo_labels(*arguments)
    assert [gain.test.difference for gain in summary.gains] == [0, 0]
    assert summary.gains[1].members_before == 2
    assert summary.table == f"data/{run.images.data_id}/pseudo/{state.decisions[-1].values['table']}.parquet"
    assert summary.pairs == ()  # none has begun
