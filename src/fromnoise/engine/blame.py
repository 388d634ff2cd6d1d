"""Numbers that are none: whose fault a black picture would be, said before it is made."""

from collections.abc import Iterable

import torch
from torch import Tensor

from fromnoise.checkpoints.files import non_finite
from fromnoise.checkpoints.names import State
from fromnoise.errors import FileError, UserError

SHOWN = 3  # names in a message


class BrokenWeights(FileError):
    """Weights that are NaN or infinite, in `names`. They make every picture black."""

    def __init__(self, model: str, what: str, names: list[str]) -> None:
        self.names = tuple(names)
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        super().__init__(
            f"{model}: {len(names):,} weights of its {what} hold NaN or infinity ({shown}): the file is damaged or was "
            "merged wrongly; get it again, or take another"
        )


class Overflow(UserError):
    """Numbers that a dtype cannot hold, from weights that are sound."""

    def __init__(self, model: str, what: str, dtype: torch.dtype) -> None:
        name = str(dtype).removeprefix("torch.")
        super().__init__(
            f"{model}: its {what} makes numbers that are none in {name}; choose --dtype float32, or lower the "
            "strengths of LoRAs and controls"
        )


def all_finite(*tensors: Tensor | None) -> bool:
    return all(tensor is None or bool(torch.isfinite(tensor).all()) for tensor in tensors)


def finite(x: Tensor) -> Tensor:
    """() bool where `x` is: whether all of it is finite, which nobody waits for."""
    return torch.isfinite(x).all()


def blamed(model: str, what: str, weights: Iterable[State], dtype: torch.dtype) -> BrokenWeights | Overflow:
    """The error for an answer that is not finite though the question was. `weights`: as in the files."""
    names = [name for state in weights for name in non_finite(state)]
    return BrokenWeights(model, what, names) if names else Overflow(model, what, dtype)
