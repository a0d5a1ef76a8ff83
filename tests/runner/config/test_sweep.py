import pytest
from pydantic import ValidationError

from ensembles.config import EnsembleConfig
from runner.config.checks import parse_spec, read_spec, say_metric
from runner.config.rules import _keys, trial_keys
from runner.config.sweep import SweepSpec
from runner.space.conditions import active_values, activity, in_order
from trainables.config.data import DataConfig
from trainables.errors import SweepFileError

MINIMAL = {"name": "t", "data": {"name": "digits"}}


def parse(**more):
    return parse_spec({**MINIMAL, **more}, "t.yaml")


def test_a_sweep_needs_no_more_than_its_data():
    spec = parse_spec({"data": {"name": "digits"}}, "sweeps/small.yaml")
    assert (spec.name, spec.store.uri, spec.search.method) == ("small", "runs", "random")


@pytest.mark.parametrize(
    ("raw", "message"),
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
def test_a_wrong_sweep_names_the_file_the_key_the_value_and_the_rule(raw, message):
    with pytest.raises(SweepFileError) as caught:
        parse(**raw)
    assert message in str(caught.value)
    assert str(caught.value).startswith("t.yaml: ")


def test_all_problems_are_reported_at_once():
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


WRONG_WORDS = {
    "model.name=1,2": "search.space.model.name holds 1: must be a valid string",
    "model.name=a:b,3": "search.space.model.name holds 3: must be a valid string",
    "model.name=cnn,": "search.space.model.name holds None: must be a valid string",
    "model.name=1e-3..1e-1:log": "search.space.model.name holds 0.001: must be a valid string",
    'model.name="cnn\\n"': "must be 'cnn', torchvision/NAME, timm/NAME, module:function or package/name",
    "optimizer.name=1,2": "search.space.optimizer.name holds 1: must be 'sgd'",
    "schedule.name=true": "schedule.name is True: must be 'constant'",
    "search.space.model.pooling=1e400,2": "must be 'max', 'average' or 'stride'",
    "data.name=[1,2]": "data.name is [1, 2]: must be a valid string",
    "data.classes=a": "data.classes is ['a']: must have at least 2 items, not 1",
    "augment=3": "augment is 3: must be a mapping of keys to values",
    "search=5": "search is 5: must be a mapping of keys to values",
    "search.space=[1,2]": "search.space is [1, 2]: must be a mapping of keys to values",
    "search.stages=3": "search.stages is 3: must be a valid list",
    "store=7": "store.uri is 7: must be a valid string",
    "name=": "'name=' is no override",
    "name=../x": "name is '../x': must be letters, digits, dots, dashes and underscores, at most 100",
    "search.changes={a: {b: {c: 3}}}": "search.changes.a.b is {'c': 3}: must be a valid string, or a valid integer, or a",
    "optimizer.lr=.nan": "optimizer.lr is nan: must be a finite number",
    "optimizer.lr=1e400": "optimizer.lr is inf: must be a finite number",
    "search.seed=0x" + "f" * 5000: "a whole number has 20,000 bits, more than 128: write a smaller one",
    "optimizer.lr=1..0x" + "f" * 5000: "a whole number has 20,000 bits",
    'model.weights="\\ud800"': r"'\ud800' holds a character that no text has",
    'data.path="a\\0b"': r"'a\x00b' holds a character that no text has",
    "search.trials=" + "9" * 3000: "a whole number has 9,966 bits",
}


@pytest.mark.parametrize("word", WRONG_WORDS, ids=lambda word: word[:40])
def test_a_value_of_the_wrong_kind_is_refused_in_one_short_sentence(tmp_path, word):
    (tmp_path / "s.yaml").write_text("name: t\ndata: {name: digits}\nsearch: {trials: 2}\n")
    with pytest.raises(SweepFileError) as refused:
        read_spec(str(tmp_path / "s.yaml"), [word])
    message = str(refused.value)
    assert WRONG_WORDS[word] in message
    assert message.count("\n") == 0
    assert len(message) < 500


KINDS = [
    "1",
    "0",
    "-1",
    "1.5",
    "1e400",
    ".nan",
    "5e-324",
    "true",
    "null",
    "~",
    "a",
    "a:b",
    "[]",
    "{}",
    "[1]",
    "[[1]]",
    "2026-01-01",
    "99999999999999999999",
    "0x10",
    "é",
    "'\\0'",
    '"\\ud800"',
    "env:X",
    "10m",
    "0..1",
    "1..0",
    "..",
    "1..",
    "a..b",
    "1..4:int",
    "1..4:x",
    "0..1:log",
    "1,2",
    ",",
    "1,",
    "true,false",
    "1,a",
    "&a,[*a]",
    "*a",
    "!!x",
    "{log:[1,2]}",
    "{choice:3}",
    "{a:{b:1}}",
    "[{name:a}]",
]
"""Values of a command line, of every kind that YAML and our own words have."""


def test_no_override_that_a_grammar_can_make_ends_in_a_traceback(tmp_path):
    """Every value of the grammar, on keys of every section and in the search space; 20,000 words were tried by hand."""
    (tmp_path / "s.yaml").write_text("name: t\ndata: {name: digits}\nsearch: {trials: 2}\n")
    keys = [key for key in _keys(SweepSpec) if "." in key or key == "name"] + trial_keys()
    keys += [f"search.space.{key}" for key in trial_keys()]
    for number, key in enumerate(keys[::7]):
        for value in (KINDS[number % len(KINDS)], KINDS[(number * 7 + 3) % len(KINDS)]):
            word = f"{key}={value.replace(':', ': ') if value.startswith(('{', '[{')) else value}"
            refused = ""
            try:
                read_spec(str(tmp_path / "s.yaml"), [word])
            except SweepFileError as error:
                refused = str(error)
            assert "Input should" not in refused, word


def test_what_a_trial_makes_of_pixels_is_searched_as_a_key_of_data(tmp_path):
    (tmp_path / "s.yaml").write_text("name: t\ndata: {name: digits, size: 12}\n")
    spec = read_spec(str(tmp_path / "s.yaml"), ["data.equalise=none,clahe", "data.normalise=data"])
    assert spec.search.space["data.equalise"].values == ("none", "clahe")
    plain, equalised = (spec.trial("d", {"data.equalise": kind}) for kind in ("none", "clahe"))
    assert plain == parse().trial("d", {})
    assert equalised.data.equalise == "clahe"
    assert equalised.seed != plain.seed
    assert equalised.flat()["data.equalise"] == "clahe"
    assert read_spec(str(tmp_path / "s.yaml"), ["data.equalise=clahe"]).trial("d", {}) == equalised
    with pytest.raises(
        SweepFileError, match=r"search.space.data.equalise holds 'none ': must be 'none', 'histogram' or"
    ):
        parse(search={"space": {"data.equalise": {"choice": ["clahe", "none "]}}})
    with pytest.raises(SweepFileError, match=r"search.space.data.size: no such key"):
        parse(search={"space": {"data.size": {"choice": [8, 16]}}})
    with pytest.raises(SweepFileError, match=r"data.equalise is set to 'clahe' and also searched"):
        parse(data={"name": "digits", "equalise": "clahe"}, search={"space": {"data.equalise": {"choice": ["none"]}}})


def test_a_run_keeps_its_name_unless_its_trials_see_other_pixels():
    known = {"c32344fb": parse(), "939af0fb": parse(optimizer={"lr": 0.1})}
    assert [spec.run_id("d") for spec in known.values()] == [*known]  # as before there were these keys
    assert parse(data={"name": "digits", "size": 12}).run_id("d") == parse().run_id("d")
    equalised = parse(data={"name": "digits", "equalise": "clahe"})
    assert equalised.run_id("d") != parse().run_id("d")


@pytest.mark.parametrize(
    ("raw", "refused"),
    [
        ({}, "data.normalise is model, but model.name is cnn, which has no normalisation of its own: take"),
        ({"model": {"name": "timm/resnet18"}}, ""),
        ({"search": {"space": {"model.name": {"choice": ["timm/resnet18", "cnn"]}}}}, "model.name is cnn"),
        ({"search": {"space": {"model.name": {"choice": ["timm/resnet18", "torchvision/resnet18"]}}}}, ""),
        (
            {"search": {"stages": [{"name": "a", "set": {"model.name": "timm/resnet18"}}, {"name": "b"}]}},
            "",
        ),
        ({"search": {"stages": [{"name": "a", "set": {"data.normalise": "data"}}]}}, ""),
    ],
)
def test_the_normalisation_of_a_model_needs_a_model_that_has_one(raw, refused):
    raw = {"data": {"name": "digits", "normalise": "model"}, **raw}
    if refused:
        with pytest.raises(SweepFileError, match=refused):
            parse(**raw)
    else:
        parse(**raw)


def test_where_it_is_searched_only_nets_with_their_own_have_it():
    space = {"data.normalise": {"choice": ["data", "model"]}}
    with pytest.raises(SweepFileError, match=r"it matters only where model.name is torchvision/NAME or timm/NAME"):
        parse(search={"space": space})
    spec = parse(search={"space": {**space, "model.name": {"choice": ["cnn", "timm/resnet18"]}}})
    is_active = activity(spec.search.space, spec.fixed)
    values = {"data.normalise": "model"}
    assert active_values(in_order(spec.search.space), is_active, values | {"model.name": "cnn"}) == {
        "model.name": "cnn"
    }
    timm = values | {"model.name": "timm/resnet18"}
    assert active_values(in_order(spec.search.space), is_active, timm) == timm


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"search": {"trials": 2, "space": {"optimzer.lr": {"log": [0.03, 0.3]}}}},
            "search.space.optimzer.lr: no such key",
        ),
        ({"search": {"space": {"optimizer.lr": {"log": [0.03, 300.0]}}}}, "search.space.optimizer.lr holds 300.0"),
        ({"search": {"method": "bagging"}}, "search.method is bagging, which"),
        ({"pseudo_labels": {"data": "rest", "agreement": 9}}, "pseudo_labels.agreement is 9"),
    ],
)
def test_a_sweep_is_valid_however_it_is_made(sections, message):
    """By its constructor, from a record, or from a file: the rules that concern several keys are part of it."""
    with pytest.raises(ValidationError, match=message):
        SweepSpec(name="x", data=DataConfig(name="digits"), **sections)
    with pytest.raises(ValidationError, match=message):
        SweepSpec.model_validate({"name": "x", "data": {"name": "digits"}, **sections})
    with pytest.raises(SweepFileError, match=f"^x.yaml: {message}"):
        parse_spec({"data": {"name": "digits"}, **sections}, "x.yaml")


