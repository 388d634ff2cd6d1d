"""Commands of ours in a process of their own, which ends with the worker and stops when it is told to."""

import os
import queue
import signal
import subprocess
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fromnoise.jobs.worker.tasks import Desk
from fromnoise.settings import as_environment

LOOK = 1.0  # seconds after which one that says nothing is looked after
PATIENCE = 90.0  # seconds to end in, such as to save a state, when it is told to stop


class Line(NamedTuple):
    """Something that it said."""

    stream: Literal["out", "said", ""]  # stdout, stderr; none of them: it has said nothing for a while
    text: str


class Child:
    """A process, and what it says."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            encoding="utf-8", errors="replace", env=dict(environment), cwd=folder, start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )  # fmt: skip  # Ctrl-C in a terminal is not for it: it is told to stop
        self.told: queue.SimpleQueue[Line | None] = queue.SimpleQueue()
        self.problems: list[str] = []
        streams: tuple[tuple[Any, Literal["out", "said"]], ...] = (
            (self.process.stdout, "out"), (self.process.stderr, "said"),
        )  # fmt: skip
        self.threads = [threading.Thread(target=self.listen, args=pair, daemon=True) for pair in streams]
        for thread in self.threads:
            thread.start()

    def listen(self, stream: Any, name: Literal["out", "said"]) -> None:
        for line in stream:
            self.told.put(Line(name, line.strip()))
            if name == "said":
                self.problems[:] = [*self.problems[-20:], line.strip()]
        self.told.put(None)

    def lines(self) -> Generator[Line]:
        """What it says, line by line, until it ends."""
        open_streams = len(self.threads)
        while open_streams:
            try:
                line = self.told.get(timeout=LOOK)
            except queue.Empty:
                yield Line("", "")
                continue
            if line is None:
                open_streams -= 1
            else:
                yield line
        self.process.wait()

    def tell(self) -> None:
        """Tell it to stop, as Ctrl-C does."""
        with suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.write("stop\n")
            self.process.stdin.flush()

    def stop(self) -> None:
        """Let it save and end; nothing where it has ended."""
        if self.process.poll() is None:
            self.tell()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
            self.process.kill()
            self.process.wait()
        for thread in self.threads:
            thread.join(LOOK)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(OSError):
                if stream is not None:
                    stream.close()

    @property
    def status(self) -> int:
        return self.process.returncode

    @property
    def why(self) -> str:
        """What it said last."""
        said = [line.removeprefix("fromnoise: ") for line in self.problems if line.startswith("fromnoise: ")]
        return said[-1] if said else f"it ended with status {self.status}"


def environment(desk: Desk, *, any_path: bool = False, language: str = "en") -> dict[str, str]:
    """Of the process: the same places and the same device; `any_path`: it may be told files that lie anywhere."""
    device, given = desk.placement.device, dict(os.environ)
    there = given.get("CUDA_VISIBLE_DEVICES", "").split(",") if given.get("CUDA_VISIBLE_DEVICES") else []
    if device.type == "cpu":
        given["CUDA_VISIBLE_DEVICES"] = ""
    elif device.type == "cuda" and device.index is not None:
        given["CUDA_VISIBLE_DEVICES"] = there[device.index] if device.index < len(there) else str(device.index)
    if any_path:
        given.pop("FROMNOISE_SHELVED", None)
    settings = replace(desk.settings, any_path=any_path or desk.settings.any_path)
    return given | as_environment(settings) | {"FROMNOISE_LANG": language, "FROMNOISE_LEASH": "1"}


def name_of(number: int) -> str:
    """Of a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
