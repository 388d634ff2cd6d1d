"""Whatever people keep a model in, taken apart: one file of any layout, a folder, or parts from several of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fromnoise.checkpoints.detect import NotDetected
from fromnoise.checkpoints.diffusers_names import text_from_transformers, unet_from_diffusers
from fromnoise.checkpoints.distilled import KEY as DISTILLED
from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.folders import (
    IMAGE_ENCODER,
    IMAGE_NORMALIZER,
    TEXT_ENCODERS,
    is_folder,
    read_folder,
)
from fromnoise.checkpoints.names import State, vae_from_diffusers
from fromnoise.checkpoints.parts import (
    MARKERS,
    MEAN,
    STD,
    Parts,
    TextPart,
    picture_encoder,
    take_apart,
    without_harmless,
)

UNET_FACTS = (
    "fromnoise.unet.",
    "fromnoise.zero_snr",
    "fromnoise.sigmas",
    "modelspec.prediction_type",
    "global_step",
    DISTILLED,
)
PARAMETERIZATION = re.compile(
    r"""^[ \t]*parameterization[ \t]*:[ \t]*["']?(v|eps)["']?[ \t]*(?:\#.*)?$""", re.MULTILINE
)
MAX_BESIDE = 1 << 16  # bytes of a configuration
TEXT_PREFIX = "text_encoder."  # of names in messages about weights that come from a folder


@dataclass(frozen=True)
class Source:
    """A model's weights, where they come from and what is said about them."""

    path: Path
    kind: str  # safetensors, gguf, torch, torch (legacy), diffusers
    weights: State  # under the names of the files; those of a folder begin with the name of the part
    parts: Parts
    metadata: Mapping[str, str]
    files: tuple[Path, ...]


def open_source(path: Path | str, variant: str | None = None) -> Source:
    """The weights of a file or of a diffusers folder, under our names. Raises FileError."""
    path = Path(path)
    if path.is_dir() and is_folder(path):
        folder = read_folder(path, variant)
        told = folder.metadata
        text = []
        for i, state in enumerate(map(text_from_transformers, folder.text)):
            exact = told.get(f"fromnoise.text{i}.act") == "gelu"
            text.append(TextPart(f"{TEXT_PREFIX}{i}.", "open_clip" if exact else "clip", without_harmless(state)))
        unet, vae = unet_from_diffusers(folder.unet), vae_from_diffusers(folder.vae)
        named = {"unet": folder.unet, "vae": folder.vae, **dict(zip(TEXT_ENCODERS, folder.text, strict=False))}
        named |= {IMAGE_ENCODER: folder.vision, IMAGE_NORMALIZER: folder.statistics}
        every = {f"{part}.{name}": tensor for part, state in named.items() for name, tensor in state.items()}
        statistics, rest = {"mean": MEAN, "std": STD}, {}
        for name, tensor in folder.statistics.items():
            rest[statistics.get(name, f"{IMAGE_NORMALIZER}.{name}")] = tensor
        vision, unknown = picture_encoder(folder.vision)
        rest |= {f"{IMAGE_ENCODER}.{name}": tensor for name, tensor in unknown.items()}
        return Source(path, "diffusers", every, Parts(unet, vae, tuple(text), rest, vision), told, folder.files)
    weights = read(path)
    told = told_beside(path) | dict(weights.metadata)
    return Source(path, weights.kind, weights, take_apart(weights), told, (weights.path,))


def told_beside(path: Path) -> dict[str, str]:
    """What the model predicts, where a configuration beside it says so: `NAME.yaml`, as AUTOMATIC1111 looks for it.

    Of such a file nothing else counts, so it is not even parsed.
    """
    beside = path.with_suffix(".yaml")
    try:
        if not beside.is_file() or beside.stat().st_size > MAX_BESIDE:
            return {}
        found = PARAMETERIZATION.search(beside.read_text("utf-8", "replace"))
    except OSError:
        return {}
    return {"modelspec.prediction_type": found[1]} if found else {}


def files_of(path: Path, variant: str | None = None) -> tuple[Path, ...]:
    """The files that `open_source` reads, to be hashed. Raises FileError."""
    return read_folder(path, variant).files if path.is_dir() and is_folder(path) else (path,)


def combined(
    base: Source, *, unet: Source | None = None, text: Sequence[Source] = (), vae: Source | None = None
) -> Source:
    """A model with some of its networks taken from elsewhere.

    Raises NotDetected where a source does not hold what it is given for.
    """
    parts, told, files = base.parts, dict(base.metadata), base.files
    if unet is not None:
        require(unet, "U-Net", unet.parts.unet)
        rest = {name: tensor for name, tensor in parts.rest.items() if name not in MARKERS}
        marks = {name: tensor for name, tensor in unet.parts.rest.items() if name in MARKERS}
        parts = replace(parts, unet=unet.parts.unet, rest={**rest, **marks})
        told = exchanged(told, unet.metadata, UNET_FACTS)
        files += unet.files
    if text:
        found = []
        for source in text:
            require(source, "text encoder", source.parts.text)
            found += [(part, source.metadata, i) for i, part in enumerate(source.parts.text)]
            files += source.files
        found.sort(key=lambda one: one[0].names != "clip")  # SDXL's order
        told = exchanged(told, {}, ("fromnoise.text",))
        for i, (_, theirs, number) in enumerate(found):
            told |= dict(renumbered(theirs, number, i))
        parts = replace(parts, text=tuple(part for part, _, _ in found))
    if vae is not None:
        require(vae, "autoencoder", vae.parts.vae)
        parts = replace(parts, vae=vae.parts.vae)
        told = exchanged(told, vae.metadata, ("fromnoise.vae.",))
        files += vae.files
    return replace(base, parts=parts, metadata=told, files=files)


def require(source: Source, what: str, held: object) -> None:
    if not held:
        raise NotDetected(f"{source.path} holds no {what}; give a file that has one")


def exchanged(told: Mapping[str, str], theirs: Mapping[str, str], prefixes: tuple[str, ...]) -> dict[str, str]:
    """`told` with what `theirs` says about one network in place of what it said itself."""
    kept = {name: value for name, value in told.items() if not name.startswith(prefixes)}
    return kept | {name: value for name, value in theirs.items() if name.startswith(prefixes)}


def renumbered(told: Mapping[str, str], number: int, new: int) -> Iterator[tuple[str, str]]:
    """What is said about one text encoder, as said about another."""
    for name, value in told.items():
        if name.startswith(f"fromnoise.text{number}."):
            yield name.replace(f"fromnoise.text{number}.", f"fromnoise.text{new}."), value
