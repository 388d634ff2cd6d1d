"""diffusers reads the checkpoints that we write, without the network, and finds in them every weight we put there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from torch import Tensor
from transformers import CLIPTokenizer

from fromnoise.checkpoints.load import Checkpoint
from fromnoise.checkpoints.names import diffusers_unet, vae_to_diffusers
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.nn.unet import SD1, SDXL
from fromnoise.nn.vae import SD_VAE
from tests import tiny
from tests.reference import peers

# diffusers tells the families by numbers of levels and by widths, so these are narrow, not short.
TEXT_L = replace(tiny.CLIP_L, vocab_size=600)
TEXT_G = replace(tiny.OPENCLIP, vocab_size=600, layers=11)
WHOLE_VAE = replace(SD_VAE, channels=32)


def tokenizer() -> CLIPTokenizer:
    """One that knows single letters: 512 of them, and two marks."""
    letters = [chr(i) for i in range(256, 512)]
    names = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={name: i for i, name in enumerate(names)}, merges=[], model_max_length=77)


def sd1() -> tuple[Checkpoint, type[StableDiffusionPipeline], dict[str, Any]]:
    made = tiny.model("sd1", unet=replace(SD1, model_channels=32, context_dim=32), vae=WHOLE_VAE, text=(TEXT_L,))
    parts = {"text_encoder": peers.text(TEXT_L), "tokenizer": tokenizer(), "safety_checker": None}
    return made, StableDiffusionPipeline, {**parts, "feature_extractor": None, "requires_safety_checker": False}


def sdxl() -> tuple[Checkpoint, type[StableDiffusionXLPipeline], dict[str, Any]]:
    unet = replace(SDXL, model_channels=32, context_dim=96, vector_dim=64 + 6 * peers.SIZES)
    made = tiny.model("sdxl", unet=unet, vae=WHOLE_VAE, text=(TEXT_L, TEXT_G))
    texts = {"text_encoder": peers.text(TEXT_L), "text_encoder_2": peers.text(TEXT_G)}
    return made, StableDiffusionXLPipeline, {**texts, "tokenizer": tokenizer(), "tokenizer_2": tokenizer()}


def expected(model: Checkpoint) -> dict[str, dict[str, Tensor]]:
    """Our weights under diffusers' names."""
    assert model.vae is not None
    rename, vae = diffusers_unet(model.unet.config), model.vae.config
    found = {
        "unet": {rename(name): weight for name, weight in model.unet.state_dict().items()},
        "vae": vae_to_diffusers(model.vae.state_dict(), len(vae.channel_mult), vae.res_blocks),
    }
    for name, encoder in zip(("text_encoder", "text_encoder_2"), model.text, strict=False):
        found[name] = dict(encoder.state_dict())
    return found


@pytest.mark.parametrize("family", [sd1, sdxl])
def test_from_single_file(family: Any, tmp_path: Path) -> None:
    model, pipeline, parts = family()
    path = save_checkpoint(tmp_path / "model.safetensors", model, dtype=torch.float32)
    configs = pipeline(
        unet=peers.unet(model.unet.config),
        vae=peers.vae(model.vae.config),
        scheduler=EulerDiscreteScheduler(steps_offset=1),
        **parts,
    )
    configs.save_pretrained(tmp_path / "configs")
    for weights in (tmp_path / "configs").rglob("*.safetensors"):
        weights.unlink()
    theirs = pipeline.from_single_file(str(path), config=str(tmp_path / "configs"), local_files_only=True)
    for name, weights in expected(model).items():
        state = {key_of(key, name): tensor for key, tensor in getattr(theirs, name).state_dict().items()}
        assert set(state) == set(weights), name
        different = [key for key, weight in weights.items() if not torch.equal(state[key], weight)]
        assert different == [], name


def key_of(name: str, network: str) -> str:
    """transformers leaves `text_model.` out since 5.6, in one of its two classes."""
    bare = network in ("unet", "vae") or name.startswith(("text_model.", "text_projection."))
    return name if bare else f"text_model.{name}"
