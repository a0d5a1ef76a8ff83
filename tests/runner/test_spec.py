import pytest

from runner.spec import parse_spec, trial_keys
from trainables.errors import SweepFileError

MINIMAL = {"name": "t", "data": {"name": "digits"}}


def parse(**told):
    return parse_spec({**MINIMAL, **told}, "t.yaml")


def test_a_sweep_needs_no_more_than_its_data():
    spec = parse_spec({"data": {"name": "digits"}}, "sweeps/small.yaml")
    assert (spec.name, spec.store.uri, spec.search.method) == ("small", "runs", "random")


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"optimzer": {"lr": 0.1}}, "t.yaml: optimzer: no such key; did you mean optimizer?"),
        ({"optimizer": {"lrr": 0.1}}, "t.yaml: optimizer.lrr: no such key; did you mean lr?"),
        ({"optimizer": {"lr": "fast"}}, "t.yaml: optimizer.lr is 'fast': must be a valid number"),
        ({"optimizer": {"lr": -1.0}}, "t.yaml: optimizer.lr is -1.0: must be greater than 0"),
        ({"search": {"trials": 2.5}}, "t.yaml: search.trials is 2.5: must be a valid integer"),
        ({"search": {"trials": True}}, "t.yaml: search.trials is True: must be a valid integer"),
        ({"model": {"name": "resent"}}, "t.yaml: model.name is 'resent': must be 'cnn'"),
        ({"search": 3}, "t.yaml: search is 3: "),
        ({"name": "../x"}, "t.yaml: name is '../x': "),
        ({"data": {}}, "t.yaml: data: "),
        ({"budget": {"wall": "soon"}}, "t.yaml: budget.wall: a duration is written like 90s, 10m or 1h30m"),
        ({"budget": {"wall": 0}}, "t.yaml: budget.wall: a duration is more than zero"),
        ({"search": {"space": {"optimizer.lr": {"log": [0, 1]}}}}, "log holds 0: both ends must be above zero"),
        (
            {"search": {"space": {"optimizer.lr": {"uniform": [1, 0.1]}}}},
            "t.yaml: search.space.optimizer.lr: uniform runs from 1 to 0.1",
        ),
        ({"search": {"space": {"optimizer.lr": {"choice": []}}}}, "choice is empty"),
        ({"search": {"method": "grid", "space": {"model.width": {"choice": [8, 8]}}}}, "names 8 twice"),
        (
            {"search": {"space": {"optimzer.lr": {"log": [1e-3, 1]}}}},
            "search.space.optimzer.lr: no such key; did you mean optimizer.lr?",
        ),
        ({"search": {"space": {"lr": {"log": [1e-3, 1]}}}}, "search.space.lr: no such key; did you mean optimizer.lr?"),
        (
            {"search": {"space": {"model.dropout": {"uniform": [0, 1.5]}}}},
            "search.space.model.dropout holds 1.5: must be less than 1",
        ),
        (
            {"search": {"space": {"model.width": {"choice": [8, "x"]}}}},
            "search.space.model.width holds 'x': must be a valid integer",
        ),
        (
            {"search": {"space": {"model.name": {"choice": ["cnn", "resnet"]}}}},
            "search.space.model.name holds 'resnet': must be 'cnn'",
        ),
        ({"search": {"method": "grid", "trials": 3}}, "search: a grid has as many trials as its points"),
        ({"search": {"method": "grid", "space": {"optimizer.lr": {"log": [1e-3, 1]}}}}, "add `steps: 5`"),
        ({"scheduler": {"max_epochs": 2, "grace_epochs": 3}}, "grace_epochs is 3, above max_epochs 2"),
        (
            {"optimizer": {"lr": 0.1}, "search": {"space": {"optimizer.lr": {"log": [1e-3, 1]}}}},
            "optimizer.lr is set to 0.1 and also searched",
        ),
    ],
)
def test_a_wrong_sweep_names_the_file_the_key_the_value_and_the_rule(told, message):
    with pytest.raises(SweepFileError) as caught:
        parse(**told)
    assert message in str(caught.value)
    assert str(caught.value).startswith("t.yaml: ")


def test_all_problems_are_told_at_once():
    with pytest.raises(SweepFileError) as caught:
        parse(optimizer={"lr": "fast"}, model={"width": 0})
    assert len(str(caught.value).splitlines()) == 2


def test_the_keys_of_a_trial_are_its_dotted_fields():
    assert {"model.width", "optimizer.lr", "schedule.name", "precision", "seed"} <= set(trial_keys())
    assert "data_id" not in trial_keys()


def test_a_trial_keeps_its_name_and_seed_wherever_it_stands():
    values = {"optimizer.lr": 0.01, "model.width": 8}
    narrow, wide = parse(search={"trials": 4}), parse(search={"trials": 400})
    assert narrow.trial("d", values) == wide.trial("d", dict(reversed(values.items())))


def test_a_seed_can_be_searched():
    assert parse().trial("d", {"seed": 7}).seed == 7


def test_a_schedule_is_as_long_as_the_longest_trial_unless_it_says_otherwise():
    spec = parse(schedule={"name": "cosine"}, scheduler={"max_epochs": 9})
    assert spec.trial("d", {}).schedule.epochs == 9
    assert spec.trial("d", {"schedule.epochs": 5}).schedule.epochs == 5
    assert parse(scheduler={"max_epochs": 9}).trial("d", {}).schedule.epochs is None


def test_a_run_goes_on_when_only_its_size_its_budget_or_its_team_change():
    run = parse().run_id("d")
    assert (
        parse(search={"trials": 99}, budget={"wall": "3m"}, ensemble={"size": 3}, store="elsewhere").run_id("d") == run
    )
    assert parse(search={"seed": 1}).run_id("d") != run
    assert parse(scheduler={"max_epochs": 3}).run_id("d") != run
    assert parse().run_id("e") != run
