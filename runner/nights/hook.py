"""Calls the hook at the end of a night: a command, or a webhook. Neither can change the result of the night, or delay it for long."""

from __future__ import annotations

import base64
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from runner.config.nightly import FROM_ENVIRONMENT, is_url

COMMAND_S = 60.0
"""A command that takes longer is killed, with all of its child processes."""

REQUEST_S = 10.0
"""Limit of one attempt, from the name lookup to the status line."""

TRIES = 2


@dataclass(frozen=True)
class HookResult:
    """Result of calling a hook."""

    kind: Literal["command", "webhook", "missing"]
    failure: str = ""
    """Why the call failed, "" where it succeeded. Never contains the URL, or the arguments of the command."""


def call_hook(hook: str, body: bytes, folder: Path) -> HookResult:
    """Pass `body`, a JSON object, to the command or the URL that `hook` names.

    A command is searched on the PATH, then in `folder`. Returns after at most `COMMAND_S`, or `TRIES` times `REQUEST_S`.
    """
    if hook.startswith(FROM_ENVIRONMENT):
        name = hook.removeprefix(FROM_ENVIRONMENT)
        hook = os.environ.get(name, "")
        if not hook.strip():
            return HookResult("missing", f"nightly.hook is env:{name}, but {name} is not set where this runs")
    if is_url(hook):
        return HookResult("webhook", _post(hook, body))
    return HookResult("command", _run(hook, body, folder))


def _run(hook: str, body: bytes, folder: Path) -> str:
    try:
        arguments = shlex.split(hook)
    except ValueError:
        return "the command has a quotation mark that is not closed"
    if not arguments:
        return "the command is empty"
    found = shutil.which(arguments[0]) or shutil.which(str(folder / arguments[0]))
    if found is None:
        return f"no program {arguments[0]} on the PATH or beside the sweep file that may be executed"
    try:
        # Its output goes to our standard error: standard output belongs to the JSON object.
        process = subprocess.Popen([found, *arguments[1:]], stdin=subprocess.PIPE, stdout=2, start_new_session=True)
    except OSError as error:
        return f"{arguments[0]} cannot be started: {error.strerror}"
    try:
        process.communicate(body, COMMAND_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"{arguments[0]} took longer than {COMMAND_S:.0f} s and was killed"
    return "" if process.returncode == 0 else f"{arguments[0]} ended with code {process.returncode}"


def _post(url: str, body: bytes) -> str:
    failure = ""
    for _ in range(TRIES):
        answers: list[str] = []
        # A thread of its own: the time-out of a socket bounds each of its steps, but not all of them together.
        request = threading.Thread(
            target=lambda results: results.append(_request(url, body)), args=(answers,), daemon=True
        )
        request.start()
        request.join(REQUEST_S)
        failure = answers[0] if answers else f"no answer within {REQUEST_S:.0f} s"
        if not failure:
            return ""
    return f"{failure} ({TRIES} tries)"


def _request(url: str, body: bytes) -> str:
    """Why the server did not accept `body`, "" where it did."""
    import urllib.error  # 50 ms that no other verb should pay
    import urllib.request

    headers = {"Content-Type": "application/json", "User-Agent": "caucus"}
    try:
        parts = urlsplit(url)
        person, at, server = parts.netloc.rpartition("@")
        if at:  # urllib would treat it as part of the server's name
            headers["Authorization"] = f"Basic {base64.b64encode(unquote(person).encode()).decode()}"
            url = urlunsplit(parts._replace(netloc=server))
        request = urllib.request.Request(url, body, headers, method="POST")
        with urllib.request.urlopen(request, timeout=REQUEST_S):
            return ""
    except urllib.error.HTTPError as error:
        return f"the server answered {error.code}"
    except TimeoutError:
        return f"no answer within {REQUEST_S:.0f} s"
    except OSError as error:
        found = getattr(error, "reason", error)
        return f"the server cannot be reached: {getattr(found, 'strerror', None) or type(found).__name__}"
    except Exception as error:  # such as a port that is no number: the message would contain the URL
        return f"the URL cannot be used ({type(error).__name__})"
