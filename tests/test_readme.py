"""What the README says can be typed, can be typed."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from fromnoise.cli.app import whole

EDITIONS = ("README.md", "README.zh-CN.md")


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_library_example_runs(root: Path, edition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (root / edition).read_text("utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, edition, "exec"), {})
    assert len(list(tmp_path.glob("apple-*.png"))) == 4


@pytest.mark.parametrize("edition", EDITIONS)
def test_every_option_in_a_command_exists(root: Path, edition: str) -> None:
    text = (root / edition).read_text("utf-8")
    commands = [shlex.split(line, comments=True) for line in re.findall(r"^    (fromnoise .*)$", text, re.MULTILINE)]
    assert len(commands) >= 7
    from typer.main import get_command

    group = get_command(whole())
    for _, *words in commands:
        command: Any = group
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        command = group.commands["make"] if command is group else command  # type: ignore[attr-defined]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, words


def test_linked_files_exist(root: Path) -> None:
    for edition in EDITIONS:
        for link in re.findall(r"\]\(([^)#]+)\)", (root / edition).read_text("utf-8")):
            if not link.startswith("http"):
                assert (root / link).exists(), f"{edition}: {link}"


@pytest.mark.parametrize("edition", EDITIONS)
def test_files_are_about_as_long_as_it_says(root: Path, edition: str) -> None:
    rows = re.findall(r"^\| \[`[^`]*`\]\((src/[^)]*)\) \| (\d+) \|", (root / edition).read_text("utf-8"), re.MULTILINE)
    assert len(rows) >= 5
    found = {file: len((root / file).read_text("utf-8").splitlines()) for file, _ in rows}
    assert {file: int(said) for file, said in rows} == pytest.approx(found, rel=0.05)
