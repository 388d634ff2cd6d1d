"""A model from nothing, in stages that each resume: autoencoder, text encoder, U-Net and text encoder, decoder."""

import operator
import tomllib
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from fromnoise.checkpoints.load import Checkpoint, load_checkpoint
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.engine.memory import best_device
from fromnoise.engine.recipe import explain
from fromnoise.errors import FileError, UserError
from fromnoise.nn.clip import CLIPConfig, CLIPText
from fromnoise.nn.unet import UNet, UNetConfig
from fromnoise.nn.vae import AutoencoderKL, VAEConfig
from fromnoise.train.autoencoder import AutoencoderTask, normalise_latents
from fromnoise.train.diffusion import DiffusionTask, cache_latents, model_facts, scene_pool
from fromnoise.train.emoji import EmojiSet
from fromnoise.train.initialise import initialise
from fromnoise.train.loop import LoopConfig, restore, train
from fromnoise.train.text import Pool, TextTask


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: int
    loop: LoopConfig


class AutoencoderSection(Section):
    channels: int
    channel_mult: tuple[int, ...]
    res_blocks: int
    groups: int
    kl: float


class TextSection(Section):
    dim: int
    layers: int
    heads: int
    mlp_dim: int | None = None
    pairs: float = 0.2
    chinese: float = 0.5
    said: float = 0.7
    groups: int = 1
    whole: float = 1.0


class UNetSection(Section):
    model_channels: int
    channel_mult: tuple[int, ...]
    level_depths: tuple[int, ...]
    res_blocks: int
    backgrounds: int
    scenes: int
    pairs: float
    chinese: float = 0.5
    said: float = 0.7
    noisier: float = 1.0
    joint: bool = True


