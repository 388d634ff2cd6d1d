"""The examples of docs/prompts.md say what happens: its tables of prompts and its Python sessions."""

import doctest
import re
from pathlib import Path

import pytest

from fromnoise.text.prompt import BREAK, Dialect, Piece, Subprompt, parse, schedule

PAGE = Path(__file__).parents[2] / "docs/prompts.md"
DIALECTS: dict[str, Dialect] = {"says": "native", "native": "native", "a1111": "a1111", "comfyui": "comfyui"}


def cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def examples() -> list[tuple[str, Dialect, str]]:
    """(prompt, dialect, what the page says) of every table whose first column is called prompt."""
    found, header = [], []
    for line in PAGE.read_text("utf-8").splitlines():
        row = cells(line) if line.startswith("|") else []
        if not row:
            header = []
        elif not header:
            header = row
        elif header[0] == "prompt" and not row[0].startswith("---"):
            for name, expected in zip(header[1:], row[1:], strict=True):
                if name in DIALECTS and expected:
                    found.append((row[0].strip("`"), DIALECTS[name], expected))
    return found


def spell_piece(piece: Piece) -> str:
    if piece == BREAK:
        return "BREAK"
    return piece.text.strip() + (f" ×{piece.weight:.4g}" if piece.weight != 1 else "")


def spell(parts: tuple[Subprompt, ...]) -> str:
    texts = []
    for part in parts:
        said = " · ".join(spelled for piece in part.pieces if (spelled := spell_piece(piece))) or "(nothing)"
        texts.append(said + (f" @{part.weight:g}" if part.weight != 1 else ""))
    return " AND ".join(texts)


@pytest.mark.parametrize(("prompt", "dialect", "expected"), examples())
def test_tables(prompt: str, dialect: Dialect, expected: str) -> None:
    changes = schedule(parse(prompt, dialect), 20)
    said = "; ".join(f"{step}: {spell(parts)}" for step, parts in changes) if len(changes) > 1 else spell(changes[0][1])
    assert said == expected


def test_every_table_was_found() -> None:
    assert len(examples()) > 40


def test_sessions() -> None:
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert tried >= 8
    assert failed == 0
