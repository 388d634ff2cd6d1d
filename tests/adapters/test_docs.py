"""docs/adapters.md: every command on it is understood, every kind is on it, and its Python runs."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
from typer.main import get_command

import fromnoise.adapters  # noqa: F401  registers the kinds
from fromnoise.adapters.weight_adapter import KINDS
from fromnoise.cli.app import whole
from fromnoise.cli.drafting import drafted
from fromnoise.cli.options import Order
from fromnoise.engine.recipe_networks import named

PAGE = (Path(__file__).parents[2] / "docs" / "adapters.md").read_text("utf-8")
COMMANDS = [line.strip() for line in PAGE.splitlines() if line.startswith("    fromnoise ")]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_understood(command: str) -> None:
    parsed = get_command(whole()).commands["make"].make_context("make", shlex.split(command)[1:]).params
    wanted = {field.name for field in fields(Order)}
    recipe = drafted(Order(**{name: value for name, value in parsed.items() if name in wanted}))
    uses = named(recipe.networks, recipe.prompt, "a1111", 20)
    assert len(uses) == command.count("<lora:") + command.count("<hypernet:") + command.count("--lora")
    for use in uses:
        assert use.name in ("ink", "paper cut", "watercolour")
        assert use.strength or use.schedule


def test_every_kind_is_on_the_page() -> None:
    table = PAGE.split("## Kinds of LoRA")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(KINDS)


def test_the_python_runs() -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    known: dict[str, object] = {}
    exec(example, known)
    assert known["picture"].size == (64, 64)  # type: ignore[attr-defined]
