"""The rounds of boosting: each names the one before, and when there is no next one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner.journal.events import EpochReported, TrialEnded
from runner.search.base.protocol import Decide, Over, Plan, Wait
from runner.testing.search_run import WHEN, SearchRun
from tests.runner.search.sample_searches import make_search
from tests.sample_runs.sample_run import make_result
from trainables.config.trial import BoostConfig
from trainables.errors import SweepFileError

NONE = {"scheduler": {"method": "none", "max_epochs": 3}}


class Rounds(SearchRun):
    """Boosting that hears of made-up weights."""

    def __init__(self, events=(), **search):
        super().__init__(make_search({"method": "boosting", **search}, **NONE), events)

    def next(self):
        return self.search.step(self.state)

    def finish(self, trial, weight=1.0, error=0.2, epochs=3, loss=0.5):
        for epoch in range(1, epochs + 1):
            fields = {"round_error": error, "round_weight": weight, "validation_loss": loss}
            result = replace(make_result(epoch, 0.5), **fields)
            self.record(EpochReported(**WHEN, trial_id=trial.trial_id, result=result, trained=True))
        self.record(TrialEnded(**WHEN, trial_id=trial.trial_id, state="finished", reason=""))

    def train_round(self, **fields):
        """Plan, train and judge the next round of a single chain."""
        (trial,) = self.take(self.next())
        assert isinstance(self.next(), Wait)
        self.finish(trial, **fields)
        step = self.next()
        assert isinstance(step, Decide)
        self.take(step)
        return trial, step


def rounds(count):
    return {"kind": "samme", "rounds": count}


def gradient(count, **keys):
    return {"kind": "gradient", "rounds": count, **keys}


def test_each_round_names_the_last_checkpoint_of_the_one_before():
    run = Rounds(boosting=rounds(3))
    first, second, third = (run.train_round()[0] for _ in range(3))
    assert (first.boost.kind, first.boost.former) == ("samme", None)
    assert str(second.boost.former) == f"{first.trial_id}@3"
    assert str(third.boost.former) == f"{second.trial_id}@3"
    assert len({trial.seed for trial in (first, second, third)}) == 3
    assert isinstance(run.next(), Over)


def test_each_round_of_gradient_boosting_names_the_number_of_its_nets_and_the_weight_of_the_new_one():
    run = Rounds(boosting=gradient(3, shrinkage=0.5))
    first, second, third = (run.train_round(loss=1 / number)[0] for number in (1, 2, 3))
    assert first.boost == BoostConfig(kind="gradient")  # the same with any shrinkage
    assert (second.boost.round, second.boost.shrinkage, str(second.boost.former)) == (2, 0.5, f"{first.trial_id}@3")
    assert (third.boost.round, third.boost.shrinkage, str(third.boost.former)) == (3, 0.5, f"{second.trial_id}@3")
    assert len({trial.seed for trial in (first, second, third)}) == 3
    assert isinstance(run.next(), Over)


@pytest.mark.parametrize(("loss", "votes"), [(0.4, True), (0.5, False), (0.6, False)])
@pytest.mark.parametrize("stop_early", [False, True])
def test_gradient_boosting_ends_with_a_round_that_does_not_lower_the_loss_where_that_is_asked_for(
    stop_early, loss, votes
):
    run = Rounds(boosting=gradient(5, stop_early=stop_early))
    _, step = run.train_round(loss=0.5)
    assert (step.values["votes"], step.values["goes_on"]) == (True, True)
    _, step = run.train_round(loss=loss)
    assert (step.values["votes"], step.values["goes_on"]) == (votes, votes or not stop_early)
    ended = "it does not fall any more, so none follows" in step.reason
    assert ended is (stop_early and not votes)
    assert isinstance(run.next(), Over if ended else Plan)


def test_a_simulation_has_as_many_rounds_of_gradient_boosting_as_there_may_be():
    run = Rounds(boosting=gradient(3, stop_early=True))
    for _ in range(3):
        run.train_round(weight=None, error=None, loss=0.5)
    assert isinstance(run.next(), Over)


@pytest.mark.parametrize("parts", [{"bag": {"kind": "fold"}}, {"augment": {"mixup": 0.2}}])
def test_gradient_boosting_weighs_no_images_so_it_may_have_bags_and_mixed_ones(parts):
    make_search({"method": "boosting", "boosting": gradient(2)}, **(NONE | parts))


def test_more_rounds_only_add_to_the_end():
    few, more = Rounds(boosting=rounds(2)), Rounds(boosting=rounds(3))
    assert [few.train_round()[0] for _ in range(2)] == [more.train_round()[0] for _ in range(2)]


@pytest.mark.parametrize(
    ("weight", "error", "votes", "why"),
    [
        (0.0, 0.9, False, "no better than guessing, so it does not vote, and none follows"),
        (-0.5, 0.95, False, "no better than guessing"),
        (9.0, 0.0, True, "it has every training image right"),
    ],
)
def test_a_round_that_leaves_nothing_to_do_is_the_last_one(weight, error, votes, why):
    run = Rounds(boosting=rounds(5))
    run.train_round()
    _, step = run.train_round(weight=weight, error=error)
    assert why in step.reason
    assert (step.values["votes"], step.values["goes_on"], step.values["round"]) == (votes, False, 2)
    assert isinstance(run.next(), Over)


def test_a_first_round_that_only_guesses_votes_alone():
    _, step = Rounds(boosting=rounds(5)).train_round(weight=-1.0, error=0.95)
    assert (step.values["votes"], step.values["goes_on"]) == (True, False)


@pytest.mark.parametrize("state", ["failed", "diverged"])
def test_a_round_that_does_not_come_to_its_end_is_the_last_one(state):
    run = Rounds(boosting=rounds(5))
    (trial,) = run.take(run.next())
    run.record(TrialEnded(**WHEN, trial_id=trial.trial_id, state=state, reason="a loss is nan"))
    step = run.next()
    assert step.reason == f"round 1: {state}, so none can follow it: a loss is nan"
    run.take(step)
    assert isinstance(run.next(), Over)


def test_a_round_that_was_cut_off_is_waited_for():
    run = Rounds(boosting=rounds(5))
    (trial,) = run.take(run.next())
    run.record(TrialEnded(**WHEN, trial_id=trial.trial_id, state="stopped", reason="the budget ran out"))
    assert isinstance(run.next(), Wait)


@pytest.mark.parametrize("kind", ["samme", "gradient"])
def test_a_new_driver_comes_to_the_same_rounds_wherever_the_one_before_was_killed(kind):
    boosting = gradient(3, stop_early=True) if kind == "gradient" else rounds(3)
    whole = Rounds(boosting=boosting)
    wanted = [whole.train_round(weight=0.5 + number, loss=0.5 - number / 9)[0] for number in range(3)]
    for length in range(len(whole.events) + 1):
        run = Rounds(whole.events[:length], boosting=boosting)
        for _ in range(20):
            step = run.next()
            if isinstance(step, Over):
                break
            if isinstance(step, Wait):
                open_trial = next(run.state.trials[name] for name in run.state.trials if not run.state.has_ended(name))
                done = len(open_trial.epochs)
                number = list(run.state.trials).index(open_trial.trial_id)
                for event in whole.events:
                    epoch = getattr(getattr(event, "result", None), "epoch", 99)
                    is_next = (isinstance(event, EpochReported) and epoch > done) or isinstance(event, TrialEnded)
                    if getattr(event, "trial_id", "") == wanted[number].trial_id and is_next:
                        run.record(event)
            else:
                run.take(step)
        assert list(run.state.trials) == [trial.trial_id for trial in wanted]
        assert [one.values for one in run.decisions("round")] == [one.values for one in whole.decisions("round")]


def test_chains_train_side_by_side_and_do_not_wait_for_each_other():
    run = Rounds(boosting=rounds(2), repeats=2)
    one, other = run.take(run.next())
    run.finish(other)
    step = run.next()
    assert step.reason.startswith("round 1 of chain 2: ")
    run.take(step)
    (second,) = run.take(run.next())
    assert str(second.boost.former) == f"{other.trial_id}@3"
    run.finish(one)
    run.take(run.next())
    assert isinstance(run.next(), Plan)


@pytest.mark.parametrize(
    ("search", "parts", "complaint"),
    [
        ({"space": {"model.width": {"choice": [4, 8]}}}, {}, "method boosting draws nothing: remove space"),
        (
            {},
            {"scheduler": {"method": "asha"}},
            "boosting, which builds each round on the end of the one before, but sch",
        ),
        (
            {},
            {"scheduler": {"method": "none", "patience": {"epochs": 2}}},
            "patience would end a round before its last",
        ),
        ({}, {"bag": {"kind": "fold"}}, "bag.kind is fold, but search.method=boosting weighs the same images"),
        ({}, {"augment": {"mixup": 0.2}}, "augment.mixup is 0.2, but search.method=boosting weighs single images"),
        ({}, {"pseudo_labels": {"data": {"path": "x"}}}, "pseudo_labels are asked for, but search.method=boosting"),
        ({"boosting": {"kind": "other"}}, {}, "search.boosting.kind"),
        ({"boosting": {"shrinkage": 0.5}}, {}, "shrinkage means nothing to kind samme: it goes with gradient; remove"),
        ({"boosting": {"stop_early": True}}, {}, "stop_early means nothing to kind samme"),
        ({"boosting": {"kind": "gradient", "shrinkage": 0.0}}, {}, "search.boosting.shrinkage"),
        (
            {"boosting": {"kind": "gradient"}},
            {"pseudo_labels": {"data": {"path": "x"}}},
            "pseudo_labels are asked for, but search.method=boosting",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(search, parts, complaint):
    with pytest.raises(SweepFileError, match=complaint):
        make_search({"method": "boosting", **search}, **(NONE | parts))
