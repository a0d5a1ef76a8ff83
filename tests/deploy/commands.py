"""Commands that the files under deploy/ tell a person or a machine to run: do they name what is there?"""

from __future__ import annotations

import re
import shlex

from runner.command import app
from runner.spec import read_spec
from tests.sweeps import ROOT

TINY = [
    "search.trials=2",
    "scheduler.method=none",
    "scheduler.max_epochs=2",
    "scheduler.grace_epochs=1",
    "model.width=4",
]
"""Four epochs of digits."""

RAY_VERBS = {"up", "down", "submit", "job"}


def check_command(command: str) -> None:
    """Fails unless `command` starts a program of this project or of Ray, with files that exist and words that are right."""
    words = shlex.split(command.replace("$STORE", "s3://a-bucket/caucus").replace("YOUR-BUCKET", "a-bucket"))
    program, verb = words[0].rpartition("/")[2], words[1]
    if program == "python":
        assert verb == "runner/nightly.py"
        _check_sweep(words[2:])
    elif program == "caucus":
        assert verb in {one.name or one.callback.__name__ for one in app.registered_commands if one.callback}
        _check_sweep(words[2:])
    elif program == "ray":
        assert verb in RAY_VERBS
        files = [word for word in words[2:] if re.fullmatch(r"\S+\.(yaml|py)", word)]
        assert files
        assert all((ROOT / name).is_file() for name in files), files
    else:
        assert (program, verb) == ("make", "setup")


def _check_sweep(words: list[str]) -> None:
    """A sweep file that is there, with overrides that it takes; options are left to the program's own tests."""
    sweeps = [word for word in words if word.endswith(".yaml")]
    for sweep in sweeps:
        read_spec(str(ROOT / sweep), [word for word in words if re.match(r"[a-z.]+=", word)])
