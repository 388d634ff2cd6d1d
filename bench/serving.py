"""A server under load: `python -m bench serve --minutes 5`

Starts `fromnoise serve` on the built-in model some times and tells how long it takes to its first answer, and what
it takes idle. Then clients, 64 by default, look around, ask for pictures, send some, and follow events, all at once,
while a worker makes pictures. Each does something, thinks for 0.2 to 1 s, and does the next: about 200 calls a second
together; one in four follows events besides, with previews. Prints a table, and one JSON line that tells which bounds
hold, and how much of a processor the server and the clients took.
"""

import argparse
import asyncio
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

from PIL import Image

from bench.caller import Answer, Broken, Caller

STARTS = 5
MOST_START, MOST_IDLE, MOST_P99, MOST_GROWTH = 1.5, 150e6, 0.1, 0.05  # seconds, bytes, seconds, share
THINK = (0.2, 1.0)  # seconds between a client's calls
LISTENERS = 4  # one of so many clients follows events, too
BUSY = (429, 503)
JSON = "application/json"
WAITING = 40  # jobs that the clients keep in the line, so that pictures are made all the time
PICTURES = ("file", "thumb", "upload")  # calls that carry pictures
LOOKS = (
    "/api/v1/about", "/api/v1/jobs?limit=20", "/api/v1/line", "/api/v1/gallery?limit=40", "/api/v1/gallery/count",
    "/api/v1/gallery?words=apple", "/api/v1/models", "/api/v1/styles", "/api/v1/machine", "/api/v1/session",
    "/api/v1/catalogue", "/sdapi/v1/progress", "/sdapi/v1/samplers", "/sdapi/v1/options", "/v1/models", "/healthz",
    "/readyz", "/metrics",
)  # fmt: skip


@dataclass
class Server:
    """`fromnoise serve` in a process of its own."""

    folder: Path
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def caller(self) -> Caller:
        return Caller("127.0.0.1", self.port)

    def busy(self) -> float:
        """Seconds of a processor that the process of the server took."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def start(self) -> float:
        """Seconds until it answers."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        more = {"FROMNOISE_DATA": str(self.folder / "data"), "FROMNOISE_CACHE": str(self.folder / "cache")}
        command = [sys.executable, "-m", "fromnoise", "serve", "--port", str(self.port), "--device", "cpu"]
        began = time.perf_counter()
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--outputs", str(self.folder / "outputs")], env=os.environ | more, stdout=log, stderr=log
            )
        while True:
            try:
                with urllib.request.urlopen(f"{self.address}/healthz", timeout=5):
                    return time.perf_counter() - began
            except OSError:
                if self.process.poll() is not None or time.perf_counter() - began > 120:
                    raise SystemExit((self.folder / "log.txt").read_text("utf-8", errors="replace")) from None
                time.sleep(0.005)

    def wait_for_a_worker(self, patience: float = 120.0) -> None:
        """Until pictures can be made."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            with suppress(OSError), urllib.request.urlopen(f"{self.address}/readyz", timeout=5):
                return
            time.sleep(0.2)

    def resident(self) -> float:
        """Bytes that the process of the server has."""
        assert self.process is not None
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Found:
    """What the clients saw."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # seconds, by call
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)  # seconds since the start, bytes
    heard: list[list[tuple[int, str, int]]] = field(default_factory=list)  # number, job, step; by listener
    server: float = 0.0  # seconds of a processor
    clients: float = 0.0

    def note(self, call: str, seconds: float, answer: Answer) -> None:
        self.times[call].append(seconds)
        self.statuses[answer.status] += 1
        if answer.status >= 400 and answer.status not in BUSY:
            self.failures.append(f"{call}: {answer.status} {answer.body[:200]!r}")


