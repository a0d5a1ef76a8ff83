"""What EC2 accepts when a machine is started, from botocore's own description of the service; no network is used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from runner.config.messages import nearest
from runner.doctor.finding import Finding

OF_RAY = ("SubnetIds",)
"""Keys of a `node_config` that Ray removes before it calls EC2."""

IMAGE = re.compile(r"ami-[0-9a-f]{8}([0-9a-f]{9})?|resolve:ssm:/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*(:[A-Za-z0-9_.-]+)?")
"""An image's id, or a Systems Manager parameter (with an optional version) from which EC2 reads the id at start."""

FEW = 12
"""Longer lists of known values are not printed in full."""


def check_node_config(config: dict[str, Any], where: str) -> Iterator[Finding]:
    """Keys, types and enumerated values that EC2 would refuse, at any depth of a `node_config`."""
    known = _session().get_service_model("ec2").operation_model("RunInstances").input_shape
    yield from _check({key: value for key, value in config.items() if key not in OF_RAY}, known, where)
    image = config.get("ImageId")
    if isinstance(image, str) and not IMAGE.fullmatch(image):
        rule = "An image's id is ami- and 8 or 17 digits of 0-9 and a-f; or resolve:ssm: and the name of a parameter"
        yield Finding(f"{where}.ImageId", f"is {image!r}", rule, "copy it from the EC2 console, or see cluster.yaml")


def regions() -> list[str]:
    """The regions that EC2 is known to have."""
    session = _session()
    return [name for kind in session.get_available_partitions() for name in session.get_available_regions("ec2", kind)]


@cache
def _session() -> Any:
    import botocore.session

    return botocore.session.get_session()


def _check(value: Any, shape: Any, where: str) -> Iterator[Finding]:
    expected = {"structure": dict, "list": list, "string": str, "integer": int, "boolean": bool}.get(shape.type_name)
    if expected and (not isinstance(value, expected) or (expected is int and isinstance(value, bool))):
        kind = {"structure": "a mapping", "integer": "a whole number", "boolean": "true or false"}.get(shape.type_name)
        what = f"is {value!r}"
        yield Finding(where, what, f"EC2 takes {kind or f'a {shape.type_name}'} here", "correct the value")
    elif shape.type_name == "structure":
        for key, inner in value.items():
            if key in shape.members:
                yield from _check(inner, shape.members[key], f"{where}.{key}")
            else:
                rule = "EC2's RunInstances has no such key"
                yield Finding(f"{where}.{key}", "is unknown", rule, _advise(str(key), list(shape.members)))
        for key in shape.required_members:
            if key not in value and key not in ("MinCount", "MaxCount"):  # Ray fills these in
                yield Finding(f"{where}.{key}", "is missing", "EC2's RunInstances needs it", "set it")
    elif shape.type_name == "list":
        for index, inner in enumerate(value):
            yield from _check(inner, shape.member, f"{where}[{index}]")
    elif shape.type_name == "string" and shape.enum and value not in shape.enum:
        what = f"is {value!r}"
        rule = f"botocore {_version()} knows {len(shape.enum)} values of {shape.name}, and not this one"
        yield Finding(where, what, rule, _advise(value, shape.enum))


def _advise(value: str, known: list[str]) -> str:
    hint = nearest(value, known)
    return hint.removeprefix("; ") if len(known) <= FEW or "did you mean" in hint else "look it up in the AWS manual"


def _version() -> str:
    import botocore

    return str(botocore.__version__)
