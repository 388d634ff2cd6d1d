"""What a checkpoint is, read off names and shapes; and who wins where those cannot tell."""

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from fromnoise.checkpoints.detect import (
    Family,
    NotDetected,
    Task,
    clip_config,
    detect,
    overridden,
    unet_config,
    v_by_weights,
    vae_config,
)
from fromnoise.checkpoints.parts import TextPart, take_apart
from fromnoise.checkpoints.save import layout
from fromnoise.nn import clip, unet, vae
from fromnoise.nn.unet import UNet, UNetConfig
from tests import tiny

FAMILIES = get_args(Family)


def meta(build: Any, config: Any) -> dict[str, Tensor]:
    with torch.device("meta"):
        network: nn.Module = build(config)
    return network.state_dict()


@pytest.mark.parametrize("name", ["SD1", "SD2", "SDXL", "SDXL_REFINER"])
def test_full_size_unet(name: str) -> None:
    config = getattr(unet, name)
    assert unet_config(meta(UNet, config)) == config


@pytest.mark.parametrize(
    "config",
    [
        UNetConfig.uniform(model_channels=64, channel_mult=(1, 3, 4), level_depths=(0, 1, 1), res_blocks=1),
        UNetConfig.uniform(model_channels=32, channel_mult=(1, 1), level_depths=(1, 1), res_blocks=3, context_dim=8),
        UNetConfig.uniform(model_channels=32, channel_mult=(2,), level_depths=(3,), in_channels=9),
        replace(unet.SDXL, depths=(0, 0, 2, 2, 4, 4), output_depths=(4, 4, 10, 2, 1, 1, 0, 0, 0), middle_depth=-1),
        replace(unet.SDXL, res_blocks=1, depths=(0, 2, 5), output_depths=(5, 5, 2, 2, 0, 0), middle_depth=-2),
    ],
    ids=["built-in", "many blocks", "one level", "ssd-1b", "koala-700m"],
)
def test_other_unets(config: UNetConfig) -> None:
    """Any width, any number of levels and blocks, any depth of transformers."""
    assert unet_config(meta(UNet, config)) == config


def test_full_size_vae_and_text() -> None:
    assert vae_config(meta(vae.AutoencoderKL, vae.SD_VAE), vae.SD_VAE.scale_factor) == vae.SD_VAE
    for config in (clip.CLIP_L, clip.OPENCLIP_H, clip.OPENCLIP_G):
        part = TextPart("", "clip" if config is clip.CLIP_L else "open_clip", meta(clip.CLIPText, config))
        assert clip_config(part) == config


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("text", [True, False], ids=["whole", "without text encoder"])
def test_family(family: Family, text: bool) -> None:
    parts = take_apart(layout(tiny.model(family)))
    if not text:
        parts = replace(parts, text=())
        if family == "sdxl_refiner":  # then only its published width tells it from SDXL
            assert detect(parts).family == "sdxl"
            parts = replace(parts, unet=meta(UNet, unet.SDXL_REFINER))
    facts = detect(parts)
    assert (facts.family, facts.task) == (family, "base")
    assert facts.vae is not None
    assert facts.vae.scale_factor == (0.13025 if family.startswith("sdxl") else 0.18215)
    assert len(facts.text) == (0 if not text else 2 if family == "sdxl" else 1)


@pytest.mark.parametrize("task", ["base", "inpaint", "instruct", "depth"])
def test_task(task: Task) -> None:
    assert detect(take_apart(layout(tiny.model("sd1", task=task)))).task == task


def test_unclip() -> None:
    config = replace(tiny.unet_config("sd2"), context_dim=1024, vector_dim=2048)
    facts = detect(take_apart(layout(tiny.model("sd2", unet=config))))
    assert (facts.family, facts.task) == ("sd2", "unclip")


def test_which_states_of_the_text_encoder() -> None:
    rules = {family: detect(take_apart(layout(tiny.model(family)))) for family in FAMILIES}
    assert {family: (facts.text_layer, facts.text_final_norm) for family, facts in rules.items()} == {
        "sd1": (1, True),
        "sd2": (2, True),
        "sdxl": (2, False),
        "sdxl_refiner": (2, False),
    }
    shorter = tiny.model("sd2", text=(replace(tiny.TEXT["sd2"][0], layers=23),))
    assert detect(take_apart(layout(shorter))).text_layer == 1


# Prediction


