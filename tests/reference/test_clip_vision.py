"""Picture encoders equal transformers' CLIPVisionModelWithProjection, and pixels its CLIPImageProcessor's."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from fromnoise.checkpoints.clip_vision import load_clip_vision
from fromnoise.checkpoints.detect import NotDetected, vision_config
from fromnoise.checkpoints.load import UnmatchedKeys
from fromnoise.checkpoints.names import OPEN_CLIP_VISION
from fromnoise.checkpoints.save import write
from fromnoise.engine.vision import clip_pixels
from fromnoise.nn.clip_vision import VIT_BIGG, VIT_H, VIT_L, CLIPVision, CLIPVisionConfig
from tests.reference import peers
from tests.tiny import filled

TINY = CLIPVisionConfig(dim=64, layers=3, heads=1, projection_dim=48, patch=8, image_size=32, mlp_dim=96)
TINY_GELU = CLIPVisionConfig(dim=64, layers=2, heads=1, act="gelu", projection_dim=32, patch=4, image_size=16)


def random(config: CLIPVisionConfig) -> CLIPVision:
    return filled(CLIPVision(config), torch.Generator().manual_seed(0))


@pytest.mark.parametrize("config", [TINY, TINY_GELU])
def test_states_and_embedding(config: CLIPVisionConfig) -> None:
    ours, theirs = random(config), peers.vision(config)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    pixels = torch.randn(2, 3, config.image_size, config.image_size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        told, wanted = ours(pixels), theirs(pixels, output_hidden_states=True)
    torch.testing.assert_close(told.embedding, wanted.image_embeds, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(told.penultimate, wanted.hidden_states[-2], atol=1e-5, rtol=1e-5)
    assert len(told.hidden_states) == len(wanted.hidden_states)


@pytest.mark.parametrize("config", [VIT_L, VIT_H, VIT_BIGG])
def test_full_size(config: CLIPVisionConfig) -> None:
    """The names and shapes of the real encoders, and what is read from them."""
    with torch.device("meta"):
        ours, theirs = CLIPVision(config), peers.vision(config)
    shapes = {name: tensor.shape for name, tensor in theirs.state_dict().items() if "position_ids" not in name}
    assert shapes == {name: tensor.shape for name, tensor in ours.state_dict().items()}
    assert vision_config(ours.state_dict()) == config


@pytest.mark.parametrize("names", ["hugging face", "with the text encoder", "open clip", "whole open clip"])
def test_files(names: str, tmp_path: Path) -> None:
    config = CLIPVisionConfig(dim=64, layers=3, heads=1, projection_dim=48, patch=8, image_size=32)
    ours = random(config)
    state = dict(ours.state_dict())
    if "open clip" in names:
        state = {f"visual.{name}": tensor for name, tensor in OPEN_CLIP_VISION.to_theirs(state).items()}
    if names.startswith("wh"):
        state |= {"logit_scale": torch.ones(1), "transformer.resblocks.0.ln_1.weight": torch.ones(3)}
        state |= {"positional_embedding": torch.ones(2, 2), "token_embedding.weight": torch.ones(2, 2)}
    if names.startswith("with"):
        state |= {"logit_scale": torch.ones(1), "text_model.final_layer_norm.weight": torch.ones(3)}
        state |= {"vision_model.embeddings.position_ids": torch.ones(1, 17)}
    loaded = load_clip_vision(write(tmp_path / "vision.safetensors", state, None, {}))
    assert loaded.config == config
    assert all(torch.equal(tensor, ours.state_dict()[name]) for name, tensor in loaded.state_dict().items())


def test_what_does_not_belong_is_named(tmp_path: Path) -> None:
    state = {**random(TINY).state_dict(), "strange.weight": torch.ones(1)}
    path = write(tmp_path / "vision.safetensors", state, None, {})
    with pytest.raises(UnmatchedKeys, match=r"strange\.weight"):
        load_clip_vision(path)
    load_clip_vision(path, allow_unmatched=True)
    with pytest.raises(NotDetected, match="no picture encoder"):
        load_clip_vision(write(tmp_path / "other.safetensors", {"a": torch.ones(1)}, None, {}))


@pytest.mark.parametrize("size", [(64, 64), (300, 97), (51, 230), (224, 224), (17, 40)])
def test_pixels(size: tuple[int, int]) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    image = Image.fromarray(levels)
    wanted = CLIPImageProcessorPil()(image, return_tensors="pt").pixel_values
    torch.testing.assert_close(clip_pixels(image, 224), wanted, atol=1e-5, rtol=0)


def test_pixels_may_be_squeezed() -> None:
    image = Image.linear_gradient("L").resize((90, 30))
    squeezed = clip_pixels(image, 32, crop=False)
    assert squeezed.shape == (1, 3, 32, 32)
    wanted = CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
    torch.testing.assert_close(squeezed, wanted(image, return_tensors="pt").pixel_values, atol=1e-5, rtol=0)


def test_pixels_as_comfyui_makes_them_are_nearly_the_same() -> None:
    image = Image.linear_gradient("L").resize((90, 130))
    ours = clip_pixels(image, 32, resampling="torch")
    levels = ours * torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None] * 255
    levels = levels + torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None] * 255
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    assert float((ours - clip_pixels(image, 32)).abs().max()) < 0.05


def test_transparency_shows_white() -> None:
    clear = clip_pixels(Image.new("RGBA", (40, 40), (0, 0, 0, 0)), 32)
    torch.testing.assert_close(clear, clip_pixels(Image.new("RGB", (40, 40), "white"), 32))
