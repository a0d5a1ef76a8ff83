"""Clusters that `ray start` has joined with a `--temp-dir`, from command lines written down by hand; and a process that is none."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from runner.cluster import join
from runner.cluster.join import find_cluster
from runner.cluster.started_here import find_started
from trainables.errors import ClusterError

RAYLET = "/lib/ray/core/src/ray/raylet/raylet"


def raylet(folder, address, program=RAYLET):
    return [program, f"--raylet_socket_name={folder}/s/raylet", f"--temp_dir={folder}", f"--gcs-address={address}", ""]


def write(folder, address):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ray_current_cluster").write_text(address)
    return folder


def test_a_head_with_a_folder_of_its_own_is_found_by_its_raylet(tmp_path):
    folder = write(tmp_path / "a folder", "10.0.0.1:6379\n")
    found = find_started([[""], ["python", "x.py"], raylet(folder, "10.0.0.1:6379")])
    assert found == {"10.0.0.1:6379": folder / "ray_current_cluster"}


@pytest.mark.parametrize("left", [None, "", "10.0.0.9:6379"])
def test_the_ray_of_another_program_is_none_even_in_a_folder_that_a_head_has_left(tmp_path, left):
    if left is not None:
        write(tmp_path, left)
    assert find_started([raylet(tmp_path, "10.0.0.1:6379")]) == {}


def test_only_a_raylet_stands_for_a_cluster(tmp_path):
    write(tmp_path, "10.0.0.1:6379")
    lines = [
        raylet(tmp_path, "10.0.0.1:6379", "/usr/bin/grep"),
        [RAYLET, f"--temp_dir={tmp_path}"],
        [RAYLET, "--gcs-address=10.0.0.1:6379"],
        [],
    ]
    assert find_started(lines) == {}


def test_the_processes_of_this_machine_are_searched(tmp_path):
    write(tmp_path, "10.0.0.1:1")
    arguments = ["raylet", "-c", "print('up', flush=True); input()", *raylet(tmp_path, "10.0.0.1:1")[1:]]
    with subprocess.Popen(
        arguments, executable=sys.executable, stdin=-1, stdout=-1, text=True, env={**os.environ}
    ) as one:
        assert one.stdout
        assert one.stdout.readline() == "up\n"
        assert find_started().get("10.0.0.1:1") == tmp_path / "ray_current_cluster"
        one.kill()


@pytest.mark.parametrize("address", ["auto", "any"])
def test_a_cluster_elsewhere_is_that_of_this_machine_where_the_default_folder_names_none(
    tmp_path, monkeypatch, address
):
    folder = write(tmp_path / "elsewhere", "10.0.0.1:6379")
    lines = [raylet(folder, "10.0.0.1:6379")] * 2
    monkeypatch.setattr(join, "find_started", lambda: find_started(lines))
    found = find_cluster(address, {"RAY_TMPDIR": str(tmp_path)})
    assert (found.address, found.is_here) == ("10.0.0.1:6379", True)
    assert str(folder) in found.named
    write(tmp_path / "ray", "10.0.0.2:6379")
    assert find_cluster(address, {"RAY_TMPDIR": str(tmp_path)}).address == "10.0.0.2:6379"


@pytest.mark.parametrize("address", ["auto", "any"])
def test_between_two_clusters_a_person_has_to_choose(tmp_path, monkeypatch, address):
    lines = [raylet(write(tmp_path / f"{port}", f"10.0.0.1:{port}"), f"10.0.0.1:{port}") for port in (6379, 6380)]
    monkeypatch.setattr(join, "find_started", lambda: find_started(lines))
    with pytest.raises(
        ClusterError, match=r"2 Ray clusters, 10\.0\.0\.1:6379 \(.*\), 10\.0\.0\.1:6380 .*: name one with --address"
    ):
        find_cluster(address, {"RAY_TMPDIR": str(tmp_path)})
    assert find_cluster("10.0.0.1:6380", {}).port == 6380
    assert find_cluster(address, {"RAY_ADDRESS": "10.0.0.1:6380"}).port == 6380
