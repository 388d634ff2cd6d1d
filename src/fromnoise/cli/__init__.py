"""The `fromnoise` command. Importing this package and showing its help import neither torch nor the engine."""

import sys
from collections.abc import Sequence

from fromnoise.errors import STOPPED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command (by default the process's own arguments); returns the exit status.

    0: done. 1: a failure that is not the user's. 2: bad input. 130: stopped by Ctrl-C. Every failure ends in one line
    on stderr.
    """
    try:
        from fromnoise.cli.app import run

        return run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # while still importing
        return STOPPED