def told(family: Family, metadata: dict[str, str] | None = None, bias: float | None = None, **markers: Tensor) -> Any:
    state = {**layout(tiny.model(family)), **markers}
    if bias is not None:  # of the last transformer's first norm
        name = next(name for name in sorted(state, reverse=True) if name.endswith(".1.transformer_blocks.0.norm1.bias"))
        state[name] = torch.tensor([bias, -bias]).repeat(len(state[name]) // 2)
        assert name.startswith("model.diffusion_model.output_blocks.3.")
    return detect(take_apart(state), metadata)


@pytest.mark.parametrize(
    ("family", "metadata", "bias", "markers", "expected"),
    [
        ("sd1", {}, None, {}, ("eps", "default")),
        ("sdxl", {}, None, {}, ("eps", "default")),
        ("sd1", {}, None, {"v_pred": torch.empty(0)}, ("v", "marker")),
        ("sdxl", {}, None, {"v_pred": torch.tensor(1.0)}, ("v", "marker")),
        ("sdxl", {"modelspec.prediction_type": "v"}, None, {}, ("v", "metadata")),
        ("sdxl", {"modelspec.prediction_type": "epsilon"}, None, {"v_pred": torch.empty(0)}, ("eps", "metadata")),
        ("sd2", {"modelspec.architecture": "stable-diffusion-v2-768-v"}, 0.0, {}, ("v", "metadata")),
        ("sd2", {}, 0.08, {}, ("eps", "weights")),
        ("sd2", {}, 0.10, {}, ("v", "weights")),
        ("sd2", {"global_step": "875000"}, 0.10, {}, ("eps", "metadata")),
        ("sd2", {"modelspec.prediction_type": "epsilon"}, 0.10, {}, ("eps", "metadata")),
    ],
)
def test_prediction(family: Family, metadata: Any, bias: Any, markers: Any, expected: tuple[str, str]) -> None:
    facts = told(family, metadata, bias, **markers)
    assert (facts.prediction, facts.prediction_from) == expected


def test_the_caller_knows_best() -> None:
    parts = take_apart({**layout(tiny.model("sd2")), "v_pred": torch.empty(0)})
    facts = detect(parts, {"modelspec.prediction_type": "v"}, prediction="eps")
    assert (facts.prediction, facts.prediction_from) == ("eps", "caller")


def test_sd2_inpainting_is_eps() -> None:
    """Its weights are not asked: the rule was made for four input channels."""
    facts = detect(take_apart(layout(tiny.model("sd2", task="inpaint"))))
    assert (facts.prediction, facts.prediction_from) == ("eps", "default")


def test_zero_snr() -> None:
    assert not told("sdxl").zero_snr
    assert told("sdxl", ztsnr=torch.empty(0)).zero_snr
    assert told("sdxl", {"fromnoise.zero_snr": "true"}).zero_snr


def test_v_by_weights_needs_the_layer() -> None:
    assert v_by_weights({"output_blocks.0.0.x": torch.ones(1)}) is None


# What metadata may say, and what it may not


def test_overrides() -> None:
    changed = overridden(
        vae.SD_VAE,
        "vae",
        {"fromnoise.vae.groups": "8", "fromnoise.vae.scale_factor": "0.5", "fromnoise.unet.heads": "2", "other": "x"},
    )
    assert changed == replace(vae.SD_VAE, groups=8, scale_factor=0.5)
    assert overridden(unet.SD1, "unet", {"fromnoise.unet.heads": "null"}).heads is None
    assert overridden(clip.CLIP_L, "text0", {"fromnoise.text0.act": "gelu"}).act == "gelu"


@pytest.mark.parametrize("value", ["0", "-1", "1e99", "true", "[1]", "NaN", "8.5", '"8"', "", "null", "{"])
def test_bad_overrides(value: str) -> None:
    with pytest.raises(NotDetected, match=r"fromnoise\.vae\.groups"):
        overridden(vae.SD_VAE, "vae", {"fromnoise.vae.groups": value})


# What is no model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time_embed.0.weight": None}, "time_embed.0.weight is missing"),
        ({"time_embed.0.weight": torch.ones(3)}, "has the shape"),
        ({"out.2.weight": torch.ones(0, 3, 1, 1)}, "has the shape"),
        ({"input_blocks.4.0.x": torch.ones(1)}, "do not share out"),
        ({"input_blocks.1.0.out_layers.3.weight": torch.ones(33, 32, 3, 3)}, "no multiples"),
    ],
)
def test_broken_unets(change: dict[str, Tensor | None], message: str) -> None:
    state = {**tiny.model("sd1").unet.state_dict(), **change}
    with pytest.raises(NotDetected, match=message):
        unet_config({name: tensor for name, tensor in state.items() if tensor is not None})


def test_absurd_numbers_do_not_count() -> None:
    state = {**tiny.model("sd1").unet.state_dict(), f"input_blocks.{10**12}.0.x": torch.ones(1)}
    assert unet_config(state) == tiny.unet_config("sd1")


def test_no_unet() -> None:
    with pytest.raises(NotDetected, match="no U-Net"):
        detect(take_apart({"lora_unet_x.lora_down.weight": torch.ones(1)}))
    plain = {name: t for name, t in tiny.model("sd1").unet.state_dict().items() if "transformer" not in name}
    with pytest.raises(NotDetected, match="no cross-attention"):
        unet_config(plain)
