"""`caucus doctor`: what it says of a machine, a sweep and a cluster file, and its exit codes."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from runner.doctor import machine as doctor
from runner.doctor.finding import Checkup
from runner.doctor.machine import check_machine
from tests.sample_runs.sweeps import DIGITS, ROOT, caucus


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)


def wrong(checkup: Checkup) -> dict[str, str]:
    return {finding.where: str(finding) for finding in checkup.findings}


def test_this_machine_is_fit_and_its_facts_are_reported():
    checkup = check_machine(None, [])
    assert wrong(checkup) == {}
    facts = {fact.where: fact.what for fact in checkup.facts}
    assert facts["Ray"] == f"{version('ray')}, as constraints.txt pins it"
    assert {"Python", "Caucus", "torch", "disk"} <= set(facts)


def test_a_sweeps_data_and_store_are_tried_and_nothing_is_left_there(tmp_path):
    store = tmp_path / "runs"
    checkup = check_machine(DIGITS, [f"store={store}"])
    assert wrong(checkup) == {}
    facts = {fact.where: fact.what for fact in checkup.facts}
    assert facts["data"].startswith("1,797 images of 8 x 8 x 1, 10 classes")
    assert facts["store"].endswith("can be read and written, new")
    assert not [path for path in store.rglob("*") if path.is_file()]


def test_the_disk_is_that_of_the_folder_where_runs_are_kept(tmp_path, monkeypatch):
    (tmp_path / "bad.yaml").write_text("")
    for store, expected in ((tmp_path / "new" / "runs", tmp_path), (tmp_path / "bad.yaml", tmp_path), (ROOT, ROOT)):
        disks = [fact.what for fact in check_machine(DIGITS, [f"store={store}"]).facts if fact.where == "disk"]
        assert disks[0].endswith(f" GiB free in {expected}")
    monkeypatch.chdir(tmp_path)
    checkup = check_machine("bad.yaml", [])
    assert "sweep" in wrong(checkup)
    disks = [fact.what for fact in checkup.facts if fact.where == "disk"]
    assert disks[0].endswith(f" GiB free in {tmp_path}")


def test_a_bucket_is_tried_too(moto_s3, monkeypatch):
    moto_s3.login(monkeypatch)
    bucket = moto_s3.new_bucket()
    assert wrong(check_machine(DIGITS, [f"store=s3://{bucket}/runs"])) == {}
    assert "Contents" not in moto_s3.client().list_objects_v2(Bucket=bucket)
    assert "no-such-bucket" in wrong(check_machine(DIGITS, ["store=s3://no-such-bucket/runs"]))["store"]


def test_a_store_that_lets_two_writers_create_one_object_is_named(tmp_path, monkeypatch):
    from trainables.store.folder import Folder

    def put_anyway(self: Folder, key: str, data: bytes) -> bool:
        self.put(key, data)
        return True

    monkeypatch.setattr(Folder, "create", put_anyway)
    assert "If-None-Match" in wrong(check_machine(DIGITS, [f"store={tmp_path / 'runs'}"]))["store"]


def test_what_is_wrong_with_a_sweep_is_named(tmp_path):
    assert "did you mean width?" in wrong(check_machine(DIGITS, ["model.widht=4"]))["sweep"]
    found = wrong(
        check_machine(DIGITS, ["data.name=null", f"data.path={tmp_path / 'nowhere'}", f"store={tmp_path}/runs"])
    )
    assert str(tmp_path / "nowhere") in found.get("data", "") + found.get("sweep", "")


def test_what_is_wrong_with_the_machine_is_named(tmp_path, monkeypatch):
    (tmp_path / "constraints.txt").write_text("ray==1.2.3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 2**60)
    monkeypatch.setattr(doctor, "OBJECT_STORE_BYTES", 2**60)
    found = wrong(check_machine(None, []))
    assert set(found) == {"Ray", "token", "disk", "shared memory"}
    assert "constraints.txt says 1.2.3" in found["Ray"]


def test_the_command_prints_both_and_its_exit_code_says_which(tmp_path):
    facts = caucus("doctor", DIGITS, f"store={tmp_path / 'runs'}")
    assert facts["findings"] == []
    assert {"where", "what"} == set(facts["facts"][0])
    facts = caucus("doctor", "--cluster-file", str(ROOT / "cluster.yaml"), env={"HOME": str(tmp_path)}, code=2)
    named = {finding["where"]: finding for finding in facts["findings"]}
    assert set(named) == {"file_mounts.~/.ray/auth_token"}
    assert {"where", "what", "rule", "advice"} == set(facts["findings"][0])
    assert caucus("doctor", "--cluster-file", str(tmp_path / "none.yaml"), code=2)["kind"] == "SweepFileError"


def test_a_person_reads_one_line_a_finding():
    from runner.doctor.finding import Fact, Finding

    checkup = Checkup((Fact("Python", "3.11.9"),), (Finding("disk", "1 GiB free", "2 are wanted", "free some"),))
    assert checkup.lines() == [
        "  ok  Python: 3.11.9",
        "WRONG  disk: 1 GiB free. 2 are wanted: free some",
        "1 thing(s) to correct",
    ]
    assert Checkup((), ()).lines() == ["nothing to correct"]
