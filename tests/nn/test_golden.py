"""The networks give the numbers that ComfyUI gives with the same weights (tests/golden/nets, recorded on CPU)."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fromnoise.checkpoints.detect import unet_config, vae_config
from fromnoise.nn.clip import CLIPConfig, CLIPText
from fromnoise.nn.unet import UNet
from fromnoise.nn.vae import AutoencoderKL, VAEConfig
from fromnoise.text.tokenizer import Tokenizer

Golden = Callable[[str], Path]
TOLERANCE = 1e-4


def normal(name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)


def weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """The recorded networks' weights are functions of their names."""
    n = normal(name, shape)
    if len(shape) > 1:
        n = n / np.float32(np.sqrt(np.prod(shape[1:])))
    else:
        n = 1 + np.float32(0.1) * n if name.endswith("weight") else np.float32(0.1) * n
    return torch.from_numpy(n)


def given(name: str, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(normal(name, shape))


@pytest.fixture(scope="module")
def recorded(golden: Golden) -> Any:
    with np.load(golden("nets/nets.npz")) as file:
        return dict(file)


def state(golden: Golden, name: str) -> dict[str, Tensor]:
    keys = json.loads(golden(f"nets/keys_{name}.json").read_text())
    return {key: weight(f"{name}.{key}", tuple(shape)) for key, shape in keys.items()}


def loaded(network: nn.Module, weights: dict[str, Tensor]) -> Any:
    network.load_state_dict(weights, strict=True)
    return network.eval().requires_grad_(False)


def error(ours: Tensor, theirs: np.ndarray) -> float:
    """Largest difference, relative to the standard deviation."""
    return float((ours - torch.from_numpy(theirs)).abs().max() / theirs.std())


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
def test_unet(golden: Golden, recorded: Any, name: str) -> None:
    weights = state(golden, name)
    theirs = json.loads(str(recorded[f"{name}/cfg"]))
    config = unet_config(weights)
    assert config.channel_mult == tuple(theirs["channel_mult"])
    assert config.depths == tuple(theirs["transformer_depth"])
    assert config.output_depths == tuple(theirs["transformer_depth_output"])[::-1]
    assert config.vector_dim == theirs.get("adm_in_channels")
    heads = {"heads": theirs.get("num_heads"), "head_dim": theirs.get("num_head_channels", config.head_dim)}
    unet = loaded(UNet(type(config)(**{**vars(config), **heads})), weights)
    x = given(f"{name}/x", (2, config.in_channels, 8, 8))
    context = given(f"{name}/c", (2, 77, config.context_dim))
    y = given("sdxl/y", (2, 112)) if name == "sdxl" else None
    out = unet(x, torch.tensor([10.0, 981.0]), context, y)
    assert error(out, recorded[f"{name}/out"]) < TOLERANCE


def test_vae(golden: Golden, recorded: Any) -> None:
    weights = state(golden, "vae")
    config = vae_config(weights, scale_factor=1.0)
    assert config == VAEConfig(channels=32, scale_factor=1.0)
    vae = loaded(AutoencoderKL(config), weights)
    assert error(vae.decode(given("vae/z", (1, 4, 4, 4))), recorded["vae/dec"]) < TOLERANCE
    image = given("vae/img", (1, 3, 32, 32))
    assert error(vae.quant_conv(vae.encoder(image)), recorded["vae/moments"]) < TOLERANCE


@pytest.mark.parametrize(("name", "act"), [("clip_quick", "quick_gelu"), ("clip_gelu", "gelu")])
def test_text_encoder(golden: Golden, recorded: Any, name: str, act: Any) -> None:
    config = CLIPConfig(dim=64, layers=3, heads=4, act=act, projection_dim=64, mlp_dim=128)
    clip = loaded(CLIPText(config), state(golden, name))
    out = clip(torch.tensor([Tokenizer().encode_window("a photo of a cat")]))
    penultimate = out.hidden_states[-2]
    assert error(out.last, recorded[f"{name}/last"]) < TOLERANCE
    assert error(penultimate, recorded[f"{name}/penult_noln"]) < TOLERANCE
    assert error(clip.text_model.final_layer_norm(penultimate), recorded[f"{name}/penult_ln"]) < TOLERANCE
    assert error(out.pooled, recorded[f"{name}/pooled_proj"]) < TOLERANCE
