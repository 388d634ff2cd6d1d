"""Changes of a network for the length of a block. They leave no trace, whatever happens inside.

    with FreeU().applied(unet), Seamless().applied(unet):
        out = unet(x, timesteps, context)

Each is a frozen dataclass: equal where the change is equal, so that network calls which want the same one can share a
batch. They sit on PyTorch's own hooks; the networks know none of them. See also `token_merging`.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.nn.unet import (
    Block,
    CrossAttention,
    SpatialTransformer,
    TransformerBlock,
    UNet,
    UNetConfig,
    skip_widths,
)

Images = tuple[Tensor]


@dataclass(frozen=True)
class Seamless:
    """Pictures whose opposite edges meet: convolutions see the other edge where they saw zeros.

    For the U-Net and for the autoencoder's decoder. As in AUTOMATIC1111's "Tiling", the encoder's downsampling layers,
    which pad on one side only, keep their zeros.
    """

    x: bool = True  # left and right edge
    y: bool = True  # top and bottom

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        with ExitStack() as undo:
            for module in network.modules():
                if isinstance(module, nn.Conv2d) and module.padding != (0, 0) and (self.x or self.y):
                    self._wrap(module, undo)
            yield

    def _wrap(self, conv: nn.Conv2d, undo: ExitStack) -> None:
        down, across = cast(tuple[int, int], conv.padding)
        border = (across * self.x, across * self.x, down * self.y, down * self.y)

        def pad(module: nn.Module, args: Images) -> Images:
            return (F.pad(args[0], border, mode="circular"),)

        undo.callback(conv.register_forward_pre_hook(pad).remove)
        undo.callback(setattr, conv, "padding", conv.padding)
        conv.padding = (down * (not self.y), across * (not self.x))


@dataclass(frozen=True)
class FreeU:
    """Si et al. (2023), "FreeU: Free Lunch in Diffusion U-Net", equations 4 to 7: on the way up, strengthen half of the
    backbone's channels by b and scale the low frequencies of the skip connection by s.

    version 1 scales by b everywhere; version 2 by up to b where the backbone's mean is highest.
    stages "width" counts the backbone's channels as the authors and ComfyUI do: b1, s1 where they are 4 times the
    model's, b2, s2 where 2 times. "level" takes the lowest and second-lowest resolution instead, as diffusers does.
    """

    b1: float = 1.3  # 0 to 10; 1 changes nothing
    b2: float = 1.4
    s1: float = 0.9  # 0 to 10; 1 changes nothing
    s2: float = 0.2
    version: Literal[1, 2] = 2
    stages: Literal["width", "level"] = "width"

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        unet = cast(UNet, network)
        with ExitStack() as undo:
            skips = skip_widths(unet.config)
            for index, block in enumerate(unet.output_blocks):
                self._wrap(cast(Block, block), index, skips.pop(), unet.config, undo)
            yield

    def _wrap(self, block: Block, index: int, skip: int, config: UNetConfig, undo: ExitStack) -> None:
        def change(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            backbone, lateral = torch.split(args[0], [args[0].shape[1] - skip, skip], dim=1)
            if (scales := self._scales(backbone.shape[1], index, config)) is None:
                return None
            b, s = scales
            changed = torch.cat((self._strengthened(backbone, b), scaled_low_frequencies(lateral, s)), dim=1)
            return (changed, *args[1:])

        undo.callback(block.register_forward_pre_hook(change).remove)

    def _scales(self, width: int, index: int, config: UNetConfig) -> tuple[float, float] | None:
        stage = index // (config.res_blocks + 1)
        if self.stages == "width":
            stage = {4 * config.model_channels: 0, 2 * config.model_channels: 1}.get(width, 2)
        return ((self.b1, self.s1), (self.b2, self.s2))[stage] if stage < 2 else None

    def _strengthened(self, backbone: Tensor, b: float) -> Tensor:
        half, rest = backbone.tensor_split((backbone.shape[1] // 2,), dim=1)
        if self.version == 1:
            return torch.cat((half * b, rest), dim=1)
        mean = backbone.mean(dim=1, keepdim=True)
        low, high = mean.amin(dim=(2, 3), keepdim=True), mean.amax(dim=(2, 3), keepdim=True)
        structure = (mean - low) / (high - low).clamp_min(torch.finfo(mean.dtype).tiny)
        return torch.cat((half * ((b - 1) * structure + 1), rest), dim=1)


def scaled_low_frequencies(x: Tensor, scale: float) -> Tensor:
    """x (b c h w) with its mean and the frequencies -1 in both directions times `scale`: FreeU, equations 5 to 7."""
    if scale == 1:
        return x
    height, width = x.shape[-2:]
    spectrum = torch.fft.fft2(x.float())
    mask = torch.ones(height, width, device=x.device)
    rows, columns = torch.tensor([0, height - 1]), torch.tensor([0, width - 1])
    mask[rows[:, None], columns] = scale
    filtered: Tensor = torch.fft.ifft2(spectrum * mask).real
    return filtered.to(x.dtype)


@dataclass(frozen=True)
class PerturbedAttention:
    """Self-attention in which each place attends to itself alone, for `sampling.guidance_attention.perturbed`.

    Ahn et al. (2024), "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance": the attention map becomes
    the identity. `layers` are beginnings of module names, such as "middle_block" or "input_blocks.4".
    ValueError when no self-attention is there.
    """

    layers: tuple[str, ...] = ("middle_block",)

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        def look_at_itself(module: nn.Module, args: tuple[Tensor, Tensor], output: Tensor) -> Tensor:
            attention = cast(CrossAttention, module)
            return cast(Tensor, attention.to_out(attention.to_v(args[1])))

        with ExitStack() as undo:
            for block in transformer_blocks(network, self.layers):
                undo.callback(block.attn1.register_forward_hook(look_at_itself).remove)
            yield


@dataclass(frozen=True)
class AttentionMap:
    """The network also tells, as one more channel, how much attention each place gets from all others.

    Hong et al. (2023), "Improving Sample Quality of Diffusion Models Using Self-Attention Guidance", section 4.2: the
    map of the middle block's first self-attention, mean over heads and sum over who looks, enlarged to the output's
    size. 1 is average. The other channels stay bit for bit. ValueError when the middle has no self-attention.
    """

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        reading: list[Tensor] = []  # (b 1 h w), between the two hooks

        def read(module: nn.Module, args: tuple[Tensor, Tensor], output: Tensor) -> None:
            reading[:] = [received_attention(cast(CrossAttention, module), *args)]

        def shape(module: nn.Module, args: tuple[Tensor, Tensor], output: Tensor) -> None:
            reading[:] = [reading[0].view(-1, 1, *output.shape[-2:])]

        def tell(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            enlarged = F.interpolate(reading.pop(), size=output.shape[-2:])
            return torch.cat((output, enlarged.to(output.dtype)), dim=1)

        first = transformer_blocks(network, ("middle_block",))[0]
        with ExitStack() as undo:
            undo.callback(first.attn1.register_forward_hook(read).remove)
            for module in cast(UNet, network).middle_block:
                if isinstance(module, SpatialTransformer):
                    undo.callback(module.register_forward_hook(shape).remove)
            undo.callback(network.register_forward_hook(tell).remove)
            yield


def received_attention(attention: CrossAttention, x: Tensor, context: Tensor) -> Tensor:
    """(b m): what the m places of `context` (b m d) get from the n places of x (b n d), mean over heads; sums to n."""
    q, k = (
        t.unflatten(2, (attention.heads, -1)).transpose(1, 2).float()
        for t in (attention.to_q(x), attention.to_k(context))
    )
    weights: Tensor = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)
    return weights.mean(dim=1).sum(dim=1)


def transformer_blocks(network: nn.Module, layers: tuple[str, ...]) -> list[TransformerBlock]:
    """Those below modules with the given names; ValueError when there are none."""
    found = [
        module
        for name, module in network.named_modules()
        if isinstance(module, TransformerBlock) and any(f"{name}.".startswith(f"{layer}.") for layer in layers)
    ]
    if not found:
        raise ValueError(f"this network has no self-attention in {', '.join(layers) or 'no layer'}")
    return found
