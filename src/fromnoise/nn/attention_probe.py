"""Where in the picture the network looks for each token of the prompt: its cross-attention, without changing it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from fromnoise.nn.unet import CrossAttention, TransformerBlock

MOST_PLACES = 1024  # of a layer that is heard
WANTED_PLACES = 256  # 16 x 16, where words show best (Hertz et al. 2022, "Prompt-to-Prompt", section 3)


@dataclass(eq=False)
class AttentionProbe:
    """A variant of the network, for one call of one picture, that leaves its answer as it is and listens.

    Each is equal to itself alone, so that no other call shares its batch.
    """

    sums: dict[int, Tensor] = field(default_factory=dict)  # by places: (places, tokens)
    layers: dict[int, int] = field(default_factory=dict)

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        with ExitStack() as undo:
            for module in network.modules():
                if isinstance(module, TransformerBlock):
                    undo.callback(module.attn2.register_forward_pre_hook(self._hear).remove)
            yield

    def _hear(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        attention, x, context = cast(CrossAttention, module), args[0], args[1]
        places = x.shape[1]
        if places > MOST_PLACES or len(x) != 1:
            return
        q, k = (
            t.unflatten(-1, (attention.heads, -1)).transpose(1, 2).float()
            for t in (attention.to_q(x), attention.to_k(context))
        )
        shares = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)
        mean = shares[0].mean(dim=0).cpu()
        self.sums[places] = self.sums[places] + mean if places in self.sums else mean
        self.layers[places] = self.layers.get(places, 0) + 1

    def maps(self, height: int, width: int) -> Tensor | None:
        """(tokens h w): shares of attention, averaged over heads and the layers of one resolution of latents of that
        size; None where no layer was heard."""
        if not self.sums:
            return None
        places = min(self.sums, key=lambda count: (abs(count - WANTED_PLACES), count))
        down = max(1, round((height * width / places) ** 0.5))
        rows, columns = -(-height // down), -(-width // down)
        if rows * columns != places:
            return None
        mean = self.sums[places] / self.layers[places]
        return mean.T.reshape(-1, rows, columns).to(torch.float32)
