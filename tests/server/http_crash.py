"""What the crash test over HTTP does: clients ask a server that is killed again and again, as are its workers."""

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

from PIL import Image

from fromnoise.engine.generate import generate
from fromnoise.engine.library import load
from fromnoise.engine.memory import place
from fromnoise.jobs.job import Job
from fromnoise.jobs.options import Options
from fromnoise.jobs.station import Station
from tests.jobs.crash import TOGETHER, Crash, end

PATIENCE = 900.0  # seconds


@dataclass
class Server:
    """`fromnoise serve` in a process of its own."""

    port: int
    folder: Path
    log: Path
    database: str
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        command = [*TOGETHER, sys.executable, "-m", "fromnoise", "serve", "--port", str(self.port), "--device", "cpu"]
        more = {"PYTHONPATH": os.pathsep.join(sys.path), "FROMNOISE_DATA": str(self.folder / "data"),
                "FROMNOISE_CACHE": str(self.folder / "cache"), "FROMNOISE_DATABASE": self.database}  # fmt: skip
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
        end(self.process)

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
            self.server = Server(int(free.getsockname()[1]), self.folder, self.folder / "log.txt", self.url)
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

    def compare(self, jobs: Sequence[Job]) -> int:
        """With pictures that were made undisturbed, in the worker's own numbers."""
        model, same = load(self.recipes[0].model, place("cpu")), 0
        for job in jobs:
            (made,) = generate(model, [self.accepted[job.id]], max_batch=1)
            with Image.open(self.file_of(job)) as image:
                same += image.tobytes() == made.image.tobytes()
        return same
