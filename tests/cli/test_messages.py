"""Everything the command line says exists in both languages."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Formatter

import pytest
from typer.main import get_command

from fromnoise.cli import app, messages
from fromnoise.cli.chinese import ELSEWHERE, OURS
from fromnoise.cli.messages import language, say, translated

from .conftest import Ran

MORE = (
    "again ",
    "verify ",
    "grid ",
    "matrix ",
    "from-file ",
    "loopback ",
    "hash ",
    "convert ",
    "merge ",
    "prune ",
    "serve ",
    "studio ",
    "caption ",
    "tags ",
    "clean ",
    "cut ",
    "upscale ",
    "preprocess ",
    "models ",
    "users ",
)  # have help of their own
CHINESE = re.compile("[\u4e00-\u9fff：]")


def said() -> set[str]:
    """The first argument of every call of `say` in the sources; each must be written out."""
    found = set()
    for path in Path(messages.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                assert isinstance(node.args[0], ast.Constant), f"{path.name}:{node.lineno}: say() needs a literal"
                found.add(node.args[0].value)
    return found


def fields(text: str) -> list[str]:
    return sorted(f"{name}:{form}" for _, name, form, _ in Formatter().parse(text) if name is not None)


def test_the_catalogue_has_every_message_and_no_other() -> None:
    assert said() == set(OURS)


@pytest.mark.parametrize("english", [*OURS, *ELSEWHERE])
def test_a_translation_is_chinese_and_fills_in_the_same_things(english: str) -> None:
    chinese = (OURS | ELSEWHERE)[english]
    assert CHINESE.search(chinese)
    assert set(fields(chinese)) <= set(fields(english))
    if english in OURS:
        assert fields(chinese) == fields(english)


def options() -> Iterator[tuple[str, str]]:
    """(command and option, its help) of everything that can be typed."""
    commands = {"fromnoise": get_command(app.whole())}
    for _ in range(2):
        inside = {name: getattr(command, "commands", {}) for name, command in commands.items()}
        commands |= {
            f"{name} {below}".removeprefix("fromnoise "): c for name in inside for below, c in inside[name].items()
        }
    for name, command in commands.items():
        yield name, command.help
        for parameter in command.params:
            yield f"{name} {parameter.opts[0]}", parameter.help


@pytest.mark.parametrize(("what", "text"), list(options()))
def test_every_option_and_command_has_help_in_both_languages(what: str, text: str) -> None:
    assert text in {*OURS, *OURS.values()}, what


def test_help_speaks_chinese(start: Callable[..., Ran]) -> None:
    """Every help text whole: a terminal as wide as here cuts none off."""
    shown = start("--help", FROMNOISE_LANG="zh", COLUMNS="300").out
    for what, text in options():
        if not what.startswith(("train ", "info ", "doctor ", *MORE)):
            assert OURS.get(text, text) in shown, what


def test_chinese_help_is_not_cut_off_on_a_narrow_terminal(start: Callable[..., Ran]) -> None:
    shown = start("--help", FROMNOISE_LANG="zh", COLUMNS="80").out
    assert "…" not in shown.replace("……", "")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_TW"}, "zh"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LC_MESSAGES": "en_US.UTF-8", "LC_ALL": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "en"}, "en"),
        ({"LC_ALL": "C", "LANGUAGE": "zh_CN"}, "en"),
        ({"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "FROMNOISE_LANG": "en"}, "en"),
        ({"LC_ALL": "C", "FROMNOISE_LANG": "zh"}, "zh"),
    ],
)
def test_the_locale_decides_and_fromnoise_lang_overrides(environment: dict[str, str], expected: str) -> None:
    assert language(environment) == expected


def test_without_any_variable_the_system_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locale.getlocale", lambda: ("Chinese (Simplified)_China", "936"))
    assert language({}) == "zh"
    monkeypatch.setattr("locale.getlocale", lambda: (None, None))
    assert language({}) == "en"


def test_values_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROMNOISE_LANG", "zh")
    assert say("done in {seconds:.1f} s", seconds=1.25) == "完成，用时 1.2 秒"
    assert translated("{odd}: no such picture") == "{odd}：没有这张图片"
    assert translated("no pattern knows this") == "no pattern knows this"
    monkeypatch.setenv("FROMNOISE_LANG", "en")
    assert say("done in {seconds:.1f} s", seconds=1.25) == "done in 1.2 s"
    assert translated("x: no such picture") == "x: no such picture"
