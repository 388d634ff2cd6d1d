"""How a command fails: one line on stderr, and an exit status."""

import os
import sys
import traceback

from typer import TyperException

from fromnoise.cli.messages import say, translated
from fromnoise.errors import STOPPED, FromnoiseError, UserError, is_out_of_memory


class Stopped(UserError):
    """Ctrl-C."""

    exit_code = STOPPED


def report(error: Exception) -> int:
    """Print what went wrong, with the traceback where FROMNOISE_DEBUG is set; returns the exit status."""
    if os.environ.get("FROMNOISE_DEBUG"):
        traceback.print_exception(error)
    line, status = explained(error)
    print("fromnoise:", " ".join(line.split()), file=sys.stderr)
    return status


def explained(error: Exception) -> tuple[str, int]:
    """What to tell the user, and the exit status: 2 where the input is to blame, 130 after Ctrl-C, else 1."""
    if isinstance(error, FromnoiseError):
        return translated(str(error)), error.exit_code
    if isinstance(error, TyperException):
        problem = translated(" ".join(error.format_message().split()))
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "fromnoise"
        return say("{problem} (see {command} --help)", problem=problem, command=command), error.exit_code
    if is_out_of_memory(error):
        return say("out of memory; try a smaller --size, --memory, --dtype bfloat16 or --device cpu"), 1
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}", UserError.exit_code
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return say("unexpected failure: {what}; set FROMNOISE_DEBUG=1 for details", what=what), 1
