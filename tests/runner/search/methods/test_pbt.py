import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.config.scheduler import SchedulerConfig
from runner.journal.events import Decided, EpochReported, TrialEnded, TrialPlanned
from runner.search.base.protocol import Decide, Over, Plan, Wait
from runner.search.base.stage_context import StageContext
from runner.search.choose import choose_search
from runner.search.methods.pbt import explore, make_segment, move
from runner.space.distribution import shorten
from runner.space.draws import share_of
from runner.space.parse import parse_distribution
from runner.testing.search_run import WHEN, SearchRun
from tests.runner.search.sample_searches import make_search, make_sweep, rates
from tests.sample_runs.driver import Driver
from tests.sample_runs.sample_run import make_result
from trainables.config.base import short_hash
from trainables.config.trial import ParentConfig
from trainables.errors import SweepFileError

RATE = {"optimizer.lr": {"log": [1e-4, 1.0]}}
WIDE = {
    **RATE,
    "optimizer.batch_size": {"choice": [16, 32, 64]},
    "optimizer.momentum": {"uniform": [0.5, 0.95]},
    "model.dropout": {"uniform": [0.0, 0.4], "when": {"optimizer.batch_size": [16, 32]}},
}


def begin(space=RATE, max_epochs=6, size=4, interval=2, seed=0, **population):
    """A run of a population."""
    settings = {"size": size, "interval": interval, "resample": 0, **population}
    search = {"method": "pbt", "space": space, "population": settings, "seed": seed}
    return SearchRun(make_search(search, scheduler={"method": "none", "max_epochs": max_epochs}))


def make_scope(space, max_epochs=6, **population):
    search = {"method": "pbt", "space": space, "population": population}
    spec = make_sweep(search, scheduler={"method": "none", "max_epochs": max_epochs})
    return StageContext(spec, "data", "", spec.search, {})


def train(run, *scores):
    """One generation, the members ending with `scores` in their order; returns its trials and its decision."""
    step = run.search.step(run.state)
    assert isinstance(step, Plan)
    trials = run.take(step)
    for trial, score in zip(trials, scores, strict=True):
        run.end(trial, score, epoch=step.max_epochs)
    decision = run.search.step(run.state)
    assert isinstance(decision, Decide)
    run.take(decision)
    return trials, decision


def next_trials(run):
    return list(run.search.step(run.state).trials)


def test_a_population_begins_with_different_draws_and_one_interval_of_epochs():
    step = begin(size=8, interval=2).search.step(SearchRun(begin().search).state)
    assert isinstance(step, Plan)
    assert (len(set(rates(step.trials))), step.max_epochs) == (8, 2)
    assert {trial.parent for trial in step.trials} == {None}


def test_a_space_with_fewer_points_than_members_gives_them_other_seeds():
    trials = next_trials(begin({"optimizer.batch_size": {"choice": [16, 32]}}, size=5))
    assert [trial.optimizer.batch_size for trial in trials].count(16) in (2, 3)
    assert len({trial.seed for trial in trials}) == len({trial.trial_id for trial in trials}) == 5


def test_a_generation_is_decided_on_once_all_of_its_segments_have_ended():
    run = begin()
    *others, last = run.take(run.search.step(run.state))
    for trial in others:
        run.end(trial, 0.5, epoch=2)
    assert isinstance(run.search.step(run.state), Wait)
    run.record(TrialEnded(**WHEN, trial_id=last.trial_id, state="stopped", reason="the budget ran out"))
    assert isinstance(run.search.step(run.state), Wait)
    run.end(last, 0.5, epoch=2)
    assert isinstance(run.search.step(run.state), Decide)


def test_the_worst_of_four_continues_from_the_best_and_the_others_from_themselves():
    run = begin(factor=1.25)
    before, decision = train(run, 0.712, 0.884, 0.8, 0.75)
    step = run.search.step(run.state)
    after = step.trials
    assert step.max_epochs == 4
    assert after[1:] == tuple(before[1:])
    assert after[0].parent == ParentConfig(trial_id=before[1].trial_id, epoch=2)
    rate, moved = before[1].optimizer.lr, after[0].optimizer.lr
    assert moved in (shorten(rate * 1.25), shorten(rate / 1.25))
    assert decision.reason == (
        f"generation 0: member 0 (71.20%) continues from member 1 (88.40%): optimizer.lr {rate} -> {moved}"
    )
    assert decision.values["moves"] == [
        {
            "member": 0,
            "trial_id": before[0].trial_id,
            "accuracy": 0.712,
            "from": 1,
            "values": {"optimizer.lr": moved},
        },
        {"member": 1, "trial_id": before[1].trial_id, "accuracy": 0.884},
        {"member": 2, "trial_id": before[2].trial_id, "accuracy": 0.8},
        {"member": 3, "trial_id": before[3].trial_id, "accuracy": 0.75},
    ]


