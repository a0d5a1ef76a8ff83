"""Fixtures for all tests: S3 servers, runs that were really trained, a sample run in a bucket. Each is made when a test asks for it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.services.servers import S3Server, running_moto, running_weed
from trainables.store.folder import Folder

if TYPE_CHECKING:
    from tests.sample_runs.trained_digits import TrainedRun


# A machine under load fails no property: neither a deadline nor the health check of slow inputs depends on the code.
settings.register_profile("caucus", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("caucus")


def pytest_configure() -> None:
    """A shell that starts the tests in the background lets them ignore SIGINT, and programs that they start inherit that: a test
    that sends Ctrl-C would wait in vain."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["CAUCUS_CACHE"] = "off"  # else tests would fill the cache of the person who runs them, and read it


LONG_TIMEOUT_S = 900
"""Seconds after which a long test hangs: some of them take four minutes where a machine has twice the work that it can do."""


WHOLE_SWEEPS = ("tests/end_to_end/", "tests/faults/", "tests/deploy/", "tests/runner/cluster/", "tests/runner/nights/")
"""Folders with few tests that take minutes each."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests have more time than `timeout` in pyproject.toml says, unless they say how much themselves; and whole sweeps come
    first: `make test-long` keeps this order, so that at its end one worker does not wait for the other's longest file."""
    items.sort(key=lambda item: not item.nodeid.startswith(WHOLE_SWEEPS))
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_TIMEOUT_S))


@pytest.fixture(scope="session")
def moto_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A moto server (see `S3Server`): quick to start, accepts any credentials. For most tests with a bucket.

    `moto_s3.login(monkeypatch)`, then `open_store(f"s3://{moto_s3.new_bucket()}/runs")`.
    """
    with running_moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def weed_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A SeaweedFS server (see `S3Server`): some 4 s to start, checks credentials. For end-to-end tests."""
    with running_weed(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch as a trial runs it: one thread. A second one only costs on nets this small, and gives other bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with a plain and a residual net, see `train_run`; to be copied, not to be changed."""
    from tests.sample_runs.trained_run import train_run

    return train_run(tmp_path_factory.mktemp("store"))


@pytest.fixture
def trained_store(trained_run: Path, tmp_path: Path) -> Folder:
    """A copy of `trained_run` for one test."""
    shutil.copytree(trained_run, tmp_path / "runs")
    return Folder(tmp_path / "runs", "runs")


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """Four small nets on the digits, see `write_trained_run`; not to be changed."""
    from tests.sample_runs.trained_digits import write_trained_run

    return write_trained_run(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def digits_bundle(digits_run: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the bundle of `digits_run`; not to be changed."""
    from runner.deploy.export import export_run

    folder = tmp_path_factory.mktemp("bundles") / "team"
    export_run(digits_run.stored(), str(folder))
    return folder


@pytest.fixture(scope="module")
def bucket(moto_s3, tmp_path_factory):
    """A sample run in a bucket; store, records, and the objects behind the store's back."""
    from tests.sample_runs.damage import behind_bucket
    from tests.sample_runs.sample_run import write_sample_run
    from trainables.store.open import open_store

    with pytest.MonkeyPatch.context() as patch:
        moto_s3.login(patch)
        sample = write_sample_run(tmp_path_factory.mktemp("sample"))
        name = moto_s3.new_bucket()
        store = open_store(f"s3://{name}")
        for key, data in sample.files().items():
            store.put(key, data)
        yield store, sample, behind_bucket(moto_s3.client(), name)
