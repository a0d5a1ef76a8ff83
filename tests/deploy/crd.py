"""What the API server makes of a manifest: the operator's own schema, strict as `kubectl apply` asks for it."""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]
from jsonschema.validators import extend  # type: ignore[import-untyped]

SCHEMAS = Path(__file__).parent / "kuberay-1.7.0"

OBJECT_META = {"name", "generateName", "namespace", "labels", "annotations", "finalizers"}
"""What a person writes of it; a definition says `type: object` alone, since the API server knows the rest."""


def strictly(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with unknown fields refused, as field validation "Strict" does, which is kubectl's default.

    Without it the API server prunes them in silence. `x-kubernetes-preserve-unknown-fields` and free-form maps stay open.
    """
    told: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            told[key] = {name: strictly(part) for name, part in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            told[key] = strictly(value)
        else:
            told[key] = value
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("type") == "object" and not is_open:
        told["additionalProperties"] = False
    if schema.get("nullable"):
        told["type"] = [schema["type"], "null"]
    return told


def _map_keys(validator: Any, keys: list[str], instance: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    """A list that is a map has each key once: two variables of one name would be one of them, nobody knows which."""
    seen: set[tuple[Any, ...]] = set()
    for entry in instance if isinstance(instance, list) else []:
        key = tuple(entry.get(name) for name in keys)
        if key in seen:
            yield ValidationError(f"{key} is there twice")
        seen.add(key)


Validator = extend(Draft202012Validator, {"x-kubernetes-list-map-keys": _map_keys})


@functools.cache
def _validator(kind: str) -> Any:
    schema = strictly(json.loads(gzip.decompress((SCHEMAS / f"{kind.lower()}s.json.gz").read_bytes())))
    schema["properties"]["metadata"] = {
        "type": "object",
        "properties": {name: {} for name in OBJECT_META},
        "additionalProperties": False,
        "required": ["name"],
    }
    schema["properties"]["apiVersion"] = {"const": "ray.io/v1"}
    schema["properties"]["kind"] = {"const": kind}
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    schema["properties"].pop("status", None)
    return Validator(schema)


def mistakes(manifest: dict[str, Any]) -> list[str]:
    """What the API server would refuse `manifest` for, a RayJob or a RayCronJob. Rules in CEL are not looked at."""
    return sorted(f"{error.json_path}: {error.message}" for error in _validator(manifest["kind"]).iter_errors(manifest))
