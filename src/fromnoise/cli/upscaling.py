"""Commands that enlarge finished pictures: what can be typed for them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fromnoise.cli.messages import say
from fromnoise.cli.options import HOW, MACHINE, WHERE, option
from fromnoise.cli.through import through

ANEW = say("Painted anew")


class FaceNetwork(StrEnum):
    """What makes faces clear."""

    gfpgan = "gfpgan"
    codeformer = "codeformer"


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    panel = say("Commands")
    app.command(rich_help_panel=panel, help=say("Enlarge pictures that are finished."))(
        through(upscale, alone=("device",))
    )
    app.command(rich_help_panel=panel, help=say("List the upscalers and what each is good for."))(upscalers)


def upscale(
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURE...", help=say("Pictures, or folders of pictures."))
    ],
    upscaler: Annotated[
        str,
        option(
            HOW,
            say("What enlarges them: a name from fromnoise upscalers, or a file."),
            metavar="NAME",
            default="R-ESRGAN AnimeVideo",
        ),
    ] = "R-ESRGAN AnimeVideo",
    scale: Annotated[
        float | None, option(HOW, say("Times their size; 4, or 2 with --redraw."), metavar="N", min=1, max=8)
    ] = None,
    max_side: Annotated[
        int, option(HOW, say("At most so many pixels on a side; 0 is no limit."), metavar="N", min=0, default=0)
    ] = 0,
    size: Annotated[
        str | None, option(HOW, say("Width and height in pixels, instead of a scale."), metavar="WxH")
    ] = None,
    crop: Annotated[
        bool,
        option(
            HOW, say("With a size: cut what lies beyond it, or make the picture larger instead."), "--crop/--no-crop"
        ),
    ] = True,
    upscaler2: Annotated[
        str | None, option(HOW, say("A second upscaler, mixed into the first."), metavar="NAME")
    ] = None,
    visibility2: Annotated[
        float, option(HOW, say("How much of the second is seen."), metavar="N", min=0, max=1, default=0.5)
    ] = 0.5,
    face: Annotated[
        list[FaceNetwork] | None,
        option(HOW, say("Make faces clear: gfpgan or codeformer; both if given twice."), metavar="NAME"),
    ] = None,
    face_weight: Annotated[
        float,
        option(
            HOW,
            say("CodeFormer: how true to what was there; 0 invents the most."),
            metavar="N",
            min=0,
            max=1,
            default=0.5,
        ),
    ] = 0.5,
    face_visibility: Annotated[
        float, option(HOW, say("How much of the clear faces is seen."), metavar="N", min=0, max=1, default=1)
    ] = 1.0,
    redraw: Annotated[
        str | None,
        option(
            ANEW,
            say('Paint them anew in tiles with a model: on, or settings such as "chess, overlap=64, seams=half".'),
            metavar="SETTINGS",
        ),
    ] = None,
    prompt: Annotated[
        str | None, option(ANEW, say("What to see; by default what the picture itself says."), metavar="TEXT")
    ] = None,
    model: Annotated[
        str | None,
        option(
            ANEW,
            say("The checkpoint, by default the picture's own; or, without --redraw, one that upscales (x4)."),
            metavar="NAME",
        ),
    ] = None,
    strength: Annotated[
        float | None, option(ANEW, say("How much is replaced; 0.3 if not given."), metavar="N", min=0, max=1)
    ] = None,
    steps: Annotated[
        int | None, option(ANEW, say("Steps; by default the picture's own."), metavar="N", min=1, max=10_000)
    ] = None,
    seed: Annotated[
        int | None, option(ANEW, say("Of the first tile; by default the picture's own."), metavar="N", min=-1)
    ] = None,
    tile: Annotated[
        int, option(MACHINE, say("Pixels on a side computed at once; 0 is all."), metavar="N", min=0, default=256)
    ] = 256,
    overlap: Annotated[
        int | None,
        option(MACHINE, say("Pixels that tiles share; by default enough to hide the seams."), metavar="N", min=0),
    ] = None,
    out: Annotated[
        str | None,
        option(
            WHERE,
            say(
                "A PNG file, which is overwritten, or a folder, which ends in /; by default outputs/NAME-upscaled.png."
            ),
            metavar="PLACE",
        ),
    ] = None,
    quiet: Annotated[bool, option(WHERE, say("Print the path and nothing else."), "--quiet", "-q")] = False,
    device: Annotated[
        str | None,
        option(MACHINE, say("Where to compute: cpu, cuda, cuda:1, xpu, mps; by default the best there is.")),
    ] = None,
) -> None:
    from fromnoise.cli.upscale import Wanted, upscale_pictures

    upscale_pictures(
        Wanted(
            pictures=pictures, upscaler=upscaler, scale=scale, max_side=max_side, size=size, crop=crop,
            upscaler2=upscaler2, visibility2=visibility2, tile=tile, overlap=overlap, out=out, quiet=quiet,
            device=device, faces=[one.value for one in face or ()], face_weight=face_weight,
            face_visibility=face_visibility, redraw=redraw, prompt=prompt, model=model, strength=strength,
            steps=steps, seed=seed,
        )
    )  # fmt: skip


def upscalers() -> None:
    from fromnoise.cli.listing import print_upscalers

    print_upscalers()
