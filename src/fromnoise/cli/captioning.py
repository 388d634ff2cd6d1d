"""`fromnoise caption`, `tags`, `cut` and `clean`: what they do."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from fromnoise.cli.drafting import sides
from fromnoise.cli.messages import say
from fromnoise.cli.progress import note
from fromnoise.engine.recipe import explain
from fromnoise.engine.recipe_cut import Cut
from fromnoise.errors import FileError, UserError
from fromnoise.train.data.caption_files import replace_tags, tag_counts
from fromnoise.train.data.captioning import Wanted, captioned
from fromnoise.train.data.clean import examine
from fromnoise.train.data.cutting import cut_into
from fromnoise.train.data.sets import set_aside
from fromnoise.train.data.source import SET_ASIDE, picture_files


def write_captions(wanted: Wanted, folder: Path) -> None:
    """Write a caption beside each picture; broken pictures are named and passed over."""
    written = captioned(wanted, pictures_of(folder), lambda reason: note(say("left out: {reason}", reason=reason)))
    try:
        while True:
            done, count = next(written)
            note(say("{done} of {count} pictures", done=done, count=count))
    except StopIteration as stop:
        print(say("{count} captions written", count=stop.value))


def pictures_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileError(say("{folder}: no such folder", folder=folder))
    found = list(picture_files(folder))
    if not found:
        raise FileError(say("{folder}: no pictures in it", folder=folder))
    return found


def print_tags(folder: Path, limit: int) -> None:
    """The commonest tags with their counts."""
    pictures_of(folder)
    for tag, count in tag_counts(folder).most_common(limit):
        print(f"{count:>6}  {tag}")


def changes(words: Sequence[str]) -> dict[str, str]:
    """OLD=NEW, or OLD= for a tag that goes. UserError."""
    found = {}
    for word in words:
        old, sign, new = word.partition("=")
        if not sign or not old.strip():
            raise UserError(say("{word!r}: write OLD=NEW", word=word))
        found[old.strip()] = new.strip()
    return found


def change_tags(folder: Path, words: Sequence[str]) -> None:
    """Put other tags in the place of some."""
    wanted = changes(words)
    pictures_of(folder)
    print(say("{count} captions changed", count=replace_tags(folder, wanted)))


def clean_folder(folder: Path, smallest: int, move: bool) -> None:
    """Tell what is wrong, and with `move` put it and its captions aside."""
    found = examine(pictures_of(folder), smallest=smallest)
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
        for path in spare:
            set_aside(folder, path)
        print(say("moved to {folder}", folder=folder / SET_ASIDE))


def cut_folder(folder: Path, out: Path, size: str, choices: Mapping[str, object]) -> None:
    """Cut the pictures of `folder` into `out`. UserError where that makes no sense."""
    width, height = sides(size)
    try:
        wanted = Cut.model_validate({"width": width, "height": height, **choices})
    except ValidationError as error:
        raise UserError(explain(error)) from error
    pictures = pictures_of(folder)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(say("{folder}: something is there already; name a new folder", folder=out))
    cutting = cut_into(folder, pictures, out, wanted, lambda reason: note(say("left out: {reason}", reason=reason)))
    for done, written in cutting:
        note(say("{done} of {count} pictures", done=done, count=len(pictures)))
        count = written
    print(say("{count} pictures written to {folder}", count=count, folder=out))
