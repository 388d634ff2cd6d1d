"""Answers on a GPU, which nobody waits for: whether they are numbers is looked at some batches later, or at the end."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

LATE = 8  # batches that are looked at together, so that a GPU is waited for once in so many


@dataclass(frozen=True)
class Doubt:
    """One batch."""

    number: int  # from 1
    broken: Tensor  # () bool, on the device
    blame: Callable[[], Exception]  # makes the error


@dataclass
class Doubts:
    """Batches whose answers were not looked at yet, all on one device."""

    late: int = LATE
    batches: list[Doubt] = field(default_factory=list)

    def add(self, number: int, broken: Tensor, blame: Callable[[], Exception]) -> None:
        """Remember a batch; raises what is wrong with it, or with one before, where enough have gathered."""
        self.batches.append(Doubt(number, broken, blame))
        if len(self.batches) >= self.late:
            self.settle()

    def settle(self) -> None:
        """Wait for the device; raises what is wrong with the first batch whose answers are none, and forgets all."""
        error = self.look()
        self.batches.clear()
        if error is not None:
            raise error

    def look(self) -> Exception | None:
        """Wait for the device: what is wrong, if anything, which is then found again the next time."""
        if not self.batches:
            return None
        broken = torch.stack([one.broken for one in self.batches]).cpu().tolist()
        for one, wrong in zip(self.batches, broken, strict=True):
            if wrong:
                error = one.blame()
                error.add_note(f"batch {one.number} of those that this executor sent")
                return error
        self.batches.clear()
        return None
