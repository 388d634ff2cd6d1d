"""A style beside the prompt: T2I-Adapter's style tokens follow those of the text."""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class StyleTokens:
    """What one call brings along: tokens from `StyleAdapter`, with their weight in them."""

    tokens: Tensor  # (1 n d)

    @property
    def key(self) -> Hashable:
        return "style", self.tokens.shape

    @contextmanager
    def applied(self, network: nn.Module, batch: Sequence[Self]) -> Iterator[None]:
        """`network` reads the tokens of `batch`, one for each of its calls, after the prompt."""
        tokens = torch.cat([one.tokens for one in batch])

        def lengthen(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            x, timesteps, context, *rest = args
            return (x, timesteps, torch.cat((context, tokens.to(context)), dim=1), *rest), kwargs

        hook = network.register_forward_pre_hook(lengthen, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()
