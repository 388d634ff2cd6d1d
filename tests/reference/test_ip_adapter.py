"""IP-Adapters equal diffusers': what they make of a picture, one step of a U-Net, and files that went through it."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.image_processor import IPAdapterMaskProcessor
from torch import Tensor

from fromnoise.adapters.ip_adapter import PicturePrompt
from fromnoise.checkpoints.ip_adapter import load_ip_adapter
from fromnoise.checkpoints.names import diffusers_unet
from fromnoise.checkpoints.save import write
from fromnoise.nn.image_projection import Kind
from fromnoise.nn.ip_adapter import IPAdapter, sites
from fromnoise.nn.unet import UNet
from tests import tiny
from tests.reference import peers
from tests.tiny_pictures import IDENTITY, VISION, ip_adapter

FAMILIES: list[Any] = ["sd1", "sdxl"]
KINDS: list[Kind] = ["plain", "full", "plus", "face", "face_plus"]


def nested(adapter: IPAdapter) -> dict[str, dict[str, Tensor]]:
    """As the authors' .bin files have it."""
    state = adapter.state_dict()
    return {
        table: {
            name.removeprefix(f"{table}."): tensor for name, tensor in state.items() if name.startswith(f"{table}.")
        }
        for table in ("image_proj", "ip_adapter")
    }


def pair(family: Any) -> tuple[UNet, Any]:
    ours = tiny.filled(UNet(tiny.unet_config(family)), torch.Generator().manual_seed(0))
    theirs = peers.unet(ours.config).eval()
    rename = diffusers_unet(ours.config)
    theirs.load_state_dict({rename(name): weight for name, weight in ours.state_dict().items()})
    return ours, theirs


def seen(kind: Kind, count: int, seed: int = 0) -> Tensor:
    """What an encoder may have told of some pictures."""
    generator = torch.Generator().manual_seed(100 + seed)
    shape = {"plain": (VISION.projection_dim,), "face": (IDENTITY,)}.get(kind, (VISION.tokens, VISION.dim))
    return torch.randn(count, *shape, generator=generator)


@pytest.mark.parametrize("kind", KINDS)
def test_projection(kind: Kind) -> None:
    ours, theirs = pair("sd1")
    adapter = ip_adapter(ours, kind)
    peer = theirs._convert_ip_adapter_image_proj_to_diffusers(nested(adapter)["image_proj"], low_cpu_mem_usage=False)
    told = seen(kind, 2)
    with torch.no_grad():
        if kind != "face_plus":
            torch.testing.assert_close(adapter.image_proj(told), peer(told), atol=1e-5, rtol=1e-5)
            return
        faces = seen("face", 2)
        for structure in (None, 0.7):
            peer.clip_embeds, peer.shortcut, peer.shortcut_scale = told[:, None], structure is not None, structure or 1
            wanted = peer(faces)
            torch.testing.assert_close(adapter.image_proj(faces, told, structure), wanted, atol=1e-5, rtol=1e-5)


def step(ours: UNet, prompts: list[PicturePrompt], given: list[Tensor | None]) -> Tensor:
    """The U-Net's answer to two calls, each with all of `prompts`."""
    with torch.no_grad(), ExitStack() as active:
        for prompt in prompts:
            active.enter_context(prompt.applied(ours, [prompt, prompt]))
        answer: Tensor = ours(*given)
    return answer


def inputs(unet: UNet, height: int = 8, width: int = 8) -> list[Tensor | None]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(2, 4, height, width, generator=generator)
    context = torch.randn(2, 7, unet.config.context_dim, generator=generator)
    y = torch.randn(2, unet.config.vector_dim, generator=generator) if unet.config.vector_dim else None
    return [x, torch.tensor([500, 20]), context, y]


def peer_step(theirs: Any, given: list[Tensor | None], told: list[Tensor], masks: list[Tensor] | None) -> Tensor:
    x, t, context, y = given
    added: dict[str, Any] = {"image_embeds": told}
    if y is not None:
        pooled = y.shape[1] - 6 * peers.SIZES
        sizes = torch.arange(6.0).repeat(2, 1) * 100
        added |= {"text_embeds": y[:, :pooled], "time_ids": sizes}
        given[3] = torch.cat((y[:, :pooled], theirs.add_time_proj(sizes.flatten()).reshape(2, -1)), 1)
    with torch.no_grad():
        more = {"ip_adapter_masks": masks} if masks else None
        answer: Tensor = theirs(x, t, context, added_cond_kwargs=added, cross_attention_kwargs=more, return_dict=False)[
            0
        ]
    return answer


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["plain", "full", "plus"])
def test_step(family: Any, kind: Kind) -> None:
    """Two pictures at once, and several weights."""
    ours, theirs = pair(family)
    adapter, told = ip_adapter(ours, kind), seen(kind, 2)
    theirs._load_ip_adapter_weights([nested(adapter)], low_cpu_mem_usage=False)
    for processor in theirs.attn_processors.values():
        if hasattr(processor, "to_k_ip"):
            processor.scale = [0.6]
    given = inputs(ours)
    wanted = peer_step(theirs, given, [told[None].expand(2, *told.shape)], None)
    with torch.no_grad():
        tokens = adapter.image_proj(told).flatten(0, 1)[None]
    prompt = PicturePrompt(adapter, tokens, (0.6,) * len(sites(ours)))
    torch.testing.assert_close(step(ours, [prompt], given), wanted, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(step(ours, [], given), wanted, atol=1e-2)


@pytest.mark.parametrize("size", [(8, 8), (8, 16)])
def test_several_adapters_with_masks(size: tuple[int, int]) -> None:
    ours, theirs = pair("sd1")
    kinds: list[Kind] = ["plain", "plus"]
    adapters = [ip_adapter(ours, kind, seed=i) for i, kind in enumerate(kinds)]
    theirs._load_ip_adapter_weights([nested(adapter) for adapter in adapters], low_cpu_mem_usage=False)
    for processor in theirs.attn_processors.values():
        if hasattr(processor, "to_k_ip"):
            processor.scale = [0.7, 0.4]
    height, width = size
    left = torch.zeros(1, 1, height * 8, width * 8)
    left[..., : width * 4] = 1
    masks = [left, 1 - left]
    told = [seen(kind, 1, seed=i) for i, kind in enumerate(kinds)]
    given = inputs(ours, height, width)
    wanted = peer_step(theirs, given, [one[None].expand(2, *one.shape) for one in told], masks)
    with torch.no_grad():
        tokens = [adapter.image_proj(one) for adapter, one in zip(adapters, told, strict=True)]
    count = len(sites(ours))
    prompts = [
        PicturePrompt(adapter, said, (weight,) * count, mask=mask, mask_scale="bicubic")
        for adapter, said, weight, mask in zip(adapters, tokens, (0.7, 0.4), masks, strict=True)
    ]
    torch.testing.assert_close(step(ours, prompts, given), wanted, atol=1e-4, rtol=1e-4)
    assert IPAdapterMaskProcessor.downsample(left[0], 1, height * width, 1).shape[1] == height * width


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_diffusers(kind: Kind, tmp_path: Path) -> None:
    """What a U-Net of diffusers saves is the adapter that it has loaded, bit for bit."""
    ours, theirs = pair("sd1")
    adapter = ip_adapter(ours, kind)
    theirs._load_ip_adapter_weights([nested(adapter)], low_cpu_mem_usage=False)
    loaded = load_ip_adapter(write(tmp_path / "unet.safetensors", theirs.state_dict(), None, {}))
    assert loaded.config == adapter.config
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in adapter.state_dict().items())
