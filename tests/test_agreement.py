"""docs/agreement.md names all samplers, schedules, profiles, features of guidance and readers, and tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from fromnoise.engine.metadata.infotext_read import AUTOMATIC1111, CPP, FORGE, OURS, SD_NEXT
from fromnoise.engine.profiles import PROFILES
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import SCHEDULES
from tests.sampling.test_guidance_docs import features

READERS = (AUTOMATIC1111, FORGE, SD_NEXT, CPP, OURS, "ComfyUI", "InvokeAI", "Fooocus", "NovelAI")


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "agreement.md").read_text(encoding="utf-8")


@cache
def functions(path: Path) -> frozenset[str]:
    """The functions that a file defines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_test_that_is_named_exists(page: str, root: Path) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) > 60
    gone = [f"{path}::{name}" for path, name in named if name not in functions(root / path)]
    assert gone == []


def test_every_row_names_a_test(page: str) -> None:
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| Feature"))]
    assert [row for row in rows if "`tests/" not in row] == []


def test_every_row_tells_how_closely(page: str) -> None:
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| Feature"))]
    cells = [[cell.strip() for cell in re.sub("`[^`]*`", "x", row).strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells if len(row) != 4 or not all(row)] == []


def test_nothing_that_is_registered_is_left_out(page: str) -> None:
    names = [*SAMPLERS, *SCHEDULES, *PROFILES, *features()]
    assert [name for name in names if f"`{name}`" not in page] == []
    assert [tool for tool in READERS if f"Read: {tool}" not in page] == []
