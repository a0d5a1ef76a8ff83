"""The hosts that tests run a cluster on: as far apart as they say, and gone without a trace."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sample_runs.sweeps import ROOT
from tests.services.hosts import HOME, running_hosts, why_not

SSH = "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o ConnectTimeout=2"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    with running_hosts(tmp_path_factory.mktemp("hosts"), ["one", "two", "three"]) as running:
        yield running


def reaches(hosts, name: str, other: str) -> bool:
    return hosts[name].run(f"{SSH} {other} true", code=None).returncode == 0


def comes_to_reach(hosts, name: str, other: str) -> bool:
    """After a cut it takes a moment until hosts ask for each other's address again."""
    return any(reaches(hosts, name, other) for _ in range(20))


def test_each_has_its_own_name_home_processes_and_memory(hosts):
    output = hosts["one"].run("hostname; echo $HOME; ls -A ~ /tmp /dev/shm; ps -e -o comm=").stdout.split()
    assert output[:2] == ["one", HOME]
    assert (
        {"bash", "sshd"}
        <= set(output)
        <= {"one", HOME, f"{HOME}:", ".ssh", "/tmp:", "/dev/shm:", "bash", "sshd", "sleep", "ps", ROOT.parts[2]}
    )
    hosts["one"].run("echo hers > ~/mine; echo hers > /tmp/mine; echo hers > /dev/shm/mine")
    assert hosts["two"].run("ls ~/mine /tmp/mine /dev/shm/mine", code=None).stdout == ""
    assert not (Path.home() / "mine").exists()


def test_the_programs_of_a_checkout_in_tmp_are_there_beside_a_tmp_of_its_own(tmp_path, monkeypatch):
    with tempfile.TemporaryDirectory(dir="/tmp") as checkout:
        (Path(checkout) / "program").write_text("echo ran")
        monkeypatch.setattr("tests.services.hosts.ROOT", Path(checkout))
        with running_hosts(tmp_path, ["one"]) as hosts:
            assert hosts["one"].run(f"ls /tmp; bash {checkout}/program").stdout.split() == [Path(checkout).name, "ran"]
        assert (Path(checkout) / "program").exists()


def test_they_reach_each_other_by_ssh_and_copy_by_rsync(hosts):
    assert hosts["one"].run(f"{SSH} two 'hostname; echo $HOME'").stdout.split() == ["two", HOME]
    hosts["one"].run(f"echo sent > parcel; rsync -e '{SSH}' parcel three:")
    assert (hosts["three"].folder / "home" / "parcel").read_text() == "sent\n"


def test_the_exit_code_of_what_is_run_comes_back(hosts):
    hosts["one"].run("exit 3", code=3)
    with pytest.raises(AssertionError, match="'exit 3' on one: exit code 3"):
        hosts["one"].run("exit 3")


def test_one_that_is_cut_off_reaches_nobody_until_it_is_healed(hosts):
    hosts.cut("two")
    assert [reaches(hosts, *pair) for pair in (("one", "two"), ("two", "three"), ("one", "three"))] == [
        False,
        False,
        True,
    ]
    hosts.heal("two")
    assert all(comes_to_reach(hosts, *pair) for pair in (("one", "two"), ("two", "three")))


def test_a_cut_between_two_leaves_the_third_in_reach(hosts):
    hosts.cut("two", "one")
    assert [reaches(hosts, *pair) for pair in (("one", "two"), ("two", "one"), ("two", "three"))] == [
        False,
        False,
        True,
    ]
    hosts.heal("two", "one")
    assert all(comes_to_reach(hosts, *pair) for pair in (("one", "two"), ("two", "one")))


def test_one_whose_plug_is_pulled_has_no_process_left_and_comes_back_with_its_disk(hosts):
    hosts["three"].run("echo kept > ~/kept; setsid sleep 600 >/dev/null 2>&1 & sync")
    before = hosts["three"].processes()
    assert len(before) >= 4
    hosts.kill("three")
    assert not [pid for pid in before if Path(f"/proc/{pid}").exists()]
    assert not reaches(hosts, "one", "three")
    hosts.boot("three")
    assert hosts["three"].run("cat ~/kept; pgrep -c -x sleep").stdout.split() == ["kept", "1"]
    assert comes_to_reach(hosts, "one", "three")


def test_nothing_is_left_of_them_not_even_after_an_error(tmp_path):
    before, namespaces = here(), set()

    def break_off() -> None:
        with running_hosts(tmp_path, ["one", "two"]) as hosts:
            hosts["one"].start("sleep 600")
            namespaces.update(Path(f"/proc/{hosts[name].pid}/ns/net").readlink() for name in ("one", "two"))
            assert here() != before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert here() == before
    assert len(namespaces) == 2
    assert not namespaces & set(network_namespaces())


KILLED = """
import pathlib, sys, time
from tests.services.hosts import running_hosts
with running_hosts(pathlib.Path(sys.argv[1]), ["one", "two"]) as hosts:
    print(*(pathlib.Path(f"/proc/{hosts[name].pid}/ns/net").readlink() for name in ("one", "two")), flush=True)
    time.sleep(600)
"""


def test_nothing_is_left_of_them_after_a_test_session_is_killed(tmp_path):
    if reason := why_not():
        pytest.skip(f"hosts cannot be made here: {reason}")
    before = here()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout
        namespaces = set(map(Path, process.stdout.readline().split()))
        process.kill()
    assert len(namespaces) == 2
    end_s = time.monotonic() + 120
    while here() != before or namespaces & set(network_namespaces()):
        assert time.monotonic() < end_s, "something is left"
        time.sleep(0.1)


def test_a_machine_that_cannot_make_hosts_says_why(monkeypatch):
    monkeypatch.setattr("tests.services.hosts.TOOLS", ("ip", "no-such-tool"))
    assert why_not().startswith("not installed: no-such-tool (Debian: openssh-server")


def here() -> tuple[list[str], str, str]:
    """What this machine itself has of hosts: lines to them, routes and mounts."""
    links = [link.name for link in Path("/sys/class/net").iterdir() if link.name.startswith("caucus")]
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    return links, routes, Path("/proc/mounts").read_text()


def network_namespaces() -> Iterator[Path]:
    """Those that some process is in."""
    for entry in Path("/proc").glob("[0-9]*/ns/net"):
        with contextlib.suppress(OSError):
            yield entry.readlink()
