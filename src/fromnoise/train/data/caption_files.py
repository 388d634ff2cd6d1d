"""Captions beside the pictures of a folder: counted, changed and written. Needs no torch."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fromnoise.engine.picture_io import write_whole
from fromnoise.train.data.source import Subset, caption_of, picture_files


def tag_counts(folder: Path, separator: str = ",") -> Counter[str]:
    """How many captions of a data set have each tag."""
    counts: Counter[str] = Counter()
    for path in picture_files(folder):
        caption = caption_of(path, Subset()) or ""
        counts.update({tag.strip() for tag in caption.split(separator) if tag.strip()})
    return counts


def replace_tags(folder: Path, changes: dict[str, str], *, separator: str = ",", extension: str = ".txt") -> int:
    """Put other tags in place of some in every caption, or with "" take them out; how many captions changed."""
    changed = 0
    for path in picture_files(folder):
        caption = caption_of(path, Subset(caption_extension=extension))
        if caption is None:
            continue
        words = [tag.strip() for tag in caption.split(separator)]
        wanted = dict.fromkeys(new for tag in words if (new := changes.get(tag, tag)))
        text = f"{separator} ".join(wanted)
        if text != caption:
            write_caption(path, text, extension)
            changed += 1
    return changed


def write_caption(picture: Path, caption: str, extension: str = ".txt") -> None:
    """The caption beside a picture, whole or not at all."""
    write_whole(picture.with_suffix(extension), f"{caption}\n".encode())


def merged(old: str | None, new: str, separator: str = ", ") -> str:
    """Both captions, without tags that are there twice."""
    parts: Sequence[str] = [*(old or "").split(separator.strip()), *new.split(separator.strip())]
    return separator.join(dict.fromkeys(part.strip() for part in parts if part.strip()))