@dataclass
class Client:
    """Somebody who uses the server."""

    http: Caller
    stream: Caller
    found: Found
    until: float
    chance: random.Random

    async def call(self, name: str, method: str, path: str, body: bytes = b"", media: str = JSON) -> Answer | None:
        began = time.perf_counter()
        try:
            answer = await self.http.call(method, path, body, media)
        except Broken as error:
            self.found.failures.append(f"{name}: {error}")
            return None
        self.found.note(name, time.perf_counter() - began, answer)
        return answer

    async def live(self) -> None:
        """Look, ask, send, until time is up."""
        while time.monotonic() < self.until:
            deed = self.chance.random()
            if deed < 0.1:
                await self.ask()
            elif deed < 0.2:
                await self.see()
            elif deed < 0.23:
                await self.send()
            else:
                path = self.chance.choice(LOOKS)
                await self.call(path.partition("?")[0], "GET", path)
            await asyncio.sleep(self.chance.uniform(*THINK))

    async def ask(self) -> None:
        """For a picture, unless enough wait."""
        counts = await self.call("/api/v1/line", "GET", "/api/v1/line?limit=200")
        if counts is None or counts.status != 200 or len(counts.json()) > WAITING:
            return
        recipe = {"prompt": f"a red apple, {self.chance.random()}", "width": 128, "height": 128, "steps": 8,
                  "seed": self.chance.randrange(2**32)}  # fmt: skip
        await self.call("POST /api/v1/jobs", "POST", "/api/v1/jobs", json.dumps({"recipes": [recipe]}).encode())

    async def see(self) -> None:
        """Some of the newest pictures."""
        page = await self.call("/api/v1/gallery", "GET", "/api/v1/gallery?limit=6")
        for picture in page.json()["pictures"] if page is not None and page.status == 200 else ():
            await self.call("thumb", "GET", picture["thumb"])
            await self.call("file", "GET", picture["url"])

    async def send(self) -> None:
        buffer = io.BytesIO()
        Image.effect_noise((256, 256), self.chance.uniform(10, 100)).save(buffer, "PNG")
        await self.call("upload", "POST", "/api/v1/images", buffer.getvalue(), "image/png")

    async def listen(self) -> None:
        """Follow events; now and then the connection breaks, and goes on where it broke off."""
        heard: list[tuple[int, str, int]] = []
        self.found.heard.append(heard)
        while time.monotonic() < self.until:
            headers = {"Last-Event-ID": str(heard[-1][0])} if heard else {}
            leave = min(self.until, time.monotonic() + self.chance.uniform(5, 30))
            lines = self.stream.lines("/api/v1/events?previews=true", headers)
            try:
                async with aclosing(lines):
                    async for one in events(lines):
                        heard.append(one)
                        if time.monotonic() > leave:
                            break
            except Broken as error:
                if time.monotonic() < self.until:
                    self.found.failures.append(f"events: {error}")


async def events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[int, str, int]]:
    """Number, job and step of the events of a stream."""
    number = 0
    async for line in lines:
        if line.startswith("id: "):
            number = int(line[4:])
        elif line.startswith("data: ") and number:
            data = json.loads(line[6:])
            yield number, data["job"], int(data.get("step", 0))
            number = 0


async def crowd(server: Server, clients: int, seconds: float, found: Found) -> None:
    """All clients at once, and somebody who watches the memory."""
    until = time.monotonic() + seconds
    some = [Client(server.caller, server.caller, found, until, random.Random(number)) for number in range(clients)]
    tasks = [client.live() for client in some] + [client.listen() for client in some[::LISTENERS]]
    server_before, clients_before = server.busy(), time.process_time()
    await asyncio.gather(watch(server, until, found), *map(ended(until), tasks))
    found.server, found.clients = server.busy() - server_before, time.process_time() - clients_before


def ended(until: float) -> Any:
    """Ends a client some seconds after time is up, should it wait for events that don't come."""

    async def bounded(task: Any) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(task, max(0.0, until - time.monotonic()) + 5)

    return bounded


async def watch(server: Server, until: float, found: Found) -> None:
    began = time.monotonic()
    while time.monotonic() < until:
        found.memory.append((time.monotonic() - began, server.resident()))
        await asyncio.sleep(0.5)


def in_order(heard: Sequence[Sequence[tuple[int, str, int]]], every: Sequence[tuple[int, str, int]]) -> bool:
    """Whether every listener heard each event once, in order, from its first to its last."""
    place = {one[0]: index for index, one in enumerate(every)}
    return all(list(some) == list(every[place[some[0][0]] : place[some[-1][0]] + 1]) for some in heard)


