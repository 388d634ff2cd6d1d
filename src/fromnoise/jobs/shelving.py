"""What was fetched from a hub comes onto its shelf."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from fromnoise.engine.companions import stem_of
from fromnoise.engine.hub import INDEX, Offer, Wanted
from fromnoise.engine.shelves import Kind, home, models_folder
from fromnoise.errors import FileError, UserError
from fromnoise.jobs.index import Index, Source
from fromnoise.settings import Settings

KINDS_BY_CONTENT: dict[str, Kind] = {  # what checkpoints.describe calls it
    "checkpoint": "checkpoints",
    "U-Net": "diffusion_models",
    "U-Net with diffusers' names": "diffusion_models",
    "text encoder": "text_encoders",
    "VAE": "vae",
    "LoRA": "loras",
    "embedding": "embeddings",
    "hypernetwork": "hypernetworks",
    "ControlNet": "controlnet",
    "T2I-Adapter": "t2i_adapter",
    "IP-Adapter": "ipadapter",
    "upscaler": "upscale_models",
}
KINDS_BY_CLASS: dict[str, Kind] = {  # in the configuration of a folder, the beginning of the class's name
    "UNet2D": "diffusion_models",
    "AutoencoderTiny": "taesd",
    "Autoencoder": "vae",
    "ControlNet": "controlnet",
    "T2IAdapter": "t2i_adapter",
    "CLIPText": "text_encoders",
    "CLIPVision": "clip_vision",
}
DOWNLOADS = ".downloads"


def staging(offer: Offer, here: Settings) -> Path:
    """A folder for what is on its way, beside the shelves."""
    base = next((tree for tree in here.models if tree.suffix.lower() not in (".yaml", ".yml")), Settings.models[0])
    return models_folder(base) / DOWNLOADS / offer.repo.replace("/", "--") / offer.commit[:12]


def shelved(
    offer: Offer, wanted: Wanted, fetched: Sequence[Path], given: Kind | None, save_as: str | None, place: Path,
    here: Settings, index: Index | None,
) -> Path:  # fmt: skip
    """Put what was fetched on its shelf; where it is then."""
    whole = len(fetched) > 1 or fetched[0].name == INDEX
    root = place / wanted.file if whole and wanted.file else place if whole else fetched[0]
    kind = given or kind_of(root)
    inside = (wanted.file or "") if whole else fetched[0].relative_to(place).as_posix()
    title = offer.repo.partition("/")[2]
    plain = title if root == place else f"{title}-{root.name}" if whole else root.name
    suffix = "" if whole else root.suffix
    target = home(kind, here) / (f"{save_as}{suffix}" if save_as else plain)
    moved(root, target)
    shutil.rmtree(place, ignore_errors=True)
    for folder in (place.parent, place.parent.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    if index is not None:
        index.refresh(here)
        index.note_source(target, Source(offer.repo, inside, offer.commit, offer.licences))
    return target


def kind_of(path: Path) -> Kind:
    """The kind of what was fetched, by what it holds. UserError where it can't be told."""
    if path.is_dir():
        kind = kind_of_folder(path)
    else:
        from fromnoise.checkpoints.describe import describe

        kind = KINDS_BY_CONTENT.get(describe(path).holds)
    if kind is None:
        raise UserError(f"{stem_of(path)}: which kind of model it is can't be told: say so with --kind")
    return kind


def kind_of_folder(path: Path) -> Kind | None:
    if (path / INDEX).is_file():
        return "checkpoints"
    if (path / "adapter_config.json").is_file():
        return "loras"
    try:
        config = json.loads((path / "config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    names = [config.get("_class_name"), *(config.get("architectures") or [])] if isinstance(config, dict) else []
    found = (kind for name in names for known, kind in KINDS_BY_CLASS.items() if str(name).startswith(known))
    return next(found, None)


def moved(path: Path, target: Path) -> None:
    """Move a file or folder, onto another disk too; FileError where something is there already."""
    if target.exists():
        raise FileError(f"{target} is there already: choose another name with --as")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(path, target)
    except OSError as error:
        part = target.with_name(f".{target.name}.part")
        try:
            shutil.move(path, part)
            os.rename(part, target)
        except OSError:
            raise FileError(f"{target}: {error.strerror}") from error
