"""Options that several commands share. The words are those of `make`."""

from pathlib import Path
from typing import Annotated

import typer

from fromnoise.cli.messages import say

WHAT, HOW = say("The picture"), say("How it is made")
WHERE, MACHINE = say("Where it goes"), say("The machine")

Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help=say("What to see."), rich_help_panel=WHAT)]
Picture = Annotated[Path, typer.Argument(metavar="FILE", help=say("A picture with its recipe in it, of any tool."))]
Negative = Annotated[str, typer.Option(help=say("What not to see."), rich_help_panel=WHAT)]
Size = Annotated[
    str | None,
    typer.Option(
        metavar="WxH",
        help=say("Width and height in pixels, multiples of 8; by default the size the model was trained on."),
        rich_help_panel=WHAT,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=-1,
        help=say("Chooses the noise the picture comes from; without it, or -1, a random one, which is printed."),
        rich_help_panel=WHAT,
    ),
]
Init = Annotated[Path | None, typer.Option(help=say("A picture to start from."), metavar="FILE", rich_help_panel=WHAT)]
Mask = Annotated[
    Path | None,
    typer.Option(help=say("White where the start picture may change."), metavar="FILE", rich_help_panel=WHAT),
]
Strength = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        min=0,
        max=1,
        help=say("How much of the start picture to replace; 0.75 if not given."),
        rich_help_panel=WHAT,
    ),
]
Model = Annotated[str, typer.Option(help=say("Name or path of the checkpoint."), rich_help_panel=HOW)]
OtherModel = Annotated[
    str | None,
    typer.Option("--model", help=say("Another model than the picture names."), rich_help_panel=HOW),
]
Steps = Annotated[
    int, typer.Option(metavar="N", min=1, max=10_000, help=say("Steps from noise to picture."), rich_help_panel=HOW)
]
Guidance = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        min=0,
        max=100,
        help=say("How closely to follow the prompt; 1 is not at all; by default what suits the model, mostly 7."),
        rich_help_panel=HOW,
    ),
]
Sampler = Annotated[
    str, typer.Option(help=say("How to walk from noise to picture: see fromnoise samplers."), rich_help_panel=HOW)
]
Schedule = Annotated[
    str | None,
    typer.Option(
        help=say("Which noise levels to step on: see fromnoise schedules; by default what suits model and sampler."),
        rich_help_panel=HOW,
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        metavar="PLACE",
        help=say(
            "A PNG file, which is overwritten, or a folder, which ends in /; "
            "by default outputs/DATE-SEED-PROMPT.png, which never overwrites."
        ),
        rich_help_panel=WHERE,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help=say("Print the path and nothing else."), rich_help_panel=WHERE)
]
Font = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help=say("A font for the labels of the sheet."), rich_help_panel=WHERE),
]
Each = Annotated[
    bool, typer.Option("--each", help=say("Also write every picture of the sheet by itself."), rich_help_panel=WHERE)
]
Device = Annotated[
    str | None,
    typer.Option(
        help=say("Where to compute: cpu, cuda, cuda:1, xpu, mps; by default the best there is."),
        rich_help_panel=MACHINE,
    ),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        help=say("What to compute in: float32, bfloat16, float16; by default what is fast here."),
        rich_help_panel=MACHINE,
    ),
]
