"""What may be typed after the images of `caucus predict`: the keys of `data` that say how a source is read."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from runner.config.messages import list_problems
from runner.config.nightly import mask_arguments
from runner.config.overrides import LONGEST_OVERRIDE
from runner.config.yaml_file import parse_yaml
from trainables.config.data import DataConfig
from trainables.errors import SweepFileError

SOURCE_KEYS = ("image_column", "root", "delimiter", "header", "ending", "endpoint_url")
"""Keys of `data` that mean something to images without labels; size and colour are those of the bundle."""


def read_source_keys(source: str, overrides: Sequence[str], endpoint_url: str | None = None) -> DataConfig:
    """The configuration for reading `source` that arguments as `data.delimiter=;` describe; later ones win.

    Values are texts as they are typed, so that `|` and a column called `0` need no quotes; `\\t` is a tab. `endpoint_url` is what
    counts without `data.endpoint_url`. Raises `SweepFileError` for anything else than these keys.
    """
    keys: dict[str, Any] = {"endpoint_url": endpoint_url} if endpoint_url else {}
    for typed in overrides:
        key, equals, text = typed.partition("=")
        shown = mask_arguments([typed])[0]
        shown = shown if len(shown) <= LONGEST_OVERRIDE else f"{shown[: LONGEST_OVERRIDE - 1]}…"
        if not equals or not key or not text:
            raise SweepFileError(f"{shown!r} is no override: write key=value, such as data.image_column=file")
        name = key.removeprefix("data.")
        if name not in SOURCE_KEYS or name == key:
            raise SweepFileError(f"{shown}: {_refuse(key)}")
        keys[name] = _read(name, text, shown)
    try:
        return DataConfig(path=source or ".", **keys)
    except ValidationError as error:
        raise SweepFileError("\n".join(list_problems(error, DataConfig, "an override of data", keys))) from None


def _read(name: str, text: str, shown: str) -> Any:
    if name == "header" or (len(text) > 2 and text[0] == text[-1] and text[0] in "'\""):
        return parse_yaml(text, f"override {shown}")
    return "\t" if name == "delimiter" and text == "\\t" else text


def _refuse(key: str) -> str:
    name = key.removeprefix("data.")
    near = difflib.get_close_matches(name, SOURCE_KEYS, 1)
    hint = f"; did you mean data.{near[0]}?" if near else ""
    known = ", ".join(f"data.{one}" for one in SOURCE_KEYS)
    if name in DataConfig.model_fields and name != key:
        return f"{key} means nothing where images are predicted: remove it; what is taken is {known}"
    return f"there is no key {key} here, only {known}{hint}"
