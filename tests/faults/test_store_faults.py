"""A store that fails in the middle of a real sweep: it ends by itself, loses nothing, and comes to the same bits.

`CAUCUS_FAULT_TIMES=3` (what `make faults` says) runs each fault three times. Each run prints what it measured.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.sample_runs.damage import HARMS, behind_folder
from tests.sample_runs.promise import Seen, check_promise, faults_of, inspect_store
from tests.sample_runs.sweeps import (
    SMALL,
    RunningSweep,
    events,
    outcome,
    reported_epochs,
    run_sweep,
    start_sweep,
    trial_bits,
)
from tests.services.proxy import Fault, FaultProxy, fault_proxy
from tests.services.servers import ACCESS_KEY, RENEWED_KEY, SECRET_KEY, S3Server

TIMES = range(int(os.environ.get("CAUCUS_FAULT_TIMES", "1")))

BEGINS_AT = 8
"""So many epochs are on record when the first fault begins."""

END_S = 800.0
"""Longer than any run takes that the longest fault holds up, on a machine that has much else to do."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(2 * END_S)]


@dataclass(frozen=True)
class Outage:
    """What befalls the store, and for how long."""

    fault: Fault
    lasts_s: float = math.inf


OUTAGES = {
    "resets for 15 s": Outage(Fault("", "reset"), 15),
    "hangs for 15 s": Outage(Fault("", "hang"), 15),
    "503 to 30 % of all requests": Outage(Fault("", "status", status=503, chance=0.3), 12),
    "confirms 20 % of uploads that it drops": Outage(Fault("^PUT ", "swallow", chance=0.2), 12),
    "100 ms a request": Outage(Fault("", "slow", delay_s=0.1), 12),
    "answers what it was asked 15 s later": Outage(Fault("", "stall"), 15),
    "403 for 8 s": Outage(Fault("", "status", status=403, code="AccessDenied"), 8),
    "503 for 10 s": Outage(Fault("", "status", status=503), 10),
    "resets 30 % of all requests": Outage(Fault("", "reset", chance=0.3), 12),
    "changes a bit of 20 % of uploads": Outage(Fault("^PUT ", "flip", chance=0.2), 12),
}
"""In an order in which one sweep can meet five of them, one after the other."""

