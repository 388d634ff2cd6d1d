"""Small pictures of latents while they are made, without decoding them.

An autoencoder's decoder is nearly linear if one looks from far enough: a pixel of the shrunken picture is a weighted
sum of the latents there. The weights are fitted to the model at hand, by decoding a little noise once.
"""

import io
from dataclasses import dataclass
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from fromnoise.engine.library import Model

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

    def rgb(self, latents: Tensor) -> Tensor:
        """Pictures (b h w 3) in [-1, 1] of latents (b c h w)."""
        rows = self._with_one(latents.float().cpu()) @ self.weights
        return rows.reshape(len(latents), *latents.shape[-2:], 3).clamp(-1, 1)

    def jpeg(self, latents: Tensor) -> bytes:
        """A JPEG of latents (1 c h w)."""
        pixels = ((self.rgb(latents)[0] + 1) * 127.5).round().to(torch.uint8)
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
