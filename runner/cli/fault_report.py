"""Reports unforeseen errors: one sentence, and a file with the details that only its owner can read."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600

LONGEST_LINE = 300

PACKAGES = (
    "caucus",
    "caucus-sweeps",
    "torch",
    "ray",
    "numpy",
    "pyarrow",
    "pydantic",
    "typer",
    "rich",
    "boto3",
    "optuna",
)

SECRET_NAMES = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|API_?KEY", re.IGNORECASE)
"""Names of environment variables whose values are masked everywhere; the variable of a hook is named by the sweep."""

_URL = re.compile(r"\b([a-z][a-z0-9+.-]*://)(?:[^/@\s'\"]*@)?([^/?#\s'\"]*)(?:[/?#][^\s'\"]*)?", re.IGNORECASE)
"""Matches URLs: the path of a webhook is a secret, and so is a login before the server's name."""
_INPUT = re.compile(r"input_value=.*?, input_type=", re.DOTALL)
"""Matches the values that pydantic quotes from user input."""


def report_fault(error: BaseException, arguments: Sequence[str]) -> tuple[str, str | None]:
    """Write the details of `error`, raised for the command-line `arguments`; returns the sentence to print and the file.

    Never raises: where no file can be written the sentence says so, and the file is None.
    """
    line = format_error(error, arguments)
    try:
        path = _write(_describe_details(error, arguments))
    except Exception as failure:  # such as no space, or no memory: the sentence must be printed in any case
        return f"this is a fault of Caucus: {line}; no details could be written ({_describe(failure)})", None
    return f"this is a fault of Caucus: {line}; the details are in {path}", str(path)


def format_error(error: BaseException, arguments: Sequence[str] = ()) -> str:
    """Type and message of `error` on one line, without secrets."""
    return mask(_describe(error), arguments)


def folders() -> Iterator[Path]:
    """Folders for the details; the first writable one is used. `XDG_CACHE_HOME` (else `~/.cache`), then that of temporary files."""
    home = os.environ.get("XDG_CACHE_HOME") or ""
    with contextlib.suppress(RuntimeError):  # no home
        yield (Path(home) if home.startswith("/") else Path.home() / ".cache") / "caucus" / "faults"
    yield Path(tempfile.gettempdir())


def mask(text: str, arguments: Sequence[str] = ()) -> str:
    """`text` without secrets: hooks in `arguments`, all of a URL but its server, values of environment variables with secret names."""
    for argument, shown in zip(arguments, _mask_arguments(arguments), strict=True):
        secret, instead = argument.partition("=")[2], shown.partition("=")[2]
        if argument != shown and secret:
            text = text.replace(secret, instead)
        if secret.startswith("env:") and (hidden := os.environ.get(secret.removeprefix("env:"), "")):
            text = text.replace(hidden, "***")
    for name, value in os.environ.items():
        if SECRET_NAMES.search(name) and len(value) >= 8:
            text = text.replace(value, "***")
    return _INPUT.sub("input_value=***, input_type=", _URL.sub(_mask_url, text))


def _mask_url(found: re.Match[str]) -> str:
    scheme, server = found.groups()
    return f"{scheme}{server}/***" if scheme.lower() in ("http://", "https://") else _without_login(found[0])


def _without_login(url: str) -> str:
    scheme, _, rest = url.partition("://")
    server, slash, path = rest.partition("/")
    return f"{scheme}://{server.rpartition('@')[2]}{slash}{path}"


def _describe(error: BaseException) -> str:
    kind = type(error).__name__
    if kind == "ValidationError" and hasattr(error, "errors"):  # pydantic's text is a line a problem, and quotes values
        with contextlib.suppress(Exception):
            problems = error.errors(include_url=False, include_input=False, include_context=False)
            place = ".".join(map(str, problems[0]["loc"]))
            more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
            return f"{kind} of {error.title}: {place}: {problems[0]['msg']}{more}"  # type: ignore[attr-defined]
    try:
        message = " ".join(str(error).split())
    except Exception:  # an exception may fail even at this
        message = ""
    line = f"{kind}: {message}" if message else kind
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"


def _describe_details(error: BaseException, arguments: Sequence[str]) -> str:
    lines = [
        f"at      {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        f"command {_mask_arguments(arguments)}",
        f"python  {platform.python_version()} ({sys.executable}), {platform.platform()}",
        *(f"{name:<7} {version}" for name, version in versions().items()),
        "",
        *traceback.format_exception(error),
    ]
    return mask("\n".join(lines), arguments) + "\n"


def versions() -> Mapping[str, str]:
    """Versions of the relevant installed packages; imports none of them."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(Exception):
            found[name] = metadata.version(name)
    return found


def _mask_arguments(arguments: Sequence[str]) -> list[str]:
    """`arguments` without their secrets; all of them masked where even that fails."""
    try:
        from runner.config.nightly import mask_arguments

        return mask_arguments(arguments)
    except Exception:
        return ["***"] * len(arguments)


def _write(text: str) -> Path:
    failure: OSError | None = None
    for folder in folders():
        path = folder / f"caucus-fault-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}-{secrets.token_hex(3)}.txt"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            # An unpredictable name, created without following links: temporary folders are writable for everybody.
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, PRIVATE_FILE)
            try:
                with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(text)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            return path
        except OSError as error:
            failure = error
    raise failure or OSError("no folder to write to")
