"""What a run that begins asks its store: each question once, and again where another driver came in between."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.stored_run import write_run_of
from runner.config.checks import parse_spec
from runner.journal.lease import take_lease
from runner.pipeline import cut_short, run_sweep
from trainables.datasets.load import load_images
from trainables.errors import PluginUnusable, RunCutShort
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.store.json_records import seal_json


@pytest.fixture
def stored(tmp_path):
    """A finished run in a folder, and its sweep."""
    store = Folder(tmp_path / "runs")
    spec = parse_spec(
        {
            "name": "dots",
            "data": {"name": "digits"},
            "store": store.uri,
            "search": {"method": "random", "trials": 2, "space": {"optimizer.lr": {"log": [1e-4, 1.0]}}},
            "scheduler": {"method": "none", "max_epochs": 1},
            "ensemble": {"bootstraps": 0},
        },
        "dots.yaml",
    )
    run = write_run_of(store, spec, load_images(spec.data))
    return store, spec, run


def go_on(spec):
    return run_sweep(spec, None, None, "caucus run dots.yaml", [])


def test_a_start_asks_each_question_once(stored, monkeypatch):
    _, spec, run = stored
    go_on(spec)  # it votes, and writes what the next one finds
    asked = Counter()

    def count(name):
        real = getattr(Folder, name)

        def counted(self, key):
            asked[f"{name} {key.removeprefix(f'sweeps/{run}/')}"] += 1
            return real(self, key)

        monkeypatch.setattr(Folder, name, counted)

    count("get")
    count("find")
    assert go_on(spec).epochs_trained == 0
    told = {
        "get caucus.json": 2,  # the second marks the store, where it has no mark
        "get ensemble.json": 1,
        "get night.json": 2,  # the second is the report's
        "find drivers/": 1,
        "find events/": 2,  # before the claim, and when nobody else can write any more
    }
    assert {what: asked[what] for what in told} == told


def test_what_a_newer_version_wrote_between_the_look_and_the_claim_is_refused(stored, monkeypatch):
    store, spec, run = stored
    name, _, run_id = run.partition("/")

    def take_later(*words):
        monkeypatch.setattr("runner.pipeline.take_lease", take_lease)
        take_lease(store, name, run_id).release()
        store.put(layout.run_key(name, run_id, layout.NIGHT), seal_json({"mood": "good"}))
        return take_lease(*words)

    monkeypatch.setattr("runner.pipeline.take_lease", take_later)
    with pytest.raises(RunCutShort, match=r"written by a newer Caucus \(night\.json: mood\)"):
        go_on(spec)
    assert store.stat(layout.run_key(name, run_id, layout.ENSEMBLE)) is None


def test_a_plugin_that_fails_under_way_cuts_the_run_short_and_keeps_what_was_trained() -> None:
    with (
        pytest.raises(
            RunCutShort, match=r"^ensemble.vote is a:b: it raised .*what was trained is kept: repair it"
        ) as found,
        cut_short(),
    ):
        raise PluginUnusable("ensemble.vote is a:b: it raised OSError: gone")
    assert isinstance(found.value.__cause__, PluginUnusable)
