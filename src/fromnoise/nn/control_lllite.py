"""ControlNet-LLLite (kohya): small networks beside the projections of a U-Net's attention, which see the hint, too.

https://github.com/kohya-ss/sd-scripts/blob/main/docs/train_lllite_README.md
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.ops import Conv2d, Linear


@dataclass(frozen=True)
class LLLiteModuleConfig:
    target: str  # the layer of the U-Net whose input it changes
    dim: int  # of that input
    inner: int
    hint_dim: int  # what the hint comes to at each place
    depth: int  # 1 to 3: how small the hint is made before it is fitted to the layer


class LLLiteModule(nn.Module):
    def __init__(self, config: LLLiteModuleConfig) -> None:
        super().__init__()
        half, full = config.hint_dim // 2, config.hint_dim
        layers: list[nn.Module] = [Conv2d(3, half, 4, stride=4)]
        if config.depth == 3:
            layers += [nn.ReLU(), Conv2d(half, half, 4, stride=4)]
        stride = 4 if config.depth == 2 else 2
        self.conditioning1 = nn.Sequential(*layers, nn.ReLU(), Conv2d(half, full, stride, stride=stride))
        self.down = nn.Sequential(Linear(config.dim, config.inner), nn.ReLU())
        self.mid = nn.Sequential(Linear(config.inner + full, config.inner), nn.ReLU())
        self.up = nn.Sequential(Linear(config.inner, config.dim))

    def look(self, hint: Tensor) -> Tensor:
        """hint (b 3 H W) in [-1, 1] -> what `forward` needs of it, the same at every step."""
        seen: Tensor = self.conditioning1(hint)
        return seen

    def forward(self, x: Tensor, seen: Tensor, size: tuple[int, int]) -> Tensor:
        """What to add to x (b n dim), tokens of a layer of that height and width."""
        tokens = F.interpolate(seen, size, mode="nearest-exact").flatten(2).transpose(1, 2)
        out: Tensor = self.up(self.mid(torch.cat((tokens.to(x), self.down(x)), dim=2)))
        return out


class LLLite(nn.ModuleDict):
    """All the modules of a file, by the names they have there."""

    def __init__(self, config: Mapping[str, LLLiteModuleConfig]) -> None:
        super().__init__({name: LLLiteModule(one) for name, one in config.items()})
        self.targets = {name: one.target for name, one in config.items()}
        self.sizes = {one.target: one.dim for one in config.values()}  # of what the targets take
