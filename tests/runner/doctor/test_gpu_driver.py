"""Whether a machine's NVIDIA driver fits the CUDA of torch, and what `doctor` says where it does not."""

from __future__ import annotations

import re

import pytest

from runner.doctor import gpu_driver as driver
from runner.doctor import machine as doctor
from runner.doctor.gpu_driver import LEAST_DRIVER, find_driver, find_fault, least_driver, parse_smi, parse_version_file
from runner.doctor.machine import check_machine
from tests.sample_runs.sweeps import ROOT

PROPRIETARY = """NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024
GCC version:  gcc version 11.4.0 (Ubuntu 11.4.0-1ubuntu1~22.04)
"""
OPEN = """NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  595.91.07  Release Build  (dvs-builder@U22-I3-H04-01-5)
GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)
"""


@pytest.mark.parametrize(
    ("text", "version"), [(PROPRIETARY, "535.183.01"), (OPEN, "595.91.07"), ("", ""), ("GCC version: 12.3.0\n", "")]
)
def test_the_version_of_the_kernel_module_is_read(text, version):
    assert parse_version_file(text) == version


@pytest.mark.parametrize(
    ("text", "version"),
    [("580.65.06\n580.65.06\n", "580.65.06"), ("", ""), ("NVIDIA-SMI has failed because it", ""), ("No devices", "")],
)
def test_the_version_that_nvidia_smi_prints_is_read(text, version):
    assert parse_smi(text) == version


@pytest.mark.parametrize(
    ("found", "cuda", "fault"),
    [
        ("535.183.01", "13.0", "driver 535.183.01 is older than CUDA 13.0 needs (580)"),
        ("579.99", "13.2", "driver 579.99 is older than CUDA 13.2 needs (580)"),
        ("580.65.06", "13.2", ""),
        ("535.183.01", "12.8", ""),
        ("470.57.02", "12.1", "driver 470.57.02 is older than CUDA 12.1 needs (525)"),
        ("1000.1", "13.2", ""),
        ("535.183.01", "99.1", ""),
        ("", "13.2", ""),
        ("535.183.01", "", ""),
    ],
)
def test_a_driver_that_is_too_old_for_the_cuda_of_torch_is_a_fault(found, cuda, fault):
    assert find_fault(found, cuda) == fault


def test_the_table_knows_the_cuda_of_the_pinned_torch_and_cluster_yaml_names_its_driver():
    pinned = re.search(r"^nvidia-cuda-runtime==(\d+\.\d+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert least_driver(pinned[1]) == max(LEAST_DRIVER.values())
    assert f"CUDA {pinned[1]}, which needs driver {least_driver(pinned[1])}" in (ROOT / "cluster.yaml").read_text()


def test_without_a_driver_none_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "VERSION_FILE", tmp_path / "none")
    monkeypatch.setattr(driver, "SMI", (str(tmp_path / "no-such-program"),))
    assert find_driver() == ""
    (tmp_path / "smi").write_text("#!/bin/sh\necho 580.65.06\n")
    (tmp_path / "smi").chmod(0o755)
    monkeypatch.setattr(driver, "SMI", (str(tmp_path / "smi"),))
    assert find_driver() == "580.65.06"
    (tmp_path / "version").write_text(OPEN)
    monkeypatch.setattr(driver, "VERSION_FILE", tmp_path / "version")
    assert find_driver() == "595.91.07"


@pytest.mark.parametrize(
    ("cuda", "found", "devices", "hidden", "fault"),
    [
        ("13.2", "535.183.01", 0, None, "driver 535.183.01 is older than CUDA 13.2 needs (580)"),
        (None, "595.91.07", 0, None, "is built without CUDA, but this machine has an NVIDIA driver (595.91.07)"),
        ("13.2", "595.91.07", 0, None, "sees no GPU, but this machine has an NVIDIA driver (595.91.07)"),
        ("13.2", "595.91.07", 0, "", ""),
        ("13.2", "595.91.07", 2, None, ""),
        ("13.2", "", 0, None, ""),
        (None, "", 0, None, ""),
    ],
)
def test_doctor_says_where_trials_would_train_on_the_cpu_of_a_machine_with_gpus(
    cuda, found, devices, hidden, fault, monkeypatch
):
    import torch

    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    monkeypatch.setattr(doctor, "find_driver", lambda: found)
    checkup = check_machine(None, [])
    faults = [str(finding) for finding in checkup.findings if finding.where == "torch"]
    facts = [fact.what for fact in checkup.facts if fact.where == "torch"]
    assert (len(faults), len(facts)) == ((1, 0) if fault else (0, 1))
    assert fault in "".join(faults)
    assert len("".join(faults).splitlines()) <= 1
    if devices:
        assert facts[0].endswith("GPU 0, GPU 1, driver 595.91.07")
