"""Previews look like what the autoencoder would make of the latents, seen from far."""

import io

import pytest
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d, interpolate

from fromnoise.engine.library import Model, load
from fromnoise.engine.memory import place
from fromnoise.engine.previews import Previewer


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
