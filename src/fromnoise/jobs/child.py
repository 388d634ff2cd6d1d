"""A process of Python that is asked in lines of JSON, and answers each with one. Needs no torch."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from fromnoise.allocator import GLIBC_KEEPS_MEMORY

SECRETS = ("FROMNOISE_TOKEN", "FROMNOISE_DATABASE")  # of the environment: who may call, and a password perhaps


def without_secrets() -> dict[str, str]:
    """The environment for processes that open what strangers made, or run what extensions bring along."""
    return {name: value for name, value in os.environ.items() if name not in SECRETS}


def keeping_memory() -> dict[str, str]:
    """The same for a worker: glibc keeps large pieces of memory for reuse, as `launch.py` asks. What is set stays."""
    return GLIBC_KEEPS_MEMORY | without_secrets()


@dataclass
class Child:
    """One process, asked by one thread at a time."""

    process: "subprocess.Popen[str]"

    @classmethod
    def started(cls, module: str, environment: Mapping[str, str], *, quiet: bool = False) -> Self:
        """Start a module; `quiet`: what it says besides its answers is lost."""
        return cls(
            subprocess.Popen(
                [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if quiet else None, text=True, encoding="utf-8", env=dict(environment),
            )
        )  # fmt: skip

    @property
    def is_there(self) -> bool:
        return self.process.poll() is None

    def ask(self, order: Mapping[str, Any], patience: float) -> dict[str, Any] | None:
        """Its answer; None where it has died of it, or was at it for more than `patience` seconds, and is ended."""
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
            return None
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
