"""Models opened to be written anew: every network checked against what it should be, nothing loaded."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fromnoise.checkpoints.adapter_files.keys import is_lora
from fromnoise.checkpoints.detect import (
    VAE_SCALES,
    ModelFacts,
    NotDetected,
    Prediction,
    clip_config,
    detect,
    overridden,
    vae_config,
)
from fromnoise.checkpoints.fitting import holds, misfit
from fromnoise.checkpoints.folders import is_folder
from fromnoise.checkpoints.layouts import without_copies
from fromnoise.checkpoints.load import Faults, build
from fromnoise.checkpoints.parts import Parts
from fromnoise.checkpoints.sources import Source, combined, open_source
from fromnoise.errors import FileError, UserError
from fromnoise.nn.clip import CLIPConfig, CLIPText
from fromnoise.nn.vae import AutoencoderKL, VAEConfig

WRITTEN = (".safetensors", ".ckpt")
KEPT = ("modelspec.", "ss_", "sd_merge_", "fromnoise.distilled")  # metadata that stays true of other files
STALE = ("modelspec.hash_sha256", "modelspec.prediction_type")


@dataclass(frozen=True)
class Opened:
    """A model or a network alone, whose tensors are read when they are written."""

    source: Source
    parts: Parts
    facts: ModelFacts | None  # None where there is no U-Net
    vae: VAEConfig | None
    text: tuple[CLIPConfig, ...]
    left_out: tuple[str, ...]  # names that no network takes

    @property
    def path(self) -> Path:
        return self.source.path

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says and another layout of it may say, too."""
        told = self.source.metadata
        return {name: text for name, text in told.items() if name.startswith(KEPT) and name not in STALE}


def open_model(
    path: Path | str,
    *,
    unet: Path | str | None = None,
    text_encoders: Sequence[Path | str] = (),
    vae: Path | str | None = None,
    variant: str | None = None,
    prediction: Prediction | None = None,
    ema: bool = False,
    allow_unmatched: bool = False,
) -> Opened:
    """A file or folder with a U-Net, an autoencoder or text encoders; the other arguments as of `load_checkpoint`.

    Raises FileError, NotDetected and UnmatchedKeys.
    """
    source = combined(
        open_source(path, variant),
        unet=None if unet is None else open_source(unet, variant),
        text=[open_source(file, variant) for file in text_encoders],
        vae=None if vae is None else open_source(vae, variant),
    )
    parts = source.parts
    kind = "LoRA" if is_lora(source.weights) else holds(parts)
    if kind == "LoRA" or not (parts.unet or parts.vae or parts.text):
        what = "nothing that is known" if kind == "unknown" else f"a model of another kind ({kind})"
        raise NotDetected(f"{path} holds {what}; give a checkpoint, a U-Net, an autoencoder or a text encoder")
    if ema:
        averaged = parts.with_ema()
        if averaged is None:
            raise FileError(f"{path} holds no EMA weights; leave --ema out")
        parts = averaged
    try:
        facts = detect(parts, source.metadata, prediction=prediction) if parts.unet else None
        configs = configs_of(parts, source.metadata, facts)
    except NotDetected as error:
        raise NotDetected(f"{path} cannot be used: {error}") from error
    if facts is not None and (wrong := misfit(facts)):
        raise NotDetected(f"{path} cannot be used: {wrong}")
    check(source.path, parts, facts, *configs, allow_unmatched)
    return Opened(source, without_copies(parts), facts, *configs, left_out(parts))


def configs_of(
    parts: Parts, metadata: Mapping[str, str], facts: ModelFacts | None
) -> tuple[VAEConfig | None, tuple[CLIPConfig, ...]]:
    """Of the autoencoder and the text encoders. Raises NotDetected."""
    if facts is not None:
        return facts.vae, facts.text
    text = tuple(overridden(clip_config(part), f"text{i}", metadata) for i, part in enumerate(parts.text))
    return overridden(vae_config(parts.vae, VAE_SCALES["sd1"]), "vae", metadata) if parts.vae else None, text


def check(
    path: Path,
    parts: Parts,
    facts: ModelFacts | None,
    vae: VAEConfig | None,
    text: tuple[CLIPConfig, ...],
    allow_unmatched: bool,
) -> None:
    """Raises UnmatchedKeys where networks lack weights or the file has some that belong to none."""
    if facts is not None:
        build(path, parts, facts, allow_unmatched)
        return
    faults = faults_of_lone(parts, vae, text)
    faults.check(path, allow_unmatched)


def faults_of_lone(parts: Parts, vae: VAEConfig | None, text: tuple[CLIPConfig, ...]) -> Faults:
    """What does not fit in files without a U-Net."""
    faults = Faults()
    faults.unknown += parts.unknown
    if vae is not None:
        faults.filled(partial(AutoencoderKL, vae), parts.vae, "")
    for config, part in zip(text, parts.text, strict=True):
        faults.filled(partial(CLIPText, config), part.state, part.prefix)
    return faults


def left_out(parts: Parts) -> tuple[str, ...]:
    return tuple(parts.rest)


def check_place(
    out: Path, sources: Sequence[Path], *, folder: bool, force: bool, suffixes: Sequence[str] = WRITTEN
) -> None:
    """FileError or UserError where nothing can or should be written at `out`.

    Folders are replaced only where they hold a model: nobody's other files are ever deleted.
    """
    parent = out.absolute().parent
    if not parent.is_dir():
        raise FileError(f"{parent} is no folder; make it, or write {out.name} elsewhere")
    if not os.access(parent, os.W_OK):
        raise FileError(f"{parent} cannot be written to; check its permissions, or write {out.name} elsewhere")
    for path in sources:
        inner, outer = path.resolve(), out.resolve()
        if inner == outer or (out.exists() and path.exists() and out.samefile(path)):
            raise UserError(f"{out} is the file that is read; give the new one another name")
        if outer in inner.parents or (path.is_dir() and inner in outer.parents):
            raise UserError(f"{out} and {path} lie in each other; write somewhere else")
    if not folder and out.suffix.lower() not in suffixes:
        kind = suffixes[0].removeprefix(".")
        raise UserError(f"{out} would be a {kind} file; give it a name that ends in {suffixes[0]}")
    if not (out.exists() or out.is_symlink()):
        return
    if not force:
        raise FileError(f"{out} exists; give another name, or replace it with --force")
    if out.is_dir() != folder:
        raise FileError(f"{out} is a {'folder' if out.is_dir() else 'file'}; give another name")
    if folder and any(out.iterdir()) and not is_folder(out):
        raise FileError(f"{out} holds other things than a model; give another name")
