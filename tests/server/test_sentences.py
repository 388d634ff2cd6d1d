"""What the server tells its page in English has its Chinese: every error that is raised below the command line."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fromnoise.cli.chinese import ELSEWHERE
from fromnoise.cli.messages import in_chinese, sentences

if TYPE_CHECKING:
    from .conftest import Served

SOURCES = Path(__file__).resolve().parents[2] / "src" / "fromnoise"
OTHERS = (
    "cli/",
    "server/sdapi/",
    "server/openai",
    "nodes/",
    "cluster/",
)  # that speak to programs, or Chinese themselves
OPERATORS = {  # told to whoever starts a server or a program, before there is a page; or a mistake of ours
    "server/serve.py", "jobs/database.py", "jobs/leases.py", "registry.py", "engine/fields.py", "nn/kernels.py",
    "engine/executor.py", "text/tokenizer.py", "train/data/source.py", "train/emoji.py", "train/scratch.py",
    "train/loop.py",
}  # fmt: skip
MIXED = ("unknown ", "<W")  # put together from parts, as in UnknownName
WORD = "W1"  # stands for what is filled in


def texts(node: ast.expr) -> list[str]:
    """What an expression may say, with a word in place of what is filled in."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(part.value) if isinstance(part, ast.Constant) else WORD for part in node.values)]
    if isinstance(node, ast.IfExp):
        return texts(node.body) + texts(node.orelse)
    return []


def name(call: ast.Call) -> str:
    function = call.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def told() -> Iterator[tuple[str, str]]:
    """(file and line, sentence) of what is raised, warned of, or said by an error's own class."""
    for path in sorted(SOURCES.rglob("*.py")):
        file = path.relative_to(SOURCES).as_posix()
        if file.startswith(OTHERS) or file in OPERATORS:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            call = node.exc if isinstance(node, ast.Raise) else node
            if not isinstance(call, ast.Call) or name(call) == "UnknownName":
                continue
            if node is not call or name(call).endswith("Error") or name(call) in ("warning", "__init__"):
                for text in {text for argument in call.args for text in texts(argument)}:
                    if (
                        " " in text
                        and len(re.findall("[A-Za-z]{2,}", text.replace(WORD, ""))) > 1
                        and not text.startswith(MIXED)
                    ):
                        yield f"{file}:{call.lineno}", text


def test_every_error_has_its_chinese() -> None:
    found = dict(told())
    assert len(found) > 400
    assert {place: text for place, text in found.items() if in_chinese(text) == text} == {}


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("a.png: carries no recipe; was it saved again by a program that drops them?",
         "a.png：没有生成参数；是不是被别的程序另存过，参数丢了？"),
        ("recipes.0.steps: Input should be less than or equal to 10000", "recipes.0.steps：不能大于 10000"),
        ("m.ckpt cannot be used: it is truncated within its header; download it again from a source you trust",
         "m.ckpt 无法使用：文件头不完整，文件被截断；请从可信的来源重新下载"),
        ("nobody knows this", "nobody knows this"),
    ],
)  # fmt: skip
def test_sentences_in_sentences(english: str, chinese: str) -> None:
    assert in_chinese(english) == chinese


def test_the_page_is_told_all_of_them(served: "Served") -> None:
    object.__setattr__(served.context, "chinese", sentences)
    assert served.client.get("/api/v1/sentences").json() == ELSEWHERE
