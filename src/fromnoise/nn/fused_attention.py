"""A transformer layer under the names of OpenAI's CLIP, which adapters have taken over: one weight for q, k and v."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.ops import LayerNorm, Linear, attention


class FusedLayer(nn.Module):
    """Vaswani et al. (2017) with the norms first; x (b n dim) -> the same."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attn = FusedAttention(dim, heads)
        self.ln_1, self.ln_2 = LayerNorm(dim), LayerNorm(dim)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", Linear(dim, dim * 4))
        self.mlp.add_module("gelu", QuickGELU())
        self.mlp.add_module("c_proj", Linear(dim * 4, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class FusedAttention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * dim))
        self.out_proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = F.linear(x, self.in_proj_weight.to(x), self.in_proj_bias.to(x)).chunk(3, dim=-1)
        out: Tensor = self.out_proj(attention(q, k, v, self.heads))
        return out


class QuickGELU(nn.Module):
    """As in CLIP: Radford et al. (2021)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)