class Scratch(BaseModel):
    """A configuration file of `fromnoise train scratch`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    folder: Path
    output: Path
    seed: int
    start: Path | None = None  # a checkpoint of the same shape to begin with instead of random weights
    autoencoder: AutoencoderSection
    decoder: Section
    text: TextSection
    unet: UNetSection


def read_config(path: Path) -> Scratch:
    """The configuration in `path`, or a UserError that names the bad field."""
    try:
        return Scratch.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise FileError(f"{path}: no such configuration; the project's is configs/emoji.toml") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileError(f"{path}: not a TOML file that can be read ({error})") from error
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error)}") from error


def run(path: Path) -> Path:
    """Train whatever is not trained yet and write the checkpoint; its path."""
    config = read_config(path)
    data = EmojiSet(config.data)
    vae = train_autoencoder(config, data)
    task = drawing_task(config, data, vae)
    train(task, config.unet.loop, config.folder / "unet")
    train_decoder(config, data, vae)
    return export(config, vae, task.drawer.text, task.drawer.unet)


def snapshot(path: Path) -> Path:
    """Write the checkpoint of a run that is still under way, from what it saved last; its path."""
    config = read_config(path)
    data = EmojiSet(config.data)
    vae = train_autoencoder(config, data)
    task = drawing_task(config, data, vae)
    restore(task.module, config.folder / "unet")
    if (config.folder / "decoder/state.safetensors").exists():
        restore(nn.ModuleList([vae.decoder, vae.post_quant_conv]), config.folder / "decoder")
    return export(config, vae, task.drawer.text, task.drawer.unet)


def train_autoencoder(config: Scratch, data: EmojiSet) -> AutoencoderKL:
    """Stage 1; its latents are scaled to zero mean and unit variance at the end.

    A model to start from brings its own, and the latents that its U-Net has learnt.
    """
    if config.start:
        vae = beginning(config.start).vae
        if vae is None:
            raise FileError(f"{config.start} holds no autoencoder; start from a whole checkpoint")
        return vae.to(best_device())
    section = config.autoencoder
    shape = VAEConfig(section.channels, section.channel_mult, section.res_blocks, groups=section.groups)
    task = AutoencoderTask(data, shape, batch=section.batch, kl=section.kl, seed=config.seed, device=best_device())
    train(task, section.loop, config.folder / "autoencoder")
    normalise_latents(task.vae, data, scene_pool(data, backgrounds=1, pairs=0, seed=config.seed)[::4])
    return frozen(task.vae)


def drawing_task(config: Scratch, data: EmojiSet, vae: AutoencoderKL) -> DiffusionTask:
    """Stages 2 and 3 up to the point where the U-Net trains."""
    section, text, device = config.unet, config.text, best_device()
    scenes = scene_pool(data, backgrounds=section.backgrounds, pairs=section.scenes, seed=config.seed)
    latents = cache_latents(data, vae, scenes, config.folder)
    pool = Pool(data, scenes, latents, vae.config.scale_factor)
    shape = CLIPConfig(text.dim, text.layers, text.heads, mlp_dim=text.mlp_dim)
    lesson = TextTask(
        pool,
        shape,
        batch=text.batch,
        pairs=text.pairs,
        chinese=text.chinese,
        said=text.said,
        groups=text.groups,
        whole=text.whole,
        seed=config.seed,
        device=device,
    )
    if config.start:
        copy_weights(beginning(config.start).text[0], lesson.reader.text, config.start)
    train(lesson, text.loop, config.folder / "text")
    unet = UNet(
        UNetConfig.uniform(
            model_channels=section.model_channels,
            channel_mult=section.channel_mult,
            level_depths=section.level_depths,
            res_blocks=section.res_blocks,
            context_dim=text.dim,
        )
    )
    initialise(unet, config.seed)
    if config.start:
        copy_weights(beginning(config.start).unet, unet, config.start)
    return DiffusionTask(
        pool,
        lesson.reader.text,
        lesson.reader.sketch,
        unet,
        vae,
        batch=section.batch,
        pairs=section.pairs,
        chinese=section.chinese,
        said=section.said,
        noisier=section.noisier,
        joint=section.joint,
        seed=config.seed,
        device=device,
    )


def train_decoder(config: Scratch, data: EmojiSet, vae: AutoencoderKL) -> None:
    """Stage 4: the decoder alone, so that latents that a U-Net has learnt stay what they are."""
    task = AutoencoderTask(
        data, vae.config, batch=config.decoder.batch, seed=config.seed + 1, vae=vae, device=best_device()
    )
    train(task, config.decoder.loop, config.folder / "decoder")
    frozen(vae)


def export(config: Scratch, vae: AutoencoderKL, text: CLIPText, unet: UNet) -> Path:
    """One file in the layout of SD 1.x, float16."""
    facts = model_facts(unet, vae, text)
    return save_checkpoint(config.output, Checkpoint(config.output, facts, unet, vae, (text,), {}))


@cache
def beginning(path: Path) -> Checkpoint:
    """The checkpoint to start from, in float32."""
    return load_checkpoint(path, dtype=torch.float32)


def copy_weights(source: nn.Module, target: nn.Module, path: Path) -> None:
    """Make the weights of `target` those of `source`; a UserError names the first that differs in shape.

    A text encoder's layers may be wider inside: what is added counts for nothing at first (Chen et al., 2016).
    """
    given, wanted = source.state_dict(), target.state_dict()
    for name, weight in wanted.items():
        there = given.get(name, torch.empty(()))
        if ".mlp." in name and there.ndim == weight.ndim and all(map(operator.ge, weight.shape, there.shape)):
            grown = torch.zeros_like(weight) if name.endswith("fc2.weight") else weight.clone()
            grown[tuple(slice(side) for side in there.shape)] = there
            given[name] = grown
        elif there.shape != weight.shape:
            shape = tuple(weight.shape)
            raise UserError(f"{path} has another shape than the configuration says: {name} is not {shape}")
    target.load_state_dict(given)


M = TypeVar("M", bound=nn.Module)


def frozen(module: M) -> M:
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module
