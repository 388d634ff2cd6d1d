"""Commands on folders of pictures to learn from: what can be typed for them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from fromnoise.cli.messages import say
from fromnoise.cli.through import through

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help=say("A folder of pictures."))]


class Existing(StrEnum):
    """What becomes of captions that are there."""

    KEEP = "keep"
    APPEND = "append"
    REPLACE = "replace"


class Place(StrEnum):
    """Where a tag goes."""

    NONE = "none"
    FIRST = "first"
    LAST = "last"


class Mirror(StrEnum):
    """How a copy is mirrored."""

    HORIZONTAL = "horizontal"
    VERTICAL = "vertical"
    BOTH = "both"


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    panel = say("Commands")
    app.command(rich_help_panel=panel, help=say("Write captions beside the pictures of a folder."))(through(caption))
    app.command(rich_help_panel=panel, help=say("Count the tags in a folder's captions, or change them."))(tags)
    app.command(rich_help_panel=panel, help=say("Cut a folder's pictures to what a model learns from."))(cut)
    app.command(rich_help_panel=panel, help=say("Find broken, small and doubled pictures in a folder."))(clean)


def caption(
    folder: Folder,
    model: Annotated[Path, typer.Option(metavar="FOLDER", help=say("The folder with the captioner's files."))],
    by: Annotated[str, typer.Option("--by", help=say("The captioner: wd14 (tags) or blip (sentences)."))] = "wd14",
    threshold: Annotated[
        float, typer.Option(metavar="N", min=0, max=1, help=say("wd14: least probability of a tag."))
    ] = 0.35,
    character_threshold: Annotated[
        float, typer.Option(metavar="N", min=0, max=1, help=say("wd14: least probability of a character."))
    ] = 0.85,
    first: Annotated[
        str, typer.Option(metavar="WORDS", help=say("What every caption begins with, such as a trigger word."))
    ] = "",
    undesired: Annotated[
        str, typer.Option(metavar="TAGS", help=say("wd14: tags to leave out, parted by commas."))
    ] = "",
    always_first: Annotated[
        str, typer.Option(metavar="TAGS", help=say("wd14: tags that go before others where they are found."))
    ] = "",
    by_gap: Annotated[
        bool, typer.Option("--by-gap", help=say("wd14: tags above the largest gap between probabilities."))
    ] = False,
    character_first: Annotated[
        bool, typer.Option("--character-first", help=say("wd14: characters before other tags."))
    ] = False,
    rating: Annotated[Place, typer.Option(help=say("wd14: the rating as a tag: none, first or last."))] = Place.NONE,
    underscores: Annotated[bool, typer.Option("--underscores", help=say("wd14: keep underscores in tags."))] = False,
    replace: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW", help=say("wd14: another tag in the place of one; can be repeated.")),
    ] = None,
    begin: Annotated[
        str, typer.Option(metavar="WORDS", help=say('blip: how a sentence begins, such as "a picture of".'))
    ] = "",
    existing: Annotated[
        Existing, typer.Option(help=say("What becomes of captions that are there: keep, append or replace."))
    ] = Existing.KEEP,
    extension: Annotated[str, typer.Option(metavar=".EXT", help=say("Ending of captions' files."))] = ".txt",
    chinese: Annotated[bool, typer.Option("--zh", help=say("Write tags in Chinese where they are known."))] = False,
    batch: Annotated[int, typer.Option(metavar="N", min=1, max=256, help=say("Pictures at a time."))] = 8,
) -> None:
    from fromnoise.cli.captioning import changes, write_captions
    from fromnoise.train.data.captioning import Wanted

    wanted = Wanted(
        model=model, by=by, threshold=threshold, character_threshold=character_threshold, first=first,
        undesired=undesired, always_first=always_first, by_gap=by_gap, character_first=character_first,
        rating=rating.value, underscores=underscores, replaced=changes(replace or ()), begin=begin,
        existing=existing.value, extension=extension, chinese=chinese, batch=batch,
    )  # fmt: skip
    write_captions(wanted, folder)


def tags(
    folder: Folder,
    replace: Annotated[
        list[str] | None,
        typer.Option(metavar="OLD=NEW", help=say("Put a tag in the place of another; without NEW take it out.")),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help=say("How many to print."))] = 100,
) -> None:
    from fromnoise.cli.captioning import change_tags, print_tags

    if replace:
        change_tags(folder, replace)
    else:
        print_tags(folder, limit)


def clean(
    folder: Folder,
    smallest: Annotated[
        int, typer.Option(metavar="PIXELS", min=1, help=say("A shorter side below it is too small."))
    ] = 256,
    move: Annotated[
        bool, typer.Option("--move", help=say("Move what was found into the folder's folder set-aside."))
    ] = False,
) -> None:
    from fromnoise.cli.captioning import clean_folder

    clean_folder(folder, smallest, move)


def cut(
    folder: Folder,
    out: Annotated[Path, typer.Argument(metavar="OUT", help=say("A new folder for what becomes of them."))],
    size: Annotated[str, typer.Option(metavar="WxH", help=say("Of parts, and of what is cut out."))] = "512x512",
    split: Annotated[bool, typer.Option("--split", help=say("Make several that overlap of a long picture."))] = False,
    threshold: Annotated[
        float, typer.Option(metavar="N", min=0, max=1, help=say("--split: how long is not long yet; 1 is the size."))
    ] = 0.5,
    overlap: Annotated[
        float, typer.Option(metavar="N", min=0, max=0.9, help=say("--split: how much neighbours share."))
    ] = 0.2,
    focal: Annotated[bool, typer.Option("--focal", help=say("Cut about what draws the eye."))] = False,
    edges: Annotated[
        float, typer.Option(metavar="N", min=0, max=1, help=say("--focal: how much corners count."))
    ] = 0.5,
    entropy: Annotated[
        float, typer.Option(metavar="N", min=0, max=1, help=say("--focal: how much the fullest place counts."))
    ] = 0.15,
    fit: Annotated[
        bool, typer.Option("--fit", help=say("Cut to the size that suits a picture's proportions."))
    ] = False,
    shortest: Annotated[
        int, typer.Option(metavar="PIXELS", min=64, help=say("--fit: a side at least; multiples of 64."))
    ] = 384,
    longest: Annotated[int, typer.Option(metavar="PIXELS", min=64, help=say("--fit: a side at most."))] = 768,
    prefer: Annotated[
        Literal["area", "proportions"],
        typer.Option(help=say("--fit: the largest size that suits, or the one that suits best.")),
    ] = "area",
    error: Annotated[
        float, typer.Option(metavar="N", min=0, max=1, help=say("--fit: how far proportions may be off."))
    ] = 0.1,
    flip: Annotated[
        list[Mirror] | None, typer.Option(help=say("A mirrored copy beside each; can be repeated."))
    ] = None,
) -> None:
    from fromnoise.cli.captioning import cut_folder

    wanted = {
        "split": split, "threshold": threshold, "overlap": overlap, "focal": focal, "edges": edges,
        "entropy": entropy, "fit": fit, "shortest": shortest, "longest": longest, "prefer": prefer, "error": error,
        "flips": [one.value for one in flip or ()],
    }  # fmt: skip
    cut_folder(folder, out, size, wanted)
