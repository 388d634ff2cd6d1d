"""What the crash tests do: clients ask for pictures while workers, and whoever starts them, are killed at random."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass
class Service:
    """The supervisor in a process of its own, which is killed and started again."""

    station: Station
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        command = [sys.executable, "-m", "fromnoise.jobs.supervisor", self.station.to_json()]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log, stdout=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(60)


@dataclass
class Crash:
    """One run of the test."""

    url: str
    folder: Path
    recipes: Sequence[Recipe]
    clients: int
    worker_kills: int
    server_kills: int
    pause: float = 2  # seconds at most between seeing a busy worker and a kill
    seed: int = 0
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
            if deed == "server":
                self.service.kill()
                self.service.start()
            else:
                os.kill(worker["pid"], signal.SIGKILL)
            self.seen = self.queue.last_event()

    def busy_worker(self, end: float) -> Mapping[str, Any]:
        """A worker that has advanced a job since it was started."""
        while True:
            assert time.monotonic() < end, self.service.log.read_text()
            assert self.queue.counts()["done"] < len(self.recipes), "all was done before everything was killed"
            for worker in self.queue.workers():
                if worker["id"] not in self.killed and self.has_advanced(worker["id"]):
                    return worker
            time.sleep(0.02)

    def has_advanced(self, worker: str) -> bool:
        """Whether it has done a step since the last kill."""
        stepped = {event.job for event in self.queue.events(self.seen) if event.kind == "step"}
        running = self.queue.jobs(states=["running"]) if stepped else []
        return any(job.worker == worker and job.id in stepped for job in running)

    def check(self) -> None:
        """Nothing is lost, nothing is done twice, every file is whole, every picture what it would have been."""
        log = self.service.log.read_text()
        assert len(self.accepted) == len(self.recipes)
        jobs = {job.id: job for job in self.queue.jobs(limit=10_000)}
        assert set(jobs) == set(self.accepted)
        assert {job.state for job in jobs.values()} == {"done"}, log
        done = [event.job for event in self.queue.events(limit=1_000_000) if event.kind == "done"]
        assert sorted(done) == sorted(jobs)
        assert self.database.check() == []
        files = [self.file_of(job) for job in jobs.values()]
        assert len(set(files)) == len(files)
        assert set(files) == {path for path in self.station.outputs.rglob("*") if path.is_file()}
        assert not list(self.station.kept.glob("*.safetensors"))
        self.compare(list(jobs.values()))

    def file_of(self, job: Job) -> Path:
        (result,) = self.queue.results(job.id)
        assert result.path == job.file
        path = self.station.outputs / str(result.path)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == result.sha256
        return path

    def compare(self, jobs: Sequence[Job]) -> None:
        """With pictures that were made undisturbed."""
        model = load(self.recipes[0].model, place("cpu", "float32"))
        for job in jobs:
            (made,) = generate(model, [self.accepted[job.id]], max_batch=1)
            with Image.open(self.file_of(job)) as image:
                assert image.tobytes() == made.image.tobytes()

    @property
    def resumed(self) -> int:
        """Jobs that went on from a step in the middle."""
        events = self.queue.events(limit=1_000_000)
        return sum(event.kind == "started" and event.data["from"] > 0 for event in events)
