"""`fromnoise models get`: a model from a hub onto its shelf."""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from fromnoise import settings
from fromnoise.cli.messages import say, translated
from fromnoise.cli.progress import note, transfer
from fromnoise.cli.shelf_show import known, licence_line, opened, size
from fromnoise.engine import licences
from fromnoise.engine.companions import stem_of
from fromnoise.engine.hub import (
    INDEX,
    NoConnection,
    Offer,
    Remote,
    Wanted,
    cached_offer,
    chosen,
    fetch,
    look_up,
    safe_name,
)
from fromnoise.engine.shelves import Kind, home, kind_named, models_folder
from fromnoise.errors import FileError, UserError
from fromnoise.jobs.index import Source
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


def get_model(
    name: str, file: str | None, kind: str | None, revision: str | None, save_as: str | None, pickle: bool, yes: bool,
    quiet: bool,
) -> None:  # fmt: skip
    """Fetch a model and print its path."""
    here = settings.read()
    wanted, given = Wanted.of(name, file, revision), kind_named(kind) if kind else None
    if save_as is not None:
        safe_name(save_as)
    offer = offered(wanted, here)
    if isinstance(offer, Path):
        note(say("there already"), quiet)
        print(offer)
        return
    files = chosen(offer, wanted.file, pickle=pickle)
    tell(offer, files, quiet)
    already = there_already(files, here)
    if already is not None:
        note(say("there already"), quiet)
        print(already)
        return
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        confirm(files)
    place = staging(offer, here)
    with transfer(quiet) as report:
        fetched = fetch(offer, files, place, report)
    print(shelved(offer, wanted, fetched, given, save_as, place, here))


def offered(wanted: Wanted, here: Settings) -> Offer | Path:
    """What the hub offers, or the hub's cache on this machine, or where the file lies already."""
    try:
        return look_up(wanted)
    except NoConnection as error:
        for entry in known(here, None):
            source = entry.source
            if source and source.repo == wanted.repo and wanted.file in (None, source.file):
                return entry.place
        note(translated(str(error)))
        return cached_offer(wanted)


def tell(offer: Offer, files: Sequence[Remote], quiet: bool) -> None:
    """What is about to be fetched, and on which terms."""
    total = size(sum(remote.size for remote in files))
    names = ", ".join(remote.name for remote in files[:3]) + (" ..." if len(files) > 3 else "")
    note(say("{repo}: {names} ({size})", repo=offer.repo, names=names, size=total), quiet)
    licence = licences.known(*offer.licences)
    if licence is not None:
        note(say("licence: {licence}", licence=licence_line(licence)), quiet)
    elif offer.licences:
        note(say("licence: {licence}, which its page explains", licence=offer.licences[0]), quiet)
    else:
        note(say("licence: none is named; its page may say more"), quiet)
    if any(remote.is_pickle for remote in files):
        note(say("a pickle can carry code: we never run it, but other tools may"), quiet)


def confirm(files: Sequence[Remote]) -> None:
    """Ask on a terminal; UserError where the answer is no."""
    print(say("fetch {size}? [Y/n] ", size=size(sum(r.size for r in files))), end="", file=sys.stderr, flush=True)
    if input().strip().lower() not in ("", "y", "yes", "是"):
        raise UserError(say("nothing was fetched"))


def there_already(files: Sequence[Remote], here: Settings) -> Path | None:
    """Where a single file lies, if one with its checksum is on a shelf."""
    index = opened(here)
    if len(files) != 1 or not files[0].sha256 or index is None:
        return None
    index.refresh(here)
    found = index.by_hash(files[0].sha256)
    return found[0].place if found else None


def staging(offer: Offer, here: Settings) -> Path:
    """A folder for what is on its way, beside the shelves."""
    base = next((tree for tree in here.models if tree.suffix.lower() not in (".yaml", ".yml")), Settings.models[0])
    return models_folder(base) / DOWNLOADS / offer.repo.replace("/", "--") / offer.commit[:12]


def shelved(
    offer: Offer, wanted: Wanted, fetched: Sequence[Path], given: Kind | None, save_as: str | None, place: Path,
    here: Settings,
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
    index = opened(here)
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
        raise UserError(say("{file}: which kind of model it is can't be told: say so with --kind", file=stem_of(path)))
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
        raise FileError(say("{path} is there already: choose another name with --as", path=target))
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
