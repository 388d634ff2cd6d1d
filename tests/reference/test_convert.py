"""diffusers' `from_pretrained` loads the folders that we write, and answers as our networks do."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

from fromnoise.checkpoints.convert import convert
from fromnoise.checkpoints.load import load_checkpoint
from fromnoise.text.tokenizer import Tokenizer
from tests import tiny
from tests.checkpoints.test_convert import KINDS, made
from tests.reference.test_networks import relative

TOLERANCE = 1e-4


def answers(ours: Any, theirs: Any) -> float:
    """How far the U-Net's answers are from each other."""
    config = ours.unet.config
    torch.manual_seed(2)
    x, t = torch.randn(2, config.in_channels, 8, 8), torch.tensor([3.0, 700.0])
    context, y, more = torch.randn(2, 5, config.context_dim), None, {}
    if ours.facts.task == "unclip":
        y = torch.randn(2, config.vector_dim)
        more["class_labels"] = y
    elif config.vector_dim:
        from tests.reference.peers import SIZES, sinusoids

        pooled = torch.randn(2, tiny.OPENCLIP.dim)
        sizes = torch.randint(0, 1024, (2, (config.vector_dim - pooled.shape[1]) // SIZES)).float()
        y = torch.cat((pooled, sinusoids(sizes)), dim=1)
        more["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": sizes}
    return relative(ours.unet(x, t, context, y), theirs.unet(x, t, context, **more).sample)


QUICK = ("sd1 v zsnr", "sd2")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in KINDS if name != "sd1 lcm"],
)
@torch.no_grad()
def test_from_pretrained(tmp_path: Path, name: str) -> None:
    path = made(tmp_path / "a.safetensors", name)
    convert(path, tmp_path / "folder")
    given = {"depth_estimator": None, "feature_extractor": None} if "depth" in name else {}
    theirs = DiffusionPipeline.from_pretrained(tmp_path / "folder", local_files_only=True, **given)
    ours = load_checkpoint(path)
    assert answers(ours, theirs) < TOLERANCE
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    assert ours.vae is not None
    latents = theirs.vae.encode(image).latent_dist.mean
    assert relative(ours.vae.encode(image), latents * theirs.vae.config.scaling_factor) < TOLERANCE
    assert relative(ours.vae.decode(ours.vae.encode(image)), theirs.vae.decode(latents).sample) < TOLERANCE
    encoders = [(theirs.text_encoder, theirs.tokenizer)] if getattr(theirs, "text_encoder", None) else []
    if getattr(theirs, "text_encoder_2", None):
        encoders.append((theirs.text_encoder_2, theirs.tokenizer_2))
    assert len(encoders) == len(ours.text)
    for mine, (encoder, tokenizer) in zip(ours.text, encoders, strict=True):
        pad = 49407 if mine.config.act == "quick_gelu" else 0
        ids = Tokenizer(pad).encode_window("a red Apple, 2 cats")
        assert tokenizer("a red Apple, 2 cats", padding="max_length", max_length=77).input_ids == ids
        out = encoder(torch.tensor([ids]), output_hidden_states=True)
        states = mine(torch.tensor([ids])).hidden_states[: len(out.hidden_states)]
        for a, b in zip(states, out.hidden_states, strict=True):
            assert relative(a, b) < TOLERANCE
    predicts = {"v": "v_prediction", "eps": "epsilon"}[ours.facts.prediction]
    assert theirs.scheduler.config.prediction_type == predicts
    if ours.vision is not None:
        pictures = torch.randn(1, 3, ours.vision.config.image_size, ours.vision.config.image_size)
        assert relative(ours.vision(pictures).embedding, theirs.image_encoder(pictures).image_embeds) < TOLERANCE


@torch.no_grad()
def test_a_whole_picture(tmp_path: Path) -> None:
    """A folder draws: every file that a pipeline asks for is there."""
    convert(made(tmp_path / "a.safetensors", "sdxl"), tmp_path / "folder", dtype="fp32")
    pipe = DiffusionPipeline.from_pretrained(tmp_path / "folder", local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    picture = pipe("a cat", width=64, height=64, num_inference_steps=2, output_type="pt").images
    assert picture.shape == (1, 3, 64, 64)
    assert bool(picture.isfinite().all())


def test_lone_networks(tmp_path: Path) -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModelWithProjection

    path = made(tmp_path / "a.safetensors", "sdxl")
    for layout in ("unet", "vae", "clip_g"):
        convert(path, tmp_path / f"{layout}.safetensors", to=layout)
        convert(tmp_path / f"{layout}.safetensors", tmp_path / layout)
    assert UNet2DConditionModel.from_pretrained(tmp_path / "unet").config.in_channels == 4
    assert AutoencoderKL.from_pretrained(tmp_path / "vae").config.scaling_factor == 0.13025
    text = CLIPTextModelWithProjection.from_pretrained(tmp_path / "clip_g")
    assert text.config.projection_dim == 64
