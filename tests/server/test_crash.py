"""The crash test over HTTP: clients ask a server that is killed again and again, as are its workers."""

import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from fromnoise.engine.generate import generate
from fromnoise.engine.library import load
from fromnoise.engine.memory import place
from fromnoise.engine.recipe import Recipe
from fromnoise.jobs.database import Database
from fromnoise.jobs.job import Job
from fromnoise.jobs.options import Options
from fromnoise.jobs.station import Station
from tests.jobs.crash import Crash

PATIENCE = 3000.0  # seconds


@dataclass
class Server:
    """`fromnoise serve` in a process of its own."""

    port: int
    folder: Path
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        command = [sys.executable, "-m", "fromnoise", "serve", "--port", str(self.port), "--device", "cpu"]
        more = {"PYTHONPATH": os.pathsep.join(sys.path), "FROMNOISE_DATA": str(self.folder / "data"),
                "FROMNOISE_CACHE": str(self.folder / "cache")}  # fmt: skip
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--outputs", str(self.folder / "outputs")], env=os.environ | more, stderr=log, stdout=log
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(90)

    def call(self, path: str, body: object) -> list[dict[str, object]]:
        """What it answers, however often it has to be asked."""
        data, end = json.dumps(body).encode(), time.monotonic() + PATIENCE
        while True:
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    found: list[dict[str, object]] = json.loads(answer.read())
                    return found
            except urllib.error.HTTPError:
                raise
            except (OSError, ValueError):  # nobody is there, or was in the middle of it
                assert time.monotonic() < end, self.log.read_text()
                time.sleep(0.1)


class HttpCrash(Crash):
    """The same, asked over HTTP, with the whole server killed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        kept = self.folder / "data" / "kept"
        self.station = Station(self.url, self.folder / "outputs", kept, device="cpu", max_batch=1)
        Options(keep_every=0.1, max_batch=1, grace=5, deaths=1000).save(self.database)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.server = Server(int(free.getsockname()[1]), self.folder, self.folder / "log.txt")
        self.service = self.server  # type: ignore[assignment]  # it has all that is used

    def client(self, number: int) -> None:
        """Asks for its share one by one, each twice, until it is answered."""
        chance = random.Random(number)
        for index in range(number, len(self.recipes), self.clients):
            recipe = self.recipes[index].model_dump(mode="json", exclude_none=True)
            order = {"recipes": [recipe], "key": f"{number}-{index}"}
            (first,), (again,) = self.server.call("/api/v1/jobs", order), self.server.call("/api/v1/jobs", order)
            assert first["id"] == again["id"]
            self.accepted[str(first["id"])] = self.recipes[index]
            time.sleep(chance.random() * 0.05)

    def compare(self, jobs: Sequence[Job]) -> None:
        """With pictures that were made undisturbed, in the worker's own numbers."""
        model = load(self.recipes[0].model, place("cpu"))
        for job in jobs:
            (made,) = generate(model, [self.accepted[job.id]], max_batch=1)
            with Image.open(self.file_of(job)) as image:
                assert image.tobytes() == made.image.tobytes()


def crash(folder: Path, jobs: int, clients: int, worker_kills: int, server_kills: int) -> HttpCrash:
    recipes = [
        Recipe.make(prompt=f"a cat, number {seed}", seed=seed, width=128, height=128, steps=6 + seed % 5,
                    sampler=("euler_ancestral", "dpmpp_2m", "heun")[seed % 3], guidance_scale=4)
        for seed in range(jobs)
    ]  # fmt: skip
    (folder / "data").mkdir()
    url = f"sqlite:///{folder / 'data' / 'fromnoise.db'}"
    test = HttpCrash(url, folder, recipes, clients, worker_kills, server_kills)
    test.run(PATIENCE)
    assert len(test.killed) == worker_kills + server_kills
    test.check()
    assert Database.open(url).check() == []
    return test


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize(("jobs", "clients", "worker_kills", "server_kills"), [(16, 2, 2, 2), (200, 8, 20, 5)])
def test_nothing_is_lost_over_http(
    tmp_path: Path, jobs: int, clients: int, worker_kills: int, server_kills: int
) -> None:
    crash(tmp_path, jobs, clients, worker_kills, server_kills)
