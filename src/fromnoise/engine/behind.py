"""What is done with finished pictures behind the U-Net's back: one is decoded or written while it draws the next."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch

from fromnoise.engine.library import Model
from fromnoise.engine.memory import Plan

T = TypeVar("T")

CPU = torch.device("cpu")


@dataclass
class Behind(Generic[T]):
    """Does work in a thread, on a GPU in a stream of its own; results come in the order of `add`.

    with Behind(device) as behind:
        behind.add(work, aside=True)
        yield from behind.ready()
        yield from behind.rest()
    """

    device: torch.device = CPU
    streams: Any = None  # torch.cuda, but for tests
    under_way: "deque[Future[T]]" = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="behind")  # its thread comes with the first work
        if self.streams is None and self.device.type == "cuda":
            self.streams = torch.cuda
        self.stream: Any = None if self.streams is None else self.streams.Stream(self.device)

    def __enter__(self) -> "Behind[T]":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)

    def add(self, work: Callable[[], T], *, aside: bool) -> None:
        """Begin; where it is not done `aside`, it is done when this returns."""
        if aside:
            given = None if self.stream is None else self.streams.current_stream(self.device).record_event()
            self.under_way.append(self.pool.submit(self._done, work, given))
        else:
            made: Future[T] = Future()
            made.set_result(work())
            self.under_way.append(made)

    @torch.inference_mode()
    def _done(self, work: Callable[[], T], given: Any) -> T:
        if self.stream is None:
            return work()
        with self.streams.stream(self.stream):
            self.stream.wait_event(given)  # what the work is about may be under way to be computed
            return work()

    def ready(self, most: int | None = None) -> Iterator[T]:
        """What is done by now, and as much more as must be so that no more than `most` are under way.

        What work raised is raised here.
        """
        while self.under_way and (self.under_way[0].done() or (most is not None and len(self.under_way) > most)):
            yield self.under_way.popleft().result()

    def rest(self) -> Iterator[T]:
        """All else, as it is done."""
        while self.under_way:
            yield self.under_way.popleft().result()


def worthwhile(model: Model) -> bool:
    """Whether decoder and U-Net gain from working at once: not on a processor, which is busy with either, nor where
    memory is so short that one makes room for the other."""
    loose = model.residence is None or model.residence.plan == Plan()
    return model.placement.device.type == "cuda" and loose and model.budget is None and model.settings.gpu_trials
