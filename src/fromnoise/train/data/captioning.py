"""Captions written beside pictures by a captioner."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from fromnoise.captioners import CAPTIONERS, Caption, Captions
from fromnoise.captioners.blip import Blip, SentenceRules
from fromnoise.captioners.tag_names import in_chinese
from fromnoise.captioners.wd14 import Rating, Tagger, TagRules
from fromnoise.engine.picture_io import open_image
from fromnoise.errors import FileError
from fromnoise.train.data.caption_files import merged, write_caption
from fromnoise.train.data.captions import tags
from fromnoise.train.data.source import Subset, caption_of


@dataclass(frozen=True)
class Wanted:
    """How pictures are to be described."""

    model: Path  # the folder with the captioner's files
    by: str = "wd14"
    threshold: float = 0.35
    character_threshold: float = 0.85
    first: str = ""  # what every caption begins with
    undesired: str = ""  # tags to leave out, parted by commas
    always_first: str = ""  # tags that go before others where they are found, parted by commas
    by_gap: bool = False  # thresholds at the largest gap between probabilities
    character_first: bool = False
    rating: Rating = "none"
    underscores: bool = False  # those in tags' names stay
    replaced: Mapping[str, str] = field(default_factory=dict)  # tags by others
    begin: str = ""  # how a sentence begins
    existing: str = "keep"  # what becomes of captions that are there: keep, append or replace
    extension: str = ".txt"
    chinese: bool = False
    batch: int = 8


def captioned(
    wanted: Wanted, pictures: Sequence[Path], left_out: Callable[[FileError], None]
) -> Generator[tuple[int, int], None, int]:
    """Write a caption beside each picture, yielding (pictures done, pictures in all); how many were written.

    `left_out` is told of pictures that can't be read.
    """
    captioner = loaded(wanted)
    pictures = [path for path in pictures if wanted.existing != "keep" or not known(path, wanted)]
    written = 0
    for start in range(0, len(pictures), wanted.batch):
        opened = opened_pictures(pictures[start : start + wanted.batch], left_out)
        if not opened:
            continue
        for (path, _), found in zip(opened, captioner([picture for _, picture in opened]), strict=True):
            old = known(path, wanted) if wanted.existing == "append" else None
            write_caption(path, composed(found, old, wanted), wanted.extension)
            written += 1
        yield min(start + wanted.batch, len(pictures)), len(pictures)
    return written


def loaded(wanted: Wanted) -> Captions:
    captioner = CAPTIONERS[wanted.by]
    if isinstance(captioner, Tagger):
        rules = TagRules(
            wanted.threshold, wanted.character_threshold, wanted.by_gap, frozenset(tags(wanted.undesired, ",")),
            tuple(tags(wanted.always_first, ",")), wanted.character_first, wanted.rating,
            underscores=wanted.underscores, replaced=dict(wanted.replaced),
        )  # fmt: skip
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


def opened_pictures(paths: Sequence[Path], left_out: Callable[[FileError], None]) -> list[tuple[Path, Image.Image]]:
    opened = []
    for path in paths:
        try:
            opened.append((path, open_image(path)))
        except FileError as error:
            left_out(error)
    return opened
