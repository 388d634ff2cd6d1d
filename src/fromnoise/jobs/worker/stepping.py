"""Functions that tell their progress to a callback, as tasks that can be stopped between any two such calls."""

import queue
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

Progress = Callable[[int, int], None]  # (steps done, steps in all)
LOOK = 1.0  # seconds after which one that tells nothing is looked after


class Unwanted(BaseException):
    """Raised in the function at its next call when nobody waits for it any more. No failure: nothing catches it."""


def in_steps(run: Callable[[Progress], T]) -> Generator[tuple[int, int], None, T]:
    """Run a function in a thread of its own; its progress is yielded, and what it returns is the generator's value."""
    told: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
    unwanted = threading.Event()
    result: list[T] = []
    failure: list[BaseException] = []

    def tell(done: int, total: int) -> None:
        if unwanted.is_set():
            raise Unwanted
        told.put((done, total))

    def work() -> None:
        try:
            result.append(run(tell))
        except BaseException as error:  # it is raised where it is waited for
            failure.append(error)
        told.put(None)

    thread = threading.Thread(target=work, name="task", daemon=True)
    thread.start()
    step, ended = (0, 0), False
    try:
        while not ended:
            yield (shown := step)
            with suppress(queue.Empty):
                found = told.get(timeout=LOOK)
                while found is not None:  # only the newest counts
                    step = found
                    if told.empty():
                        break
                    found = told.get()
                ended = found is None
        if step != shown:
            yield step
    finally:
        unwanted.set()
        thread.join()
    if failure:
        raise failure[0]
    return result[0]