@pytest.mark.parametrize(("size", "quantile", "replaced"), [(4, 0.1, 1), (6, 0.25, 1), (10, 0.3, 3), (5, 0.5, 2)])
def test_the_quantile_says_how_many_are_replaced_and_one_always_is(size, quantile, replaced):
    run = begin(size=size, quantile=quantile)
    _, decision = train(run, *(0.9 - 0.01 * member for member in range(size)))
    froms = {move["member"]: move["from"] for move in decision.values["moves"] if "from" in move}
    assert list(froms) == list(range(size - replaced, size))
    assert set(froms.values()) <= set(range(replaced))


def test_of_equal_accuracies_the_lower_loss_is_better_then_the_lower_member():
    run = begin()
    trials = run.take(run.search.step(run.state))
    for trial, loss in zip(trials, (0.5, 0.4, 0.4, 0.5), strict=True):
        result = make_result(2, 0.8, loss)
        run.record(EpochReported(**WHEN, trial_id=trial.trial_id, result=result, trained=True))
        run.record(TrialEnded(**WHEN, trial_id=trial.trial_id, state="finished", reason=""))
    froms = [(move["member"], move["from"]) for move in run.search.step(run.state).values["moves"] if "from" in move]
    assert froms == [(3, 1)]


def test_all_diverged_members_are_replaced_and_never_gone_on_from():
    run = begin(size=4, quantile=0.5)
    before, decision = train(run, None, 0.3, None, None)
    assert [move.get("from") for move in decision.values["moves"]] == [1, None, 1, 1]
    assert decision.values["moves"][0]["accuracy"] is None
    assert "member 0 (diverged) continues from member 1 (30.00%)" in decision.reason
    after = next_trials(run)
    assert after[1] == before[1]
    assert {trial.parent.trial_id for trial in after if trial.parent} == {before[1].trial_id}
    assert len({trial.seed for trial in after}) == 4


def test_a_member_that_was_stopped_before_the_end_of_its_segment_is_replaced():
    run = begin(interval=2)
    trials = run.take(run.search.step(run.state))
    run.end(trials[0], 0.99, epoch=1)  # as early stopping ends it
    for trial in trials[1:]:
        run.end(trial, 0.5, epoch=2)
    moves = run.search.step(run.state).values["moves"]
    assert [move["member"] for move in moves if "from" in move] == [0]


def test_a_population_of_which_nothing_is_left_ends_and_says_why():
    run = begin()
    _, decision = train(run, None, None, None, None)
    assert decision.reason == "generation 0: no member came to epoch 2, so none can go on: loss is nan"
    assert isinstance(run.search.step(run.state), Over)
    assert not run.decisions("schedule")


def test_many_moves_are_counted_in_the_reason():
    run = begin(size=20)
    _, decision = train(run, *(0.5 + 0.01 * member for member in range(20)))
    assert decision.reason == (
        "generation 0: 5 of 20 members continue from the best 5, the first of which is member 19 (69.00%)"
    )


def test_the_lineage_of_a_member_that_changed_its_place_twice_is_the_schedule():
    run = begin(size=2, quantile=0.5, interval=2, max_epochs=7)
    first, _ = train(run, 0.2, 0.5)  # 0 continues from 1
    second, _ = train(run, 0.6, 0.3)  # 1 continues from 0
    third, _ = train(run, 0.7, 0.8)  # 0 continues from 1
    step = run.search.step(run.state)
    assert step.max_epochs == 7
    last, decision = train(run, 0.9, 0.85)
    rate_of = {trial.trial_id: trial.optimizer.lr for trial in (*first, *second, *third, *last)}
    chain = [first[1], second[0], third[1], last[0]]
    assert [trial.parent and trial.parent.trial_id for trial in chain] == [None, *(t.trial_id for t in chain[:-1])]
    assert decision.values["steps"] == [
        {
            "first_epoch": begins,
            "last_epoch": ends,
            "trial_id": trial.trial_id,
            "values": {"optimizer.lr": rate_of[trial.trial_id]},
            "accuracy": accuracy,
        }
        for trial, begins, ends, accuracy in zip(chain, (1, 3, 5, 7), (2, 4, 6, 7), (0.5, 0.6, 0.8, 0.9), strict=True)
    ]
    assert (decision.what, decision.trial_id) == ("schedule", last[0].trial_id)
    assert decision.reason == "member 0 is the best of 2 with 90.00% after 7 epochs: a schedule of 4 step(s)"
    assert isinstance(run.search.step(run.state), Over)


