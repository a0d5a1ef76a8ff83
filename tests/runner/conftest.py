"""Runs that were really trained, once for all tests of what uses their weights; and a sample of a run in a bucket."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trainables.folder import Folder

if TYPE_CHECKING:
    from tests.runner.trained_digits import TrainedRun


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with a plain and a residual net, see `train_run`; to be copied, not to be changed."""
    from tests.runner.trained_run import train_run

    return train_run(tmp_path_factory.mktemp("store"))


@pytest.fixture
def trained_store(trained_run: Path, tmp_path: Path) -> Folder:
    """A copy of `trained_run` for one test."""
    shutil.copytree(trained_run, tmp_path / "runs")
    return Folder(tmp_path / "runs", "runs")


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """Four small nets on the digits, see `write_trained_run`; not to be changed."""
    from tests.runner.trained_digits import write_trained_run

    return write_trained_run(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def digits_bundle(digits_run: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the bundle of `digits_run`; not to be changed."""
    from runner.export import export_run

    folder = tmp_path_factory.mktemp("bundles") / "team"
    export_run(digits_run.stored(), str(folder))
    return folder


@pytest.fixture(scope="module")
def bucket(moto_s3, tmp_path_factory):
    """A sample run in a bucket; store, records, and the objects behind the store's back."""
    from tests.damage import behind_bucket
    from tests.runner.sample_run import write_sample_run
    from trainables.stores import open_store

    with pytest.MonkeyPatch.context() as patch:
        moto_s3.login(patch)
        sample = write_sample_run(tmp_path_factory.mktemp("sample"))
        name = moto_s3.new_bucket()
        store = open_store(f"s3://{name}")
        for key, data in sample.files().items():
            store.put(key, data)
        yield store, sample, behind_bucket(moto_s3.client(), name)
