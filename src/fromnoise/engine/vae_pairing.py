"""The autoencoder that goes with a checkpoint without being named: AUTOMATIC1111's rule for "Automatic".

In this order: the one that the checkpoint's note (`NAME.json`, as its editor writes it) names; `NAME.vae.safetensors`,
`.vae.ckpt` or `.vae.pt` beside the checkpoint; the same names on the shelf of VAEs, where `NAME.safetensors`, `.ckpt`
and `.pt` do as well. It becomes part of the recipe of a finished picture, so that nothing has to be guessed again.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fromnoise.engine import shelves
from fromnoise.engine.companions import companions, stem_of
from fromnoise.engine.recipe_files import Weights
from fromnoise.errors import FileError
from fromnoise.settings import Settings

LOG = logging.getLogger(__name__)
SUFFIXES = (".safetensors", ".ckpt", ".pt")


def settled(wanted: Weights, checkpoint: Path, settings: Settings) -> Weights:
    """`wanted` with the name of the VAE that belongs to its checkpoint, if there is one and it is wished for."""
    automatic = wanted.automatic and wanted.vae is None
    return replace(wanted, automatic=False, vae=vae_of(checkpoint, settings) if automatic else wanted.vae)


def vae_of(checkpoint: Path, settings: Settings) -> str | None:
    """The name of the VAE that belongs to a checkpoint: as on the shelf, or a path."""
    if checkpoint == shelves.builtin() or checkpoint.is_dir():
        return None
    if told := companions(checkpoint).vae:
        try:
            shelves.find("vae", told, settings)
        except FileError as error:
            LOG.warning(f"{checkpoint.name} asks for a VAE in its note, which is not used: {error}")
        else:
            return told
    for path, name in candidates(checkpoint, settings):
        if path.is_file() and path != checkpoint:
            return name
    return None


def candidates(checkpoint: Path, settings: Settings) -> Iterator[tuple[Path, str]]:
    """Where the VAE may lie, and what it is called there."""
    stem = stem_of(checkpoint)
    for suffix in SUFFIXES:
        path = checkpoint.with_name(f"{stem}{shelves.VAE_MARK}{suffix}")
        yield path, named(path, settings)
    for shelf in shelves.shelves("vae", settings):
        for name in (f"{stem}{mark}{suffix}" for mark in (shelves.VAE_MARK, "") for suffix in SUFFIXES):
            yield shelf.folder / name, name


def named(path: Path, settings: Settings) -> str:
    """Its name below a shelf; its path where it lies elsewhere."""
    for shelf in shelves.shelves("checkpoints", settings):
        if path.is_relative_to(shelf.folder):
            return path.relative_to(shelf.folder).as_posix()
    return str(path)
