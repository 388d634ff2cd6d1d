"""The commands and their options. Bodies import what they need, so that help and typing errors cost no torch."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command
from typer.models import CommandInfo

from fromnoise import __version__
from fromnoise.cli import (
    accounts,
    datasets,
    failures,
    leash,
    more,
    preprocessing,
    serving,
    shelf,
    through,
    upscaling,
    weights,
)
from fromnoise.cli import training as training_lora
from fromnoise.cli.messages import say
from fromnoise.cli.options import Batch, Order, Prompt, Watch, ordered
from fromnoise.cli.remarks import remarks

COMMANDS = say("Commands")
HELP = [["--help"], ["make", "--help"]]


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
@ordered
def make(order: Order, prompt: Prompt, batch: Batch = 1, watch: Watch = False) -> None:
    from fromnoise.cli.make import make_pictures

    make_pictures(replace(order, prompt=prompt), batch, watch)


@app.command(
    rich_help_panel=COMMANDS,
    help=say("Say what a model file holds, or how a picture was made."),
)
def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=say("A model file or folder, or a picture."))],
    check: Annotated[
        bool, typer.Option("--check", help=say("Read all weights: is the model whole, and are they all numbers?"))
    ] = False,
) -> None:
    from fromnoise.cli.info import describe

    told, sound = describe(file, check)
    print(told)
    if not sound:
        raise typer.Exit(1)


@app.command(rich_help_panel=COMMANDS, help=say("Say what this machine can do and how long a picture takes."))
def doctor(
    device: Annotated[
        str | None, typer.Option(help=say("Which device to measure; by default the best there is."))
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=say("Print JSON."))] = False,
) -> None:
    from fromnoise.cli.doctor import examine

    examine(device, as_json=as_json)


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
datasets.add_to(app)
serving.add_to(app)
accounts.add_to(app)
preprocessing.add_to(app)
upscaling.add_to(app)
shelf.add_to(app)


@cache
def whole() -> typer.Typer:
    """`app`, with a command for each method of training: their options take as long as all the rest."""
    training_lora.add_to(training)
    return app


def needed(word: str) -> typer.Typer:
    """`app` with the command of that name alone, as each takes its time; with all where that is none of them."""
    if word not in names():
        return app
    part = copy(whole() if word == "train" else app)
    part.registered_commands = [command for command in app.registered_commands if name_of(command) == word]
    part.registered_groups = [group for group in app.registered_groups if group.name == word]
    return part


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status."""
    leash.held()
    status: int | None = 0
    try:
        with remarks():
            for words in spelled_out(arguments):
                through.WORDS[:] = words
                command = get_command(needed(words[0]))
                if words in HELP:
                    show_help(command, words[:-1])
                else:
                    status = command(words, prog_name="fromnoise", standalone_mode=False)
    except Exception as error:
        return failures.report(error)
    return status or 0


def show_help(group: Any, names: list[str]) -> None:
    """As `--help` does, without parsing anything, for which typer loads pydantic."""
    context, command = typer.Context(group, info_name="fromnoise", **group.context_settings), group
    for name in names:
        command = group.commands[name]
        context = typer.Context(command, info_name=name, parent=context, **command.context_settings)
    print(command.get_help(context))


def spelled_out(arguments: Sequence[str]) -> list[list[str]]:
    """The command lines that `arguments` stand for: a prompt is for `make`, whose options help shows too.

    >>> spelled_out(["a red apple", "--seed", "1"])
    [['make', 'a red apple', '--seed', '1']]
    """
    if list(arguments) in (["--help"], ["-h"]):
        return HELP
    if list(arguments) in ([], ["--no-browser"]):
        return [["studio", *arguments]]
    return [list(arguments) if arguments[0] in {*names(), "--version"} else ["make", *arguments]]


def names() -> list[str]:
    """Of all commands."""
    return [*map(name_of, app.registered_commands), *(group.name or "" for group in app.registered_groups)]


def name_of(command: CommandInfo) -> str:
    assert command.callback is not None
    return command.name or command.callback.__name__
