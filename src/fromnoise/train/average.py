"""The moving average of what trains."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class Average:
    """Exponential moving average of a module's parameters; the decay rises from 1/10 as in latent diffusion's."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        theirs = [p.detach() for p in module.parameters()]
        torch._foreach_lerp_(list(self.weights.values()), theirs, 1 - decay)

    @torch.no_grad()
    def put(self, module: nn.Module) -> None:
        """Make the module's weights the averaged ones."""
        for name, p in module.named_parameters():
            p.copy_(self.weights[name])

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Inside, `module` has the averaged weights."""
        kept = {name: p.detach().clone() for name, p in module.named_parameters()}
        self.put(module)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, p in module.named_parameters():
                    p.copy_(kept[name])
