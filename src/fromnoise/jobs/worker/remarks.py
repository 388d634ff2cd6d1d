"""What layers below remark while a worker is at a job: kept with the job, for whoever asked for it."""

import logging
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

LOG = logging.getLogger("fromnoise")
MOST, LONGEST = 100, 1000  # between two looks; characters


class Remarks(logging.Handler):
    """Holds warnings of the logger "fromnoise", of whichever thread, until they are taken; stderr has them, too."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: deque[str] = deque(maxlen=MOST)

    def emit(self, record: logging.LogRecord) -> None:
        sentence = " ".join(record.getMessage().split())[:LONGEST]
        self.told.append(sentence)
        print("fromnoise worker:", sentence, file=sys.stderr, flush=True)

    def taken(self) -> list[str]:
        """What was remarked since this was asked last."""
        return [self.told.popleft() for _ in range(len(self.told))]

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Inside, it listens."""
        LOG.addHandler(self)
        try:
            yield
        finally:
            LOG.removeHandler(self)
