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
    """Whether the environment `env` makes Ray ask for a token."""
    return env.get(MODE, "").lower() == "token"


def find_token_fault(env: Mapping[str, str]) -> str | None:
    """What is wrong with the token that Ray would take in the environment `env`; None if nothing is, or Ray asks for none.

    Ray finds the same faults, but then ends the process, sometimes without a message.
    """
    if not asks_for_token(env):
        return None
    if token := env.get(TOKEN, ""):
        if not token.strip():
            return f"{TOKEN} is set to blanks, and Ray looks for no other: unset it, or let it be the token"
        return None if _is_sendable(token) else f"the token in {TOKEN} {UNSENDABLE}"
    path = env.get(TOKEN_PATH, "")
    if path.startswith("~"):
        return f"{TOKEN_PATH} is {path!r}, and Ray reads no ~ there: name the file in full, as in $HOME/…"
    return find_file_fault(Path(path or FILE))


def find_private_fault(env: Mapping[str, str]) -> str | None:
    """What is wrong with the token of a private Ray, if a person has named one; see `provide_private_token`.

    A private Ray asks for a token unless RAY_AUTH_MODE says otherwise.
    """
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
    """Create the token of a private Ray if it is missing, and make it unreadable for other users of this machine.

    Ray's own token file is readable by all, and anyone who has the token can run code as this user. Nothing happens if
    `env` names another token, or if the home folder cannot be written: then Ray reports it.
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
