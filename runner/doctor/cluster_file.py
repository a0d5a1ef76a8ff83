"""Checks a cluster file for `ray up` offline: by Ray's own schema first, then for what that schema lets through."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from runner.config.messages import nearest
from runner.config.yaml_file import parse_yaml, read_found_file
from runner.doctor.cluster_rules import check_rules
from runner.doctor.ec2_keys import check_node_config, regions
from runner.doctor.finding import Checkup, Fact, Finding
from trainables.errors import SweepFileError

PROVIDER_KEYS = {
    "aws": [
        *("type", "region", "availability_zone", "cache_stopped_nodes", "use_internal_ips", "security_group"),
        *("key_pair", "aws_credentials", "cloudwatch", "disable_node_updaters", "disable_launch_config_check"),
        *("foreground_node_launch", "worker_liveness_check"),
    ],
    "local": [
        *("type", "head_ip", "worker_ips", "external_head_ip", "coordinator_address", "disable_node_updaters"),
        *("disable_launch_config_check", "foreground_node_launch", "worker_liveness_check"),
    ],
}
"""The keys of `provider` that Ray reads; its schema lets any other key through."""

MOUNTED_FILE = re.compile(r"^.*WARN.*File Mount: .*\n.*please use a directory\.\n", re.MULTILINE)
"""Ray's warning about a mounted file: it concerns containers, which are not used here."""

PLACEHOLDER = re.compile(r"ami-0+|.*YOUR-.*|192\.0\.2\.\d+|198\.51\.100\.\d+|203\.0\.113\.\d+", re.DOTALL)
"""Values in a file that has not been edited yet; the addresses are those that RFC 5737 reserves for examples."""


LEGACY = "min_workers"
"""A key that Ray removes by itself, for provider local."""


def check_cluster_file(path: str) -> Checkup:
    """All that is wrong with the cluster file at `path`. Raises `SweepFileError` if it is not a YAML mapping."""
    raw = _read(path)
    findings = [*_check_placeholders(raw)]
    config, unknown = _without_unknown(raw)
    completed, refused = _ask_ray(config)
    findings += [*unknown, *refused]
    if completed is None:
        return Checkup((), tuple(findings))
    facts = [] if unknown or refused else [Fact(path, f"as Ray {version('ray')} wants it")]
    kind = completed["provider"]["type"]
    if kind not in PROVIDER_KEYS:
        known = " and ".join(PROVIDER_KEYS)
        facts.append(Fact("provider.type", f"{kind}: only Ray's own rules are checked, more is known of {known}"))
        return Checkup(tuple(facts), tuple(findings))
    beyond = [*_check_provider(config["provider"], kind), *check_rules(completed, kind, Path(path).parent)]
    if kind == "aws":
        for name, node in completed["available_node_types"].items():
            beyond += check_node_config(node["node_config"], f"available_node_types.{name}.node_config")
    if not beyond:
        facts.append(Fact("provider", f"{kind}: keys, values, token, dashboard, health checks, installation"))
    return Checkup(tuple(facts), (*findings, *beyond))


def _read(path: str) -> dict[str, Any]:
    import yaml

    try:
        text = read_found_file(Path(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SweepFileError(f"{path}: no cluster file can be read there ({error})") from None
    parse_yaml(text, path)  # refuses a key that stands twice, of which Ray silently takes the last
    try:
        config = yaml.safe_load(text)  # YAML 1.1, as Ray reads it
    except yaml.YAMLError as error:
        raise SweepFileError(f"{path}: Ray's YAML 1.1 does not read it: {error}") from None
    if not isinstance(config, dict):
        raise SweepFileError(f"{path}: a cluster file is a mapping, see cluster.yaml")
    return config


def _schema() -> dict[str, Any]:
    import ray.autoscaler

    schema: dict[str, Any] = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    return schema


def _without_unknown(raw: dict[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """The file without keys that Ray's schema does not have, and a finding for each: Ray would stop at the first of them."""
    config = copy.deepcopy(raw)
    properties = _schema()["properties"]
    places: list[tuple[str, Any, list[str]]] = [("", config, [*properties, LEGACY])]
    places += [(f"{part}.", config.get(part), list(properties[part]["properties"])) for part in ("auth", "docker")]
    nodes = config.get("available_node_types")
    if isinstance(nodes, dict):
        nodes = config["available_node_types"] = {name: copy.copy(node) for name, node in nodes.items()}
        known = properties["available_node_types"]["patternProperties"][".*"]["properties"]
        places += [(f"available_node_types.{name}.", node, list(known)) for name, node in nodes.items()]
    findings = []
    for where, found, known in places:
        for key in list(found) if isinstance(found, dict) else []:
            if key not in known:
                del found[key]
                findings.append(
                    Finding(f"{where}{key}", "is unknown", "Ray has no such key", nearest(str(key), known)[2:])
                )
    return config, findings


def _ask_ray(config: dict[str, Any]) -> tuple[dict[str, Any] | None, list[Finding]]:
    """The file as Ray completes it with its defaults, None if Ray cannot; and Ray's complaints."""
    logging.getLogger("ray.autoscaler").setLevel(logging.ERROR)
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    rule = f"Ray {version('ray')} refuses such a file"
    output = io.StringIO()
    completed = None
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            completed = prepare_config(copy.deepcopy(config))
            validate_config(completed)
    except ValidationError as error:
        where = ".".join(map(str, error.absolute_path)) or "the file"
        return None, [Finding(where, error.message, rule, "correct it")]
    except Exception as error:  # anything else that Ray fails on: a missing key, text in place of a number
        what = MOUNTED_FILE.sub("", output.getvalue()).strip() or f"{type(error).__name__}: {error}"
        return None if isinstance(error, KeyError) else completed, [Finding("the file", what, rule, "correct it")]
    return completed, []


def _check_placeholders(config: dict[str, Any]) -> Iterator[Finding]:
    """One finding per placeholder: an image is written once in the file, and shared by several node types."""
    places: dict[str, list[str]] = {}
    for where, value in _leaves(config, ""):
        if isinstance(value, str) and PLACEHOLDER.fullmatch(value):
            places.setdefault(value, []).append(where)
    for value, found in places.items():
        again = f", and in {len(found) - 1} other place(s)" if found[1:] else ""
        yield Finding(found[0], f"is {value!r}{again}", "A line with EDIT is yours", "put your own value there")


def _leaves(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{where}[{index}]")
    else:
        yield where, value


def _check_provider(provider: dict[str, Any], kind: str) -> Iterator[Finding]:
    known = PROVIDER_KEYS[kind]
    for key in provider:
        if key not in known:
            rule = f"Ray reads no such key of provider {kind}, and does not say so"
            yield Finding(f"provider.{key}", "is unknown", rule, nearest(str(key), known)[2:])
    if kind != "aws":
        return
    region = provider.get("region")
    if region not in regions():
        hint = nearest(str(region), regions())
        advice = hint[2:] if "did you mean" in hint else "take the region of your bucket"
        yield Finding("provider.region", f"is {region!r}", "EC2 has no such region", advice)
    zones = provider.get("availability_zone")
    for zone in [one.strip() for one in zones.split(",")] if isinstance(zones, str) else []:
        if not re.fullmatch(rf"{re.escape(str(region))}[a-z]", zone):
            rule = f"A zone is its region and one letter, such as {region}a"
            yield Finding("provider.availability_zone", f"has {zone!r}", rule, "correct it, or leave the key out")
