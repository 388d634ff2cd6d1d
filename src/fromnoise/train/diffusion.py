"""Training text encoder and U-Net together: v-prediction from pure noise to pictures, on cached latents.

Ho et al. (2020); v-prediction: Salimans and Ho (2022); zero terminal SNR: Lin et al. (2023). Loss weights: the error of
v weighs that of the clean latents by SNR + 1, which is held at 5 as Hang et al. (2023) hold it, "Efficient Diffusion
Training via Min-SNR Weighting Strategy". Their own weight for v, min(SNR, 5) / (SNR + 1), all but ignores the noisiest
steps, where a small model learns what object to draw.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fromnoise.checkpoints.detect import ModelFacts
from fromnoise.engine.generate import generate
from fromnoise.engine.images import to_tensor
from fromnoise.engine.library import Model
from fromnoise.engine.memory import Placement, best_dtype
from fromnoise.engine.recipe import Recipe
from fromnoise.nn.clip import CLIPText
from fromnoise.nn.unet import UNet
from fromnoise.nn.vae import AutoencoderKL
from fromnoise.sampling.parametrization import v_scalings
from fromnoise.sampling.schedules import NoiseTable
from fromnoise.text.tokenizer import Tokenizer
from fromnoise.train.autoencoder import CPU, save_rows
from fromnoise.train.emoji import COLOURS, EmojiSet, Scene, philox, random_scene
from fromnoise.train.text import Pool, Sketch


def scene_pool(data: EmojiSet, *, backgrounds: int, pairs: int, seed: int) -> list[Scene]:
    """Every picture of the vocabulary that is not held out on `backgrounds` colours, then `pairs` scenes of two."""
    pictures = data.select(chosen=True, held_out=False)
    pool = []
    for picture in pictures:
        colours = philox(seed, 10, picture).permutation(len(COLOURS))[:backgrounds]
        pool += [Scene((picture,), COLOURS[c]) for c in colours]
    return pool + [random_scene(data, pictures, philox(seed, 11, i), pairs=1.0) for i in range(pairs)]


@torch.no_grad()
def cache_latents(
    data: EmojiSet, vae: AutoencoderKL, pool: list[Scene], folder: Path, batch: int = 32
) -> NDArray[np.float16]:
    """Mean latents of the scenes (n c h w) float16, unscaled; made once for these scenes and this encoder.

    Later they are read from `folder`, where those of other scenes or encoders give way.
    """
    path = folder / f"latents-{cache_key(data, vae, pool)}.npy"
    if path.exists():
        return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]
    parts = []
    device = next(vae.parameters()).device
    for start in range(0, len(pool), batch):
        images = np.stack([data.draw(scene) for scene in pool[start : start + batch]]).astype(np.float32) / 127.5 - 1
        mean, _ = vae.moments(torch.from_numpy(images).to(device, memory_format=torch.channels_last))
        parts.append(mean.half().cpu().numpy())
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part.npy")
    np.save(partial, np.concatenate(parts))
    for stale in folder.glob("latents-*.npy"):
        if stale != partial:
            stale.unlink()
    partial.replace(path)
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


def cache_key(data: EmojiSet, vae: AutoencoderKL, pool: list[Scene]) -> str:
    """What latents depend on, in 16 letters: drawings, scenes, and the encoder's weights."""
    digest = hashlib.sha256(repr((data.images.shape, data.pictures, pool)).encode())
    for part in (vae.encoder, vae.quant_conv):
        for weight in part.state_dict().values():
            digest.update(weight.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def model_facts(unet: UNet, vae: AutoencoderKL, text: CLIPText) -> ModelFacts:
    """What a file of these networks says of them."""
    return ModelFacts(
        family="sd1",
        task="base",
        prediction="v",
        prediction_from="caller",
        zero_snr=True,
        unet=unet.config,
        vae=vae.config,
        text=(text.config,),
    )


class Drawer(nn.Module):
    """What trains: the text encoder, which goes on sketching, and the U-Net."""

    def __init__(self, text: CLIPText, sketch: Sketch, unet: UNet) -> None:
        super().__init__()
        self.text, self.sketch, self.unet = text, sketch, unet


class DiffusionTask:
    """Denoises cached latents under captions, one in ten of them empty so that guidance has something to lean on.

    Unless `joint`, the text encoder stays as it is.
    """

    def __init__(
        self,
        pool: Pool,
        text: CLIPText,
        sketch: Sketch,
        unet: UNet,
        vae: AutoencoderKL,
        *,
        batch: int = 16,
        pairs: float = 0.15,
        chinese: float = 0.5,
        said: float = 0.7,
        dropout: float = 0.1,
        noisier: float = 1.0,
        joint: bool = True,
        min_snr: float = 5.0,
        seed: int = 0,
        device: torch.device = CPU,
    ) -> None:
        self.pool, self.data, self.vae = pool, pool.data, vae
        self.batch, self.pairs, self.dropout, self.min_snr, self.seed = batch, pairs, dropout, min_snr, seed
        self.chinese, self.said, self.noisier, self.device = chinese, said, noisier, device
        self.drawer = Drawer(text, sketch, unet.to(memory_format=torch.channels_last)).to(device)  # type: ignore[call-overload]
        self.joint = joint
        self.module: nn.Module = self.drawer if joint else nn.ModuleDict({"unet": self.drawer.unet})
        self.table = NoiseTable.ldm(zero_snr=True)
        self.tokenizer = Tokenizer()

    def encode(self, captions: list[str]) -> Tensor:
        """The states (n 77 d) that steer the U-Net."""
        tokens = torch.tensor([self.tokenizer.encode_window(c) for c in captions], device=self.device)
        last: Tensor = self.drawer.text(tokens).last
        return last

    def examples(self, step: int) -> tuple[Tensor, list[str], Tensor, Tensor]:
        """Clean latents (b c h w), captions, timesteps (b), noise like the latents.

        Timesteps lie at even distances but for `noisier`, below 1, which moves them to where objects take shape.
        """
        rng = philox(self.seed, 5, step)
        drawn = [self.pool.draw(rng, self.pairs, self.chinese, self.said) for _ in range(self.batch)]
        captions = ["" if rng.random() < self.dropout else caption for _, caption in drawn]
        latents = self.pool.take([index for index, _ in drawn])
        places = (rng.random() + np.arange(self.batch) / self.batch) % 1.0  # Kingma et al. (2021), appendix I.1
        timesteps = torch.from_numpy((rng.permutation(places) ** self.noisier * 1000).astype(np.int64))
        noise = torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32))
        return latents.to(self.device), captions, timesteps.to(self.device), noise.to(self.device)

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        latents, captions, timesteps, noise = self.examples(step)
        alphas = self.table.alphas_cumprod.to(self.device)[timesteps]
        keep, add = alphas.sqrt().view(-1, 1, 1, 1), (1 - alphas).sqrt().view(-1, 1, 1, 1)
        noisy = (latents * keep + noise * add).contiguous(memory_format=torch.channels_last)
        with torch.set_grad_enabled(self.joint):
            context = self.encode(captions)
        predicted = self.drawer.unet(noisy, timesteps.float(), context)
        errors = (predicted - (keep * noise - add * latents)).square().mean(dim=(1, 2, 3))
        snr = alphas / (1 - alphas)
        loss = (errors * ((snr + 1).clamp(max=self.min_snr) / (snr + 1))).mean()
        rough = errors.detach()[timesteps >= 700]  # where objects take shape
        figures = {"v_error": errors.mean(), "v_error_rough": rough.mean()}
        if self.joint:
            told = torch.tensor([caption != "" for caption in captions], device=self.device)
            sketching = (self.drawer.sketch(context) - latents).square().mean(dim=(1, 2, 3))[told].sum() / self.batch
            loss, figures["sketch"] = loss + 0.5 * sketching, sketching
        return loss, {name: float(value.detach()) for name, value in figures.items()}

    def model(self) -> Model:
        """What trains, as the engine draws with it, in the dtype that suits the device."""
        unet, vae, text = self.drawer.unet, self.vae, self.drawer.text
        facts = model_facts(unet, vae, text)
        where = Placement(self.device, best_dtype(self.device))
        return Model("in training", Path("in-training"), "", facts, unet, vae, (text,), self.table, v_scalings, where)

    def sample(self, prompts: list[str], *, steps: int = 20, scale: float = 4.0, seed: int = 1) -> Tensor:
        """Pictures (n 3 s s) in [-1, 1] by DPM++ 2M, each with a seed of its own."""
        side = self.data.size
        recipes = [
            Recipe.make(
                prompt=prompt,
                seed=seed + i,
                width=side,
                height=side,
                steps=steps,
                sampler="dpmpp_2m",
                guidance_scale=scale,
            )
            for i, prompt in enumerate(prompts)
        ]
        made = {picture.index: to_tensor(picture.image) for picture in generate(self.model(), recipes, max_batch=32)}
        return torch.cat([made[i] for i in range(len(prompts))])

    def report(self, step: int, averaged: nn.Module, folder: Path) -> Mapping[str, float]:
        """A sheet of fixed prompts: four rows in the five styles, then two objects together."""
        things = ("red apple", "cat face", "rocket", "猫头鹰", "red heart", "bus", "guitar", "企鹅")
        prompts = [f"{thing}, {style} style, white background" for style in ("noto", "3d") for thing in things]
        prompts += [f"{thing}, flat style, light blue background" for thing in things]
        prompts += ["a cat face to the left of a rocket, 3d style", "a red apple above a banana, noto style"]
        prompts += ["企鹅在香蕉的左边，扁平风格", "一个红苹果", "panda on a pink background"]
        prompts += ["castle", "green apple", "dragon"]
        pictures = self.sample(prompts)
        rows = [torch.cat(list(pictures[i : i + 8]), dim=-1) for i in range(0, len(prompts), 8)]
        save_rows(rows, folder / f"sheet-{step:06d}.png")
        return {}
