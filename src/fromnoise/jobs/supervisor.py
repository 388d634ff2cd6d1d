"""Starts a worker process for each station, starts it again when it dies, and puts its jobs back in the line.

    with Supervisor([Station(url, device="cuda:0"), Station(url, device="cuda:1")]):
        ...  # a thread watches over them

A worker lives no longer than whoever started it: it holds the other end of its standard input. Needs no torch.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from fromnoise.jobs.child import keeping_memory
from fromnoise.jobs.database import Database
from fromnoise.jobs.job import FINISHED, Limits, UnknownJob, new_id
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.station import Station

TICK = 0.1  # seconds
SWEEP = 1.0  # seconds between looks for leases that ran out
QUICK = 20.0  # seconds: an idle worker that dies sooner is started again later and later ...
SLOWEST = 30.0  # ... but not later than this


@dataclass
class Post:
    """A station and the process that is there."""

    station: Station
    worker: str = ""
    process: "subprocess.Popen[str] | None" = None
    began: float = 0.0
    again: float = 0.0  # when the next one may start
    quick: int = 0  # deaths in a row that came soon, without work


@dataclass
class Supervisor:
    """Watches over workers from a thread, between `start` and `stop`."""

    stations: Sequence[Station]
    posts: list[Post] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    swept: float = 0.0

    def __post_init__(self) -> None:
        first = self.stations[0]
        self.leases = Leases(Database.open(first.database), Limits(deaths=first.deaths), first.lease, first.patience)
        self.posts = [Post(station) for station in self.stations]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Bury what an earlier life left behind, and start the workers."""
        self.bury_orphans()
        self.forget_kept()
        self.thread = threading.Thread(target=self.watch, name="supervisor", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Let the workers end what they can in their time of grace; what is left goes on later."""
        self.stopping.set()
        if self.thread is not None:
            self.thread.join()
        for post in self.posts:
            self.tell_to_stop(post)
        for post in self.posts:
            self.wait_for(post)

    def watch(self) -> None:
        while not self.stopping.wait(TICK):
            try:
                for post in self.posts:
                    self.look_after(post)
                self.sweep()
            except SQLAlchemyError as error:  # the next round may find the database again
                print(f"fromnoise supervisor: {error}", file=sys.stderr, flush=True)

    def look_after(self, post: Post) -> None:
        """Start the worker where there is none; bury the one that died."""
        if post.process is not None:
            status = post.process.poll()
            if status is None:
                return
            held = self.leases.bury(post.worker, ended(status))
            idle = not held and time.monotonic() - post.began < QUICK  # jobs that kill workers fail by themselves
            post.quick = post.quick + 1 if idle else 0
            post.again = time.monotonic() + (min(SLOWEST, 0.25 * 2**post.quick) if post.quick > 1 else 0.0)
            post.process = None
        if time.monotonic() >= post.again:
            self.hire(post)

    def hire(self, post: Post) -> None:
        """Start a worker process."""
        post.worker, post.began = new_id(), time.monotonic()
        command = [sys.executable, "-m", "fromnoise.jobs.worker", post.worker]
        post.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, text=True, encoding="utf-8", env=keeping_memory()
        )
        self.say(post, post.station.to_json())

    def say(self, post: Post, line: str) -> None:
        if post.process is not None and post.process.stdin is not None:
            with suppress(OSError):  # it has died: that is seen elsewhere
                post.process.stdin.write(f"{line}\n")
                post.process.stdin.flush()

    def sweep(self) -> None:
        """Bury workers that do not answer, and end the processes of those that are ours."""
        if time.monotonic() - self.swept < SWEEP:
            return
        self.swept = time.monotonic()
        expired = self.leases.bury_expired()
        for post in self.posts:
            if post.worker in expired and post.process is not None:
                post.process.kill()

    def bury_orphans(self) -> None:
        """Workers of this machine whose process is gone, so that nobody waits for their leases to run out."""
        for worker in Queue(self.leases.database).workers():
            if worker["host"] == socket.gethostname() and not alive(worker["pid"]):
                self.leases.bury(worker["id"])

    def forget_kept(self) -> None:
        """Remove what finished jobs left to go on from."""
        queue = Queue(self.leases.database)
        for folder in {station.kept for station in self.stations}:
            for path in folder.glob("*.safetensors"):
                if finished(queue, path):
                    path.unlink(missing_ok=True)

    def tell_to_stop(self, post: Post) -> None:
        self.say(post, "drain")

    def wait_for(self, post: Post) -> None:
        """Until the worker has ended, or its grace is over."""
        if post.process is None:
            return
        try:
            post.process.wait(post.station.grace + 20)
        except subprocess.TimeoutExpired:
            post.process.kill()
            post.process.wait()
        self.leases.bury(post.worker, ended(post.process.returncode))


def finished(queue: Queue, path: Path) -> bool:
    try:
        return queue.get(path.stem).state in FINISHED
    except UnknownJob:
        return True


def ended(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"the worker ended with status {status}"
    try:
        return f"the worker was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"the worker was ended by signal {-status}"


def alive(pid: int) -> bool:
    """Whether there is a process of that number; where that can't be told, there is."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def main() -> None:
    """Watch over the worker of one station, given as JSON, until told to stop: a service without a server."""
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    with Supervisor([Station.from_json(argument) for argument in sys.argv[1:]]):
        done.wait()


if __name__ == "__main__":
    main()
