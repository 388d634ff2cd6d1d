"""Commands that start from a picture, and commands that make many: what can be typed for them."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fromnoise.cli.messages import say
from fromnoise.cli.options import HOW, WHAT, Each, Font, Order, Picture, Prompt, option, ordered


class Curve(StrEnum):
    """How the strength of loopback changes."""

    aggressive = "aggressive"
    linear = "linear"
    lazy = "lazy"


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    panel = say("Commands")
    app.command(
        rich_help_panel=panel, help=say("Make a picture again from what is written in it, changed by the options.")
    )(ordered(again, defaults=False))
    app.command(rich_help_panel=panel, help=say("Check a picture against what its metadata makes: was it changed?"))(
        verify
    )
    app.command(rich_help_panel=panel, help=say("Draw a sheet of pictures that differ along one to three axes."))(grid)
    app.command(
        rich_help_panel=panel, help=say("Draw a sheet of every choice of the parts of a prompt: always|this|that.")
    )(matrix)
    app.command("from-file", rich_help_panel=panel, help=say("Make a picture for each line of a file."))(from_file)
    app.command(
        rich_help_panel=panel, help=say("Make a picture, then another from it, and so on, and draw a sheet of them.")
    )(loopback)


def again(
    order: Order,
    file: Picture,
    prompt: Annotated[str | None, option(WHAT, say("What to see instead."), metavar="PROMPT")] = None,
) -> None:
    from fromnoise.cli.again import make_again

    make_again(file, order, prompt)


def verify(
    file: Picture,
    model: Annotated[str | None, option(HOW, say("Another model than the picture names."))] = None,
    device: Annotated[
        str | None,
        option(HOW, say("Where to compute: cpu, cuda, cuda:1, xpu, mps; by default the best there is.")),
    ] = None,
) -> None:
    from fromnoise.cli.again import check

    if not check(file, model, device):
        raise typer.Exit(1)


@ordered
def grid(
    order: Order,
    prompt: Prompt,
    x: Annotated[
        str | None,
        option(
            WHAT,
            say('What changes along the columns: "steps=10-30 [3]", "sampler=Euler, DPM++ 2M".'),
            "--x",
            metavar="NAME=VALUES",
        ),
    ] = None,
    y: Annotated[str | None, option(WHAT, say("What changes along the rows."), "--y", metavar="NAME=VALUES")] = None,
    z: Annotated[
        str | None,
        option(WHAT, say("What changes from sheet to sheet, side by side."), "--z", metavar="NAME=VALUES"),
    ] = None,
    each: Each = False,
    font: Font = None,
) -> None:
    from fromnoise.cli.sheets import draw_xyz

    draw_xyz(replace(order, prompt=prompt), (x, y, z), each, font)


@ordered
def matrix(
    order: Order,
    prompt: Prompt,
    of_negative: Annotated[
        bool, option(WHAT, say("Take the parts of the negative prompt instead."), "--of-negative")
    ] = False,
    at_start: Annotated[bool, option(WHAT, say("Put the chosen parts before the first one."), "--at-start")] = False,
    seeds: Annotated[bool, option(WHAT, say("Each picture has a seed of its own."), "--seeds")] = False,
    each: Each = False,
    font: Font = None,
) -> None:
    from fromnoise.cli.sheets import draw_matrix

    draw_matrix(replace(order, prompt=prompt), of_negative, at_start, seeds, each, font)


@ordered
def from_file(
    order: Order,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help=say('A prompt on each line, or options such as --prompt "a cat" --steps 5.')
        ),
    ],
    count_seeds: Annotated[bool, option(WHAT, say("Each line has the next seed."), "--count-seeds")] = False,
    font: Font = None,
) -> None:
    from fromnoise.cli.sheets import draw_file

    draw_file(order, file, count_seeds, font)


@ordered
def loopback(
    order: Order,
    prompt: Prompt,
    loops: Annotated[int, option(HOW, say("How many pictures."), metavar="N", min=1, max=1000, default=4)] = 4,
    final_strength: Annotated[
        float, option(HOW, say("The strength of the last picture."), metavar="N", min=0, max=1, default=0.5)
    ] = 0.5,
    curve: Annotated[
        Curve, option(HOW, say("How the strength goes from the first to the last."), default="aggressive")
    ] = Curve.aggressive,
    font: Font = None,
) -> None:
    from fromnoise.cli.sheets import draw_loopback

    draw_loopback(replace(order, prompt=prompt), loops, final_strength, curve.value, font)
