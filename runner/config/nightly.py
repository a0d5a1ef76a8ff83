"""The `nightly` and `keep` sections of a sweep file: what `runner/nightly.py` does in addition to the sweep."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, PlainSerializer

from trainables.config.base import Frozen

FROM_ENVIRONMENT = "env:"

MASK = "***"


def check_hook(raw: object) -> object:
    """`raw` if it can be a hook. Raises `ValueError`, whose message does not quote it: it may be a secret."""
    if not isinstance(raw, str):
        return raw if raw is None else _refuse("is no text: give a command, a URL, or env:NAME")
    if raw.startswith(FROM_ENVIRONMENT):
        name = raw.removeprefix(FROM_ENVIRONMENT)
        return raw if name.isidentifier() else _refuse("begins with env:, but what follows names no variable")
    if "://" in raw.partition(" ")[0] and not is_url(raw):
        return _refuse("is a URL of another kind than http:// and https://")
    try:
        if not (is_url(raw) or shlex.split(raw)):
            _refuse("is empty: give a command, a URL, or env:NAME, or leave it out")
    except ValueError as error:
        if "nightly.hook" in str(error):
            raise
        _refuse("is a command with a quotation mark that is not closed")
    return raw


def mask_hook(hook: str) -> str:
    """`hook` as it may be recorded: the server of a URL, the program of a command.

    >>> mask_hook("https://user:word@hooks.example.com:8443/T0/secret?key=1"), mask_hook("env:HOOK")
    ('https://hooks.example.com:8443/***', 'env:HOOK')
    >>> mask_hook("notify.sh --token secret"), mask_hook("notify.sh")
    ('notify.sh ***', 'notify.sh')
    """
    if hook.startswith(FROM_ENVIRONMENT):
        return hook
    if "://" in hook:
        scheme, _, rest = hook.partition("://")
        server = rest.partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")[2]
        return f"{scheme}://{server}/{MASK}"
    first, blank, _ = hook.strip().partition(" ")
    return f"{first} {MASK}" if blank else first


def is_url(hook: str) -> bool:
    """Whether `hook` is an http or https URL."""
    try:
        found = urlsplit(hook)
    except ValueError:
        return False
    return found.scheme in ("http", "https") and bool(found.netloc)


def _refuse(why: str) -> object:
    raise ValueError(f"nightly.hook {why}")


class NightlyConfig(Frozen):
    """How one night follows from another. `caucus run` ignores this section."""

    warm_start: bool = True
    """Whether a night begins with the best points of the last accepted one; `search.warm_start`, where it is set, takes precedence.
    Only searches that sample do so: `random`, `tpe`, `gp` and `bohb`; of several stages, the first one."""
    best: Annotated[int, Field(ge=0)] = 5
    """How many of its points."""
    reseed: bool = False
    """Whether each night draws other trials and trains with other seeds, derived from its name. Without it a night over the same data
    has the trials of the night before, whose results are in the store already; with it all is trained again, which shows the
    effect of another version of the code."""
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
    """Which nights keep their checkpoints, decided after each night; the last accepted one always does. Reports stay."""

    nights: Annotated[int, Field(ge=1)] = 14
    """How many of the newest nights."""
    best: Annotated[int, Field(ge=0)] = 3
    """How many more, those with the highest validation accuracy of their vote."""


def mask_arguments(overrides: Iterable[str]) -> list[str]:
    """Arguments of a command line without their secrets, as they may be recorded.

    >>> mask_arguments(["nightly.hook=https://hooks.example.com/T0/secret", "search.trials=4"])
    ['nightly.hook=https://hooks.example.com/***', 'search.trials=4']
    """
    masked = []
    for argument in overrides:
        if argument.startswith("nightly.hook="):
            masked.append("nightly.hook=" + mask_hook(argument.partition("=")[2]))
        else:
            masked.append("nightly=***" if argument.startswith("nightly=") else argument)
    return masked
