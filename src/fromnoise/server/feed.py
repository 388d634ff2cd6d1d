"""What happens to jobs, looked for once for all who listen.

    with here.feed.heard() as ear:  # somebody listens
        while ...:
            after, events = await here.feed.since(after, owner="ann")
            await ear.wait(15.0)  # until more has happened

A thread looks into the database as long as anybody listens, and wakes them. It remembers the newest events; who comes
from further back reads those before from the database. Nothing is missed, and everybody hears it in its order.
"""

import asyncio
import base64
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from fromnoise.jobs.job import Event, UnknownJob
from fromnoise.jobs.queue import Queue

LOOK_EVERY = 0.1  # seconds between looks into the database
LINGER = 5.0  # seconds that it goes on to look once nobody listens
REMEMBERED = 1000  # events
MOST_AT_ONCE = 500  # events that a listener is told at once
MOST_PREVIEWS = 64  # jobs whose newest preview is remembered


@dataclass(eq=False)
class Ear:
    """Somebody who listens, in an event loop of their own."""

    loop: asyncio.AbstractEventLoop
    previews: bool
    owner: str  # who listens
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, seconds: float) -> bool:
        """Until something has happened since the last wait; False where nothing has for so long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.news.wait(), seconds)
        heard = self.news.is_set()
        self.news.clear()
        return heard

    def wake(self) -> None:
        with suppress(RuntimeError):  # its loop has ended
            self.loop.call_soon_threadsafe(self.news.set)


@dataclass
class Feed:
    """The newest events of a queue, and their listeners."""

    queue: Queue
    ears: set[Ear] = field(default_factory=set)
    window: deque[Event] = field(default_factory=deque)  # all that came after `base`, in order
    base: int | None = None  # None: nobody looks
    pictures: OrderedDict[str, tuple[int, str]] = field(default_factory=OrderedDict)  # job: step, data URI
    lock: threading.Lock = field(default_factory=threading.Lock)
    thread: threading.Thread | None = None

    @contextmanager
    def heard(self, *, previews: bool = False, owner: str = "") -> Iterator[Ear]:
        """Be woken when something happens."""
        ear = Ear(asyncio.get_running_loop(), previews, owner)
        with self.lock:
            self.ears.add(ear)
            if self.thread is None:
                self.thread = threading.Thread(target=self.run, name="feed", daemon=True)
                self.thread.start()
        try:
            yield ear
        finally:
            with self.lock:
                self.ears.discard(ear)

    def listeners(self, owner: str) -> int:
        """How many streams somebody follows."""
        with self.lock:
            return sum(ear.owner == owner for ear in self.ears)

    async def since(self, after: int, *, job: str | None = None, owner: str | None = None) -> tuple[int, list[Event]]:
        """What happened after an event, as much as is told at once, and the number to ask after next."""
        with self.lock:
            if self.base is not None and after >= self.base:
                newest = self.window[-1].number if self.window else self.base
                found = [event for event in self.window if event.number > after and concerns(event, job, owner)]
                return (after, []) if newest <= after else cut(found, newest)
            covered = self.window[-1].number if self.window else self.base or 0
        found = await asyncio.to_thread(self.queue.events, after, job=job, owner=owner, limit=MOST_AT_ONCE)
        if len(found) == MOST_AT_ONCE:
            return found[-1].number, found
        return max(after, covered, *(event.number for event in found[-1:])), found

    async def preview(self, job: str) -> tuple[int, str] | None:
        """The step and the data URI of a job's newest preview, if there is one."""
        with self.lock:
            if job in self.pictures:
                return self.pictures[job]
        with suppress(UnknownJob):
            found = await asyncio.to_thread(self.queue.preview, job)
            return None if found is None else as_uri(found)
        return None

    # in the thread

    def run(self) -> None:
        idle = 0.0
        while True:
            with self.lock:
                idle = 0.0 if self.ears else idle + LOOK_EVERY
                if idle > LINGER:
                    self.thread, self.base = None, None
                    self.window.clear()
                    self.pictures.clear()
                    return
            with suppress(SQLAlchemyError):  # the next look may go better
                self.look()
            time.sleep(LOOK_EVERY)

    def look(self) -> None:
        """Take in what is new, and wake everybody."""
        if self.base is None:
            last = self.queue.last_event()
            with self.lock:
                self.base = last
            self.wake()  # they may have missed what came meanwhile
        newest = self.window[-1].number if self.window else self.base
        found = self.queue.events(newest, limit=REMEMBERED)
        if not found:
            return
        with self.lock:
            wanted = any(ear.previews for ear in self.ears)
        shown = self.looked_at(found) if wanted else {}
        with self.lock:
            self.window.extend(found)
            while len(self.window) > REMEMBERED:
                self.base = self.window.popleft().number
            if not wanted:
                self.pictures.clear()
            for job, picture in shown.items():
                self.pictures[job] = picture
                self.pictures.move_to_end(job)
            while len(self.pictures) > MOST_PREVIEWS:
                self.pictures.popitem(last=False)
        self.wake()

    def wake(self) -> None:
        with self.lock:
            ears = tuple(self.ears)
        for ear in ears:
            ear.wake()

    def looked_at(self, events: Sequence[Event]) -> dict[str, tuple[int, str]]:
        """The newest previews of the jobs that have new ones."""
        found: dict[str, tuple[int, str]] = {}
        for job in {event.job for event in events if event.kind == "step" and event.data.get("preview")}:
            with suppress(UnknownJob):
                picture = self.queue.preview(job)
                if picture is not None:
                    found[job] = as_uri(picture)
        return found


def as_uri(preview: tuple[int, bytes]) -> tuple[int, str]:
    """A step, and its JPEG as a data URI."""
    return preview[0], "data:image/jpeg;base64," + base64.b64encode(preview[1]).decode()


def concerns(event: Event, job: str | None, owner: str | None) -> bool:
    return job in (None, event.job) and owner in (None, event.owner)


def cut(found: list[Event], newest: int) -> tuple[int, list[Event]]:
    """No more than is told at once; the rest is asked for next."""
    return (newest, found) if len(found) <= MOST_AT_ONCE else (found[MOST_AT_ONCE - 1].number, found[:MOST_AT_ONCE])
