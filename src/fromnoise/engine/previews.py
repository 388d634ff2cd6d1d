"""Small pictures of latents while they are made, without decoding them.

An autoencoder's decoder is nearly linear if one looks from far enough: a pixel of the shrunken picture is a weighted
sum of the latents there. The weights are fitted to the model at hand, by decoding a little noise once. Where TAESD's
decoder for the model's family is on its shelf (models/vae_approx), previews are that decoder's pictures: sharper ones.
"""

import io
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from fromnoise.checkpoints.tiny_decoder import load_tiny_decoder
from fromnoise.engine import shelves
from fromnoise.engine.library import Model
from fromnoise.engine.shelves import Item
from fromnoise.engine.vae_family import SPACES, Space
from fromnoise.errors import FileError
from fromnoise.nn.taesd import TAESDDecoder
from fromnoise.nn.vae import VAEConfig

LOG = logging.getLogger(__name__)
TINY: dict[Space, str] = {"sd1": "taesd", "sdxl": "taesdxl"}  # how the name of its file or folder begins
ALIKE = VAEConfig()  # only latents of this shape are what it knows
SIDE = 8  # latents of the noise
SAMPLES = 12
SMOOTH = 4  # how many latents across vary together: pictures are not noise
SHOWN = 256  # pixels of the longer side of a preview
QUALITY = 80


@dataclass(frozen=True)
class Previewer:
    """Makes previews of one model's latents."""

    model: Model

    @cached_property
    def weights(self) -> Tensor:
        """(c+1 3): what each latent channel, and the constant 1, adds to red, green and blue in [-1, 1]."""
        vae = self.model.vae.config
        generator = torch.Generator().manual_seed(0)
        coarse = torch.randn(SAMPLES, vae.latent_channels, SIDE // SMOOTH, SIDE // SMOOTH, generator=generator)
        latents = interpolate(coarse, size=(SIDE, SIDE), mode="nearest")
        with torch.inference_mode():
            image = self.model.decode(latents).cpu()
        pixels = avg_pool2d(image, vae.downscale).movedim(1, -1).reshape(-1, 3)
        found: Tensor = torch.linalg.lstsq(self._with_one(latents), pixels).solution
        return found

    @cached_property
    def tiny(self) -> TAESDDecoder | None:
        """TAESD's decoder for this model, where there is one."""
        vae = self.model.vae.config
        known = (vae.latent_channels, vae.downscale) == (ALIKE.latent_channels, ALIKE.downscale)
        if not known or self.model.path == shelves.builtin():
            return None
        path = tiny_decoder(shelves.items("taesd", self.model.settings), SPACES[self.model.facts.family])
        if path is None:
            return None
        try:
            decoder = load_tiny_decoder(path)
        except FileError as error:
            LOG.warning("previews are made without it: %s", error)
            return None
        if decoder.latent_channels != vae.latent_channels:
            LOG.warning("previews are made without it: %s is for latents of another kind", path)
            return None
        return decoder

    def pixels(self, latents: Tensor) -> Tensor:
        """Pictures (b h w 3), or (b 8h 8w 3) where TAESD's decoder is there, in [-1, 1] of latents (b c h w)."""
        if self.tiny is None:
            return self.rgb(latents)
        placement = self.model.placement
        with torch.inference_mode():
            image: Tensor = self.tiny(latents.to(placement.device, placement.dtype))
        return (image.float().cpu().movedim(1, -1) * 2 - 1).clamp(-1, 1)

    def rgb(self, latents: Tensor) -> Tensor:
        """Pictures (b h w 3) in [-1, 1] of latents (b c h w)."""
        rows = self._with_one(latents.float().cpu()) @ self.weights
        return rows.reshape(len(latents), *latents.shape[-2:], 3).clamp(-1, 1)

    def jpeg(self, latents: Tensor) -> bytes:
        """A JPEG of latents (1 c h w)."""
        pixels = ((self.pixels(latents)[0] + 1) * 127.5).round().to(torch.uint8)
        image = Image.fromarray(pixels.numpy())
        scale = SHOWN / max(image.size)
        image = image.resize(
            (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.BICUBIC
        )
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=QUALITY)
        return buffer.getvalue()

    @staticmethod
    def _with_one(latents: Tensor) -> Tensor:
        """(b c h w) as rows of c+1 numbers."""
        rows = latents.movedim(1, -1).reshape(-1, latents.shape[1])
        return torch.cat((rows, torch.ones(len(rows), 1)), dim=1)


def tiny_decoder(there: Sequence[Item], space: Space) -> Path | None:
    """Which of the shelf's files is TAESD's decoder for latents of `space`, by what it or its folder is called."""
    for item in there:
        names = [re.split(r"[_.]", part)[0] for part in item.name.lower().split("/")]
        if TINY[space] in names and "encoder" not in item.name.lower():
            return item.path
    return None