HALVES = (list(OUTAGES)[:5], list(OUTAGES)[5:])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The store and the result of the small sweep, run once with nothing in its way."""
    store = tmp_path_factory.mktemp("undisturbed") / "runs"
    return store, run_sweep(*SMALL, f"store={store}")


LONGER = [*SMALL, "search.trials=12"]
"""Seventy-two epochs, in which five outages have room."""


@pytest.fixture(scope="module")
def undisturbed_longer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    store = tmp_path_factory.mktemp("undisturbed-longer") / "runs"
    return store, run_sweep(*LONGER, f"store={store}")


@dataclass
class Disturbed:
    """A sweep under way into a bucket that a proxy stands before, some epochs on record when its fault began."""

    sweep: RunningSweep
    proxy: FaultProxy
    bucket: Bucket
    seen: list[Seen]
    """What was in the bucket when each fault began."""
    began_s: float
    """When the last one began, on the monotonic clock."""

    def outlast(self, name: str, outage: Outage) -> None:
        """Wait until the fault has met a request and is over, and the run has stored something since."""
        ends_s = self.began_s + outage.lasts_s
        self.sweep.wait_for(lambda: time.monotonic() > ends_s and self.proxy.stored[-1][0] > ends_s)
        after_s = next(at for at, _ in self.proxy.stored if at > ends_s) - ends_s
        print(f"\n{name}: back at work {after_s:.1f} s after its end")

    def check(self, undisturbed: tuple[Path, dict[str, Any]], copy: Path, name: str, lasts_s: float) -> None:
        """The run comes to its end without a person, and keeps every promise."""
        output, errors = self.sweep.process.communicate(timeout=END_S)
        assert self.sweep.process.returncode == 0, errors + output
        reference, first = undisturbed
        result = json.loads(output)
        store = self.bucket.download(copy)
        counts = Counter(event["kind"] for event in events(store))
        ends_s = self.began_s + lasts_s
        after = [at - ends_s for at, _ in self.proxy.stored if at > ends_s]
        done = Counter(done for _, done in self.proxy.seen)
        print(
            f"\n{name}: {result['wall_s']:.1f} s in all, undisturbed {first['wall_s']:.1f} s; back at work "
            f"{min(after, default=0):.1f} s after its end; epochs trained again {counts['epoch-repeated']}; "
            f"requests {dict(done)}"
        )
        check_promise(store, reference, self.seen)
        assert outcome(result) == outcome(first)
        assert counts["epoch-reported"] == reported_epochs(reference) > 0
        assert result["epochs_trained"] == counts["epoch-reported"] + counts["epoch-repeated"]
        assert events(store)[-1]["kind"] == "run-closed"


@dataclass(frozen=True)
class Bucket:
    """A bucket as it is behind the proxy."""

    client: Any
    name: str

    def download(self, folder: Path, prefix: str = "") -> Path:
        """A folder store with the objects whose keys start with `prefix`, and no others."""
        shutil.rmtree(folder, ignore_errors=True)
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        for key in [found["Key"] for page in pages for found in page.get("Contents", ())]:
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / key).write_bytes(self.client.get_object(Bucket=self.name, Key=key)["Body"].read())
        return folder


def disturb(
    server: S3Server,
    proxy: FaultProxy,
    copy: Path,
    begin: Callable[[], None],
    env: dict[str, str] | None = None,
    words: Sequence[str] = SMALL,
) -> Disturbed:
    """Start the small sweep into a new bucket behind `proxy`, and `begin` the fault in its middle."""
    bucket = Bucket(server.client(attempts=5), server.new_bucket())
    sweep = start_sweep(
        *words, f"store=s3://{bucket.name}", env={**(env or server.env), "AWS_ENDPOINT_URL_S3": proxy.endpoint_url}
    )
    try:
        sweep.wait_for(lambda: reported_epochs(bucket.download(copy, "sweeps/")) >= BEGINS_AT)
        seen = inspect_store(bucket.download(copy))
    except BaseException:
        sweep.kill()
        raise
    begin()
    return Disturbed(sweep, proxy, bucket, [seen], time.monotonic())


@pytest.mark.parametrize("time_", TIMES)
@pytest.mark.parametrize("names", HALVES, ids=["first half", "second half"])
def test_a_store_that_fails_for_a_while_costs_nothing_but_time(
    undisturbed_longer: tuple[Path, dict[str, Any]], weed_s3: S3Server, tmp_path: Path, names: list[str], time_: int
) -> None:
    """One sweep meets five outages, one after the other: each begins when the one before is over and an epoch is stored."""
    names = random.Random(time_).sample(names, len(names)) if time_ else names
    with fault_proxy(weed_s3.endpoint_url) as proxy:
        proxy.dice.seed(time_)
        first = OUTAGES[names[0]]
        run = disturb(
            weed_s3, proxy, tmp_path / "runs", lambda: proxy.inject(replace(first.fault), first.lasts_s), words=LONGER
        )
        try:
            for before, name in pairwise(names):
                run.outlast(before, OUTAGES[before])
                run.seen.append(inspect_store(run.bucket.download(tmp_path / "runs")))
                proxy.inject(replace(OUTAGES[name].fault), OUTAGES[name].lasts_s)
                run.began_s = time.monotonic()
            run.check(undisturbed_longer, tmp_path / "runs", names[-1], OUTAGES[names[-1]].lasts_s)
        finally:
            run.sweep.kill()
        for name in names:
            assert proxy.count(OUTAGES[name].fault.action) > 0, f"no request met the fault {name!r}"


@pytest.mark.extended  # four minutes, most of which it waits
@pytest.mark.parametrize("time_", TIMES)
def test_a_store_that_hangs_for_two_minutes_is_waited_for(
    undisturbed: tuple[Path, dict[str, Any]], weed_s3: S3Server, tmp_path: Path, time_: int
) -> None:
    fault = Fault("", "hang")
    with fault_proxy(weed_s3.endpoint_url) as proxy:
        run = disturb(weed_s3, proxy, tmp_path / "runs", lambda: proxy.inject(fault, 120))
        try:
            run.check(undisturbed, tmp_path / "runs", "hangs for 120 s", 120)
        finally:
            run.sweep.kill()


@pytest.mark.parametrize("time_", TIMES)
def test_credentials_that_expire_are_waited_for_and_read_again(
    undisturbed: tuple[Path, dict[str, Any]], weed_s3: S3Server, tmp_path: Path, time_: int
) -> None:
    """All processes of the run read the file; from a moment on the old key is refused, and 8 s later the file has a new one."""
    file = tmp_path / "credentials"

    def write(key: str) -> None:
        file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {SECRET_KEY}\n")

    env = {
        name: value for name, value in weed_s3.env.items() if name not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    }
    env["AWS_SHARED_CREDENTIALS_FILE"] = str(file)
    assert not {"AWS_ACCESS_KEY_ID", "AWS_PROFILE"} & set(os.environ), "the file would not be read"
    write(ACCESS_KEY)
    expired = Fault("", "status", status=403, code="ExpiredToken", access_key=ACCESS_KEY)
    renewal = threading.Timer(8, write, [RENEWED_KEY])

    def begin() -> None:
        proxy.inject(expired)
        renewal.start()

    with fault_proxy(weed_s3.endpoint_url) as proxy:
        run = disturb(weed_s3, proxy, tmp_path / "runs", begin, env)
        try:
            run.check(undisturbed, tmp_path / "runs", "403 until the credentials were renewed, after 8 s", 8)
        finally:
            run.sweep.kill()
            renewal.cancel()
        assert proxy.count("status") > 0


@pytest.mark.parametrize("time_", TIMES)
@pytest.mark.parametrize(
    "is_killed",
    [
        pytest.param(True, id="between two runs"),
        pytest.param(False, id="in a run", marks=pytest.mark.extended),
    ],
)
def test_damaged_checkpoints_are_trained_again_before_a_run_is_done(
    undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path, is_killed: bool, time_: int
) -> None:
    store, dice = tmp_path / "runs", random.Random(time_)
    sweep = start_sweep(*SMALL, f"store={store}")
    try:
        sweep.wait_for(lambda: sum(1 for _ in store.glob("trials/*/epoch-*/manifest.json")) >= BEGINS_AT)
        if is_killed:
            sweep.kill()
        seen = inspect_store(store)
        damaged = dice.sample(sorted(seen.manifests), k=3)
        for folder, part, harm in zip(
            damaged, ("weights.safetensors", "test.arrow", "manifest.json"), HARMS, strict=True
        ):
            behind_folder(store / "trials").harm(f"{folder}/{part}", harm, dice)
        if is_killed:
            sweep = start_sweep(*SMALL, f"store={store}")
        output, errors = sweep.process.communicate(timeout=END_S)
    finally:
        sweep.kill()
    assert sweep.process.returncode == 0, errors + output
    again = sum(event["kind"] == "epoch-repeated" for event in events(store))
    print(f"\n{damaged} damaged: {again} epochs trained again; {json.loads(output)['wall_s']:.1f} s in all")
    assert faults_of(store) == []
    assert trial_bits(store) == trial_bits(undisturbed[0])
    assert outcome(json.loads(output)) == outcome(undisturbed[1])
    whole = {name: data for name, data in seen.manifests.items() if name not in damaged}
    assert whole.items() <= inspect_store(store).manifests.items()


@contextmanager
def small_disk(mebibytes: int) -> Iterator[Path]:
    """An empty file system of so many MiB, under a name that is short enough for Ray's sockets."""
    folder = tempfile.mkdtemp(prefix="cf-", dir="/tmp")
    words = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", folder]
    try:
        mounted = subprocess.run(words, capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"tmpfs cannot be mounted here: {mounted.stderr.strip()}")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
    finally:
        Path(folder).rmdir()


