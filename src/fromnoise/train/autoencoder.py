"""Training the autoencoder: reconstruction, a small KL term, and a perceptual term over a Laplacian pyramid."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.engine import losses
from fromnoise.nn.vae import AutoencoderKL, VAEConfig
from fromnoise.train.emoji import BACKGROUNDS, COLOURS, EmojiSet, Scene, philox
from fromnoise.train.initialise import initialise

CPU = torch.device("cpu")


def laplacian_loss(a: Tensor, b: Tensor, levels: int = 4) -> Tensor:
    """L1 between Laplacian pyramids: edges count, whatever their scale. Bojanowski et al. (2018), section 3.2."""
    difference, total = a - b, a.new_zeros(())
    for level in range(levels):
        coarse = F.avg_pool2d(difference, 2)
        total = total + (difference - F.interpolate(coarse, scale_factor=2.0)).abs().mean() * 2.0**level
        difference = coarse
    return total + difference.abs().mean() * 2.0**levels


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB, the mean over the pictures, each 100 at most; a, b (b 3 h w) in [-1, 1]."""
    pairs = zip(a.clamp(-1, 1).double().cpu().numpy(), b.double().cpu().numpy(), strict=True)
    return float(np.mean([min(losses.psnr(*pair, span=2), 100.0) for pair in pairs]))


class AutoencoderTask:
    """Learns from crops of half the size, and whole pictures at half the size, of every drawing not held out.

    With a `vae`, only its decoder learns, and the latents it is given are the encoder's means.
    """

    def __init__(
        self,
        data: EmojiSet,
        config: VAEConfig,
        *,
        batch: int = 16,
        kl: float = 3e-4,
        seed: int = 0,
        vae: AutoencoderKL | None = None,
        device: torch.device = CPU,
    ) -> None:
        self.data, self.batch, self.kl, self.seed = data, batch, kl, seed
        self.vae = vae or AutoencoderKL(config)
        self.module: nn.Module = self.vae
        if vae is None:
            initialise(self.vae, seed)
        else:
            self.module = nn.ModuleList([vae.decoder, vae.post_quant_conv])
            self.module.requires_grad_(True)
        self.decoder_only = vae is not None
        self.device = device
        self.vae.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.train_set, self.held_out = data.select(held_out=False), data.select(chosen=True, held_out=True)

    def images(self, step: int) -> Tensor:
        """A batch (b 3 s/2 s/2) in [-1, 1]."""
        rng, size = philox(self.seed, 1, step), self.data.size // 2
        out = np.empty((self.batch, 3, size, size), np.float32)
        for i in range(self.batch):
            picture = int(rng.choice(self.train_set))
            canvas = self.data.draw(Scene((picture,), COLOURS[rng.integers(len(COLOURS))]))
            if rng.random() < 0.3:
                out[i] = canvas.reshape(3, size, 2, size, 2).mean(axis=(2, 4))
            else:
                y, x = rng.integers(0, size + 1, 2)
                out[i] = canvas[:, y : y + size, x : x + size]
        return torch.from_numpy(out / 127.5 - 1).to(self.device, memory_format=torch.channels_last)

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        images = self.images(step)
        mean, logvar = self.moments(images)
        noise = torch.from_numpy(philox(self.seed, 2, step).standard_normal(mean.shape, dtype=np.float32)).to(mean)
        latents = mean if self.decoder_only else mean + (0.5 * logvar).exp() * noise
        restored = self.vae.decoder(self.vae.post_quant_conv(latents))
        divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
        pixels = (restored - images).abs().mean() + 2 * (restored - images).square().mean()
        loss = pixels + 0.2 * laplacian_loss(restored, images) + self.kl * divergence
        figures = {"pixels": pixels, "kl": divergence}
        return loss, {name: float(value.detach()) for name, value in figures.items()}

    def moments(self, images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.set_grad_enabled(not self.decoder_only):
            return self.vae.moments(images)

    def report(self, step: int, averaged: nn.Module, folder: Path) -> Mapping[str, float]:
        """PSNR on held-out pictures, and a sheet of them above their reconstructions."""
        images = held_out_images(self.data, self.held_out[:32]).to(self.device)
        restored = torch.cat([self.vae.decode(self.vae.encode(part)) for part in torch.split(images, 8)])
        rows = [torch.cat(list(part[:10]), dim=-1) for part in (images, restored.clamp(-1, 1))]
        save_rows(rows, folder / f"restored-{step:06d}.png")
        return {"held_out_psnr": psnr(restored, images)}


@torch.no_grad()
def normalise_latents(vae: AutoencoderKL, data: EmojiSet, scenes: list[Scene]) -> None:
    """Fold into the 1x1 convolutions about the latents what makes them, scaled, of mean 0 and variance 1."""
    images = torch.from_numpy(np.stack([data.draw(scene) for scene in scenes]).astype(np.float32) / 127.5 - 1)
    device = next(vae.parameters()).device
    latents = torch.cat([vae.moments(part.to(device))[0] for part in torch.split(images, 16)])
    centre = latents.mean(dim=(0, 2, 3))
    spread = latents.std(dim=(0, 2, 3)) * vae.config.scale_factor
    channels = vae.config.latent_channels
    weight, bias = vae.quant_conv.weight, cast(Tensor, vae.quant_conv.bias)
    weight[:channels] /= spread.view(-1, 1, 1, 1)
    bias[:channels] = (bias[:channels] - centre) / spread
    bias[channels:] -= 2 * spread.log()
    weight, bias = vae.post_quant_conv.weight, cast(Tensor, vae.post_quant_conv.bias)
    bias += weight[..., 0, 0] @ centre
    weight *= spread.view(1, -1, 1, 1)


def held_out_images(data: EmojiSet, pictures: list[int]) -> Tensor:
    """The pictures on backgrounds in turn, (n 3 s s) in [-1, 1]."""
    drawn = [data.draw(Scene((p,), COLOURS[i % len(BACKGROUNDS)])) for i, p in enumerate(pictures)]
    return torch.from_numpy(np.stack(drawn).astype(np.float32) / 127.5 - 1)


def save_rows(rows: list[Tensor], path: Path) -> None:
    """Rows (3 h w) in [-1, 1], one below the other, as a picture."""
    sheet = ((torch.cat(rows, dim=-2).clamp(-1, 1) + 1) * 127.5).round().to("cpu", torch.uint8)
    Image.fromarray(sheet.permute(1, 2, 0).numpy()).save(path)
