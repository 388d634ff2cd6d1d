"""Commands about preprocessors: what can be typed for them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fromnoise.cli.messages import say
from fromnoise.cli.options import HOW, WHERE, option


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    panel = say("Commands")
    app.command(rich_help_panel=panel, help=say("Make hints for control networks of pictures."))(preprocess)
    app.command(rich_help_panel=panel, help=say("List the preprocessors and what each is good for."))(preprocessors)


def preprocess(
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURE...", help=say("Pictures, or folders of pictures."))
    ],
    preprocessor: Annotated[
        list[str],
        option(HOW, say("What makes the hint: a name from fromnoise preprocessors; can be repeated."), "--with",
               metavar="NAME"),
    ],
    parameters: Annotated[
        str, option(HOW, say('Of the preprocessor: "low=80 high=160".'), metavar="NAME=VALUE...")
    ] = "",
    resolution: Annotated[
        int | None,
        option(HOW, say("Pixels of the shorter side while it works; 512 if not given."), metavar="N", min=64, max=2048),
    ] = None,
    size: Annotated[
        str | None, option(HOW, say("Of the hint in pixels; by default what comes of the resolution."), metavar="WxH")
    ] = None,
    resize: Annotated[
        Literal["crop", "stretch", "fill"],
        option(HOW, say("How a hint of another size becomes as large."), default="crop"),
    ] = "crop",
    mask: Annotated[
        Path | None, option(HOW, say("White where the inpaint preprocessors paint anew."), metavar="FILE")
    ] = None,
    seed: Annotated[int, option(HOW, say("Of what is random."), metavar="N", min=0, default=0)] = 0,
    out: Annotated[
        str | None,
        option(
            WHERE,
            say("A PNG file, which is overwritten, or a folder, which ends in /; by default outputs/NAME-WITH.png."),
            metavar="PLACE",
        ),
    ] = None,
    quiet: Annotated[bool, option(WHERE, say("Print the path and nothing else."), "--quiet", "-q")] = False,
) -> None:  # fmt: skip
    from fromnoise.cli.preprocess import Wanted, preprocess_pictures

    preprocess_pictures(
        Wanted(
            pictures=pictures, names=preprocessor, parameters=parameters, resolution=resolution, size=size,
            resize=resize, mask=mask, seed=seed, out=out, quiet=quiet,
        )
    )  # fmt: skip


def preprocessors() -> None:
    from fromnoise.cli.listing import print_preprocessors

    print_preprocessors()
