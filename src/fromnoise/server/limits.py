"""How often a caller may call: a bucket of tokens for each, filled at a steady rate."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

MOST_CALLERS = 10_000  # that are remembered; those that have been quiet longest are forgotten


@dataclass(frozen=True)
class Rate:
    """`count` calls in `seconds`, as many at once."""

    count: int
    seconds: float

    @classmethod
    def of(cls, text: str) -> "Rate":
        """The rate in "30/minute" or "5/10s". ValueError where it is none."""
        count, slash, span = text.partition("/")
        units = {"second": 1, "s": 1, "minute": 60, "min": 60, "m": 60, "hour": 3600, "h": 3600, "day": 86400}
        number = span.rstrip("abcdefghijklmnopqrstuvwxyz")
        unit = span[len(number) :].removesuffix("s") or "s"
        if not slash or not count.strip().isdecimal() or unit not in units:
            raise ValueError(f"{text!r} is no rate; write one such as 30/minute")
        return cls(int(count), float(number or 1) * units[unit])


@dataclass
class Limiter:
    """Keeps callers to a rate; the clock can be exchanged."""

    rate: Rate
    clock: Callable[[], float] = time.monotonic
    buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)  # caller: (tokens, when)

    def wait(self, caller: str, cost: float = 1.0) -> float:
        """Take `cost` tokens of the caller; 0, or without taking any the seconds until there are enough."""
        now, most = self.clock(), float(self.rate.count)
        tokens, since = self.buckets.pop(caller, (most, now))
        tokens = min(most, tokens + (now - since) * most / self.rate.seconds)
        enough = tokens >= cost - 1e-9
        self.buckets[caller] = (tokens - cost if enough else tokens, now)
        while len(self.buckets) > MOST_CALLERS:
            self.buckets.popitem(last=False)
        if enough:
            return 0.0
        return math.inf if cost > most else (cost - tokens) * self.rate.seconds / most
