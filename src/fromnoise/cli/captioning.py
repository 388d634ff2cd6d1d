"""`fromnoise caption`, `tags` and `clean`: what they do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from fromnoise.captioners import CAPTIONERS, Caption, Captions
from fromnoise.captioners.blip import Blip, SentenceRules
from fromnoise.captioners.tag_names import in_chinese
from fromnoise.captioners.wd14 import Tagger, TagRules
from fromnoise.cli.messages import say
from fromnoise.cli.progress import note
from fromnoise.engine.images import open_image
from fromnoise.errors import FileError, UserError
from fromnoise.train.data.clean import examine, merged, replace_tags, tag_counts, write_caption
from fromnoise.train.data.source import Subset, caption_of, pictures_in

SET_ASIDE = "set-aside"


@dataclass(frozen=True)
class Wanted:
    """What `fromnoise caption` was asked for."""

    folder: Path
    model: Path
    by: str
    threshold: float
    character_threshold: float
    first: str
    undesired: str
    begin: str
    existing: str
    extension: str
    chinese: bool
    batch: int


def write_captions(wanted: Wanted) -> None:
    """Write a caption beside each picture; broken pictures are named and passed over."""
    captioner = loaded(wanted)
    pictures = [path for path in pictures_of(wanted.folder) if wanted.existing != "keep" or not known(path, wanted)]
    written = 0
    for start in range(0, len(pictures), wanted.batch):
        opened = opened_pictures(pictures[start : start + wanted.batch])
        if not opened:
            continue
        for (path, _), found in zip(opened, captioner([picture for _, picture in opened]), strict=True):
            old = known(path, wanted) if wanted.existing == "append" else None
            write_caption(path, composed(found, old, wanted), wanted.extension)
            written += 1
        note(say("{done} of {count} pictures", done=min(start + wanted.batch, len(pictures)), count=len(pictures)))
    print(say("{count} captions written", count=written))


def loaded(wanted: Wanted) -> Captions:
    captioner = CAPTIONERS[wanted.by]
    if isinstance(captioner, Tagger):
        undesired = frozenset(tag.strip() for tag in wanted.undesired.split(",") if tag.strip())
        rules = TagRules(wanted.threshold, wanted.character_threshold, undesired=undesired)
        return captioner.load(wanted.model, rules)
    if isinstance(captioner, Blip):
        return captioner.load(wanted.model, SentenceRules(prompt=wanted.begin))
    return captioner.load(wanted.model)


def known(path: Path, wanted: Wanted) -> str | None:
    return caption_of(path, Subset(caption_extension=wanted.extension))


def composed(found: Caption, old: str | None, wanted: Wanted) -> str:
    """What goes into the file."""
    text = in_chinese(found.text) if wanted.chinese and found.tags else found.text
    text = merged(old, text) if old else text
    return f"{wanted.first}, {text}" if wanted.first and not text.startswith(wanted.first) else text


def pictures_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileError(say("{folder}: no such folder", folder=folder))
    found = list(pictures_in(folder))
    if not found:
        raise FileError(say("{folder}: no pictures in it", folder=folder))
    return found


def opened_pictures(paths: Sequence[Path]) -> list[tuple[Path, Image.Image]]:
    opened = []
    for path in paths:
        try:
            opened.append((path, open_image(path)))
        except FileError as error:
            note(say("left out: {reason}", reason=error))
    return opened


def print_tags(folder: Path, limit: int) -> None:
    """The commonest tags with their counts."""
    pictures_of(folder)
    for tag, count in tag_counts(folder).most_common(limit):
        print(f"{count:>6}  {tag}")


def change_tags(folder: Path, words: Sequence[str]) -> None:
    """OLD=NEW, or OLD= to take a tag out."""
    changes = {}
    for word in words:
        old, sign, new = word.partition("=")
        if not sign or not old.strip():
            raise UserError(say("{word!r}: write OLD=NEW", word=word))
        changes[old.strip()] = new.strip()
    pictures_of(folder)
    print(say("{count} captions changed", count=replace_tags(folder, changes)))


def clean_folder(folder: Path, smallest: int, move: bool) -> None:
    """Tell what is wrong, and with `move` put it and its captions aside."""
    pictures_of(folder)
    found = examine(folder, smallest=smallest)
    for path, reason in found.broken:
        print(say("broken: {name} ({reason})", name=path.name, reason=reason))
    for path, (width, height) in found.small:
        print(say("small: {name} ({width}x{height})", name=path.name, width=width, height=height))
    for first, *others in found.same:
        names = ", ".join(path.name for path in others)
        print(say("the same as {name}: {others}", name=first.name, others=names))
    spare = found.spare
    print(say("{count} pictures, {spare} to set aside", count=found.count, spare=len(spare)))
    if move and spare:
        aside = folder / SET_ASIDE
        aside.mkdir(exist_ok=True)
        for path in spare:
            for one in (path, path.with_suffix(".txt"), path.with_suffix(".caption")):
                if one.exists():
                    one.replace(aside / one.name)
        print(say("moved to {folder}", folder=aside))
