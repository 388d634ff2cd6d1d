"""Hands pictures of strangers to processes that decode them, and never looks into one itself: see decode.py."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fromnoise.server.errors import ApiError

Form = Literal["picture", "hole", "texts"]

PATIENCE = 30.0  # seconds for one picture, and as long for a free process
TOGETHER = 2  # processes
MODULE = "fromnoise.server.decode"
PASSED_ON = ("PATH", "PYTHONPATH", "PYTHONHOME", "SYSTEMROOT", "LD_LIBRARY_PATH")  # of the environment; no secrets


@dataclass
class Decoder:
    """At most TOGETHER processes, started when they are first needed. Threads share it."""

    patience: float = PATIENCE
    idle: "queue.SimpleQueue[Child | None]" = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        for _ in range(TOGETHER):
            self.idle.put(None)

    def decode(self, file: Path, folder: Path, form: Form) -> dict[str, Any]:
        """What decode.py answers of a file. ApiError 422 where it refuses them, 503 where all are busy."""
        try:
            child = self.idle.get(timeout=self.patience)
        except queue.Empty:
            raise ApiError(503, "busy", "too many pictures are sent at once", retry_after=5) from None
        try:
            if child is None or child.process.poll() is not None:
                child = Child.started()
            answer = child.ask({"file": str(file), "folder": str(folder), "form": form}, self.patience)
        finally:
            self.idle.put(child)
        if "error" in answer:
            raise ApiError(422, "picture", str(answer["error"]))
        return answer

    def close(self) -> None:
        """End the processes that are idle."""
        for _ in range(TOGETHER):
            try:
                child = self.idle.get(timeout=self.patience)
            except queue.Empty:
                return
            if child is not None:
                child.end()
            self.idle.put(None)


@dataclass
class Child:
    """One process."""

    process: "subprocess.Popen[str]"

    @classmethod
    def started(cls) -> "Child":
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        return cls(
            subprocess.Popen(
                [sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True, encoding="utf-8", env=environment,
            )
        )  # fmt: skip

    def ask(self, order: dict[str, str], patience: float) -> dict[str, Any]:
        """Its answer; a process that dies of a picture, or is at it for too long, is ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        alarm = threading.Timer(patience, self.process.kill)
        alarm.start()
        try:
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except OSError:
            line = ""
        finally:
            alarm.cancel()
        if not line:
            self.end()
            return {"error": "that picture takes more memory or time than one may"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
