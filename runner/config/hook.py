"""What `nightly.hook` may be, and how it is written down without its secrets."""

from __future__ import annotations

import shlex
from urllib.parse import urlsplit

FROM_ENVIRONMENT = "env:"

MASK = "***"


def check_hook(told: object) -> object:
    """`told` if it can be a hook. Raises `ValueError`, which does not tell it: it may be a secret."""
    if not isinstance(told, str):
        return told if told is None else _refuse("is no text: give a command, a URL, or env:NAME")
    if told.startswith(FROM_ENVIRONMENT):
        name = told.removeprefix(FROM_ENVIRONMENT)
        return told if name.isidentifier() else _refuse("begins with env:, but what follows names no variable")
    if "://" in told.partition(" ")[0] and not _is_url(told):
        return _refuse("is a URL of another kind than http:// and https://")
    try:
        if not (_is_url(told) or shlex.split(told)):
            _refuse("is empty: give a command, a URL, or env:NAME, or leave it out")
    except ValueError as error:
        if "nightly.hook" in str(error):
            raise
        _refuse("is a command with a quotation mark that is not closed")
    return told


def mask_hook(hook: str) -> str:
    """`hook` as it may be written down: of a URL the server, of a command its program.

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


def _is_url(hook: str) -> bool:
    try:
        found = urlsplit(hook)
    except ValueError:
        return False
    return found.scheme in ("http", "https") and bool(found.netloc)


def _refuse(why: str) -> object:
    raise ValueError(f"nightly.hook {why}")
