"""The library under the name of the program: `import caucus` gives what `import runner` gives, `python -m caucus` is the command."""

import sys
from typing import TYPE_CHECKING

import runner

if TYPE_CHECKING:
    from runner import *  # noqa: F403

if __name__ == "__main__":
    from runner.cli.main import main

    sys.argv[0] = "caucus"
    main()
else:
    sys.modules[__name__] = runner
