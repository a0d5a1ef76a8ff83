"""Our own rules for a cluster file, about safety and cost, which Ray does not check."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from runner.cluster.auth_token import FILE, find_file_fault
from runner.config.messages import nearest
from runner.control.price import find_prices
from runner.doctor.finding import Finding
from trainables.distribution import CHECKOUT, PACKAGES
from trainables.errors import SweepFileError
from trainables.hardware.spot_notice import VARIABLE, NoticeUnknown, choose_notice_source

HEALTH = {"initial_delay_ms": 5000, "period_ms": 3000, "timeout_ms": 10000, "failure_threshold": 5}
"""Ray's defaults: a dead node is noticed after 65 s."""

NOTICED_S = 12.0
"""By this time a dead node must have been noticed; cluster.yaml has 9 s."""

INSTALLED = ("pyproject.toml", "README.md", "caucus.py", *PACKAGES)
"""What `pip install --editable` of a checkout needs."""

CONSTRAINTS = "constraints.txt"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def check_rules(config: dict[str, Any], kind: str, folder: Path) -> Iterator[Finding]:
    """What is wrong with a cluster file that Ray has completed with its defaults; `folder` is the one that contains it."""
    yield from _check_token(config)
    yield from _check_starts(config)
    yield from _check_health(config)
    yield from _check_install(config, folder)
    yield from _check_spot_notice(config)
    if kind == "aws":
        yield from _check_machines(config)
        yield from _check_prices(config)


def _check_token(config: dict[str, Any]) -> Iterator[Finding]:
    mounts = config.get("file_mounts") or {}
    local = mounts.get(FILE)
    rule = "Without the token anyone who reaches a port runs code"
    if local is None:
        yield Finding(f"file_mounts.{FILE}", "is missing", rule, f"mount it: {FILE}: {FILE}")
    elif fault := find_file_fault(Path(local)):
        yield Finding(f"file_mounts.{FILE}", fault.partition(": ")[0], rule, fault.partition(": ")[2])


def _check_starts(config: dict[str, Any]) -> Iterator[Finding]:
    for part in ("head_start_ray_commands", "worker_start_ray_commands"):
        starts = _starts(config, part)
        if not starts:
            yield Finding(part, "starts no Ray", "One of the commands is `ray start`", "add it, see cluster.yaml")
        for where, command in starts:
            if "RAY_AUTH_MODE=token" not in command:
                rule = "Ray asks for the token only where this variable is set, on every node"
                yield Finding(where, "starts Ray without RAY_AUTH_MODE=token", rule, "put it before `ray start`")
            host = re.search(r"--dashboard-host[= ]+['\"]?([^\s'\"]+)", command)
            if host and host[1] not in LOOPBACK:
                rule = "Who reaches the dashboard can run code and read all logs"
                advice = "set --dashboard-host=127.0.0.1, and look at it through `ray dashboard`"
                yield Finding(where, f"opens the dashboard on {host[1]}", rule, advice)


def _starts(config: dict[str, Any], part: str) -> list[tuple[str, str]]:
    """The commands of `part` that contain `ray start`, each with its key path."""
    commands = config.get(part) or []
    return [
        (f"{part}[{index}]", command)
        for index, command in enumerate(commands)
        if isinstance(command, str) and re.search(r"\bray start\b", command)
    ]


def _check_health(config: dict[str, Any]) -> Iterator[Finding]:
    for where, command in _starts(config, "head_start_ray_commands"):
        settings = dict(re.findall(r"RAY_health_check_(\w+)=(\d+)", command))
        for key in settings.keys() - HEALTH.keys():
            rule = "Ray reads no such setting, and does not say so"
            known = [f"RAY_health_check_{one}" for one in HEALTH]
            yield Finding(where, f"sets RAY_health_check_{key}", rule, nearest(f"RAY_health_check_{key}", known)[2:])
        health = {key: int(settings.get(key, default)) for key, default in HEALTH.items()}
        noticed_s = health["failure_threshold"] * (health["period_ms"] + health["timeout_ms"]) / 1000
        if noticed_s > NOTICED_S or health["initial_delay_ms"] > 1000 * NOTICED_S:
            rule = f"It should take at most {NOTICED_S:g} s"
            advice = "set the four RAY_health_check_… as cluster.yaml does"
            yield Finding(where, f"notices a dead node after {noticed_s:g} s", rule, advice)


def _check_spot_notice(config: dict[str, Any]) -> Iterator[Finding]:
    """The source of spot notices in the file: an invalid value would stop every trial."""
    docker = config.get("docker") or {}
    texts = [
        str(one) for part in ("run_options", "head_run_options", "worker_run_options") for one in docker.get(part) or []
    ]
    texts += [one for part in ("head_start_ray_commands", "worker_start_ray_commands") for one in _listed(config, part)]
    values = [found for one in texts for found in re.findall(rf"\b{VARIABLE}=['\"]?([^\s'\"]*)", one)]
    for value in dict.fromkeys(values):
        try:
            choose_notice_source({VARIABLE: value})
        except NoticeUnknown as error:
            near = nearest(value, ["aws", "gce"])
            advice = near[2:] if "did you mean" in near else "write aws on AWS, gce on Google's machines"
            yield Finding(VARIABLE, f"is {value!r}", str(error).partition(": ")[2].capitalize(), advice)


