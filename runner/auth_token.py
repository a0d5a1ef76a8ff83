"""The token that Ray asks for where RAY_AUTH_MODE=token: is it there, and is it private?

Ray itself waits 20 s for a missing or wrong token and then says that the cluster cannot be reached.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from trainables.whole_file import write_whole

MODE = "RAY_AUTH_MODE"
TOKEN = "RAY_AUTH_TOKEN"
TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"
FILE = "~/.ray/auth_token"
PRIVATE = 0o600

HOW = "run `ray get-auth-token --generate`, then `chmod 600`, and mount the same file on every node"


def asks_for_token(env: Mapping[str, str]) -> bool:
    """Whether Ray is told to ask for a token in the environment `env`."""
    return env.get(MODE, "").lower() == "token"


def find_token_fault(env: Mapping[str, str]) -> str | None:
    """What is wrong with the token that Ray would take in the environment `env`; None where nothing is, or none is asked for."""
    if not asks_for_token(env) or env.get(TOKEN, "").strip():
        return None
    return find_file_fault(Path(env.get(TOKEN_PATH) or FILE))


def find_file_fault(path: Path) -> str | None:
    """What is wrong with a token file: missing, empty, or open to others. None where nothing is."""
    try:
        found = path.expanduser()
        mode = found.stat().st_mode & 0o777
        if not found.read_text(encoding="utf-8", errors="replace").strip():
            return f"the token in {path} is empty: {HOW}"
    except FileNotFoundError:
        return f"there is no token in {path}: {HOW}"
    except (OSError, RuntimeError) as error:
        return f"the token in {path} cannot be read ({error}): {HOW}"
    if mode & ~PRIVATE:
        return f"the token in {path} has mode {mode:o}, so others on this machine can read it: run `chmod 600 {path}`"
    return None


def provide_private_token(env: Mapping[str, str]) -> None:
    """See to it that the token which a Ray of our own will take is there, and that nobody else on this machine can read it.

    Ray makes one by itself, which all may read; and whoever has it runs code as we do. Nothing happens where `env` says
    otherwise, or where the home folder cannot be written: then Ray says so.
    """
    if env.get(MODE, "token").lower() != "token" or env.get(TOKEN) or env.get(TOKEN_PATH):
        return
    path = Path(FILE).expanduser()
    with contextlib.suppress(OSError):
        try:
            write_whole(path, secrets.token_hex(32).encode(), os.link, PRIVATE)
        except FileExistsError:
            if path.stat().st_mode & 0o777 & ~PRIVATE:
                path.chmod(PRIVATE)
