"""What a service does beside its work: it notices new model files, and forgets what nobody needs any more.

    with Upkeep(database, settings):
        ...  # a thread looks at the shelves, and a process reads what is new there

Needs no torch: reading is done by `scan.py` in a process of its own.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from fromnoise.jobs import scan
from fromnoise.jobs.database import Database
from fromnoise.jobs.index import Index
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.traces import Traces
from fromnoise.settings import Settings

LOOK = 30.0  # seconds between looks at the shelves
TIDY = 600.0  # seconds between times of forgetting
STEPS_LAST = 3600.0  # seconds that the steps of a finished job can be read again
DAY = 86_400.0
TRACES_LAST = 14.0  # days


@dataclass
class Upkeep:
    """Works in a thread between `start` and `stop`."""

    database: Database
    settings: Settings
    days: float = 365.0  # that finished jobs are remembered; pictures stay
    clock: Callable[[], float] = field(default=time.time)
    traces: Traces | None = None
    also: Callable[[], object] | None = None  # is tidied up besides
    reader: "subprocess.Popen[bytes] | None" = None
    stopping: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    tidied: float = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self.thread = threading.Thread(target=self.run, name="upkeep", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.stopping.set()
        if self.thread is not None:
            self.thread.join()
        if self.reader is not None and self.reader.poll() is None:
            self.reader.terminate()
            self.reader.wait()

    def run(self) -> None:
        while True:
            try:
                self.look()
                self.tidy()
            except (SQLAlchemyError, OSError) as error:  # the next round may go better
                print(f"fromnoise upkeep: {error}", file=sys.stderr, flush=True)
            if self.stopping.wait(LOOK):
                return

    def look(self) -> None:
        """Notice what changed on the shelves, and let it be read."""
        index = Index(self.database)
        index.refresh(self.settings)
        if (self.reader is None or self.reader.poll() is not None) and (index.unread() or index.unhashed()):
            self.reader = scan.start(self.settings)

    def tidy(self) -> None:
        """Forget the steps of jobs that have ended, and in the end the jobs."""
        now = self.clock()
        if now - self.tidied >= TIDY:
            self.tidied = now
            Queue(self.database).prune(jobs_before=now - self.days * DAY, steps_before=now - STEPS_LAST)
            if self.traces is not None:
                self.traces.tidy(TRACES_LAST)
            if self.also is not None:
                self.also()
