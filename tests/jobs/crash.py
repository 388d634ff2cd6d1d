"""What the crash tests do: clients ask for pictures while workers, and whoever starts them, are killed at random.

    python -m tests.jobs.crash                # 200 jobs, 8 clients, 20 workers and 5 supervisors killed; SQLite
    python -m tests.jobs.crash --postgres     # the same on a PostgreSQL of its own
    python -m tests.jobs.crash --http         # `fromnoise serve`, asked over HTTP and killed

Each prints how far it is, and in the end its verdict, one line of JSON.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from fromnoise.engine.generate import generate
from fromnoise.engine.library import load
from fromnoise.engine.memory import place
from fromnoise.engine.recipe import Recipe
from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Job, Work
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.station import Station

TOGETHER = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()  # nothing outlives the test
TELL_EVERY = 10.0  # seconds


@dataclass
class Service:
    """The supervisor in a process of its own, which is killed and started again."""

    station: Station
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        command = [*TOGETHER, sys.executable, "-m", "fromnoise.jobs.supervisor", self.station.to_json()]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log, stdout=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        end(self.process)


def end(process: "subprocess.Popen[bytes]", seconds: float = 40.0) -> None:
    """In order if it can be, and in any case."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass
class Crash:
    """One run of the test."""

    url: str
    folder: Path
    recipes: Sequence[Recipe]
    clients: int
    worker_kills: int
    server_kills: int
    pause: float = 1  # seconds at most between seeing a busy worker and a kill
    seed: int = 0
    say: Callable[[str], object] = lambda _: None  # is told how far it is
    accepted: dict[str, Recipe] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.station = Station(
            self.url,
            self.folder / "outputs",
            self.folder / "kept",
            device="cpu",
            dtype="float32",
            max_batch=1,
            keep_every=0.1,
            lease=5,
            deaths=1000,
            grace=5,
        )
        self.database = Database.open(self.url)
        self.queue = Queue(self.database)
        self.service = Service(self.station, self.folder / "log.txt")
        self.chance = random.Random(self.seed)
        self.killed: set[str] = set()
        self.kills = {"worker": 0, "server": 0}
        self.began = self.told = time.monotonic()
        self.seen = 0  # the last event before the last kill

    def run(self, patience: float) -> None:
        """Ask, kill, and wait until all is done."""
        self.service.start()
        clients = [threading.Thread(target=self.client, args=(number,)) for number in range(self.clients)]
        for client in clients:
            client.start()
        try:
            self.kill_at_random(time.monotonic() + patience)
            for client in clients:
                client.join()
            end = time.monotonic() + patience
            while self.queue.counts()["done"] < len(self.recipes) and time.monotonic() < end:
                self.tell()
                time.sleep(0.1)
        finally:
            self.service.stop()

    def client(self, number: int) -> None:
        """Asks for its share one by one, each twice, as somebody does whose connection breaks."""
        queue, chance = Queue(Database.open(self.url)), random.Random(number)
        for index in range(number, len(self.recipes), self.clients):
            work = Work.picture(self.recipes[index], owner=f"client {number}", key=str(index))
            (first,), (again,) = queue.submit([work]), queue.submit([work])
            assert first.id == again.id
            self.accepted[first.id] = self.recipes[index]
            time.sleep(chance.random() * 0.05)

    def kill_at_random(self, end: float) -> None:
        """Kill a worker that is at something, or the supervisor, again and again."""
        deeds = ["worker"] * self.worker_kills + ["server"] * self.server_kills
        self.chance.shuffle(deeds)
        for deed in deeds:
            worker = self.busy_worker(end)
            time.sleep(self.chance.random() * self.pause)
            self.killed.add(worker["id"])  # a server takes its worker with it
            self.kills[deed] += 1
            if deed == "server":
                self.service.kill()
                self.service.start()
            else:
                os.kill(worker["pid"], signal.SIGKILL)
            self.seen = self.queue.last_event()

    def tell(self) -> None:
        """Say how far it is, now and then."""
        if time.monotonic() - self.told >= TELL_EVERY:
            self.told = time.monotonic()
            states = {state: count for state, count in self.queue.counts().items() if count}
            self.say(f"{self.told - self.began:.0f} s: {states}, {self.kills} killed")

    def busy_worker(self, end: float) -> Mapping[str, Any]:
        """A worker that has advanced a job since it was started."""
        while True:
            assert time.monotonic() < end, self.service.log.read_text()
            assert self.queue.counts()["done"] < len(self.recipes), "all was done before everything was killed"
            for worker in self.queue.workers():
                if worker["id"] not in self.killed and self.has_advanced(worker["id"]):
                    return worker
            self.tell()
            time.sleep(0.02)

    def has_advanced(self, worker: str) -> bool:
        """Whether it has done a step since the last kill."""
        stepped = {event.job for event in self.queue.events(self.seen) if event.kind == "step"}
        running = self.queue.jobs(states=["running"]) if stepped else []
        return any(job.worker == worker and job.id in stepped for job in running)

    def check(self) -> dict[str, Any]:
        """Nothing is lost, nothing is done twice, every file is whole, every picture what it would have been.

        The verdict, which is also said.
        """
        log = self.service.log.read_text()
        jobs = {job.id: job for job in self.queue.jobs(limit=10_000)}
        done = [event.job for event in self.queue.events(limit=1_000_000) if event.kind == "done"]
        integrity = self.database.check()
        lost, twice = (
            set(self.accepted) - {one for one in jobs if jobs[one].state == "done"},
            len(done) - len(set(done)),
        )
        assert len(self.accepted) == len(self.recipes)
        assert set(jobs) == set(self.accepted)
        assert (lost, twice, integrity) == (set(), 0, []), log
        assert sorted(done) == sorted(jobs)
        files = [self.file_of(job) for job in jobs.values()]
        assert len(set(files)) == len(files)
        assert set(files) == {path for path in self.station.outputs.rglob("*") if path.is_file()}
        assert not list(self.station.kept.glob("*.safetensors"))
        made = time.monotonic() - self.began
        self.say(f"{made:.0f} s: all is done; {len(jobs)} pictures are made again, undisturbed, and compared")
        equal = self.compare(list(jobs.values()))
        assert equal == len(jobs)
        verdict = {
            "crash": type(self).__name__, "database": self.database.engine.dialect.name, "jobs": len(jobs),
            "clients": self.clients, "workers_killed": self.kills["worker"], "servers_killed": self.kills["server"],
            "interrupted": self.interrupted, "resumed": self.resumed, "lost": len(lost), "twice": twice,
            "whole_files": len(files), "integrity": integrity or "ok", "equal_bit_for_bit": equal,
            "seconds": round(made), "seconds_with_comparison": round(time.monotonic() - self.began),
        }  # fmt: skip
        self.say(json.dumps(verdict))
        return verdict

    def file_of(self, job: Job) -> Path:
        (result,) = self.queue.results(job.id)
        assert result.path == job.file
        path = self.station.outputs / str(result.path)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == result.sha256
        return path

    def compare(self, jobs: Sequence[Job]) -> int:
        """With pictures that were made undisturbed; how many are the same to the bit."""
        model, same = load(self.recipes[0].model, place("cpu", "float32")), 0
        for job in jobs:
            (made,) = generate(model, [self.accepted[job.id]], max_batch=1)
            with Image.open(self.file_of(job)) as image:
                same += image.tobytes() == made.image.tobytes()
        return same

    @property
    def interrupted(self) -> int:
        """How often a job was taken from a worker that died."""
        return sum(event.kind == "interrupted" for event in self.queue.events(limit=1_000_000))

    @property
    def resumed(self) -> int:
        """Jobs that went on from a step in the middle."""
        events = self.queue.events(limit=1_000_000)
        return sum(event.kind == "started" and event.data["from"] > 0 for event in events)


