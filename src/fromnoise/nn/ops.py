"""The layers every network is made of, and the one place where weights meet activations.

Weights stay as they were stored (dtype, device, file mapping) and are fetched at use: moved to the activation's
device, cast to its dtype, patched. A network file therefore never mentions dtype, device or offloading.
"""

from typing import Protocol, cast

from torch import Tensor, nn
from torch.nn import functional as F


class Patch(Protocol):
    """A pure function from a weight to the weight to use instead (LoRA and its relatives)."""

    def __call__(self, weight: Tensor) -> Tensor: ...


class Fetching(nn.Module):
    """Mix-in for layers with `weight` and `bias`: `fetch` returns them ready to meet `x`."""

    patches: tuple[Patch, ...] = ()

    def reset_parameters(self) -> None:
        """No initialisation: weights come from a checkpoint, or from `train.initialise`."""

    def fetch(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """(weight, bias) on the device and in the dtype of `x`."""
        weight, bias = cast(Tensor, self.weight).to(x.device, x.dtype), cast(Tensor | None, self.bias)
        for patch in self.patches:
            weight = patch(weight)
        return weight, None if bias is None else bias.to(x.device, x.dtype)


class Linear(Fetching, nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, *self.fetch(x))


class Conv2d(Fetching, nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self._conv_forward(x, *self.fetch(x)))


class GroupNorm(Fetching, nn.GroupNorm):
    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.num_groups, *self.fetch(x), self.eps)


class LayerNorm(Fetching, nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, *self.fetch(x), self.eps)


class Embedding(nn.Embedding):
    """A table of vectors. Its output keeps the stored dtype: the caller decides in what dtype to compute."""

    def reset_parameters(self) -> None:
        """No initialisation: see `Fetching`."""


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, causal: bool = False) -> Tensor:
    """Multi-head attention; q (b n d), k and v (b m d) -> (b n d).

    Vaswani et al. (2017), "Attention Is All You Need".
    """
    q, k, v = (t.view(*t.shape[:2], heads, -1).transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)


def tokens_from(x: Tensor) -> Tensor:
    """(b c h w) -> (b h*w c); a view where `x` is channels-last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def image_from(tokens: Tensor, height: int, width: int) -> Tensor:
    """(b h*w c) -> (b c h w), channels-last."""
    return tokens.view(len(tokens), height, width, -1).permute(0, 3, 1, 2)