@pytest.mark.extended
@pytest.mark.parametrize("time_", TIMES)
def test_a_temporary_folder_that_is_full_for_a_while_costs_nothing(
    undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path, time_: int
) -> None:
    """It holds Ray's session and Tune's scratch folder, which nobody needs for long."""
    store = tmp_path / "runs"
    with small_disk(64) as disk:
        sweep = start_sweep(*SMALL, f"store={store}", env={"TMPDIR": str(disk), "RAY_TMPDIR": str(disk)})
        try:
            sweep.wait_for(lambda: reported_epochs(store) >= BEGINS_AT)
            assert any(disk.iterdir()), "nothing of the run lies there"
            seen = inspect_store(store)
            filled = subprocess.run(
                ["dd", "if=/dev/zero", f"of={disk}/full", "bs=64K"], capture_output=True, check=False
            )
            assert b"No space left" in filled.stderr
            time.sleep(8)
            (disk / "full").unlink()
            freed_unix_s = time.time()
            output, errors = sweep.process.communicate(timeout=END_S)
        finally:
            sweep.kill()
    assert sweep.process.returncode == 0, errors + output
    during = sum(event["at_unix_s"] < freed_unix_s for event in events(store) if event["kind"] == "epoch-reported")
    print(f"\ntemporary folder full for 8 s: {len(seen.epochs)} epochs before, {during - len(seen.epochs)} during it")
    check_promise(store, undisturbed[0], [seen])
    assert outcome(json.loads(output)) == outcome(undisturbed[1])
