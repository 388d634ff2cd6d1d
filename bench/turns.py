"""Contenders in turns: one process each, all in one tree, A B A B, so that a busy moment of the machine hits all alike.

A contender's process reads `go` from its standard input, does the work once, and answers with one JSON line.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import IO

from bench.devices import Device
from bench.work import Job

ROOT = Path(__file__).parents[1]
POLL = 0.002  # seconds between looks at the memory


class Failed(Exception):
    """A contender that could not do the work: why."""


@dataclass
class Entry:
    """A contender and what it took."""

    name: str
    prepared: float = 0.0  # seconds from the start of the process to readiness
    seconds: list[float] = field(default_factory=list)
    peak: int = 0  # bytes resident at most, mapped files included
    private: int = 0  # bytes of private memory at most
    there: int = 0  # bytes of a GPU's memory at most
    notes: dict[str, list[float]] = field(default_factory=dict)  # whatever else it says

    @property
    def median(self) -> float:
        return median(self.seconds)


def compete(job: Job, names: Sequence[str], rounds: int, say: Callable[[str], None]) -> list[Entry]:
    """Let the contenders do `job` in turns; the first round warms up and does not count. Raises Failed."""
    entries: list[Entry] = []
    processes: list[subprocess.Popen[str]] = []
    try:
        for name in names:
            say(f"{name}: preparing")
            began = time.perf_counter()
            process = start(name, job)
            processes.append(process)
            answer(process, name)
            entries.append(Entry(name, prepared=time.perf_counter() - began))
        for turn in range(rounds + 1):
            for process, entry in zip(processes, entries, strict=True):
                got = ask(process, entry.name)
                entry.peak, entry.private = max(entry.peak, int(got["peak"])), max(entry.private, int(got["private"]))
                entry.there = max(entry.there, int(got["there"]))
                if turn:
                    entry.seconds.append(got["seconds"])
                    for name in got.keys() - {"peak", "private", "there", "seconds"}:
                        entry.notes.setdefault(name, []).append(got[name])
                say(f"{entry.name}: round {turn} of {rounds}: {got['seconds']:.3f} s" + ("" if turn else " (warm-up)"))
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return entries


def start(name: str, job: Job) -> subprocess.Popen[str]:
    from bench.contenders import CONTENDERS

    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        **CONTENDERS[name].environment,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "bench.contender", name, json.dumps(asdict(job))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )


def ask(process: subprocess.Popen[str], name: str) -> dict[str, float]:
    stdin: IO[str] | None = process.stdin
    assert stdin is not None
    try:
        stdin.write("go\n")
        stdin.flush()
    except BrokenPipeError:
        pass  # the answer tells
    return answer(process, name)


def answer(process: subprocess.Popen[str], name: str) -> dict[str, float]:
    """The next JSON line of a contender; what libraries print in between is passed over."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            got: dict[str, float] = json.loads(line)
            return got
    raise Failed(f"{name} stopped with status {process.wait()}; its own words are above")


Work = Callable[[], Mapping[str, float] | None]


def serve(prepare: Callable[[], Work], device: Device) -> None:
    """The contender's side: prepare, then work for every line that comes: once, or on a GPU some times."""
    with watched() as before:
        work = prepare()
    reply({"private": before.private})
    times = 1
    for turn, _ in enumerate(sys.stdin):
        for _ in range(0 if turn else device.warm_ups):
            work()
        with watched() as memory, device.watched() as taken:
            seconds, notes = timed(work, device, times)
        times = times if turn else device.repeats(seconds)
        reply({"seconds": seconds, "peak": memory.peak, "private": memory.private, "there": taken.most, **notes})


def timed(work: Work, device: Device, times: int) -> tuple[float, Mapping[str, float]]:
    """Seconds that one work takes, until the device has done it, and what it says."""
    device.synchronise()
    began = time.perf_counter()
    for _ in range(times):
        notes = work() or {}
    device.synchronise()
    return (time.perf_counter() - began) / times, notes


def reply(figures: Mapping[str, float]) -> None:
    print(json.dumps(figures), flush=True)


@dataclass
class Memory:
    """The most that this process took, in bytes."""

    peak: int = 0
    private: int = 0


@contextmanager
def watched() -> Iterator[Memory]:
    """Looks at this process's memory from a thread of its own; private memory has no high-water mark in the kernel."""
    memory, done = Memory(), threading.Event()

    def look() -> None:
        while True:
            status = dict(
                line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line
            )
            kilo = {name: int(status[name].split()[0]) for name in ("VmRSS", "RssAnon") if name in status}
            memory.peak = max(memory.peak, kilo.get("VmRSS", 0) * 1024)
            memory.private = max(memory.private, kilo.get("RssAnon", 0) * 1024)
            if done.wait(POLL):
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        done.set()
        thread.join()
