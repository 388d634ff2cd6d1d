"""Weights are moved while nobody works with them: one thread draws, another may decode, and either may need room."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Traffic:
    """Any number of threads work at once. Who moves waits until all others have ended, and holds up what comes later.

    Weights are not moved by a thread while it works.
    """

    changed: threading.Condition = field(default_factory=threading.Condition)
    working: Counter[int] = field(default_factory=Counter)  # by thread
    movers: list[int] = field(default_factory=list)  # threads that move or wait to; the first moves

    @contextmanager
    def work(self) -> Iterator[None]:
        """Inside, weights stay where they are."""
        me = threading.get_ident()
        with self.changed:
            self.changed.wait_for(lambda: me in self.working or not self.movers or self.movers[0] == me)
            self.working[me] += 1
        try:
            yield
        finally:
            with self.changed:
                self.working -= Counter([me])  # which drops what comes to none
                self.changed.notify_all()

    @contextmanager
    def move(self) -> Iterator[None]:
        """Inside, nobody else works or moves."""
        me = threading.get_ident()
        if self.movers[:1] == [me]:  # within a move
            yield
            return
        with self.changed:
            self.movers.append(me)
            self.changed.wait_for(lambda: self.movers[0] == me and not any(one != me for one in self.working))
        try:
            yield
        finally:
            with self.changed:
                self.movers.remove(me)
                self.changed.notify_all()
