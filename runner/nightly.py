#!/usr/bin/env python3
"""The script for `ray submit cluster.yaml runner/nightly.py SWEEP OVERRIDES…` and for cron: a night of a sweep, on the Ray that is there.

`ray submit` copies this one file to the head's home folder and runs it there; all that it does is in the installed
package, and the workers get this driver's code, whatever version is installed on them.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Python puts a script's own folder first on its path. Started from a checkout that is this package's folder, whose
# files must not be found by their bare names.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

if __name__ == "__main__":
    from runner.cli.nightly import nightly

    nightly()
