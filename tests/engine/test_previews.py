"""Previews look like what the autoencoder would make of the latents, seen from far."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import avg_pool2d, interpolate

from fromnoise.engine import shelves
from fromnoise.engine.library import Model, load
from fromnoise.engine.memory import place
from fromnoise.engine.previews import Previewer, tiny_decoder
from fromnoise.nn.taesd import TAESDDecoder
from fromnoise.settings import Settings
from tests.engine.models import tiny_model


@pytest.fixture(scope="module")
def model() -> Model:
    return load("builtin", place("cpu", "float32"))


def test_they_look_like_the_decoded_picture(model: Model) -> None:
    coarse = torch.randn(1, model.vae.config.latent_channels, 3, 3, generator=torch.Generator().manual_seed(5))
    latents = interpolate(coarse, size=(12, 12), mode="bilinear")
    with torch.inference_mode():
        decoded = avg_pool2d(model.decode(latents), model.vae.config.downscale).movedim(1, -1)
    shown = Previewer(model).rgb(latents)
    error, spread = (shown - decoded.clamp(-1, 1)).pow(2).mean(), decoded.var()
    assert error < 0.35 * spread, "most of what there is to see is seen"


def test_a_preview_is_a_small_jpeg(model: Model) -> None:
    image = Image.open(io.BytesIO(Previewer(model).jpeg(torch.zeros(1, model.vae.config.latent_channels, 8, 16))))
    assert (image.format, image.size) == ("JPEG", (256, 128))


def drawn_decoder(path: Path, latent_channels: int = 4) -> TAESDDecoder:
    """A random decoder of TAESD, in a file."""
    decoder = TAESDDecoder(latent_channels, 8)
    tiny.filled(decoder, torch.Generator().manual_seed(0))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(decoder.state_dict(), path)
    return decoder


def test_a_tiny_decoder_on_the_shelf_draws_them(tmp_path: Path, model: Model) -> None:
    settings = Settings(models=(tmp_path,))
    other = replace(tiny_model(), settings=settings)
    latents = torch.randn(1, 4, 8, 16, generator=torch.Generator().manual_seed(2))
    plain = Previewer(other).jpeg(latents)
    for name in ("taesdxl_decoder", "taesd_encoder", "taesd3_decoder", "vaeapprox-sd1"):
        drawn_decoder(tmp_path / f"vae_approx/{name}.safetensors")
    assert Previewer(other).tiny is None
    decoder = drawn_decoder(tmp_path / "vae_approx/taesd_decoder.safetensors")
    previewer = Previewer(other)
    with torch.no_grad():
        wanted = (decoder(latents).movedim(1, -1) * 2 - 1).clamp(-1, 1)
    assert torch.equal(previewer.pixels(latents), wanted)
    assert previewer.jpeg(latents) != plain
    assert Image.open(io.BytesIO(previewer.jpeg(latents))).size == (256, 128)
    assert Previewer(replace(model, settings=settings)).tiny is None, "the built-in model's latents are its own"
    sdxl = replace(tiny_model("sdxl"), settings=settings)
    assert tiny_decoder(shelves.items("taesd", settings), "sdxl") == tmp_path / "vae_approx/taesdxl_decoder.safetensors"
    assert Previewer(sdxl).tiny is not None


def test_a_broken_tiny_decoder_is_told_and_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = replace(tiny_model(), settings=Settings(models=(tmp_path,)))
    (tmp_path / "vae_approx").mkdir()
    (tmp_path / "vae_approx/taesd_decoder.safetensors").write_bytes(b"no weights")
    latents = torch.zeros(1, 4, 8, 8)
    assert Image.open(io.BytesIO(Previewer(other).jpeg(latents))).size == (256, 256)
    assert "taesd_decoder.safetensors" in caplog.text
    drawn_decoder(tmp_path / "vae_approx/taesd_decoder.safetensors", latent_channels=16)
    caplog.clear()
    assert Previewer(other).tiny is None
    assert "of another kind" in caplog.text
