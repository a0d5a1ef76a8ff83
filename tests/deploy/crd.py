"""Validates a manifest as the API server does: by the operator's schema, strictly, as `kubectl apply` does by default."""

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
"""Fields of `metadata` that a manifest may set; a definition only says `type: object`, since the API server knows the rest."""


def strictly(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with unknown fields refused, as field validation "Strict" does, which is kubectl's default.

    Without it the API server prunes them in silence. `x-kubernetes-preserve-unknown-fields` and free-form maps stay open.
    """
    strict: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            strict[key] = {name: strictly(part) for name, part in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            strict[key] = strictly(value)
        else:
            strict[key] = value
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("type") == "object" and not is_open:
        strict["additionalProperties"] = False
    if schema.get("nullable"):
        strict["type"] = [schema["type"], "null"]
    return strict


def _map_keys(validator: Any, keys: list[str], instance: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    """A list that is a map has each key once: of two variables with one name, only one would count, and it is undefined which."""
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
    """Why the API server would refuse `manifest`, a RayJob or a RayCronJob. Rules in CEL are not checked."""
    return sorted(f"{error.json_path}: {error.message}" for error in _validator(manifest["kind"]).iter_errors(manifest))
