"""Whether a training still learns: its running loss beside the lowest that it has been."""

from dataclasses import dataclass

from fromnoise.errors import UserError

WEIGHT = 0.95  # of the running mean: about twenty steps
BEGIN = 10  # steps before it counts
REMEDY = "lower the learning rate and start it again"


class Diverged(UserError):
    """Training went wrong at `step`; `good` is the step of the last state that was saved, None where there is none."""

    def __init__(self, what: str, step: int, good: int | None) -> None:
        self.step, self.good = step, good
        kept = f"the state of step {good} is kept" if good else "nothing was saved yet"
        super().__init__(f"{what} at step {step}: {kept}; {REMEDY}")


@dataclass
class Watch:
    """The running mean of the loss, free of the bias of its start (Kingma and Ba, 2015, section 3)."""

    limit: float  # how many times the lowest mean is too much; 0: none is
    total: float = 0.0
    weight: float = 0.0
    count: int = 0
    lowest: float = float("inf")

    def add(self, loss: float) -> None:
        self.total = WEIGHT * self.total + (1 - WEIGHT) * loss
        self.weight = WEIGHT * self.weight + (1 - WEIGHT)
        self.count += 1
        if self.count >= BEGIN:
            self.lowest = min(self.lowest, self.mean)

    @property
    def mean(self) -> float:
        return self.total / self.weight if self.weight else 0.0

    @property
    def diverged(self) -> bool:
        """Whether it is of no use to go on."""
        return self._above(self.limit)

    @property
    def good(self) -> bool:
        """Whether the state is worth keeping."""
        return not self._above(self.limit / 2)

    def _above(self, limit: float) -> bool:
        return limit > 0 and self.count > BEGIN and self.mean > limit * self.lowest > 0

    def numbers(self) -> list[float]:
        """What `restored` takes."""
        return [self.total, self.weight, self.count, self.lowest]

    def restore(self, numbers: list[float]) -> None:
        self.total, self.weight, self.lowest = numbers[0], numbers[1], numbers[3]
        self.count = int(numbers[2])