def _check_install(config: dict[str, Any], folder: Path) -> Iterator[Finding]:
    commands = dict.fromkeys([*_listed(config, "head_setup_commands"), *_listed(config, "worker_setup_commands")])
    installs = [one for one in commands if re.search(r"\bpip3? install\b|\buv pip install\b", one)]
    if not any(CONSTRAINTS in one for one in installs):
        rule = "Head, workers and the machine that runs `ray up` need the same Ray"
        yield Finding("setup_commands", f"install nothing with {CONSTRAINTS}", rule, "see cluster.yaml")
    for command in installs:
        if CONSTRAINTS not in command and re.search(r"[\s'\"]ray(\[[^]]*\])?(['\"\s@]|$|[<>~!])", command):
            rule = "An unpinned Ray is another one tomorrow, and nodes of two versions do not join"
            yield Finding("setup_commands", f"`{command}` installs a Ray without a version", rule, "write ray==…")
    pinned, here = pinned_ray(folder), _installed("ray")
    if pinned and here != pinned:
        rule = f"{CONSTRAINTS} says {pinned}, which the cluster will install"
        yield Finding("ray", f"is {here} here", rule, f"pip install --constraint {CONSTRAINTS} ray")
    mounts = {str(there): Path(str(here)).expanduser() for there, here in (config.get("file_mounts") or {}).items()}
    for command in installs:
        for target in re.findall(r"(?:--editable|\s-e)[= ]+['\"]?([^\s'\"\[]+)", command):
            rule = "What is installed from a folder must be mounted there, from a checkout"
            for name in INSTALLED:
                there = f"{target}/{name}"
                source = mounts.get(there) or (mounts[target] / name if target in mounts else None)
                if source is None:
                    yield Finding(f"file_mounts.{there}", "is missing", rule, f"mount it: {there}: {name}")
                elif not source.exists():
                    yield Finding(f"file_mounts.{there}", f"there is no {source}", rule, "run it from the checkout")


def _listed(config: dict[str, Any], part: str) -> list[str]:
    found = config.get(part)
    return [str(one) for one in found] if isinstance(found, list) else []


def pinned_ray(folder: Path) -> str | None:
    """The version of Ray that the constraints beside a cluster file, or those of this checkout, ask for."""
    for path in (folder / CONSTRAINTS, CHECKOUT / CONSTRAINTS):
        if path.is_file() and (found := re.search(r"^ray==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)):
            return found[1]
    return None


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _check_machines(config: dict[str, Any]) -> Iterator[Finding]:
    head, profiles = config.get("head_node_type"), {}
    for name, node in config["available_node_types"].items():
        where = f"available_node_types.{name}"
        profile = (node.get("node_config") or {}).get("IamInstanceProfile")
        profiles[name] = profile
        if not profile:
            rule = "Ray would give the head all rights to EC2 and S3, and a worker none"
            advice = "name an instance profile with deploy/policies/ as its policy"
            yield Finding(f"{where}.node_config.IamInstanceProfile", "is missing", rule, advice)
    if profiles.get(head) and any(profiles[head] == profile for name, profile in profiles.items() if name != head):
        rule = "The head may start machines and delete checkpoints; what trains may not"
        yield Finding("IamInstanceProfile", "is the same for head and workers", rule, "give the workers their own")
    slots = config["available_node_types"].get(head, {}).get("resources") or {}
    if slots.get("CPU") != 0 or slots.get("GPU", 0) != 0:
        rule = "What trains on the head can take its memory, and with it the whole cluster"
        advice = "write resources: {CPU: 0, GPU: 0}"
        yield Finding(f"available_node_types.{head}.resources", f"are {slots}", rule, advice)
    if len(config["available_node_types"]) < 2:
        yield Finding(
            "available_node_types", "has no worker", "The head trains nothing", "add a type, see cluster.yaml"
        )


def _check_prices(config: dict[str, Any]) -> Iterator[Finding]:
    workers = [name for name in config["available_node_types"] if name != config.get("head_node_type")]
    where, rule = "metadata.price_per_node_hour", "`budget.money` and the forecast of `caucus plan` need it"
    try:
        prices = find_prices(config, "metadata")
    except SweepFileError as error:
        yield Finding(where, str(error).partition("price_per_node_hour ")[2], rule, "write an amount an hour")
        return
    if not prices:
        yield Finding(where, "is missing", rule, f"write one amount, or one a type: {', '.join(workers)}")
    elif isinstance(prices, dict):
        for name in prices.keys() - set(workers):
            yield Finding(f"{where}.{name}", "is no type of worker", rule, nearest(name, workers)[2:])
        for name in set(workers) - prices.keys():
            yield Finding(f"{where}.{name}", "is missing", rule, "write what it costs an hour")
