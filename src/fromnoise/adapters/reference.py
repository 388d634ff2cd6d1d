"""A picture as a reference, without any file: the U-Net looks at it at the same noise level, and what its
self-attention and its blocks saw there is there for them to look at again.

Lvmin Zhang's "reference-only", "reference adain" and both together, as AUTOMATIC1111's ControlNet extension defines
them.
"""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, cast

import torch
from torch import Tensor, nn

from fromnoise.nn.hooks import transformer_blocks
from fromnoise.nn.unet import UNet, UNetConfig
from fromnoise.sampling.areas import Area, cut

EPSILON = 1e-6  # of a variance


@dataclass(frozen=True, eq=False)
class Reference:
    """One picture to look at."""

    latents: Tensor  # (1 c h w), clean
    noise: Tensor  # (1 c h w), unit noise, which it is seen through
    weight: float = 1.0  # how many layers look at it: all from 1 (attention) and 2 (adain) on
    attention: bool = True
    adain: bool = False
    fidelity: float = 0.5  # how much of what the negative prompt's call does is done without the reference

    def within(self, area: Area, of: tuple[int, int]) -> "Reference":
        """What of it lies over an area of a picture of that height and width."""
        return replace(self, latents=cut(self.latents, area, of), noise=cut(self.noise, area, of))

    @property
    def kind(self) -> Hashable:
        return self.latents.shape, self.weight, self.attention, self.adain