def test_generations_on_one_segment_are_one_step_of_the_schedule():
    run = begin(size=2, quantile=0.5)
    for scores in ((0.5, 0.2), (0.6, 0.7), (0.9, 0.1)):
        trials, decision = train(run, *scores)
    assert [(step["first_epoch"], step["last_epoch"]) for step in decision.values["steps"]] == [(1, 2), (3, 4), (5, 6)]
    run = begin(size=2, quantile=0.5)
    for scores in ((0.5, 0.2), (0.6, 0.1), (0.9, 0.1)):
        trials, decision = train(run, *scores)
    (step,) = decision.values["steps"]
    assert (step["first_epoch"], step["last_epoch"], step["trial_id"]) == (1, 6, trials[0].trial_id)


def score_of(trial_id, epoch):
    """Some accuracy, the same for the same trial and epoch; one in eight diverges."""
    drawn = int(short_hash([trial_id, epoch], digits=6), 16)
    return None if drawn % 8 == 0 else round(drawn / 16**6, 4)


def run_to_end(run):
    return run.finish(lambda record: score_of(record.trial_id, record.max_epochs))


@pytest.mark.parametrize("seed", range(3))
def test_a_driver_that_is_replaced_at_any_moment_proposes_the_same(seed):
    def start():
        return begin(WIDE, max_epochs=9, size=5, quantile=0.4, resample=0.25, seed=seed)

    whole = run_to_end(start())
    assert len(whole.decisions("generation")) == 4
    assert whole.decisions("schedule")
    for cut in range(len(whole.events)):
        again = start()
        for event in whole.events[:cut]:
            again.record(event)
        assert run_to_end(again).events == whole.events


@pytest.mark.parametrize("restarts", [(), (1, 3), (2, 4)])
def test_the_controller_trains_each_segment_from_where_its_member_is(tmp_path, restarts):
    search = {"method": "pbt", "space": RATE, "population": {"size": 4, "interval": 2, "quantile": 0.5}}
    scheduler = SchedulerConfig(method="none", max_epochs=7)

    def start():
        spec = make_sweep(search, scheduler=scheduler.model_dump(exclude_none=True))
        return Driver(tmp_path, scheduler, choose_search(spec, "data"), search=search)

    driver, begun = start(), []
    while tasks := driver.take_all():
        begun.append([(task.name, task.after_epoch) for task in tasks])
        if len(begun) in restarts:
            driver = start()
            tasks = driver.take_all()
            assert {(task.name, task.after_epoch) for task in tasks} == set(begun[-1])
        for task in tasks:
            for epoch in range(task.after_epoch + 1, 8):
                if driver.report_epoch(task.trial, epoch, score_of(task.name, epoch) or 0.0) == "STOP":
                    break
    assert [[after for _, after in tasks] for tasks in begun] == [[0] * 4, [2] * 4, [4] * 4, [6] * 4]
    assert driver.controller.is_over
    (*generations, schedule) = driver.events_of(Decided)
    assert [one.what for one in generations] == ["generation"] * 3
    assert schedule.values["steps"][-1]["last_epoch"] == 7
    reference = run_to_end_with(search, lambda name, epoch: score_of(name, epoch) or 0.0)
    assert [schedule.values] == [one.values for one in reference.decisions("schedule")]


def run_to_end_with(search, score):
    """The same population without a controller."""
    run = SearchRun(make_search(search, scheduler={"method": "none", "max_epochs": 7}))
    while not isinstance(step := run.search.step(run.state), Over):
        for trial in run.take(step):
            run.end(trial, score(trial.trial_id, step.max_epochs), step.max_epochs)
    return run


def test_who_ends_first_does_not_matter():
    runs = [begin(WIDE, size=5, quantile=0.4, resample=0.5) for _ in range(2)]
    for run, order in zip(runs, (1, -1), strict=True):
        while not isinstance(step := run.search.step(run.state), Over):
            trials = run.take(step)
            for trial in trials[::order]:
                run.end(trial, score_of(trial.trial_id, step.max_epochs), step.max_epochs)
    one, other = runs
    assert one.decisions("schedule") == other.decisions("schedule")
    assert list(one.state.trials) == list(other.state.trials)


def test_a_segment_has_a_seed_of_its_own_for_each_parent_generation_and_member():
    scope = make_scope(RATE)
    values = {"optimizer.lr": 0.1}
    parents = [None, ParentConfig(trial_id="0" * 12, epoch=2), ParentConfig(trial_id="0" * 12, epoch=4)]
    made = [make_segment(scope, values, parent, {"member": member}) for parent in parents for member in range(2)]
    assert len({trial.seed for trial in [*made, scope.trial(values)]}) == 7
    assert len({trial.trial_id for trial in made}) == 6
    assert make_segment(scope, values, parents[1], {"member": 1}) == made[3]


