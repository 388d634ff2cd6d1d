"""The autoencoder for large pictures, strip by strip: the same pixels as at once, in much less memory.

A layer's result is a list of strips, and everything between two of them is computed for one strip at a time, each row
once. A strip goes when it has been used. Group norms, whose statistics are those of the whole picture, gather them
from all strips first: nothing is approximated, and no seam can be. Two results of full size are alive at most, where
computing at once needs five and more.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from fromnoise.nn.ops import Conv2d, GroupNorm, attention, image_from, tokens_from
from fromnoise.nn.vae import AttnBlock, AutoencoderKL, Downsample, Level, Middle, ResnetBlock, Upsample

MOST_AT_ONCE = 1 << 21  # pixels of a picture that is taken whole
STRIP = 1 << 15  # places in a strip, about
FEWEST = 16  # rows of a strip
SCORES = 1 << 26  # of attention that are alive at once

Strips = list[Tensor]  # of a picture's layer, from the top down: (1 c rows w), without gaps in memory
Into = Callable[[Tensor, Tensor], object]  # writes something of what it is given first into what it is given second


def may_be_cut(vae: AutoencoderKL) -> bool:
    """Whether no hook changes a layer of it, which strips would pass by."""
    return not any(module._forward_pre_hooks or module._forward_hooks for module in vae.modules())


def decode(vae: AutoencoderKL, latents: Tensor, strip: int = STRIP) -> Tensor:
    """As `AutoencoderKL.decode`: latents (b c h w) -> image (b 3 8h 8w). `strip`: places computed at once, about."""
    return torch.cat([decoded(vae, one, strip) for one in torch.split(latents, 1)])


def decoded(vae: AutoencoderKL, latents: Tensor, strip: int) -> Tensor:
    decoder = vae.decoder
    x = middle(decoder.mid, cut(decoder.conv_in(vae.post_quant_conv(vae.unscaled(latents))), strip))
    for level in reversed(decoder.up):
        x = blocks(cast(Level, level), x)
        if hasattr(level, "upsample"):
            x = upsampled(cast(Upsample, level.upsample), x, strip)
    return torch.cat(convolved(decoder.conv_out, x, normed(decoder.norm_out, x)), dim=2)


def encode(vae: AutoencoderKL, image: Tensor, noise: Tensor | None = None, strip: int = STRIP) -> Tensor:
    """As `AutoencoderKL.encode`: an image (b 3 8h 8w) in [-1, 1] -> the mean latents, or a sample with unit `noise`."""
    return vae.latents(*moments(vae, image, strip), noise)


def moments(vae: AutoencoderKL, image: Tensor, strip: int = STRIP) -> tuple[Tensor, Tensor]:
    """As `AutoencoderKL.moments`: mean and log-variance of the unscaled latents of an image (b 3 8h 8w)."""
    out = torch.cat([encoded(vae, one, strip) for one in torch.split(image, 1)])
    mean, logvar = vae.quant_conv(out).chunk(2, dim=1)
    return mean, logvar.clamp(-30, 20)


def encoded(vae: AutoencoderKL, image: Tensor, strip: int) -> Tensor:
    encoder = vae.encoder
    x = convolved(encoder.conv_in, cut(image, strip))
    for level in encoder.down:
        x = blocks(cast(Level, level), x)
        if hasattr(level, "downsample"):
            x = downsampled(cast(Downsample, level.downsample), x, strip)
    x = middle(encoder.mid, x)
    return torch.cat(convolved(encoder.conv_out, x, normed(encoder.norm_out, x)), dim=2)


def middle(module: Middle, x: Strips) -> Strips:
    x = residual(module.block_1, x)
    attended(module.attn_1, x)
    return residual(module.block_2, x)


def blocks(level: Level, x: Strips) -> Strips:
    for block in level.block:
        x = residual(cast(ResnetBlock, block), x)
    return x


def residual(block: ResnetBlock, x: Strips) -> Strips:
    """A residual block, which uses `x` up; without a shortcut of its own it writes its result there."""
    out: Strips = []
    h: Strips = []
    statistics, convolve = Statistics(block.norm2, x[0]), rowwise(block.conv1, x[0])
    for given, rows in windows(x, normed(block.norm1, x)):
        h.append(convolve(rows))
        statistics.add(h[-1])
        out.append(block.nin_shortcut(given))
    convolve = rowwise(block.conv2, h[0])
    for made, (_, rows) in zip(out, windows(h, statistics.norm()), strict=True):
        made += convolve(rows)
    return out


def attended(block: AttnBlock, x: Strips) -> None:
    """Self-attention over all places, for some of them at a time, added to `x`."""
    norm, width = normed(block.norm, x, activated=False), x[0].shape[3]
    both = [(tokens_from(block.k(h)), tokens_from(block.v(h))) for h in map(norm, x)]
    key, value = (torch.cat(parts, dim=1) for parts in zip(*both, strict=True))
    for one in x:
        for start, stop in bounds(one, SCORES // key.shape[1], fewest=1):
            rows = one[..., start:stop, :]
            queries = tokens_from(block.q(norm(rows)))
            rows += block.proj_out(image_from(attention(queries, key, value, heads=1), stop - start, width))


def upsampled(module: Upsample, x: Strips, strip: int) -> Strips:
    """Twice as wide and high; uses `x` up."""
    doubled = module.conv.doubling(x[0], margin=1)
    parts = [part for one in x for part in cut(one, strip // 4)]
    x.clear()
    return [doubled(rows) for _, rows in windows(parts)]


def downsampled(module: Downsample, x: Strips, strip: int) -> Strips:
    """Half as wide and high; the last row and column see zeros beyond the edge. Uses `x` up."""
    return cut(torch.cat([module.conv(F.pad(rows[..., 1:, :], (0, 1))) for _, rows in windows(x)], dim=2), strip)


def convolved(conv: Conv2d, x: Strips, norm: "Norm | None" = None) -> Strips:
    """A 3x3 convolution, of `x` or of what a norm makes of it; uses `x` up."""
    convolve = rowwise(conv, x[0])
    return [convolve(rows) for _, rows in windows(x, norm)]


def rowwise(conv: Conv2d, like: Tensor) -> Callable[[Tensor], Tensor]:
    """A 3x3 convolution of strips that bring the rows above and below along."""
    weight, bias = conv.fetch(like)
    return lambda rows: F.conv2d(rows, weight, bias, padding=(0, 1))


def windows(x: Strips, norm: "Norm | None" = None) -> Iterator[tuple[Tensor, Tensor]]:
    """Each strip, which is taken out of `x` and may be written over, and what `norm` makes of it (1 c rows+2 w) with
    a row more above and below, zeros where the picture ends. That is in the same room as the next will be.
    """
    put: Into = (lambda rows, out: out.copy_(rows)) if norm is None else norm
    (_, channels, _, width), most = x[0].shape, max(one.shape[2] for one in x)
    room = torch.empty((1, channels, most + 2, width), dtype=x[0].dtype, device=x[0].device, memory_format=layout(x[0]))
    room[..., :1, :] = 0
    there = 0  # rows of the strip that came along with the one before
    while x:
        one = x.pop(0)
        rows = room[..., : one.shape[2] + 2, :]
        put(one[..., there:, :], rows[..., 1 + there : -1, :])
        if x:
            put(x[0][..., :1, :], rows[..., -1:, :])
        else:
            rows[..., -1:, :] = 0
        yield one, rows
        room[..., :2, :] = rows[..., -2:, :]
        there = 1


def cut(x: Tensor, strip: int) -> Strips:
    """x (1 c h w) in strips; views of it where its rows lie next to each other in memory."""
    return [x[..., start:stop, :].contiguous(memory_format=layout(x)) for start, stop in bounds(x, strip)]


def layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.stride(1) == 1 else torch.contiguous_format


def bounds(x: Tensor, places: int, fewest: int = FEWEST) -> Iterator[tuple[int, int]]:
    """Rows from and to, which hold about that many places; all but the last end at even rows."""
    height, width = x.shape[2:]
    count = -(-height // max(fewest, places // width))
    return pairwise(sorted({*(index * height // count // 2 * 2 for index in range(count)), height}))


@dataclass(frozen=True)
class Norm:
    """A group norm whose statistics are known, as a norm of each channel, then perhaps SiLU."""

    mean: Tensor  # (c) float32
    variance: Tensor
    weight: Tensor
    bias: Tensor
    eps: float
    activated: bool

    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """x (1 c h w) normed, in `out` if that is given."""
        out = torch.empty_like(x) if out is None else out
        if x.device.type == "cpu":
            known, unused = (self.weight, self.bias, self.mean, self.variance), self.mean.new_empty(0)
            torch.native_batch_norm(x, *known, False, 0.0, self.eps, out=(out, unused, unused.clone()))
        else:
            out.copy_(self.written_out(x))
        return F.silu(out, inplace=True) if self.activated else out

    def written_out(self, x: Tensor) -> Tensor:
        """The same where a device has no kernel for numbers and statistics of two dtypes."""
        factor = (self.variance + self.eps).rsqrt() * self.weight
        shift = self.bias - self.mean * factor
        return torch.addcmul(shift[:, None, None], x.float(), factor[:, None, None]).to(x.dtype)


class Statistics:
    """Gathers what a group norm needs to know of a whole picture from its strips: Chan et al. (1979)."""

    def __init__(self, norm: GroupNorm, like: Tensor) -> None:
        self.norm_layer, self.count = norm, 0
        self.wide = torch.float32 if like.device.type == "mps" else torch.float64
        self.mean = torch.zeros(norm.num_groups, dtype=self.wide, device=like.device)
        self.deviation = torch.zeros_like(self.mean)  # sum of squared differences from the mean

    def add(self, x: Tensor) -> None:
        """More rows (1 c h w), without gaps in memory."""
        means, variances = (found.to(self.wide).view(len(self.mean), -1) for found in of_channels(x))
        mean = means.mean(dim=1)
        variance = (variances + (means - mean[:, None]) ** 2).mean(dim=1)
        count = x.numel() // len(self.mean)
        total = self.count + count
        difference = mean - self.mean
        self.mean += difference * (count / total)
        self.deviation += variance * count + difference**2 * (self.count * count / total)
        self.count = total

    def norm(self, activated: bool = True) -> Norm:
        """The norm, once all rows are in."""
        layer = self.norm_layer
        weight, bias = (cast(Tensor, part).detach() for part in layer.fetch(self.mean.float()))
        size = len(weight) // layer.num_groups
        mean, variance = (t.repeat_interleave(size).float() for t in (self.mean, self.deviation / self.count))
        return Norm(mean, variance, weight, bias, layer.eps, activated)


def of_channels(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel (c) float32 of x (1 c h w), by the kernels of batch norms: `var_mean` takes
    fifty times as long.
    """
    one = torch.ones(x.shape[1], device=x.device)
    if x.device.type == "cpu":
        return torch.batch_norm_update_stats(x, one, one, 0.0)
    if x.device.type == "mps":  # which has no kernel for numbers and statistics of two dtypes
        x = x.float()
    _, mean, inverse = torch.native_batch_norm(x, one, one - 1, None, None, True, 0.0, 0.0)
    return mean, inverse.pow(-2)


def normed(layer: GroupNorm, x: Strips, activated: bool = True) -> Norm:
    statistics = Statistics(layer, x[0])
    for one in x:
        statistics.add(one)
    return statistics.norm(activated)
