"""Fixtures for all tests: one thread for those that train, and the S3 servers, started only when a test asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import S3Server, running_moto, running_weed


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
