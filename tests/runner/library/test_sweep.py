"""Caucus as a library: a sweep over arrays from its description to a predictor, and what is refused on the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import runner as caucus
from ensembles.config import EnsembleConfig
from trainables.errors import DataError, SweepFileError

DIGITS = load_digits()
IMAGES = (DIGITS.images[:400] / 16, DIGITS.target[:400])


def describe(**parts: Any) -> caucus.Sweep:
    given: dict[str, Any] = {
        "name": "mine",
        "model": {"width": 4},
        "optimizer": {"lr": caucus.log(1e-2, 1e-1)},
        "search": caucus.RandomSearch(trials=2),
        "scheduler": caucus.AllEpochs(max_epochs=1),
        "ensemble": {"size": 2, "bootstraps": 5},
    }
    return caucus.Sweep(parts.pop("data", IMAGES), **{**given, **parts})


def test_objects_and_mappings_describe_the_same_sweep(tmp_path: Path) -> None:
    by_objects = describe(store=str(tmp_path)).spec
    by_mappings = describe(
        store={"uri": str(tmp_path)},
        optimizer={},
        search={"method": "random", "trials": 2, "space": {"optimizer.lr": {"log": [1e-2, 1e-1]}}},
        scheduler={"method": "none", "max_epochs": 1},
    ).spec
    assert by_objects == by_mappings
    assert by_objects.scheduler.method == "none"


def test_a_metric_that_an_object_names_decides_also_where_it_is_the_default() -> None:
    assert describe(ensemble=EnsembleConfig(size=2)).spec.ensemble.deciding_metric == "accuracy"
    for metric in ("log_loss", "macro_f1"):
        for ensemble in (EnsembleConfig(metric=metric), {"metric": metric}):  # type: ignore[arg-type]
            assert describe(ensemble=ensemble).spec.ensemble.deciding_metric == metric


def test_a_default_method_is_kept_and_a_name_alone_will_do() -> None:
    assert describe(search="random", scheduler=caucus.ASHA(max_epochs=9)).spec.scheduler.method == "asha"
    assert describe(data="digits", search=caucus.RandomSearch(trials=3)).spec.data.name == "digits"
    assert describe(data="pictures").spec.data.path == "pictures"
    assert describe(data="csv:pets.csv").spec.data.csv == "pets.csv"


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"optimizer": {"lrr": 0.1}}, r"Sweep: optimizer\.lrr.*lr"),
        ({"optimizer": {"lr": caucus.log(-1, 1)}}, "both ends must be above zero"),
        ({"ensemble": {"size": 0}}, r"ensemble\.size is 0"),
        ({"data": 7}, "data is a int"),
        ({"model": lambda shape: None}, "no other process can import"),
    ],
)
def test_what_is_wrong_is_said_when_the_sweep_is_described(parts: dict[str, Any], reason: str) -> None:
    with pytest.raises(SweepFileError, match=reason):
        describe(**parts)


def test_arrays_that_are_no_images_are_refused() -> None:
    with pytest.raises(DataError, match="400 images and 3 labels"):
        describe(data=(IMAGES[0], [0, 1, 2]))


def test_a_data_frame_is_read_when_the_sweep_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [f"{number}.png" for number in range(20)]
    for number, name in enumerate(names):
        Image.fromarray(np.full((4, 4), 12 * number, np.uint8)).save(name)
    frame = pd.DataFrame({"file": names, "label": ["a", "b"] * 10})
    (line, *_) = caucus.Sweep(frame, store="runs", search=caucus.RandomSearch(trials=1)).plan(measure=False).understood
    assert line.startswith("a table (frame.parquet) · 2 classes: a 10, b 10")
    with pytest.raises(DataError, match="gone"):
        caucus.Sweep(frame.replace("3.png", "gone.png"))


@pytest.mark.long
def test_a_sweep_over_arrays_runs_resumes_votes_and_predicts(tmp_path: Path) -> None:
    sweep = describe(store=str(tmp_path / "runs"))
    plan = sweep.plan(measure=False)
    assert len(plan.trials) == 2
    seen: list[str] = []
    run = sweep.run(callbacks=[lambda event, state: seen.append(event.kind)])
    assert (run.outcome, len(run.trials), seen.count("epoch-reported")) == ("done", 2, 2)
    assert run.verdict.sentence.startswith("Ship")
    assert run.best.trial_id == run.trials.to_dicts()[0]["trial_id"]
    assert {row.vote for row in run.revote(vote="weighted", size=1).rows} >= {"weighted"}
    assert "<h1" in run.report().page
    assert "srcdoc" in run.report(size=1)._repr_html_()
    predictor = run.export(str(tmp_path / "team"))
    probabilities = predictor.predict_proba(IMAGES[0][:5])
    assert probabilities.shape == (5, 10)
    assert predictor.predict(IMAGES[0][:5]) == [str(place) for place in probabilities.argmax(1)]
    with pytest.raises(DataError, match="trained on 8 x 8 with 1"):
        predictor.predict(np.zeros((1, 9, 8), np.uint8))
    seen.clear()
    assert sweep.run(callbacks=[lambda event, state: seen.append(event.kind)]).outcome == "done"
    assert "epoch-reported" not in seen  # a second run trains nothing
    assert caucus.open_run("mine", str(tmp_path / "runs")).trials.records == run.trials.records


def test_the_library_has_the_programs_name_and_costs_nothing_until_it_is_used() -> None:
    code = (
        "import sys, caucus, runner\n"
        "assert caucus is runner and caucus.__version__\n"
        "assert not {'torch', 'ray', 'numpy', 'pydantic'} & set(sys.modules)\n"
        "assert caucus.Sweep and not {'torch', 'ray'} & set(sys.modules)\n"
        "try:\n    caucus.Sweeep\nexcept AttributeError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "module 'runner' has no attribute 'Sweeep'\n"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"search": None}, "search is None: give a name, a mapping, or an object"),
        ({"search": ["a"]}, r"search is \['a'\]: give a name"),
        ({"scheduler": 5}, "scheduler is 5: give a name"),
        ({"search": {"space": [1]}, "optimizer": {"lr": caucus.log(0.1, 1)}}, r"search.space is \[1\]: give a mapping"),
        ({"search": {"space": None}, "optimizer": {"lr": caucus.log(0.1, 1)}}, "search.space is None: give a mapping"),
    ],
)
def test_a_method_that_is_none_is_refused_by_name(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(SweepFileError, match=f"^Sweep: {message}"):
        caucus.Sweep("digits", **parts)


def test_a_key_without_a_section_can_be_searched_too() -> None:
    spec = caucus.Sweep("digits", train_share=caucus.uniform(0.1, 1), search="random").spec
    assert list(spec.search.space) == ["train_share"]


def test_what_a_trial_makes_of_pixels_is_searched_in_the_mapping_of_data() -> None:
    spec = caucus.Sweep({"name": "digits", "equalise": caucus.choice("none", "clahe")}, search="random").spec
    assert spec.search.space["data.equalise"].values == ("none", "clahe")
    assert spec.data.equalise == "none"


def test_the_module_is_the_command_too() -> None:
    done = subprocess.run([sys.executable, "-m", "caucus", "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (
        "Usage: caucus"
        in subprocess.run([sys.executable, "-m", "caucus", "--help"], capture_output=True, text=True, check=True).stdout
    )


FACES = [
    path.parent for top in ("trainables", "ensembles", "runner") for path in sorted(Path(top).rglob("__init__.py"))
]


@pytest.mark.parametrize("face", FACES, ids=str)
def test_each_package_says_what_it_is_for_and_has_the_names_that_it_tells(face: Path) -> None:
    from importlib import import_module

    package = import_module(".".join(face.parts))
    assert package.__doc__
    assert 1 <= len(package.__doc__.strip().splitlines()) <= 8
    for name in getattr(package, "__all__", ()):
        assert getattr(package, name) is not None
        assert not (face / f"{name}.py").exists()  # a module of that name would hide it
    assert len([path for path in face.iterdir() if path.suffix == ".py"]) <= 15
