"""A process beside the workers for small things that can't wait for pictures: `Clerk().ask("read", {"path": ...})`.

It opens what strangers made, and knows what needs torch, so that the server does neither. It starts when it is first
asked, ends when nobody has asked for a while, and is ended where a file keeps it too long. Needs no torch.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fromnoise.errors import FileError, FromnoiseError
from fromnoise.jobs.child import Child, without_secrets

PATIENCE = 60.0  # seconds for one answer
TRIES = 2  # it may just have ended
MODULE = "fromnoise.jobs.worker.clerk"
MOST_TEXTS = 64  # of a picture that are told
LONGEST_TEXT = 200_000  # characters of one


@dataclass
class Clerk:
    """One process, asked by one thread at a time."""

    patience: float = PATIENCE
    child: Child | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, task: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of a task of `worker/clerk.py`. FileError where it says why not, or came to grief over it."""
        with self.lock:
            for _ in range(TRIES):
                found = self.there().ask({"task": task, "body": dict(body)}, self.patience)
                if found is not None:
                    break
            else:
                raise FileError("that file could not be read: reading it took too long, or failed")
        if "error" in found:
            raise FileError(str(found["error"])) if found.get("file") else FromnoiseError(str(found["error"]))
        return found

    def there(self) -> Child:
        if self.child is None or not self.child.is_there:
            self.child = Child.started(MODULE, without_secrets())
        return self.child

    def close(self) -> None:
        """End the process, if there is one."""
        with self.lock:
            if self.child is not None:
                self.child.end()
                self.child = None
