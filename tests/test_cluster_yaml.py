"""cluster.yaml, as far as it can be checked without a cloud."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.sweeps import ROOT


@pytest.fixture
def config() -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    return told


def test_rays_own_validation_accepts_it(config):
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(config))


def test_the_head_has_no_slots_and_the_workers_are_spot_machines_that_come_and_go(config):
    nodes = config["available_node_types"]
    assert nodes[config["head_node_type"]]["resources"] == {"CPU": 0, "GPU": 0}
    worker = nodes["gpu_worker"]
    assert (worker["min_workers"], worker["resources"]["GPU"] >= 1) == (0, True)
    assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


def test_nobody_without_the_token_can_use_it(config):
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 600 ~/.ray/auth_token" in config["setup_commands"]
    starts = [
        command
        for command in [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
        if "ray start" in command
    ]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert any("--dashboard-host=127.0.0.1" in command for command in starts)


def test_what_ray_would_install_by_default_is_overridden(config):
    assert any("constraints.txt" in command for command in config["setup_commands"])
    assert not any("nightly" in command or "3.0.0.dev" in command for command in config["setup_commands"])
    assert config["provider"]["cache_stopped_nodes"] is False