def pictures(count: int, least: int = 8) -> list[Recipe]:
    """Of the built-in model, small, each with its own seed, one of four samplers, and at least so many steps."""
    samplers = ("euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde", "heun")
    return [
        Recipe.make(prompt=f"a cat, number {seed}", seed=seed, width=64, height=64, steps=least + seed % 5,
                    sampler=samplers[seed % 4], guidance_scale=4)
        for seed in range(count)
    ]  # fmt: skip


def undergo(crash: Crash, patience: float) -> dict[str, Any]:
    """The whole test; AssertionError where anything is not as it should be, or takes longer."""
    crash.run(patience)
    assert crash.kills == {"worker": crash.worker_kills, "server": crash.server_kills}
    return crash.check()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.jobs.crash", description="Kill workers and servers.")
    for name, count in (("jobs", 200), ("clients", 8), ("worker-kills", 20), ("server-kills", 5)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--patience", type=float, default=900.0, help="seconds")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL of its own, which must be installed")
    parser.add_argument("--http", action="store_true", help="fromnoise serve, asked over HTTP")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    from tests.jobs import postgres
    from tests.server.http_crash import HttpCrash

    with tempfile.TemporaryDirectory(prefix="fromnoise-crash-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        (folder / "data").mkdir()
        url = f"sqlite:///{folder / 'data' / 'fromnoise.db'}"
        if given.postgres:
            url = stack.enter_context(postgres.running())
        kind = HttpCrash if given.http else Crash
        crash = kind(
            url, folder, pictures(given.jobs), given.clients, given.worker_kills, given.server_kills,
            say=partial(print, flush=True),
        )  # fmt: skip
        undergo(crash, given.patience)


if __name__ == "__main__":
    main()
