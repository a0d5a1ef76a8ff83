"""One driver a run, whoever tries."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from runner.journal import lease
from runner.journal.lease import find_driver, take_lease
from runner.journal.process_id import describe_process, process_has_exited
from tests.services.proxy import Fault, fault_proxy
from trainables.errors import RunCutShort, RunTaken, StoreError
from trainables.store import held_body, layout
from trainables.store.folder import Folder
from trainables.store.json_records import to_json
from trainables.store.open import open_store
from trainables.store.s3 import S3Store


@pytest.fixture
def store(tmp_path):
    return Folder(tmp_path, "runs")


@pytest.fixture
def quick(monkeypatch):
    """Hearts that beat quickly; how long a silent one is waited for stays as it is, so that no busy machine decides."""
    monkeypatch.setattr(lease, "BEAT_S", 0.1)
    monkeypatch.setattr(lease, "POLL_S", 0.05)


@pytest.fixture
def impatient(quick, monkeypatch):
    """For tests in which the other driver is silent indeed."""
    monkeypatch.setattr(lease, "SILENT_S", 1.0)


def claim(store, number=1, **more):
    """What another driver has left."""
    store.put(layout.claim_key("dots", "r1", number), to_json({"host": "elsewhere", "pid": 7, **more}))


def beat(store, number=1, **more):
    store.put(layout.beat_key("dots", "r1", number), to_json({"beat": 1, "at_unix_s": 1.0, "ended": False, **more}))


def test_the_first_driver_gets_the_run_at_once(store):
    with take_lease(store, "dots", "r1") as owned:
        assert owned.number == 1
        assert not owned.is_lost
        owned.confirm()
        found = find_driver(store, "dots", "r1")
        assert (found.number, found.has_ended) == (1, False)
    assert find_driver(store, "dots", "r1").has_ended


def test_a_run_that_is_driven_is_not_driven_twice(store, quick):
    with (
        take_lease(store, "dots", "r1"),
        pytest.raises(
            RunTaken, match=r"run dots/r1 in runs is being driven by process \d+ on .*: wait for its end, stop it"
        ),
    ):
        take_lease(store, "dots", "r1")


def test_after_the_end_the_next_driver_need_not_wait(store):
    take_lease(store, "dots", "r1").release()
    messages = []
    with take_lease(store, "dots", "r1", messages.append) as owned:
        assert (owned.number, messages) == (2, [])


def test_a_claim_that_was_taken_back_leaves_nothing(store):
    with take_lease(store, "dots", "r1") as owned:
        owned.withdraw()
    assert list(store.find("")) == []
    assert take_lease(store, "dots", "r1").number == 1


def test_runs_have_drivers_of_their_own(store):
    with take_lease(store, "dots", "r1"), take_lease(store, "dots", "r2"), take_lease(store, "spots", "r1"):
        assert find_driver(store, "dots", "r3") is None


def test_a_process_that_is_gone_from_this_machine_is_not_waited_for(store):
    code = "import json; from runner.journal.process_id import describe_process; print(json.dumps(describe_process()))"
    payload = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    claim(store, **payload)
    beat(store)
    assert process_has_exited(payload)
    messages = []
    with take_lease(store, "dots", "r1", messages.append) as owned:
        assert (owned.number, messages) == (2, [])


def test_a_process_is_known_by_more_than_its_id():
    description = describe_process()
    assert not process_has_exited(description)
    assert process_has_exited({**description, "started": "1"})
    assert not process_has_exited({**description, "machine": "another"})
    assert not process_has_exited({})


def test_a_driver_elsewhere_is_waited_for_until_it_is_silent_whatever_its_clock_says(store, impatient):
    claim(store)
    beat(store, at_unix_s=time.time() + 3600)
    messages = []
    with take_lease(store, "dots", "r1", messages.append) as owned:
        assert owned.number == 2
    assert messages == ["dots/r1 was driven by process 7 on elsewhere: waiting up to 1 s to see whether it still is"]


def test_a_driver_elsewhere_that_still_beats_keeps_the_run_whatever_its_clock_says(store, quick):
    claim(store)
    beat(store, at_unix_s=1.0)
    later = threading.Timer(0.5, beat, (store,), {"beat": 2, "at_unix_s": 1.0})
    later.start()
    with pytest.raises(RunTaken, match="on elsewhere"):
        take_lease(store, "dots", "r1")
    later.join()


def test_a_claim_that_cannot_be_read_is_waited_for_like_any_other(store, impatient):
    store.put(layout.claim_key("dots", "r1", 1), b"{")
    with take_lease(store, "dots", "r1") as owned:
        assert owned.number == 2


def test_a_driver_that_was_taken_for_gone_notices_and_stops(store, quick):
    with take_lease(store, "dots", "r1") as owned:
        claim(store, number=2)
        owned._heart.join(timeout=30)
        assert owned.is_lost
        with pytest.raises(RunCutShort, match=r"was taken over by process 7 on elsewhere"):
            owned.confirm()


def test_confirming_asks_the_store(store):
    with take_lease(store, "dots", "r1") as owned:
        claim(store, number=2)
        with pytest.raises(RunCutShort):
            owned.confirm()


def test_a_store_that_fails_for_a_while_does_not_stop_the_heart(store, quick, monkeypatch):
    with take_lease(store, "dots", "r1") as owned:
        with monkeypatch.context() as broken:

            def refuse(self, key, data):
                raise StoreError("not now")

            broken.setattr(Folder, "put", refuse)
            time.sleep(0.5)
        seen = find_driver(store, "dots", "r1").beat
        end_s = time.monotonic() + 30
        while find_driver(store, "dots", "r1").beat == seen:
            assert time.monotonic() < end_s
            time.sleep(0.05)
        assert not owned.is_lost


class Careless(Folder):
    """Knows no conditions."""

    def create(self, key, data):
        self.put(key, data)
        return True


def test_a_store_that_ignores_conditions_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"let 4 writers be the first.*ignores If-None-Match.*conditional writes"):
        take_lease(Careless(tmp_path, "runs"), "dots", "r1")


def test_a_server_that_checks_too_early_whether_a_claim_exists_is_refused_at_every_start(moto_s3, monkeypatch):
    moto_s3.login(monkeypatch)
    with fault_proxy(moto_s3.endpoint_url, Fault("^PUT .*/drivers/.*json", "early")) as proxy:
        store = open_store(f"s3://{moto_s3.new_bucket()}/runs", proxy.endpoint_url)
        for start in range(10):
            with pytest.raises(StoreError, match=r"let 4 writers be the first.*conditional writes"):
                take_lease(store, "dots", f"r{start}")
            assert store.find("") == []  # nothing that a next start would wait for
        assert proxy.count("early") >= 40


def test_a_claim_that_another_took_over_a_moment_later_was_not_the_only_one(moto_s3, monkeypatch):
    """A server that checks too early may tell one driver that it was first, which then finds the claim of the other one."""
    moto_s3.login(monkeypatch)
    store = open_store(f"s3://{moto_s3.new_bucket()}/runs", moto_s3.endpoint_url)
    monkeypatch.setattr(S3Store, "_read_back", lambda *_: (1, "of another"))
    with pytest.raises(StoreError, match="let 2 writers be the first"):
        take_lease(store, "dots", "r1")


def test_of_two_drivers_that_a_store_lets_be_the_first_the_one_that_was_overwritten_stops(store, quick):
    """As behind a proxy that hands uploads on only when they are whole, where no start can show it."""
    with take_lease(store, "dots", "r1") as owned:
        claim(store, number=1, nonce="of another")
        owned._heart.join(timeout=30)
        assert owned.is_lost
        with pytest.raises(RunCutShort, match=r"claimed by process 7 on elsewhere at the same time.*another store"):
            owned.confirm()


def test_a_claim_that_is_damaged_or_gone_is_no_reason_to_stop(store, quick):
    with take_lease(store, "dots", "r1") as owned:
        store.put(layout.claim_key("dots", "r1", 1), b"{")
        owned.confirm()
        store.delete(layout.claim_key("dots", "r1", 1))
        owned.confirm()


def test_an_upload_that_never_comes_to_the_gate_holds_the_others_up_only_for_a_while(moto_s3, monkeypatch):
    monkeypatch.setattr(held_body, "HOLD_S", 0.3)
    moto_s3.login(monkeypatch)
    with fault_proxy(moto_s3.endpoint_url, Fault("^PUT .*/drivers/.*json", "hang", times=1)) as proxy:
        store = S3Store(moto_s3.new_bucket(), "runs", proxy.endpoint_url, read_timeout_s=0.5)
        with take_lease(store, "dots", "r1") as owned:
            assert owned.number == 1


@pytest.mark.parametrize("kind", ["folder", "moto", "weed"])
def test_of_drivers_that_start_at_the_same_time_exactly_one_wins(kind, request, tmp_path, monkeypatch, quick):
    if kind == "folder":
        store = Folder(tmp_path, "runs")
    else:
        server = request.getfixturevalue(f"{kind}_s3")
        server.login(monkeypatch)
        store = open_store(f"s3://{server.new_bucket()}/runs")

    def drive(run):
        try:
            return take_lease(store, "dots", run)
        except RunTaken:
            return None

    for race in range(10):
        with ThreadPoolExecutor(2) as drivers:
            taken = [owned for owned in drivers.map(drive, [f"r{race}"] * 2) if owned]
        assert [owned.number for owned in taken] == [1]
        taken[0].release()


def test_a_store_that_is_out_of_reach_holds_the_end_of_a_driver_up_only_for_a_while(store, quick, monkeypatch):
    monkeypatch.setattr(lease, "RELEASE_S", 0.3)
    owned = take_lease(store, "dots", "r1")
    answers = threading.Event()

    def hang(self, key, data):
        assert answers.wait(60)

    with monkeypatch.context() as broken:
        broken.setattr(Folder, "put", hang)
        owned.release()
        assert owned._heart.is_alive()
        answers.set()
        owned._heart.join(timeout=60)
    assert not find_driver(store, "dots", "r1").has_ended


@pytest.mark.parametrize("later", [None, lease.Driver(1, {}, {"ended": True})], ids=["gone", "ended"])
def test_a_driver_that_ends_while_it_is_waited_for_is_waited_for_no_longer(store, monkeypatch, later):
    """The clock stands still, so nothing else can end the wait."""
    monkeypatch.setattr(lease, "POLL_S", 0.0)
    monkeypatch.setattr(lease.time, "monotonic", lambda: 0.0)
    found = iter([lease.Driver(1, {"host": "elsewhere"}, {"beat": 1}), later])
    monkeypatch.setattr(lease, "find_driver", lambda *_: next(found))
    lease._wait_for_silence(store, "dots", "r1", lease.Driver(1, {"host": "elsewhere"}, {"beat": 1}))
    assert next(found, "none") == "none"
