import pytest

from runner.config.pseudo_labels import PSEUDO
from runner.config.scheduler import SchedulerConfig
from runner.journal.events import Decided, TrialPlanned
from runner.search.base.protocol import Decide
from runner.search.pseudo_labels import SecondStage
from tests.sample_runs.driver import A, B, C, Driver, FixedTrials

NONE = SchedulerConfig(method="none", max_epochs=2)
TABLE = "0123456789abcdef"
PARTS = {"pseudo_labels": {"data": {"path": "more"}, "agreement": 1}}


class Sweep:
    """A first stage of the given trials, driven by hand; a new driver may take over at any moment."""

    def __init__(self, folder, trials):
        self.folder, self.trials = folder, trials
        self.renew()

    def renew(self, trials=None):
        self.trials = trials or self.trials
        self.search = SecondStage(FixedTrials(self.trials))
        self.driver = Driver(self.folder, NONE, self.search, **PARTS)

    @property
    def is_due(self):
        return self.search.is_due(self.driver.log.state)

    def train(self, trial, epochs=2):
        for epoch in range(1, epochs + 1):
            self.driver.report_epoch(trial, epoch, 0.5)

    def train_all(self):
        """Everything that there is to do now."""
        tasks = self.driver.take_all()
        for task in tasks:
            length = self.driver.record(task.trial).max_epochs or NONE.max_epochs
            for epoch in range(task.after_epoch + 1, length + 1):
                self.driver.report_epoch(task.trial, epoch, 0.5)
        return [task.trial for task in tasks]

    def decide(self, *trials, table=TABLE, candidates=None, max_epochs=2):
        entries = [{"trial_id": trial.trial_id, "max_epochs": max_epochs} for trial in trials]
        values = {"table": table, "candidates": candidates or len(self.trials), "trials": entries, "labelling": None}
        self.driver.controller.decide(Decide(PSEUDO, "agreed", values, stage=PSEUDO))


def again(trial, table=TABLE):
    return trial.model_copy(update={"pseudo_table": table})


@pytest.fixture
def sweep(tmp_path):
    return Sweep(tmp_path, [A, B, C])


def test_labels_are_due_once_every_trial_of_the_first_stage_has_ended(sweep):
    assert not sweep.is_due
    assert len(sweep.driver.take_all()) == 3
    for trial in (A, B):
        sweep.train(trial)
    assert not sweep.is_due
    sweep.train(C)
    assert sweep.is_due
    assert not sweep.driver.controller.is_over
    assert sweep.driver.controller.next_task() == "over"  # so that Tune comes to its end, and the driver can label


def test_a_trial_that_was_cut_off_keeps_labels_waiting(sweep):
    sweep.driver.take_all()
    sweep.train(A)
    sweep.train(B)
    sweep.driver.report_end(C, "stopped", "the budget ran out")
    assert not sweep.is_due


def test_the_second_stage_trains_the_same_trials_with_the_table_and_the_same_seeds(sweep):
    sweep.train_all()
    sweep.decide(B, A)
    assert sweep.train_all() == [again(B), again(A)]
    assert again(B).trial_id != B.trial_id
    assert again(B).seed == B.seed
    planned = [event for event in sweep.driver.events_of(TrialPlanned) if event.stage == PSEUDO]
    assert [event.config["pseudo_table"] for event in planned] == [TABLE, TABLE]
    assert sweep.driver.controller.is_over
    assert not sweep.is_due


def test_trials_of_other_lengths_keep_them(tmp_path):
    sweep = Sweep(tmp_path, [A, B])
    sweep.train_all()
    values = {
        "table": TABLE,
        "candidates": 2,
        "labelling": None,
        "trials": [{"trial_id": A.trial_id, "max_epochs": 3}, {"trial_id": B.trial_id, "max_epochs": 1}],
    }
    sweep.driver.controller.decide(Decide(PSEUDO, "agreed", values, stage=PSEUDO))
    assert sweep.train_all() == [again(A), again(B)]
    assert [len(sweep.driver.record(again(trial)).epochs) for trial in (A, B)] == [3, 1]
    assert {sweep.driver.record(again(trial)).state for trial in (A, B)} == {"finished"}


def test_a_decision_without_a_table_ends_the_run(sweep):
    sweep.train_all()
    sweep.decide(table="")
    assert sweep.driver.controller.is_over
    assert not sweep.is_due


def test_a_new_driver_continues_where_the_one_before_was(sweep):
    sweep.driver.take_all()
    sweep.train(A)
    sweep.renew()
    assert sweep.train_all() == [B, C]
    sweep.renew()
    assert sweep.is_due
    sweep.decide(A, C)
    sweep.renew()
    first, _ = sweep.driver.take_all()
    sweep.driver.report_epoch(first.trial, 1, 0.5)
    sweep.renew()
    tasks = sweep.driver.take_all()
    assert [(task.trial, task.after_epoch) for task in tasks] == [(again(A), 1), (again(C), 0)]
    assert len(sweep.driver.events_of(Decided)) == 1


def test_a_first_stage_that_grows_is_labelled_again(tmp_path):
    sweep = Sweep(tmp_path, [A, B])
    sweep.train_all()
    sweep.decide(A)
    sweep.train_all()
    sweep.renew([A, B, C])
    assert not sweep.search.needs_images  # nothing is known of C yet
    assert sweep.train_all() == [C]
    assert sweep.is_due
    sweep.decide(C, table="f" * 16)
    assert sweep.train_all() == [again(C, "f" * 16)]
    assert sweep.driver.controller.is_over


def test_the_first_stage_does_not_hear_of_the_second(sweep):
    heard = []

    class Listening(FixedTrials):
        def observe(self, event):
            heard.append(event)
            super().observe(event)

    listening = Listening([A, B, C])
    sweep.search = SecondStage(listening)
    sweep.driver = Driver(sweep.folder, NONE, sweep.search, **PARTS)
    sweep.train_all()
    before = len(heard)
    sweep.decide(A)
    sweep.train_all()
    assert len(heard) == before
    assert sweep.search.wants(again(A).trial_id)
