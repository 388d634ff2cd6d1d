"""Every field of a recipe, and every choice of one, has a name in both languages on the page."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fromnoise.engine.fields import explained
from fromnoise.engine.recipe import Recipe
from fromnoise.preprocessors import PREPROCESSORS

CHINESE = re.compile(r"[\u4e00-\u9fff]")
SAME = {
    "ControlNet",
    "FreeU",
    "CFG-Zero*",
    "Eta",
    "LoRA",
    "MultiDiffusion",
    "Mixture of Diffusers",
    "v",
    "K+V",
    "K+mean(V)",
}


@pytest.fixture(scope="module")
def words(root: Path) -> dict[str, Any]:
    folder = root / "studio/src/recipe"
    return {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ("names", "choices")}


def test_every_field_has_its_name_and_its_sentence_in_chinese(words: dict[str, Any]) -> None:
    names = words["names"]
    told = explained()  # raises where a sentence is missing
    nameless = [one.path for one in told if one.path not in names and one.path.split(".")[-1] not in names]
    assert nameless == []
    sentences = {one.path: one.explanation_zh for one in told}
    foreign = [path for path, zh in sentences.items() if not CHINESE.search(zh) and zh.strip("。") not in SAME]
    assert foreign == []


def test_names_are_chinese_and_used(words: dict[str, Any]) -> None:
    paths = {one.path for one in explained()}
    used = paths | {path.split(".")[-1] for path in paths}
    assert [name for name in words["names"] if name not in used] == []
    foreign = [zh for _, zh in words["names"].values() if not CHINESE.search(zh) and zh not in SAME]
    assert foreign == []


def choices(schema: Any) -> Iterator[str]:
    """All values of enumerations in a JSON schema."""
    if isinstance(schema, dict):
        yield from schema.get("enum", [])
        for inner in schema.values():
            yield from choices(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from choices(inner)


def test_every_choice_has_its_name(words: dict[str, Any]) -> None:
    found = set(choices(Recipe.model_json_schema()))
    assert found
    assert sorted(found - words["choices"].keys()) == []


def test_every_parameter_of_a_preprocessor_has_its_name(root: Path) -> None:
    names = json.loads((root / "studio/src/recipe/parameters.json").read_text("utf-8"))
    found = {parameter.name for one in PREPROCESSORS.values() for parameter in one.parameters}
    assert found == names.keys()