@dataclass(frozen=True, eq=False)
class References:
    """What one call brings along: all pictures that it looks at."""

    members: tuple[Reference, ...]
    alphas_cumprod: Tensor  # (T,), of the model
    negative: bool = False  # the call is the negative prompt's

    def within(self, area: Area, of: tuple[int, int]) -> Self:
        """The same part of all pictures for a part of the picture: `sampling.guidance_regions.Placed`."""
        return replace(self, members=tuple(member.within(area, of) for member in self.members))

    @property
    def key(self) -> Hashable:
        return "reference", tuple(member.kind for member in self.members)

    @contextmanager
    def applied(self, network: nn.Module, batch: Sequence[Self]) -> Iterator[None]:
        """`network`, a U-Net, looks at the pictures of `batch`, as many for each of its calls."""
        unet = cast(UNet, network)
        banks = [*attention_banks(unet), *adain_banks(unet)]
        alone = [[one.negative * one.members[i].fidelity for one in batch] for i in range(len(self.members))]

        def look(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            x, timesteps, context, *rest = args
            y = rest[0] if rest else kwargs.get("y")
            for bank in banks:
                bank.clear()
            for i, member in enumerate(self.members):
                for bank in banks:
                    bank.open(member, alone[i])
                seen = noised([one.members[i] for one in batch], self.alphas_cumprod, timesteps)
                unet.forward(with_channels(seen.to(x), x.shape[1]), timesteps, context, y)
            for bank in banks:
                bank.state = "read" if bank.seen else "rest"

        with ExitStack() as undo:
            for bank in banks:
                bank.hook(undo)
            undo.callback(network.register_forward_pre_hook(look, with_kwargs=True).remove)
            yield


def noised(members: Sequence[Reference], alphas_cumprod: Tensor, timesteps: Tensor) -> Tensor:
    """Each picture at the noise level of its timestep, as a network is shown it: Ho et al. (2020), equation 4."""
    alpha = alphas_cumprod[timesteps.round().long().cpu()][:, None, None, None]
    latents, noise = (torch.cat([getattr(one, name) for one in members]) for name in ("latents", "noise"))
    alpha = alpha.to(latents)
    return latents * alpha.sqrt() + noise.to(latents) * (1 - alpha).sqrt()


def with_channels(seen: Tensor, channels: int) -> Tensor:
    """What a model with more channels is shown besides: a mask of nothing, and the picture again."""
    missing = channels - seen.shape[1]
    if missing <= 0:
        return seen
    blank = seen.new_zeros(len(seen), max(missing - seen.shape[1], 0), *seen.shape[-2:])
    return torch.cat((seen, blank, seen), dim=1)[:, :channels]


@dataclass
class Bank:
    """What one layer saw of the references, and how it looks at that again."""

    layer: nn.Module
    least: float  # weight above which a reference is seen here
    seen: list[tuple[Tensor, ...]] = field(default_factory=list)
    alone: list[list[float]] = field(default_factory=list)  # of each seen: shares of each call without it
    state: Literal["rest", "write", "read"] = "rest"

    def clear(self) -> None:
        self.seen.clear()
        self.alone.clear()
        self.state = "rest"

    def open(self, member: Reference, alone: list[float]) -> None:
        """The next thing that the layer sees is `member`, if that is for it."""
        self.state = "write" if self.heeds(member) and member.weight > self.least else "rest"
        if self.state == "write":
            self.alone.append(alone)

    def heeds(self, member: Reference) -> bool:
        raise NotImplementedError

    def hook(self, undo: ExitStack) -> None:
        raise NotImplementedError

    def mixed(self, with_references: Tensor, without: Tensor) -> Tensor:
        """Both answers of the layer in each call's proportion: the mean over the references."""
        share = torch.tensor(self.alone).mean(dim=0).to(without).view(-1, *(1,) * (without.ndim - 1))
        return without * share + with_references * (1 - share)


class AttentionBank(Bank):
    """Self-attention, which looks at the tokens of the references, too."""

    def heeds(self, member: Reference) -> bool:
        return member.attention

    def hook(self, undo: ExitStack) -> None:
        def enter(attention: nn.Module, args: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor] | None:
            if self.state == "write":
                self.seen.append((args[0],))
            if self.state != "read":
                return None
            return args[0], torch.cat((args[1], *(tokens for (tokens,) in self.seen)), dim=1)

        def leave(attention: nn.Module, args: tuple[Tensor, Tensor], output: Tensor) -> Tensor | None:
            if self.state != "read" or not any(map(any, self.alone)):
                return None
            return self.mixed(output, attention.forward(args[0], args[0]))

        undo.callback(self.layer.register_forward_pre_hook(enter).remove)
        undo.callback(self.layer.register_forward_hook(leave).remove)


class AdainBank(Bank):
    """A block, whose channels get the mean and the deviation that they have for the references."""

    def heeds(self, member: Reference) -> bool:
        return member.adain

    def hook(self, undo: ExitStack) -> None:
        def leave(block: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            if self.state == "write":
                self.seen.append(moments(output))
            if self.state != "read":
                return None
            variances, means = (torch.stack(each).mean(dim=0) for each in zip(*self.seen, strict=True))
            variance, mean = moments(output)
            changed = (output - mean) / deviation(variance) * deviation(variances) + means
            return self.mixed(changed, output)

        undo.callback(self.layer.register_forward_hook(leave).remove)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Variance and mean of each channel, (b c 1 1)."""
    variance, mean = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)
    return variance, mean


def deviation(variance: Tensor) -> Tensor:
    return variance.clamp_min(EPSILON).sqrt()


def attention_banks(unet: UNet) -> list[Bank]:
    """The widest layers are the first to look."""
    layers = [block.attn1 for block in transformer_blocks(unet, ("input_blocks", "middle_block", "output_blocks"))]
    layers.sort(key=lambda layer: -layer.to_q.in_features)
    return [AttentionBank(layer, index / len(layers)) for index, layer in enumerate(layers)]


def adain_banks(unet: UNet) -> list[Bank]:
    """The deepest blocks are the first."""
    down, up = adain_places(unet.config)
    banks: list[Bank] = [AdainBank(unet.middle_block, 0.0)]
    banks += [AdainBank(unet.input_blocks[place], 2 - 2 * i / len(down)) for i, place in enumerate(down)]
    banks += [AdainBank(unet.output_blocks[place], 2 * i / len(up)) for i, place in enumerate(up)]
    return banks


def adain_places(config: UNetConfig) -> tuple[list[int], list[int]]:
    """Input and output blocks, without those of the highest resolution: 4, 5, 7, 8, 10, 11 and 0 to 7 for SD 1.x,
    4, 5, 7, 8 and 0 to 5 for SDXL.
    """
    levels, per_level = len(config.channel_mult), config.res_blocks + 1
    down = [level * per_level + i for level in range(1, levels) for i in range(1, per_level)]
    return down, list(range(per_level * (levels - 1) - (levels == 4)))
