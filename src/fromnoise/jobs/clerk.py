"""A process beside the workers for small things that can't wait for pictures: `Clerk().ask("read", {"path": ...})`.

It opens what strangers made, and knows what needs torch, so that the server does neither. It starts when it is first
asked, ends when nobody has asked for a while, and is ended where a file keeps it too long. Needs no torch.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from fromnoise.errors import FileError, FromnoiseError

PATIENCE = 60.0  # seconds for one answer
TRIES = 2  # it may just have ended


@dataclass
class Clerk:
    """One process, asked by one thread at a time."""

    patience: float = PATIENCE
    process: "subprocess.Popen[str] | None" = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, task: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of a task of `worker/clerk.py`. FileError where it says why not, or came to grief over it."""
        line = json.dumps({"task": task, "body": dict(body)})
        with self.lock:
            for _ in range(TRIES):
                answer = self.asked(line)
                if answer:
                    break
            else:
                raise FileError("that file could not be read: reading it took too long, or failed")
        found: dict[str, Any] = json.loads(answer)
        if "error" in found:
            raise FileError(str(found["error"])) if found.get("file") else FromnoiseError(str(found["error"]))
        return found

    def asked(self, line: str) -> str:
        """A line back; empty where the process has ended."""
        process = self.started()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(self.patience, process.kill)
        timer.start()
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            return process.stdout.readline()
        except OSError:
            return ""
        finally:
            timer.cancel()

    def started(self) -> "subprocess.Popen[str]":
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fromnoise.jobs.worker.clerk"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True, encoding="utf-8",
            )  # fmt: skip
        return self.process

    def close(self) -> None:
        """End the process, if there is one."""
        with self.lock:
            if self.process is not None:
                self.process.kill()
                self.process.wait()
                for pipe in (self.process.stdin, self.process.stdout):
                    with suppress(OSError):
                        if pipe is not None:
                            pipe.close()
                self.process = None
