"""The commands and their options. Bodies import what they need, so that help and typing errors cost no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from fromnoise import __version__
from fromnoise.cli import failures, more, weights
from fromnoise.cli.messages import say

WHAT, HOW = say("The picture"), say("How it is made")
WHERE, MACHINE = say("Where it goes"), say("The machine")
COMMANDS = say("Commands")


class Commands(TyperGroup):
    """Ctrl-C becomes an error like any other; typer would end with a status of its own."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise failures.Stopped(say("stopped")) from None


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    help=say('Pictures from words. Everything that is not a command is a prompt: fromnoise "a red apple"'),
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar=say('"PROMPT" | COMMAND'),
)
training = typer.Typer(help=say("Train models."))
app.add_typer(training, name="train", rich_help_panel=COMMANDS)


def print_version(wanted: bool) -> None:
    if wanted:
        print(f"fromnoise {__version__}")
        raise typer.Exit


@app.callback()
def fromnoise(
    version: Annotated[
        bool, typer.Option("--version", help=say("Print the version."), is_eager=True, callback=print_version)
    ] = False,
) -> None:
    pass


@app.command(rich_help_panel=COMMANDS, help=say('Make a picture; the word "make" can be left out.'))
def make(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help=say("What to see."), rich_help_panel=WHAT)],
    negative: Annotated[str, typer.Option(help=say("What not to see."), rich_help_panel=WHAT)] = "",
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH",
            help=say("Width and height in pixels, multiples of 8; by default the size the model was trained on."),
            rich_help_panel=WHAT,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=-1,
            help=say("Chooses the noise the picture comes from; without it, or -1, a random one, which is printed."),
            rich_help_panel=WHAT,
        ),
    ] = None,
    batch: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, max=10_000, help=say("How many pictures: seed, seed + 1, ..."), rich_help_panel=WHAT
        ),
    ] = 1,
    init: Annotated[
        Path | None, typer.Option(help=say("A picture to start from."), metavar="FILE", rich_help_panel=WHAT)
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            min=0,
            max=1,
            help=say("How much of the start picture to replace; 0.75 if not given."),
            rich_help_panel=WHAT,
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(help=say("White where the start picture may change."), metavar="FILE", rich_help_panel=WHAT),
    ] = None,
    model: Annotated[str, typer.Option(help=say("Name or path of the checkpoint."), rich_help_panel=HOW)] = "builtin",
    steps: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help=say("Steps from noise to picture."), rich_help_panel=HOW)
    ] = 20,
    guidance: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            min=0,
            max=100,
            help=say("How closely to follow the prompt; 1 is not at all; by default what suits the model, mostly 7."),
            rich_help_panel=HOW,
        ),
    ] = None,
    sampler: Annotated[
        str,
        typer.Option(help=say("How to walk from noise to picture: see fromnoise samplers."), rich_help_panel=HOW),
    ] = "dpmpp_2m",
    schedule: Annotated[
        str | None,
        typer.Option(
            help=say(
                "Which noise levels to step on: see fromnoise schedules; by default what suits model and sampler."
            ),
            rich_help_panel=HOW,
        ),
    ] = None,
    clip_skip: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=12,
            help=say("Take the text encoder's states this far from its end; by default as the model was trained."),
            rich_help_panel=HOW,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="PLACE",
            help=say(
                "A PNG file, which is overwritten, or a folder, which ends in /; "
                "by default outputs/DATE-SEED-PROMPT.png, which never overwrites."
            ),
            rich_help_panel=WHERE,
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help=say("Also write NAME-watch.png: the picture that was predicted at each step."),
            rich_help_panel=WHERE,
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help=say("Print the path and nothing else."), rich_help_panel=WHERE)
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(
            help=say("Where to compute: cpu, cuda, cuda:1, xpu, mps; by default the best there is."),
            rich_help_panel=MACHINE,
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            help=say("What to compute in: float32, bfloat16, float16; by default what is fast here."),
            rich_help_panel=MACHINE,
        ),
    ] = None,
) -> None:
    from fromnoise.cli.make import Order, make_pictures

    make_pictures(
        Order(
            prompt=prompt, negative=negative, size=size, seed=None if seed == -1 else seed, batch=batch, init=init,
            strength=strength, mask=mask, model=model, steps=steps, guidance=guidance, sampler=sampler,
            schedule=schedule, clip_skip=clip_skip, out=out, watch=watch, quiet=quiet, device=device, dtype=dtype,
        )
    )  # fmt: skip


@app.command(
    rich_help_panel=COMMANDS,
    help=say("Say what a model file holds, or how a picture was made."),
)
def info(file: Annotated[Path, typer.Argument(metavar="FILE", help=say("A model file or a picture."))]) -> None:
    from fromnoise.cli.info import describe

    print(describe(file))


@app.command(rich_help_panel=COMMANDS, help=say("Say what this machine can do and how long a picture takes."))
def doctor(
    device: Annotated[
        str | None, typer.Option(help=say("Which device to measure; by default the best there is."))
    ] = None,
) -> None:
    from fromnoise.cli.doctor import examine

    examine(device)


@app.command(rich_help_panel=COMMANDS, help=say("List the samplers and what each is good for."))
def samplers() -> None:
    from fromnoise.cli.listing import print_samplers

    print_samplers()


@app.command(rich_help_panel=COMMANDS, help=say("List the schedules and what each is good for."))
def schedules() -> None:
    from fromnoise.cli.listing import print_schedules

    print_schedules()


@training.command(help=say("Train a small model from nothing: the networks, the data and the steps are in CONFIG."))
def scratch(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help=say("A TOML file; docs/training.md explains it."))],
) -> None:
    from fromnoise.train.scratch import run as train

    print(train(config))


@training.command(help=say("Write the checkpoint of a training from nothing that is still under way."))
def snapshot(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help=say("A TOML file; docs/training.md explains it."))],
) -> None:
    from fromnoise.train.scratch import snapshot as write

    print(write(config))


more.add_to(app)
weights.add_to(app)


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status."""
    command = get_command(app)
    status: int | None = 0
    try:
        for words in spelled_out(arguments):
            status = command(words, prog_name="fromnoise", standalone_mode=False)
    except Exception as error:
        return failures.report(error)
    return status or 0


def spelled_out(arguments: Sequence[str]) -> list[list[str]]:
    """The command lines that `arguments` stand for: a prompt is for `make`, whose options help shows too.

    >>> spelled_out(["a red apple", "--seed", "1"])
    [['make', 'a red apple', '--seed', '1']]
    """
    if not arguments or list(arguments) in (["--help"], ["-h"]):
        return [["--help"], ["make", "--help"]]
    return [list(arguments) if arguments[0] in {*names(), "--version"} else ["make", *arguments]]


def names() -> list[str]:
    """Of all commands."""
    return [command.name or command.callback.__name__ for command in app.registered_commands if command.callback] + [
        group.name for group in app.registered_groups if group.name
    ]