def test_a_metric_decides_where_it_is_said_and_then_the_run_is_another_one():
    plain, record = parse(), parse().model_dump(mode="json")
    assert (plain.ensemble.deciding_metric, record["ensemble"]["metric"]) == ("accuracy", "log_loss")
    assert "metric_is_said" not in record["ensemble"]  # a sweep that says none is on record as it always was
    assert parse(ensemble={"metric": "accuracy"}).run_id("d") == plain.run_id("d")
    runs = set()
    for metric in ("log_loss", "balanced_accuracy", "brier"):
        asked = parse(ensemble={"metric": metric})
        assert asked.ensemble.deciding_metric == metric
        assert SweepSpec.model_validate(asked.model_dump(mode="json")) == asked
        assert asked.trial("d", {}) == plain.trial("d", {})
        runs.add(asked.run_id("d"))
    assert len(runs | {plain.run_id("d")}) == 4


def test_a_stored_run_is_ranked_by_what_its_sweep_or_a_later_word_says():
    record = parse().model_dump(mode="json")["ensemble"]
    assert EnsembleConfig(**say_metric(record, {})).deciding_metric == "accuracy"
    asked = say_metric(record, {"metric": "log_loss"})
    assert EnsembleConfig(**asked).deciding_metric == "log_loss"
    assert EnsembleConfig(**say_metric(asked, {})).deciding_metric == "log_loss"
    back = say_metric(asked | {"metric": "accuracy"}, {"metric": "accuracy"})
    assert EnsembleConfig(**back) == EnsembleConfig(metric="accuracy")
