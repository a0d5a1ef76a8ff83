"""Which values `nightly.hook` may have, and how they are recorded without their secrets."""

from __future__ import annotations

import shlex
from urllib.parse import urlsplit

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
