"""How much memory a computation takes at its height, from shapes alone: it runs on the `meta` device, without numbers.

with torch.device("meta"):
    unet, x = UNet(SDXL), torch.empty(2, 4, 128, 128)
peak(lambda: unet(x, ...))     # numbers alive at once, beside the weights
"""

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from fromnoise.checkpoints.detect import ModelFacts
from fromnoise.engine.memory import Demand, Placement, vae_dtype
from fromnoise.nn import ops, vae_strips
from fromnoise.nn import unet as unets
from fromnoise.nn import vae as vaes
from fromnoise.nn.clip import CLIPText
from fromnoise.nn.unet import UNet
from fromnoise.nn.vae import SD_VAE, AutoencoderKL

BASE = 300_000_000  # bytes: Python, torch, the tokenizer; on a device, its kernels
TOKENS = 77


@lru_cache(maxsize=32)
@torch.no_grad()
def demand(
    facts: ModelFacts, placement: Placement, width: int, height: int, wide: bool = True, seamless: bool = False
) -> Demand:
    """What a model takes for pictures of that size (pixels), in its numbers; takes about a second the first time.

    `wide`: the autoencoder may overflow in float16. `seamless`: it is changed so that no strips can be cut.
    """
    size = placement.dtype.itemsize
    decoding = vae_dtype(placement.dtype).itemsize if wide else size
    on_device = placement.device.type in ("cuda", "xpu")  # where the next part is on its way while one is used
    scores = 2 * ops.SCORES if placement.device.type in ops.WRITTEN_OUT else 0  # before and after the softmax
    with torch.device("meta"):
        unet, vae = UNet(facts.unet), AutoencoderKL(facts.vae or SD_VAE)
        encoders = [CLIPText(config) for config in facts.text]
        x = torch.empty(1, facts.unet.in_channels, height // vae.config.downscale, width // vae.config.downscale)
        latents = x.new_empty(1, vae.config.latent_channels, *x.shape[2:])
        context, time = torch.empty(1, TOKENS, facts.unet.context_dim), torch.empty(1)
        told = facts.unet.vector_dim or (facts.unet.classes and 4 * facts.unet.model_channels)
        y = None if not told else torch.empty(1, told)
        sums = ops.by_onednn(placement.device, placement.dtype)
        whole, strips = peak(lambda: vae.decode(latents)), peak(lambda: vae_strips.decode(vae, latents))
        strips = whole if seamless else strips
        whole = strips if width * height > vae_strips.MOST_AT_ONCE else whole
        staying = 0 if placement.device.type == "cpu" else sum(map(tables, encoders))  # as `Residence.may_wait`
        return Demand(
            unet=(numbers(unet) + sums * summed(unet, x[0, 0].numel())) * size,
            text=(sum(numbers(encoder) for encoder in encoders) - staying) * size,
            vae=(numbers(vae) + sums * summed(vae)) * decoding,
            largest=max(parameter.numel() for parameter in unet.parameters()) * size * (1 + on_device),
            call=(peak(lambda: unet(x, time, context, y)) + scores) * size,
            whole=(whole + scores) * decoding,
            strips=(strips + scores) * decoding,
            base=BASE + staying * size,
            two=placement.device.type != "cpu",
        )


def tables(network: nn.Module) -> int:
    """Numbers of the embeddings."""
    return sum(numbers(module) for module in network.modules() if isinstance(module, ops.Embedding))


def numbers(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def summed(network: nn.Module, places: int | None = None) -> int:
    """Numbers that up-sampling layers keep beside their weights (`Conv2d.doubled`); a U-Net's, for so many latents."""
    found = [module.conv for module in network.modules() if isinstance(module, (unets.Upsample, vaes.Upsample))]
    if places is not None:
        found = [conv for level, conv in enumerate(reversed(found)) if places >> 2 * level >= unets.MANY]
    return sum(16 * conv.in_channels * conv.out_channels for conv in found)


def peak(run: Callable[[], object]) -> int:
    """The most numbers that tensors made by `run` hold at one time; all of its tensors are on `meta`."""
    with torch.no_grad(), Fused(), Living() as living:
        run()
    most: int = living.most
    return most


class Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the numbers in the storages that operations make, while something holds them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.count(args, made_here=False)
        made = function(*args, **(kwargs or {}))
        self.count(made)
        return made

    def count(self, found: object, made_here: bool = True) -> None:
        if isinstance(found, (tuple, list)):
            for one in found:
                self.count(one, made_here)
        elif isinstance(found, Tensor):
            self.count_one(found, made_here)

    def count_one(self, tensor: Tensor, made_here: bool) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.known:
            return
        size = storage.nbytes() // tensor.element_size() if made_here else 0
        self.known.add(key)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self.forget, key, size)

    def forget(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


class Fused(TorchFunctionMode):
    """Attention as the kernels do it, which never hold all scores; on `meta` torch would write them out."""

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if function is F.scaled_dot_product_attention:
            query, _, value = args[:3]
            return query.new_empty(*query.shape[:-1], value.shape[-1])
        return function(*args, **(kwargs or {}))
