"""What is measured: the work, the models it is done with, and random weights of their full size."""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import nn

from fromnoise.engine.memory import DTYPES, Placement
from fromnoise.nn import clip, unet, vae

Task = Literal["step", "attention", "decode", "text", "load", "picture", "batch", "memory", "train",
               "lora_switch", "merge", "convert", "prune"]  # fmt: skip
TASKS: tuple[Task, ...] = get_args(Task)
ALONE = ("memory", "merge", "convert", "prune")  # that fromnoise alone has a contender for
ON_DEVICES = ("step", "attention", "decode", "text", "load", "picture", "batch", "memory", "lora_switch")  # GPUs, too


@dataclass(frozen=True)
class Size:
    """A model at the size of picture that it is for."""

    name: str
    side: int  # pixels, width and height
    unet: unet.UNetConfig
    vae: vae.VAEConfig
    text: tuple[clip.CLIPConfig, ...]
    step_flops: float  # of a guided step, that is two calls of the U-Net (FlopCounterMode on shapes alone)
    decode_flops: float

    @property
    def latent(self) -> int:
        return self.side // self.vae.downscale


SIZES = {
    size.name: size
    for size in (
        Size("sd15", 512, unet.SD1, vae.SD_VAE, (clip.CLIP_L,), 1.607e12, 2.515e12),
        Size("sdxl", 1024, unet.SDXL, vae.SDXL_VAE, (clip.CLIP_L, clip.OPENCLIP_G), 13.52e12, 10.47e12),
        # the same networks, thin: to try the bench itself
        Size(
            "tiny",
            64,
            unet.UNetConfig.uniform(
                model_channels=32, channel_mult=(1, 2), level_depths=(1, 1), res_blocks=1, context_dim=32
            ),
            vae.VAEConfig(channels=32, res_blocks=1),
            (clip.CLIPConfig(dim=32, layers=2, heads=2),),
            float("nan"),
            float("nan"),
        ),
    )
}  # fmt: skip
SIZES["builtin"] = replace(SIZES["tiny"], name="builtin", side=128)  # real weights in place of these, for pictures


@dataclass(frozen=True)
class Job:
    """One line of the bench: a task on a model, in a number format."""

    task: Task
    size: str = "sd15"
    dtype: str = "bfloat16"  # of the contenders that have a choice
    steps: int = 20  # of a whole picture
    batch: int = 1  # pictures side by side
    memory: float = 0.0  # bytes that the contender may take; 0: no limit
    device: str = "cpu"
    threads: int = 0  # of torch; 0: its own choice

    @property
    def placement(self) -> Placement:
        return Placement(torch.device(self.device), DTYPES[self.dtype])

    @property
    def attention(self) -> tuple[int, int, int, int]:
        """Batch, tokens, heads and numbers a head of the largest self-attention in a guided step."""
        size = SIZES[self.size]
        level = next(level for level, depth in enumerate(size.unet.depths[:: size.unet.res_blocks]) if depth)
        width = size.unet.model_channels * size.unet.channel_mult[level]
        heads = size.unet.heads or width // size.unet.head_dim
        return 2 * self.batch, (size.latent >> level) ** 2, heads, width // heads

    @property
    def flops(self) -> float:
        """Floating-point operations of one repetition; nan where that says nothing."""
        size = SIZES[self.size]
        batch, tokens, heads, numbers = self.attention
        return {
            "attention": 4.0 * batch * tokens**2 * heads * numbers,
            "step": size.step_flops * self.batch,
            "decode": size.decode_flops * self.batch,
            "picture": (size.step_flops * self.steps + size.decode_flops) * self.batch,
            "batch": size.step_flops * self.batch,
        }.get(self.task, math.nan)


@torch.no_grad()
def randomise(module: nn.Module, dtype: torch.dtype, *, channels_last: bool = False) -> nn.Module:
    """Give a module made on `meta` random weights that keep activations of order one; a few repeat, which is quick."""
    pool = torch.randn(1 << 20, generator=torch.Generator().manual_seed(0)).to(dtype)
    module.to_empty(device="cpu")
    module.to(dtype)
    for name, p in [*module.named_parameters(), *module.named_buffers()]:
        if not p.is_floating_point():
            continue
        flat = p.data.view(-1)
        if p.ndim == 1:
            flat.fill_(1.0 if name.endswith("weight") else 0.0)
            continue
        for start in range(0, len(flat), len(pool)):
            part = flat[start : start + len(pool)]
            part.copy_(pool[: len(part)])
        flat.mul_(p[0].numel() ** -0.5)
    if channels_last:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module.requires_grad_(False).eval()
