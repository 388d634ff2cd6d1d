"""What trains, how the networks behave with it, and what of it a file has.

A method is a `Trainable` and a file of its own: `train/lora.py` (every kind of LoRA), `train/embedding.py`,
`train/hypernetwork.py`, `train/full.py`, `train/control.py`.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from torch import Tensor, nn

from fromnoise.engine.library import Model
from fromnoise.registry import Registry


class Trainable(Protocol):
    """A method of training, on the networks of one model."""

    module: nn.Module  # everything that trains, and only that
    trains_text: bool  # whether the states of captions change with it

    def applied(self) -> AbstractContextManager[None]:
        """Inside, the networks compute with what trains, and gradients reach it."""
        ...

    def embeddings(self) -> tuple[Mapping[str, Tensor], ...]:
        """Vectors that captions name, for each text encoder: name to (n d)."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """What the file has, by its names there."""
        ...

    def metadata(self) -> dict[str, str]:
        """What the file says of itself."""
        ...


Method = Callable[[Model, Any, int], Trainable]  # model, the method's own options, seed
METHODS: Registry[Method] = Registry("training method", entry_points="fromnoise.methods")
