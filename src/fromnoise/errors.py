"""Errors meant for people: one line that says what went wrong, with which thing, and what to do about it."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

STOPPED = 130  # exit status after Ctrl-C, as shells count it: 128 and the number of SIGINT


class FromnoiseError(Exception):
    """A failure that is not the user's fault. The command line prints its message and exits with `exit_code`."""

    exit_code = 1


class UserError(FromnoiseError):
    """Bad input: the message names the thing and the remedy."""

    exit_code = 2


class UnknownName(UserError):
    """A name that nothing is registered under.

    >>> str(UnknownName("sampler", "euller", ["euler", "heun"]))
    "unknown sampler 'euller'; did you mean 'euler'? Known: euler, heun"
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        small = {known.lower(): known for known in reversed(self.known)}
        near = get_close_matches(name.lower(), small, n=2, cutoff=0.5)
        hint = f"; did you mean {' or '.join(repr(small[n]) for n in near)}?" if near else "."
        super().__init__(f"unknown {kind} {name!r}{hint} Known: {', '.join(self.known)}")


class FileError(UserError):
    """A file that is missing, unreadable, or not what it claims to be."""


PATH = re.compile(r"(?<![\w.])(?:[A-Za-z]:[\\/]|/)(?:[^\s:;,'\"()]+[\\/])+([^\s:;,'\"()]*)")


def without_folders(message: str, roots: Iterable[str] = ()) -> str:
    """The message with files' names in the place of their paths, for those who shall not know this machine's folders.

    `roots` are folders that are known: what is below one is told from there, whatever characters it has.
    """
    for root in sorted(roots, key=len, reverse=True):
        if len(root) > 1:
            message = re.sub(rf"(?<![\w.]){re.escape(root)}(?:[\\/]|(?![\w-]))", "", message)
    return PATH.sub(lambda found: found[1] or "...", message)


OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Told by its text as well as by its type: torch's CPU and Apple backends raise plain RuntimeErrors."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in OUT_OF_MEMORY)
