"""The token that Ray asks for where RAY_AUTH_MODE=token: is it there, and is it private?

Ray itself waits 20 s for a missing or wrong token and then says that the cluster cannot be reached.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from trainables.store.atomic_file import write_whole

MODE = "RAY_AUTH_MODE"
TOKEN = "RAY_AUTH_TOKEN"
TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"
FILE = "~/.ray/auth_token"
PRIVATE = 0o600

HOW = "run `ray get-auth-token --generate`, then `chmod 600`, and mount the same file on every node"

UNSENDABLE = "has letters that no token has, such as a line break, a byte-order mark or an accent"
"""They cannot stand in a header of HTTP/2, and gRPC ends the process that tries."""


def asks_for_token(env: Mapping[str, str]) -> bool:
    """Whether Ray is told to ask for a token in the environment `env`."""
    return env.get(MODE, "").lower() == "token"


def find_token_fault(env: Mapping[str, str]) -> str | None:
    """What is wrong with the token that Ray would take in the environment `env`; None where nothing is, or none is asked for.

    What is found here Ray would find as well: it ends the process then, at times without a word.
    """
    if not asks_for_token(env):
        return None
    if told := env.get(TOKEN, ""):
        if not told.strip():
            return f"{TOKEN} is set to blanks, and Ray looks for no other: unset it, or let it be the token"
        return None if _is_sendable(told) else f"the token in {TOKEN} {UNSENDABLE}"
    path = env.get(TOKEN_PATH, "")
    if path.startswith("~"):
        return f"{TOKEN_PATH} is {path!r}, and Ray reads no ~ there: name the file in full, as in $HOME/…"
    return find_file_fault(Path(path or FILE))


def find_private_fault(env: Mapping[str, str]) -> str | None:
    """The same of a Ray of our own, which asks for a token unless told otherwise, where a person says which; see `provide_private_token`."""
    if env.get(MODE, "token").lower() != "token" or not (env.get(TOKEN) or env.get(TOKEN_PATH)):
        return None
    return find_token_fault({**env, MODE: "token"})


def find_file_fault(path: Path) -> str | None:
    """What is wrong with a token file: missing, empty, no token, or open to others. None where nothing is."""
    try:
        found = path.expanduser()
        mode = found.stat().st_mode & 0o777
        token = found.read_text(encoding="utf-8", errors="replace").partition("\n")[0]  # Ray takes the first line
        if not token.strip():
            return f"the token in {path} is empty: {HOW}"
    except FileNotFoundError:
        return f"there is no token in {path}: {HOW}"
    except (OSError, RuntimeError) as error:
        return f"the token in {path} cannot be read ({error}): {HOW}"
    if not _is_sendable(token):
        return f"the token in {path} {UNSENDABLE}: {HOW}"
    if mode & ~PRIVATE:
        return f"the token in {path} has mode {mode:o}, so others on this machine can read it: run `chmod 600 {path}`"
    return None


def _is_sendable(token: str) -> bool:
    return all(" " <= letter <= "~" for letter in token.strip())


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
