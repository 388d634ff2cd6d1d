"""Our networks give what diffusers' and transformers' give with the same weights, for every family."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fromnoise.checkpoints.detect import clip_config, unet_config, vae_config
from fromnoise.checkpoints.names import diffusers_unet, vae_from_diffusers, vae_to_diffusers
from fromnoise.checkpoints.parts import TextPart
from fromnoise.nn.clip import CLIPConfig, CLIPText
from fromnoise.nn.ops import GroupNorm
from fromnoise.nn.taesd import TAESDDecoder
from fromnoise.nn.unet import SD1, SD2, SDXL, SDXL_REFINER, SpatialTransformer, UNet, UNetConfig, timestep_embedding
from fromnoise.nn.vae import AutoencoderKL, VAEConfig
from tests.reference import peers

TOLERANCE = 1e-5  # relative to the largest number


def shrunk(config: UNetConfig, **changes: Any) -> UNetConfig:
    """The same structure, a tenth as wide."""
    vector = {"vector_dim": 24 + 6 * peers.SIZES} if config.vector_dim else {}
    return replace(config, **{"model_channels": 32, "context_dim": 40, "head_dim": 16, **vector, **changes})


FAMILIES = {
    "sd1": shrunk(SD1),
    "sd1-inpaint": shrunk(SD1, in_channels=9),
    "sd1-instruct": shrunk(SD1, in_channels=8),
    "sd2": shrunk(SD2),
    "sdxl": shrunk(SDXL),
    "refiner": shrunk(SDXL_REFINER, vector_dim=24 + 5 * peers.SIZES),
    "one residual block in the middle": shrunk(SD1, middle_depth=-1),
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@torch.no_grad()
def small(network: Any) -> Any:
    """Random weights small enough that a wrong epsilon in a norm shows."""
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            parameter.normal_(std=0.5 * parameter[0].numel() ** -0.5)
        else:
            parameter.normal_(std=0.1).add_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    return network.eval().requires_grad_(False)


def ours_with(network: nn.Module, weights: Mapping[str, Tensor]) -> Any:
    network.load_state_dict(weights, strict=True)
    return network.eval().requires_grad_(False)


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def pair(config: UNetConfig) -> tuple[UNet, Any]:
    theirs = small(peers.unet(config))
    rename = diffusers_unet(config).inverse
    return ours_with(UNet(config), {rename(name): tensor for name, tensor in theirs.state_dict().items()}), theirs


def both(ours: UNet, theirs: Any, height: int, width: int) -> tuple[Tensor, Tensor]:
    """What both answer to the same input."""
    config = ours.config
    x, t = torch.randn(2, config.in_channels, height, width), torch.tensor([7.0, 801.0])
    context, y, added = torch.randn(2, 5, config.context_dim), None, None
    if config.vector_dim:
        pooled, sizes = torch.randn(2, 24), torch.randint(0, 1024, (2, (config.vector_dim - 24) // peers.SIZES)).float()
        y = torch.cat((pooled, timestep_embedding(sizes.flatten(), peers.SIZES).reshape(2, -1)), dim=1)
        added = {"text_embeds": pooled, "time_ids": sizes}
    return ours(x, t, context, y), theirs(x, t, context, added_cond_kwargs=added).sample


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 11)])
def test_unet(family: str, height: int, width: int) -> None:
    assert relative(*both(*pair(FAMILIES[family]), height, width)) < TOLERANCE


@pytest.mark.parametrize("family", FAMILIES)
def test_the_names_are_complete(family: str) -> None:
    """Every layer has a diffusers name, each its own, and the way back gives ours."""
    config = FAMILIES[family]
    with torch.device("meta"):
        ours, theirs = UNet(config), peers.unet(config)
    rename = diffusers_unet(config)
    names = {rename(name) for name in ours.state_dict()}
    assert names == set(theirs.state_dict())
    assert {rename.inverse(name) for name in names} == set(ours.state_dict())
    found = unet_config(ours.state_dict())  # in it heads and their size are those of the family
    assert replace(found, heads=config.heads, head_dim=config.head_dim) == config


@pytest.mark.parametrize(
    ("change", "layers"),
    [
        (1e-6, lambda unet: [block.in_layers[0] for block in residual_blocks(unet)]),
        (1e-5, lambda unet: [m.norm for m in unet.modules() if isinstance(m, SpatialTransformer)]),
        (1e-6, lambda unet: [unet.out[0]]),
    ],
    ids=["residual block", "transformer", "end"],
)
def test_a_wrong_epsilon_would_be_seen(change: float, layers: Callable[[UNet], list[GroupNorm]]) -> None:
    ours, theirs = pair(FAMILIES["sd1"])
    for layer in layers(ours):
        assert layer.eps != change
        layer.eps = change
    assert relative(*both(ours, theirs, 8, 8)) > TOLERANCE


def residual_blocks(unet: UNet) -> list[Any]:
    return [module for module in unet.modules() if type(module).__name__ == "ResBlock"]


@pytest.mark.parametrize("config", [SD1, SD2, SDXL, SDXL_REFINER], ids=["sd1", "sd2", "sdxl", "refiner"])
def test_full_size(config: UNetConfig) -> None:
    """As many parameters, of the same shapes."""
    with torch.device("meta"):
        ours, theirs = UNet(config), peers.unet(config)
    rename = diffusers_unet(config)
    shapes = {rename(name): tensor.shape for name, tensor in ours.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in theirs.state_dict().items()}


@pytest.mark.parametrize(
    "config",
    [VAEConfig(channels=32), VAEConfig(channels=32, channel_mult=(1, 2), res_blocks=1, latent_channels=3, groups=8)],
    ids=["four levels", "two levels"],
)
def test_vae(config: VAEConfig) -> None:
    theirs = small(peers.vae(config))
    weights = vae_from_diffusers(theirs.state_dict())
    assert vae_config(weights, config.scale_factor) == replace(config, groups=32)
    ours = ours_with(AutoencoderKL(config), weights)
    image = torch.rand(1, 3, 40, 56) * 2 - 1
    posterior = theirs.encode(image).latent_dist
    noise = torch.randn(posterior.mean.shape)
    assert relative(ours.encode(image), posterior.mean * config.scale_factor) < TOLERANCE
    drawn = (posterior.mean + posterior.std * noise) * config.scale_factor
    assert relative(ours.encode(image, noise), drawn) < TOLERANCE
    assert relative(ours.decode(drawn), theirs.decode(drawn / config.scale_factor).sample) < TOLERANCE
    back = vae_to_diffusers(ours.state_dict(), len(config.channel_mult), config.res_blocks)
    assert {name: tensor.shape for name, tensor in back.items()} == {
        name: tensor.shape for name, tensor in theirs.state_dict().items()
    }


CLIPS = {
    "clip_l": CLIPConfig(dim=64, layers=3, heads=1, vocab_size=1000),
    "openclip_h": CLIPConfig(dim=128, layers=3, heads=2, act="gelu", projection_dim=128, vocab_size=1000),
    "other widths": CLIPConfig(dim=64, layers=2, heads=1, projection_dim=24, vocab_size=500, max_tokens=20, mlp_dim=96),
}


@pytest.mark.parametrize("name", CLIPS)
def test_text_encoder(name: str) -> None:
    config = CLIPS[name]
    theirs = small(peers.text(config))
    weights = {
        key if key.startswith("text_") else f"text_model.{key}": tensor for key, tensor in theirs.state_dict().items()
    }
    found = clip_config(TextPart("", "open_clip" if config.act == "gelu" else "clip", weights))
    assert found == config
    ours = ours_with(CLIPText(config), weights)
    tokens = torch.randint(0, config.vocab_size - 2, (3, 20))
    start, end = config.vocab_size - 2, config.vocab_size - 1
    tokens[:, 0], tokens[0, 7:], tokens[1, 19], tokens[2, 3:] = start, end, end, end
    out, expected = ours(tokens), theirs(tokens, output_hidden_states=True)
    pooled = expected.text_embeds if config.projection_dim else expected.pooler_output
    assert relative(out.last, expected.last_hidden_state) < TOLERANCE
    assert relative(out.pooled, pooled) < TOLERANCE
    assert len(out.hidden_states) == config.layers + 1
    for state, theirs_state in zip(out.hidden_states, expected.hidden_states, strict=True):
        assert relative(state, theirs_state) < TOLERANCE


def test_tiny_decoder_equals_diffusers() -> None:
    """TAESD's decoder, which diffusers' AutoencoderTiny counts without its first layer."""
    from diffusers import AutoencoderTiny

    theirs = AutoencoderTiny(decoder_block_out_channels=(8, 8, 8, 8), encoder_block_out_channels=(8, 8, 8, 8)).eval()
    ours = TAESDDecoder(4, 8).eval()
    moved = {name.removeprefix("decoder.layers."): tensor for name, tensor in theirs.state_dict().items()}
    state = {f"{int(name.split('.')[0]) + 1}.{name.split('.', 1)[1]}": tensor for name, tensor in moved.items()
             if name[0].isdigit()}  # fmt: skip
    ours.load_state_dict(state)
    latents = torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(0)) * 3
    with torch.no_grad():
        assert torch.allclose(ours(latents) * 2 - 1, theirs.decode(latents).sample, atol=1e-6)
