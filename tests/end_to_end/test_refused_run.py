"""A run that is refused leaves a store as it was: no folder, no mark, no claim."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.cluster.connect import ClusterError
from runner.config.checks import read_spec
from runner.journal import lease as lease_module
from runner.journal.lease import take_lease
from runner.pipeline import run_sweep
from trainables.errors import CaucusError, ModelUnusable, RunTaken, StoreError
from trainables.store.folder import Folder
from trainables.store.open import open_store

SWEEP = "name: t\ndata: {name: digits}\nsearch: {trials: 2, space: {optimizer.lr: {log: [1e-3, 1e-1]}}}\n"


@pytest.fixture(scope="module")
def digits():
    """Read once, as the table of refusals would read them a dozen times."""
    from trainables.config.data import DataConfig
    from trainables.datasets.load import load_images

    return load_images(DataConfig(name="digits"))


@pytest.fixture
def home(tmp_path, monkeypatch, digits):
    from runner.execution import prepare

    real = prepare.load_images
    monkeypatch.setattr(prepare, "load_images", lambda data, say: digits if data.name == "digits" else real(data))
    monkeypatch.chdir(tmp_path)
    Path("sweep.yaml").write_text(SWEEP)
    return tmp_path


def fail(error):
    def raise_it(*args, **options):
        raise error

    return raise_it


@contextlib.contextmanager
def no_cluster(*args):
    """As `connected`, which is asked when the lease is claimed."""
    raise ClusterError("no Ray cluster")
    yield


REFUSALS = {
    "wrong data": (["data.path=nowhere"], {}),
    "no colours": (["augment.hue=0.1"], {}),
    "a wrong name": (["--run-id", "../up"], {}),
    "no former run": (["search.warm_start.run=other"], {}),
    "no weights": (["model.weights=nowhere.safetensors"], {}),
    "a wrong model": ([], {"runner.execution.prepare.check_models": fail(ModelUnusable("cannot be built"))}),
    "a budget without a price": (["budget.money=1"], {"runner.control.price.CLUSTER_FILE": "no-such.yaml"}),
    "no space": (
        [],
        {"shutil.disk_usage": lambda place: SimpleNamespace(free=5)},
    ),
    "no cluster": ([], {"runner.execution.train.connected": no_cluster}),
    "Ctrl-C while Ray starts": ([], {"runner.execution.train.connected": fail(KeyboardInterrupt())}),
    "a fault of ours": ([], {"runner.execution.train.connected": fail(KeyError("lr"))}),
    "a record that cannot be written": ([], {"runner.journal.lease.Lease._write_beat": fail(StoreError("no"))}),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refused_run_leaves_nothing_in_a_new_folder(home, monkeypatch, kind):
    words, patches = REFUSALS[kind]
    monkeypatch.setattr(lease_module, "BEAT_S", 0.01)
    for where, instead in patches.items():
        monkeypatch.setattr(where, instead)
    before = sorted(home.rglob("*"))
    run = words[1] if "--run-id" in words else "r1"
    overrides = [word for word in words if "=" in word]
    with pytest.raises((CaucusError, KeyError, KeyboardInterrupt)):
        run_sweep(read_spec("sweep.yaml", [*overrides, "store=new/deep/runs"]), run, None, "caucus run", [])
    assert sorted(home.rglob("*")) == before
    Path("there").mkdir()
    with pytest.raises((CaucusError, KeyError, KeyboardInterrupt)):
        run_sweep(read_spec("sweep.yaml", [*overrides, "store=there"]), run, None, "caucus run", [])
    assert sorted(home.rglob("*")) == sorted([*before, home / "there"])


def test_a_refused_run_leaves_nothing_in_a_bucket(home, monkeypatch, moto_s3):
    moto_s3.login(monkeypatch)
    uri = f"s3://{moto_s3.new_bucket()}/runs"
    for kind in ("a wrong name", "a wrong model", "no cluster", "no former run"):
        words, patches = REFUSALS[kind]
        with monkeypatch.context() as patch:
            for where, instead in patches.items():
                patch.setattr(where, instead)
            run = words[1] if "--run-id" in words else "r1"
            overrides = [word for word in words if "=" in word]
            with pytest.raises(CaucusError):
                run_sweep(read_spec("sweep.yaml", [*overrides, f"store={uri}"]), run, None, "caucus run", [])
        assert open_store(uri).find("") == [], kind


def test_a_run_that_is_taken_is_refused_and_not_touched(home, monkeypatch):
    monkeypatch.setattr(lease_module, "POLL_S", 0.01)
    monkeypatch.setattr(lease_module, "BEAT_S", 0.02)
    store = Folder(home / "runs", "runs")
    with take_lease(store, "t", "r1") as lease:
        lease.retain()
        before = [found.key for found in store.find("")]
        with pytest.raises(RunTaken):
            run_sweep(read_spec("sweep.yaml", ["store=runs"]), "r1", None, "caucus run", [])
        assert [found.key for found in store.find("")] == before


def test_a_store_that_lets_two_be_the_first_is_refused_and_left_as_it_was(home, monkeypatch):
    monkeypatch.setattr(Folder, "create", lambda self, key, data: self.put(key, data) is not None)
    with pytest.raises(StoreError, match="ignores If-None-Match"):
        run_sweep(read_spec("sweep.yaml", ["store=runs"]), "r1", None, "caucus run", [])
    assert not Path("runs").exists()


def test_a_claim_that_is_withdrawn_does_not_keep_the_next_driver_waiting(home):
    store = Folder(home / "runs", "runs")
    with pytest.raises(ClusterError), take_lease(store, "t", "r1"):
        raise ClusterError
    messages: list[str] = []
    with take_lease(store, "t", "r1", messages.append) as lease:
        lease.retain()
        assert lease.number == 1
    assert messages == []
    assert len(store.find("")) == 2  # a run that was begun keeps the record of who drove it


def test_a_heart_that_stops_for_an_unforeseen_reason_ends_the_run(home, monkeypatch):
    monkeypatch.setattr(lease_module, "BEAT_S", 0.01)
    store = Folder(home / "runs", "runs")
    with take_lease(store, "t", "r1") as lease:
        monkeypatch.setattr(lease, "_write_beat", fail(ValueError("odd")))
        lease._heart.join()
        assert lease.is_lost
        with pytest.raises(ValueError, match="odd"):
            lease.confirm()
