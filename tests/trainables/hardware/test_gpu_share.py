"""Which device a trial gets, whatever this machine has: the GPUs that torch sees are simulated."""

import os

import pytest
import torch

from trainables.hardware.gpu_share import (
    GpuMismatch,
    choose_device,
    describe_unseen_gpu,
    pretends_gpus,
    restrict_to_assigned_gpus,
)


@pytest.fixture
def sees(monkeypatch):
    def see(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return see


@pytest.mark.parametrize(
    ("seen", "gpus", "options", "expected"),
    [
        (0, None, {}, "cpu"),
        (1, None, {}, "cuda"),
        (0, 0, {}, "cpu"),
        (0, 0, {"is_explicit": False}, "cpu"),
        (4, 1, {}, "cuda"),
        (4, 0.25, {"is_explicit": False}, "cuda"),
        (4, 0, {}, "cpu"),  # torch sees the GPUs of other trials
        (0, 1, {"is_pretended": True}, "cpu"),
        (1, 1, {"is_pretended": True}, "cuda"),
        (1, 0, {"is_pretended": True, "is_explicit": False}, "cpu"),
    ],
)
def test_a_trial_has_the_gpu_that_ray_gave_it_and_no_other(sees, seen, gpus, options, expected):
    sees(seen)
    assert choose_device(gpus, **options).type == expected


def test_a_gpu_that_ray_gives_and_torch_does_not_see_is_said_with_what_to_install(sees, monkeypatch):
    sees(0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(GpuMismatch) as refused:
        choose_device(1)
    message = str(refused.value)
    assert "\n" not in message
    for part in ("Ray gives a trial 1 GPU on ", "CUDA_VISIBLE_DEVICES=3", f"torch {torch.__version__} there sees none", "install"):  # fmt: skip
        assert part in message
    assert "built for the CPU alone: install one that is built for CUDA" in describe_unseen_gpu(0.5, "2.9", None)
    assert "driver there that is new enough for CUDA 13.0" in describe_unseen_gpu(2, "2.9", "13.0")


def test_a_gpu_that_torch_sees_and_ray_does_not_count_is_said(sees):
    sees(2)
    with pytest.raises(
        GpuMismatch, match=r"torch sees 2 GPUs on .*, but Ray counts none there: start Ray with --num-gpus"
    ):
        choose_device(0, is_explicit=False)


@pytest.mark.parametrize(("setting", "expected"), [(None, False), ("", False), ("0", False), ("1", True)])
def test_gpus_are_simulated_only_where_a_person_says_so(monkeypatch, setting, expected):
    monkeypatch.delenv("CAUCUS_PRETEND_GPUS", raising=False)
    if setting is not None:
        monkeypatch.setenv("CAUCUS_PRETEND_GPUS", setting)
    assert pretends_gpus() is expected


@pytest.mark.parametrize(
    ("environment", "assigned", "expected"),
    [
        ({}, ["1"], {"CUDA": "0,1,2,3"}),
        ({"CUDA": "1"}, ["3"], {"CUDA": "3"}),
        ({"CUDA": "true"}, ["3", "1"], {"CUDA": "1,3"}),
        ({"CUDA": "1"}, [], {"CUDA": "0,1,2,3"}),
        ({"CUDA": ""}, ["3"], {"CUDA": "0,1,2,3"}),
        ({"HIP": "1"}, ["2"], {"CUDA": "0,1,2,3", "HIP": "2"}),
    ],
)
def test_where_ray_leaves_all_gpus_of_a_node_visible_a_trial_sees_its_own_alone(
    monkeypatch, environment, assigned, expected
):
    for kind in ("CUDA", "HIP"):
        monkeypatch.delenv(f"RAY_EXPERIMENTAL_NOSET_{kind}_VISIBLE_DEVICES", raising=False)
        monkeypatch.setenv(f"{kind}_VISIBLE_DEVICES", "")
        monkeypatch.delenv(f"{kind}_VISIBLE_DEVICES")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    for kind, value in environment.items():
        monkeypatch.setenv(f"RAY_EXPERIMENTAL_NOSET_{kind}_VISIBLE_DEVICES", value)
    restrict_to_assigned_gpus(assigned)
    assert {kind: os.environ[f"{kind}_VISIBLE_DEVICES"] for kind in expected} == expected
    assert ("HIP_VISIBLE_DEVICES" in os.environ) is ("HIP" in expected)
