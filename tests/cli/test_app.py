"""The command as a whole: help, version, lists, and what starting it costs."""

import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from typer.main import get_command

from fromnoise import __version__
from fromnoise.cli import app, main
from fromnoise.cli.app import spelled_out
from fromnoise.cli.options import Order, is_option, recipe_field
from fromnoise.engine.recipe import Recipe
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import SCHEDULES

from .conftest import Ran, Run

HEAVY = ("torch", "numpy", "PIL", "pydantic", "fromnoise.engine", "fromnoise.sampling")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"]])
def test_help_shows_the_commands_and_the_options_of_make(run: Run, arguments: list[str]) -> None:
    ran = run(*arguments)
    assert (ran.status, ran.err) == (0, "")
    for word in ("doctor", "info", "samplers", "schedules", "train", "--negative", "--watch", "--dtype"):
        assert word in ran.out


def test_help_needs_none_of_the_heavy_packages() -> None:
    code = f"""
import sys
from fromnoise.cli import main
main(["--help"])
sys.exit(" ".join(name for name in {HEAVY} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert done.stderr == "\n"


def test_what_runs_one_command_is_made_of_that_one_alone() -> None:
    everything = get_command(app.whole())
    for name in everything.commands:
        alone = get_command(app.needed(name))
        assert [*alone.commands] == [name]
        assert [p.name for p in alone.commands[name].params] == [p.name for p in everything.commands[name].params]
    assert [*get_command(app.needed("train")).commands["train"].commands] == [*everything.commands["train"].commands]
    assert [*get_command(app.needed("--version")).commands] == [*everything.commands]


def test_starting_costs_little_beside_python_and_typer() -> None:
    """In processor time, which other work on the machine changes less."""
    code = (
        "import time, typer; began = time.process_time(); import fromnoise.cli.app; print(time.process_time() - began)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert float(done.stdout) < 0.3


@pytest.mark.parametrize(
    ("arguments", "commands"),
    [
        (["a red apple"], [["make", "a red apple"]]),
        (["--seed", "1", "a red apple"], [["make", "--seed", "1", "a red apple"]]),
        (["samplers"], [["samplers"]]),
        (["samplerz"], [["make", "samplerz"]]),
        (["make", "samplers"], [["make", "samplers"]]),
        (["train", "scratch", "x"], [["train", "scratch", "x"]]),
        (["--version"], [["--version"]]),
        (["--", "-x"], [["make", "--", "-x"]]),
        ([""], [["make", ""]]),
        ([], [["studio"]]),
        (["--no-browser"], [["studio", "--no-browser"]]),
    ],
)
def test_what_is_no_command_is_a_prompt(arguments: list[str], commands: list[list[str]]) -> None:
    assert spelled_out(arguments) == commands


def test_every_registered_command_is_one() -> None:
    for name in get_command(app.whole()).commands:
        assert spelled_out([name]) == [[name]]


def test_version(run: Run) -> None:
    assert run("--version") == Ran(0, f"fromnoise {__version__}\n", "")


def test_the_module_is_the_command(start: Callable[..., Ran]) -> None:
    assert start("--version") == Ran(0, f"fromnoise {__version__}\n", "")


def test_the_entry_point_is_main(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["scripts"]["fromnoise"] == f"{main.__module__}:{main.__name__}"


def test_defaults_and_ranges_are_those_of_the_recipe() -> None:
    """They are written twice, so that help needs no pydantic."""
    shown = {parameter.name: parameter for parameter in get_command(app.whole()).commands["make"].params}
    for option in fields(Order):
        known = Recipe.model_fields.get(recipe_field(option)) if is_option(option) else None
        if known is None or known.default is None:  # what is taken then is nothing that a recipe says
            continue
        named = shown[option.name].show_default
        assert not isinstance(named, str) or named == str(known.default), option.name
        least, most = (getattr(shown[option.name], side, None) for side in ("min", "max"))
        if (least, most) != (None, None) and option.name != "seed":
            limits = {type(limit).__name__: limit for limit in known.metadata}
            assert (least, most) == (limits["Ge"].ge, limits["Le"].le), option.name


def test_every_field_of_the_recipe_can_be_typed() -> None:
    typed = {recipe_field(option).partition(".")[0] for option in fields(Order)}
    assert set(Recipe.model_fields) - typed == {"width", "height", "model_hash"}  # the size, and what is filled in


@pytest.mark.parametrize(("command", "registry"), [("samplers", SAMPLERS), ("schedules", SCHEDULES)])
def test_lists_are_for_scripts_where_there_is_no_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str, registry: dict[str, object]
) -> None:
    rows = [line.split("\t") for line in run(command).out.splitlines()]
    assert [row[0] for row in rows] == list(registry)
    assert all(len(row) == 3 and row[2].isascii() for row in rows)
    monkeypatch.setenv("FROMNOISE_LANG", "zh")
    assert not any(line.isascii() for line in run(command).out.splitlines())


def test_lists_are_tables_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")
    lines = run("schedules").out.splitlines()
    assert lines[0].split()[:2] == ["schedule", "label"]
    assert "\t" not in lines[1]


@pytest.mark.parametrize("page", ["cli.md", "cli.zh-CN.md"])
def test_every_command_and_option_is_documented(root: Path, page: str) -> None:
    text = (root / "docs" / page).read_text("utf-8")
    group = get_command(app.whole())
    assert [name for name in group.commands if f"`fromnoise {name}" not in text] == []
    options = [option for command in group.commands.values() for p in command.params for option in p.opts]
    assert [option for option in options if option.startswith("--") and f"`{option}" not in text] == []


def test_training_from_scratch_is_handed_its_configuration(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    monkeypatch.setattr("fromnoise.train.scratch.run", lambda config: seen.append(config) or Path("model.safetensors"))
    assert run("train", "scratch", "emoji.toml") == Ran(0, "model.safetensors\n", "")
    assert seen == [Path("emoji.toml")]
