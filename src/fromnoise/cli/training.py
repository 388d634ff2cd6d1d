"""`fromnoise train METHOD DATA --name NAME`: a command for each method, made of `training_table`."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from fromnoise.cli.messages import say
from fromnoise.cli.through import through
from fromnoise.cli.training_lists import Listing
from fromnoise.cli.training_table import ALWAYS, REFUSED, SWITCHES, VALUED, Flag, flags

HELP = {
    "lora": say("Teach a model something from a folder of pictures; a LoRA of any kind comes out."),
    "finetune": say("Train all of a model on; a checkpoint comes out."),
    "dreambooth": say("Teach all of a model one thing, and keep what it knows of its class (--class_prompt)."),
    "embedding": say("Teach a model a word (textual inversion); an embedding comes out."),
    "hypernetwork": say("Train small networks that change keys and values; AUTOMATIC1111's hypernetwork comes out."),
    "controlnet": say("Teach a ControlNet to steer by pictures (--conditioning_data_dir)."),
    "t2i-adapter": say("Teach a T2I-Adapter to steer by pictures (--conditioning_data_dir)."),
    "custom": say("Custom Diffusion: a word, and what keys and values make of prompts."),
    "lcm": say("Distil a model into a LoRA that draws in a few steps (LCM)."),
}
EITHER = {"token_normalize_func": lambda name: name.replace("-", "_")}  # --max-train-steps is --max_train_steps
Data = Annotated[
    Path | None,
    typer.Argument(metavar="DATA", help=say("A folder of pictures, or a data-set file; docs/datasets.md.")),
]


def add_to(training: typer.Typer) -> None:
    """Register a command for each method among those of `train`."""
    for method, text in HELP.items():
        training.command(method, cls=Listing, help=text, context_settings=EITHER)(through(command(method)))


def command(method: str) -> Callable[..., None]:
    """What typer calls: its signature has the method's options."""

    def run(data: Path | None = None, **given: Any) -> None:
        from fromnoise.cli.training_run import start

        start(method, data, {name: value for name, value in given.items() if was_said(value)})

    parameters = [inspect.Parameter("data", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=Data)]
    for flag in flags(method):
        parameters.append(
            inspect.Parameter(
                parameter_name(flag), inspect.Parameter.KEYWORD_ONLY, default=default(flag), annotation=annotation(flag)
            )
        )
    for name in ALWAYS:
        hidden = typer.Option(f"--{name}", hidden=True, help=say("Accepted from kohya's scripts: it is so anyway."))
        kind = str | None if name in VALUED else bool
        default_value = False if kind is bool else None
        parameters.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default_value, annotation=Annotated[kind, hidden]
            )
        )
    for name in REFUSED:
        hidden = typer.Option(f"--{name}", hidden=True, help=REFUSED[name])
        switch = name in SWITCHES
        annotated = Annotated[bool, hidden] if switch else Annotated[str | None, hidden]
        parameters.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=False if switch else None, annotation=annotated
            )
        )
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__name__ = method.replace("-", "_")
    return run


def was_said(value: object) -> bool:
    """Whether an option was given; 0 is a value like any other."""
    return value is not None and value is not False and value != []


def parameter_name(flag: Flag) -> str:
    return flag.names[0].replace("-", "_")


def default(flag: Flag) -> object:
    return False if flag.kind is bool else None


def annotation(flag: Flag) -> Any:
    option = typer.Option(
        *(f"--{name}" for name in flag.names), help=flag.text, rich_help_panel=flag.panel, metavar=flag.metavar,
        min=flag.least, max=flag.most, show_default=False,
    )  # fmt: skip
    kind = bool if flag.kind is bool else list[str] | None if flag.kind is list else flag.kind | None
    return Annotated[kind, option]