async def all_events(server: Server) -> list[tuple[int, str, int]]:
    """Every event that there was; a job that is asked for now is the last."""
    order = {"recipes": [{"prompt": "the last", "width": 64, "height": 64, "steps": 1}]}
    last = (await server.caller.call("POST", "/api/v1/jobs", json.dumps(order).encode())).json()[0]["id"]
    found = []
    async with asyncio.timeout(120), aclosing(server.caller.lines("/api/v1/events?after=0", {})) as lines:
        async for one in events(lines):
            found.append(one)
            if one[1] == last:
                break
    return found


def growth(memory: Sequence[tuple[float, float]]) -> float:
    """Of the last tenth over the tenth that follows the warm-up, which is the first fifth."""
    sizes = [size for _, size in memory]
    tenth = max(1, len(sizes) // 10)
    return mean(sizes[-tenth:]) / mean(sizes[2 * tenth : 3 * tenth]) - 1 if len(sizes) > 10 else 0.0


def quantile(times: Sequence[float], share: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def table(found: Found) -> str:
    rows = ["| call | calls | median | p99 | most |", "|---|---:|---:|---:|---:|"]
    for call, times in sorted(found.times.items(), key=lambda one: -quantile(one[1], 0.99)):
        figures = " | ".join(f"{1000 * value:.1f} ms" for value in (median(times), quantile(times, 0.99), max(times)))
        rows.append(f"| {call} | {len(times)} | {figures} |")
    return "\n".join(rows)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fromnoise-bench-") as name:
        yield Path(name)


def main(given: Sequence[str]) -> int:
    options = arguments(given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the server is stopped then, too
    with folder() as place:
        starts = []
        server = Server(place)
        for number in range(options.starts):
            starts.append(server.start())
            print(f"start {number + 1} of {options.starts}: {starts[-1]:.2f} s", file=sys.stderr, flush=True)
            if number + 1 < options.starts:
                server.stop()
        try:
            server.wait_for_a_worker()
            time.sleep(options.idle)
            idle, found = server.resident(), Found()
            print(f"idle: {idle / 1e6:.0f} MB; {options.clients} clients come", file=sys.stderr, flush=True)
            asyncio.run(crowd(server, options.clients, 60 * options.minutes, found))
            every = asyncio.run(all_events(server))
        finally:
            server.stop()
    line = record(options, starts, idle, found, every)
    print(table(found))
    print("\n".join(found.failures[:20]))
    print(json.dumps(line))
    return 0 if all(line["holds"].values()) else 1


def record(
    options: argparse.Namespace,
    starts: Sequence[float],
    idle: float,
    found: Found,
    every: Sequence[tuple[int, str, int]],
) -> dict[str, Any]:
    """Everything that was measured, and which bounds hold."""
    plain = [value for call, times in found.times.items() if call not in PICTURES for value in times]
    figures = {
        "start": median(starts), "idle": idle, "p99": quantile(plain, 0.99), "median": median(plain),
        "most": max(plain), "growth": growth(found.memory), "memory": found.memory[-1][1], "calls": len(plain),
        "by_server": found.server / (60 * options.minutes), "by_clients": found.clients / (60 * options.minutes),
    }  # fmt: skip
    listeners = [some for some in found.heard if some]
    holds = {
        "start": figures["start"] < MOST_START, "idle": idle < MOST_IDLE, "p99": figures["p99"] < MOST_P99,
        "growth": figures["growth"] < MOST_GROWTH, "statuses": not found.failures,
        "events": bool(listeners) and in_order(listeners, every),
    }  # fmt: skip
    return {
        "bench": "serve", "minutes": options.minutes, "clients": options.clients, "starts": list(starts), **figures,
        "statuses": {str(status): count for status, count in sorted(found.statuses.items())},
        "failures": len(found.failures), "events": len(every), "listeners": len(listeners),
        "pictures": len({job for _, job, step in every if step}), "cores": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"), "holds": holds,
    }  # fmt: skip


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench serve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--starts", type=int, default=STARTS, help="of the server, whose median counts")
    parser.add_argument("--idle", type=float, default=5.0, help="seconds before its memory is looked at")
    return parser.parse_args(given)
