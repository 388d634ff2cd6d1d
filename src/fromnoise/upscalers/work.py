"""How upscaling networks are run."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

Progress = Callable[[int, int], None]  # (parts done, parts in all); what it raises ends the work


def unseen(done: int, total: int) -> None:
    """Nobody is told."""


CPU = torch.device("cpu")


@dataclass(frozen=True)
class Work:
    """Where networks compute, how much at once, and who is told how far they are."""

    device: torch.device = CPU
    dtype: torch.dtype = torch.float32
    tile: int = 256  # pixels on a side that a network is shown at once; 0: the whole picture
    overlap: int | None = None  # pixels that neighbouring tiles share, at most a third; None: what hides the seams
    progress: Progress = unseen
