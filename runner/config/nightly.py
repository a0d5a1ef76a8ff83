"""The `nightly` and `keep` parts of a sweep file: what `runner/nightly.py` does beside the sweep."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from runner.config.hook import check_hook, mask_hook
from trainables.config.base import Frozen


class NightlyConfig(Frozen):
    """How one night follows from another. `caucus run` passes over it."""

    warm_start: bool = True
    """Whether a night begins with the best points of the last accepted one; `search.warm_start`, where it is set, wins.
    Searches that draw do so: `random`, `tpe`, `gp` and `bohb`, of stages the first."""
    best: Annotated[int, Field(ge=0)] = 5
    """So many of its points."""
    reseed: bool = False
    """Whether each night draws other trials and trains with other seeds, by its name. Without it a night over the same data
    comes to the trials of the night before, which are there already; with it all is trained anew, and what another version of
    the code does to it shows."""
    zone: str = "UTC"
    """The time zone whose date names a night, such as Europe/Berlin: that of the clock which starts the nights. A date of another
    zone changes somewhere in the day, and where that is about when the nights start, one name is skipped or used twice."""
    hook: Annotated[
        str | None,
        BeforeValidator(check_hook),
        PlainSerializer(lambda hook: hook and mask_hook(hook), return_type=str | None),
        Field(repr=False),
    ] = None
    """A command (run without a shell, the night's JSON on its standard input) or a URL (which gets it as POST) at the end.
    `env:NAME` takes it from the environment. What is typed here is masked wherever it is written."""


class KeepConfig(Frozen):
    """Which nights keep their checkpoints, after each night; the last accepted one always does. Reports stay."""

    nights: Annotated[int, Field(ge=1)] = 14
    """The newest."""
    best: Annotated[int, Field(ge=0)] = 3
    """And so many by the validation accuracy of their vote."""


def mask_words(overrides: Iterable[str]) -> list[str]:
    """Words of a command line as they may be written down.

    >>> mask_words(["nightly.hook=https://hooks.example.com/T0/secret", "search.trials=4"])
    ['nightly.hook=https://hooks.example.com/***', 'search.trials=4']
    """
    told = []
    for word in overrides:
        if word.startswith("nightly.hook="):
            told.append("nightly.hook=" + mask_hook(word.partition("=")[2]))
        else:
            told.append("nightly=***" if word.startswith("nightly=") else word)
    return told
