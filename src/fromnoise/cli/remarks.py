"""What the layers below remark while they work: warnings of the logger "fromnoise", each a line on stderr.

They say it with `logging.getLogger(__name__).warning("a sentence of {what} was done")`; its Chinese is in ELSEWHERE.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fromnoise.cli.messages import translated

LOG = logging.getLogger("fromnoise")


class Lines(logging.Handler):
    """Prints each remark once in the user's language."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        sentence = " ".join(record.getMessage().split())
        if sentence not in self.said:
            self.said.add(sentence)
            print("fromnoise:", translated(sentence), file=sys.stderr, flush=True)


@contextmanager
def remarks() -> Iterator[None]:
    """Inside, remarks are printed, and by nothing else."""
    lines, passed_on = Lines(), LOG.propagate
    LOG.addHandler(lines)
    LOG.propagate = False
    try:
        yield
    finally:
        LOG.removeHandler(lines)
        LOG.propagate = passed_on
