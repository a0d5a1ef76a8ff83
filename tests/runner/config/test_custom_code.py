"""Code of a person's own models: found beside the sweep file, and by workers; and its keys in the sweep."""

import sys

import pytest

from runner.config.checks import parse_spec, read_spec
from runner.config.custom_code import find_custom_code
from tests.sample_runs.sweeps import run_sweep
from trainables.errors import SweepFileError
from trainables.training.custom_source import check_source

CODE = """
from torch import nn
from beside_it import LEAK
def build(shape, width=8, leak=LEAK):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.LeakyReLU(leak), nn.Linear(width, shape.classes))
"""

SWEEP = """
name: mine
data: {name: digits}
search: {method: grid, space: {model.leak: {choice: [0.0, 0.1]}}}
model: {name: "beside:build"}
scheduler: {method: none, max_epochs: 1}
ensemble: {size: 2}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "beside.py").write_text(CODE)
    (tmp_path / "sweeps" / "beside_it.py").write_text("LEAK = 0.2")
    (tmp_path / "sweeps" / "mine.yaml").write_text(SWEEP)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path / "sweeps"


def test_a_module_beside_the_sweep_file_is_found_and_sent_to_workers(folder):
    spec = read_spec(str(folder / "mine.yaml"), [])
    assert find_custom_code(spec) == [folder / "beside.py"]
    package = folder / "nets"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "deep.py").write_text("")
    spec = read_spec(str(folder / "mine.yaml"), ["model.name=nets.deep:build"])
    assert find_custom_code(spec) == [package]
    assert find_custom_code(read_spec(str(folder / "mine.yaml"), ["model.name=torch.nn:build"])) == []


def test_custom_keys_can_be_searched_set_and_overridden(folder):
    path = str(folder / "mine.yaml")
    assert read_spec(path, []).search.space["model.leak"].values == (0.0, 0.1)
    spec = read_spec(path, ["model.leak=0.3"])
    assert (spec.model.leak, dict(spec.search.space)) == (0.3, {})
    assert spec.trial("d", {}).flat()["model.leak"] == 0.3
    spec = read_spec(path, ["search.method=random", "search.trials=2", "model.slope=0..1", "model.stem=a,b"])
    assert spec.search.space["model.slope"].kind == "uniform"
    assert spec.trial("d", {"model.stem": "b", "model.slope": 0.5}).flat()["model.stem"] == "b"
    first, other = (spec.trial("d", {"model.leak": leak}) for leak in (0.0, 0.1))
    assert first.trial_id != other.trial_id
    assert first.seed != other.seed


@pytest.mark.parametrize("name", ["cnn", "torchvision/resnet18"])
def test_no_other_model_can_have_them(name):
    def parse(**more):
        return parse_spec({"name": "s", "data": {"name": "digits"}, **more}, "s.yaml")

    with pytest.raises(SweepFileError, match=r"model.widht: no such key; did you mean width\?"):
        parse(model={"name": name, "widht": 4})
    with pytest.raises(SweepFileError, match=r"search.space.model.widht: no such key; did you mean model.width\?"):
        parse(model={"name": name}, search={"space": {"model.widht": {"choice": [1, 2]}}})


def test_keys_of_one_model_leave_the_others_alone():
    payload = {
        "name": "s",
        "data": {"name": "digits"},
        "search": {
            "space": {
                "model.name": {"choice": ["cnn", "mine:build", "torchvision/resnet18"]},
                "model.leak": {"uniform": [0.0, 0.5]},
                "model.blocks": {"choice": [1, 2]},
            }
        },
    }
    from runner.space.conditions import active_values, activity, in_order

    spec = parse_spec(payload, "s.yaml")
    space = in_order(spec.search.space)
    drawn = {"model.leak": 0.1, "model.blocks": 1}
    active = {
        name: active_values(space, activity(space, spec.fixed), {"model.name": name, **drawn})
        for name in ("cnn", "mine:build", "torchvision/resnet18")
    }
    assert {name: set(values) - {"model.name"} for name, values in active.items()} == {
        "cnn": {"model.blocks"},
        "mine:build": {"model.blocks", "model.leak"},
        "torchvision/resnet18": set(),
    }
    models = {name: spec.trial("d", values).model for name, values in active.items()}
    assert {name: model.model_extra for name, model in models.items()} == {
        "cnn": {},
        "mine:build": {"leak": 0.1},
        "torchvision/resnet18": {},
    }


def test_keys_of_the_plain_net_are_refused_where_no_trial_has_it():
    payload = {"name": "s", "data": {"name": "digits"}, "model": {"name": "torchvision/resnet18"}}
    with pytest.raises(SweepFileError, match=r"model.dense|model.neurons has no effect"):
        parse_spec(payload | {"search": {"space": {"model.neurons": {"choice": [8, 16]}}}}, "s.yaml")
    with pytest.raises(
        SweepFileError,
        match=r"model.width has no effect, since it matters only where model.name is 'cnn' or module:function, "
        r"which is 'torchvision/resnet18': remove it",
    ):
        parse_spec(payload | {"search": {"space": {"model.width": {"choice": [8, 16]}}}}, "s.yaml")


def test_the_source_of_a_model_is_part_of_its_trials_names_but_not_of_their_seeds(folder):
    def read():
        spec = read_spec(str(folder / "mine.yaml"), [])
        return spec.run_id("d"), spec.trial("d", {})

    run, trial = read()
    assert trial.code == next(iter(read_spec(str(folder / "mine.yaml"), []).sources.values()))
    (folder / "beside_it.py").write_text("LEAK = 0.2  # the same")
    assert read() == (run, trial)
    (folder / "beside_it.py").write_text("LEAK = 0.3")
    changed_run, changed = read()
    assert changed_run != run
    assert changed.trial_id != trial.trial_id
    assert changed.seed == trial.seed


def test_trials_without_a_plugin_have_no_source_in_their_names(folder):
    spec = read_spec(str(folder / "mine.yaml"), ["model.name=cnn,beside:build"])
    codes = {name: spec.trial("d", {"model.name": name}).code for name in ("cnn", "beside:build")}
    assert codes == {"cnn": "", "beside:build": spec.sources["beside:build"]}


def test_a_worker_with_another_source_refuses_the_trial(folder):
    spec = read_spec(str(folder / "mine.yaml"), [])
    trial = spec.trial("d", {})
    assert check_source(trial) == ""
    assert check_source(trial.model_copy(update={"code": ""})) == ""
    said = check_source(trial.model_copy(update={"code": "0123456789ab"}))
    assert said.startswith("the source of beside:build is another one on this machine")
    assert "than when the sweep was read (0123456789ab): run the sweep again" in said


@pytest.mark.long
def test_a_sweep_of_a_model_beside_its_file_runs_from_another_folder(folder, tmp_path):
    result = run_sweep(str(folder / "mine.yaml"), f"store={tmp_path / 'store'}")
    assert result["trials"]["finished"] == 2