@given(
    st.sampled_from([{"log": [1e-4, 1.0]}, {"uniform": [0.0, 0.5]}, {"uniform": [-1.0, 1.0]}, {"int": [1, 9]}]),
    st.floats(0, 0.999999),
    st.floats(1.01, 10),
    st.booleans(),
)
def test_a_moved_number_stays_in_its_range(raw, share, factor, up):
    how = parse_distribution(raw)
    value = how.draw(share)
    for _ in range(5):
        value = move(how, value, factor, up)
        assert how.holds(value)


@pytest.mark.parametrize(
    ("raw", "value", "up", "moved"),
    [
        ({"log": [1e-3, 1.0]}, 0.03, True, 0.036),
        ({"log": [1e-3, 1.0]}, 0.03, False, 0.025),
        ({"log": [1e-3, 1.0]}, 0.9, True, 1.0),
        ({"uniform": [0.2, 0.5]}, 0.21, False, 0.2),
        ({"int": [1, 9]}, 2, True, 3),
        ({"int": [1, 9]}, 2, False, 1),
        ({"int": [1, 9]}, 9, True, 9),
        ({"int": [10, 99]}, 30, True, 36),
        ({"choice": [16, 32, 64]}, 32, True, 64),
        ({"choice": [16, 32, 64]}, 32, False, 16),
        ({"choice": [16, 32, 64]}, 64, True, 32),
        ({"choice": [16, 32, 64]}, 16, False, 32),
        ({"choice": [16]}, 16, True, 16),
        ({"choice": [1, True]}, True, False, 1),
    ],
)
def test_a_value_moves_by_the_factor_or_to_a_neighbour(raw, value, up, moved):
    assert move(parse_distribution(raw), value, 1.2, up) == moved


def test_explored_values_lie_in_the_space_and_have_an_effect():
    scope = make_scope(WIDE, resample=0.3)
    seen = set()
    for index in range(200):
        values = explore(scope, scope.draw(index), lambda what, index=index: share_of(1, index, what))
        assert all(scope.space[key].holds(value) for key, value in values.items())
        assert ("model.dropout" in values) == (values["optimizer.batch_size"] != 64)
        seen.add((scope.draw(index)["optimizer.batch_size"], values["optimizer.batch_size"]))
    assert {(32, 64), (64, 32)} <= seen  # dropout fell away, and was drawn anew


def test_every_key_is_resampled_where_resample_is_one():
    scope = make_scope(RATE, resample=1.0)
    assert explore(scope, {"optimizer.lr": 0.5}, lambda what: 0.0) == {"optimizer.lr": 1e-4}


def test_what_earlier_stages_froze_belongs_to_the_schedule():
    stages = [
        {"name": "look", "method": "grid", "epochs": 1, "space": {"model.width": {"choice": [8, 16]}}},
        {"name": "evolve", "method": "pbt", "space": RATE, "epochs": 2, "population": {"size": 2}},
    ]
    run = SearchRun(make_search({"stages": stages}, scheduler={"method": "none", "max_epochs": 1}))
    while not isinstance(step := run.search.step(run.state), Over):
        for trial in run.take(step):
            run.end(trial, trial.model.width / 100, step.max_epochs or 1)
    (decision,) = run.decisions("schedule")
    assert decision.stage == "evolve"
    assert [step["values"]["model.width"] for step in decision.values["steps"]] == [16] * len(decision.values["steps"])
    planned = [event for event in run.events if isinstance(event, TrialPlanned) and event.stage == "evolve"]
    assert [event.max_epochs for event in planned] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("key", "raw", "message"),
    [
        (
            "model.width",
            {"choice": [8, 16]},
            "space.model.width cannot change along a chain of checkpoints: the weights",
        ),
        ("optimizer.name", {"choice": ["sgd", "adamw"]}, "space.optimizer.name cannot change along a chain of checkp"),
        ("seed", {"int": [0, 9]}, "space.seed cannot change along a chain of checkpoints: each segment has a seed"),
        ("optimizer.lr", {"range_test": True}, "space.optimizer.lr: a population needs fixed bounds"),
    ],
)
def test_what_a_chain_of_checkpoints_cannot_vary_is_refused_by_name(key, raw, message):
    with pytest.raises(SweepFileError, match=f"^search.{message}"):
        begin({key: raw})


@pytest.mark.parametrize(("key", "value"), [("repeats", 2), ("warm_start", {"run": "t"})])
def test_what_a_population_has_no_use_for_is_refused(key, value):
    search = {"method": "pbt", "space": RATE, "population": {"size": 2}, key: value}
    with pytest.raises(SweepFileError, match=f"^search.{key} is .*remove it"):
        make_search(search, scheduler={"method": "none", "max_epochs": 6})
