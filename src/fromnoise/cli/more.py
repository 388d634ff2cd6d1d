"""Commands that start from a picture, and commands that make many: what can be typed for them."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fromnoise.cli.messages import say
from fromnoise.cli.options import (
    HOW,
    WHAT,
    Device,
    Dtype,
    Each,
    Font,
    Guidance,
    Init,
    Mask,
    Model,
    Negative,
    OtherModel,
    Out,
    Picture,
    Prompt,
    Quiet,
    Sampler,
    Schedule,
    Seed,
    Size,
    Steps,
    Strength,
)  # fmt: skip

if TYPE_CHECKING:
    from fromnoise.cli.make import Order


class Curve(StrEnum):
    """How the strength of loopback changes."""

    aggressive = "aggressive"
    linear = "linear"
    lazy = "lazy"


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    panel = say("Commands")
    app.command(rich_help_panel=panel, help=say("Make a picture again from what is written in it."))(again)
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
    file: Picture,
    model: OtherModel = None,
    seed: Seed = None,
    init: Init = None,
    mask: Mask = None,
    out: Out = None,
    quiet: Quiet = False,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    from fromnoise.cli.again import make_again

    make_again(file, model, None if seed == -1 else seed, init, mask, out, quiet, device, dtype)


def verify(file: Picture, model: OtherModel = None, device: Device = None) -> None:
    from fromnoise.cli.again import check

    if not check(file, model, device):
        raise typer.Exit(1)


def axis(letter: str, text: str) -> object:
    """An option for one axis."""
    return typer.Option(f"--{letter}", metavar="NAME=VALUES", help=text, rich_help_panel=WHAT)


def grid(
    prompt: Prompt,
    x: Annotated[
        str | None, axis("x", say('What changes along the columns: "steps=10-30 [3]", "sampler=Euler, DPM++ 2M".'))
    ] = None,
    y: Annotated[str | None, axis("y", say("What changes along the rows."))] = None,
    z: Annotated[str | None, axis("z", say("What changes from sheet to sheet, side by side."))] = None,
    negative: Negative = "",
    size: Size = None,
    seed: Seed = None,
    init: Init = None,
    strength: Strength = None,
    model: Model = "builtin",
    steps: Steps = 20,
    guidance: Guidance = None,
    sampler: Sampler = "dpmpp_2m",
    schedule: Schedule = None,
    out: Out = None,
    each: Each = False,
    font: Font = None,
    quiet: Quiet = False,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    from fromnoise.cli.sheets import draw_xyz

    order = ordered(
        prompt, negative, size, seed, init, strength, model, steps, guidance, sampler, schedule, out, quiet, device,
        dtype,
    )  # fmt: skip
    draw_xyz(order, (x, y, z), each, font)


def matrix(
    prompt: Prompt,
    of_negative: Annotated[
        bool,
        typer.Option("--of-negative", help=say("Take the parts of the negative prompt instead."), rich_help_panel=WHAT),
    ] = False,
    at_start: Annotated[
        bool, typer.Option("--at-start", help=say("Put the chosen parts before the first one."), rich_help_panel=WHAT)
    ] = False,
    seeds: Annotated[
        bool, typer.Option("--seeds", help=say("Each picture has a seed of its own."), rich_help_panel=WHAT)
    ] = False,
    negative: Negative = "",
    size: Size = None,
    seed: Seed = None,
    model: Model = "builtin",
    steps: Steps = 20,
    guidance: Guidance = None,
    sampler: Sampler = "dpmpp_2m",
    schedule: Schedule = None,
    out: Out = None,
    each: Each = False,
    font: Font = None,
    quiet: Quiet = False,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    from fromnoise.cli.sheets import draw_matrix

    order = ordered(
        prompt, negative, size, seed, None, None, model, steps, guidance, sampler, schedule, out, quiet, device,
        dtype,
    )  # fmt: skip
    draw_matrix(order, of_negative, at_start, seeds, each, font)


def from_file(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help=say('A prompt on each line, or options such as --prompt "a cat" --steps 5.')
        ),
    ],
    count_seeds: Annotated[
        bool, typer.Option("--count-seeds", help=say("Each line has the next seed."), rich_help_panel=WHAT)
    ] = False,
    negative: Negative = "",
    size: Size = None,
    seed: Seed = None,
    model: Model = "builtin",
    steps: Steps = 20,
    guidance: Guidance = None,
    sampler: Sampler = "dpmpp_2m",
    schedule: Schedule = None,
    out: Out = None,
    font: Font = None,
    quiet: Quiet = False,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    from fromnoise.cli.sheets import draw_file

    order = ordered(
        "", negative, size, seed, None, None, model, steps, guidance, sampler, schedule, out, quiet, device, dtype
    )  # fmt: skip
    draw_file(order, file, count_seeds, font)


def loopback(
    prompt: Prompt,
    init: Init = None,
    strength: Strength = None,
    loops: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help=say("How many pictures."), rich_help_panel=HOW)
    ] = 4,
    final_strength: Annotated[
        float,
        typer.Option(metavar="N", min=0, max=1, help=say("The strength of the last picture."), rich_help_panel=HOW),
    ] = 0.5,
    curve: Annotated[
        Curve, typer.Option(help=say("How the strength goes from the first to the last."), rich_help_panel=HOW)
    ] = Curve.aggressive,
    negative: Negative = "",
    size: Size = None,
    seed: Seed = None,
    model: Model = "builtin",
    steps: Steps = 20,
    guidance: Guidance = None,
    sampler: Sampler = "dpmpp_2m",
    schedule: Schedule = None,
    out: Out = None,
    font: Font = None,
    quiet: Quiet = False,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    from fromnoise.cli.sheets import draw_loopback

    order = ordered(
        prompt, negative, size, seed, init, strength, model, steps, guidance, sampler, schedule, out, quiet, device,
        dtype,
    )  # fmt: skip
    draw_loopback(order, loops, final_strength, curve.value, font)


def ordered(
    prompt: str, negative: str, size: str | None, seed: int | None, init: Path | None, strength: float | None,
    model: str, steps: int, guidance: float | None, sampler: str, schedule: str | None, out: str | None, quiet: bool,
    device: str | None, dtype: str | None,
) -> "Order":  # fmt: skip
    """What `make` would be asked for."""
    from fromnoise.cli.make import Order

    return Order(
        prompt=prompt, negative=negative, size=size, seed=None if seed == -1 else seed, batch=1, init=init,
        strength=strength, mask=None, model=model, steps=steps, guidance=guidance, sampler=sampler, schedule=schedule,
        clip_skip=None, out=out, watch=False, quiet=quiet, device=device, dtype=dtype,
    )  # fmt: skip
