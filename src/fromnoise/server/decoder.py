"""Hands pictures of strangers to processes that decode them, and never looks into one itself: see decode.py."""

import os
import queue
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fromnoise.jobs.child import Child
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
            if child is None or not child.is_there:
                known = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
                child = Child.started(MODULE, known, quiet=True)
            answer = child.ask({"file": str(file), "folder": str(folder), "form": form}, self.patience)
        finally:
            self.idle.put(child)
        if answer is None:
            raise ApiError(422, "picture", "that picture takes more memory or time than one may")
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
