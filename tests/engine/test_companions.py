"""What lies beside a model is read as the tool that wrote it meant it."""

import json
from pathlib import Path

import pytest

from fromnoise.engine.companions import beside, companions

WEBUI = {
    "description": "An ink drawing.",
    "sd version": "SD1",
    "activation text": "ink, drawing",
    "preferred weight": 0.7,
    "negative text": "photo",
    "notes": "mine",
}
CIVITAI = {
    "id": 7,
    "modelId": 42,
    "name": "v1.0",
    "trainedWords": ["ink drawing,", "brush", 3],
    "baseModel": "SD 1.5",
    "description": "<p>Use <b>ink</b> &amp; brush.</p><p>Enjoy<br/>it</p>",
    "model": {"name": "Ink", "type": "LORA"},
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "ink.v1.safetensors"
    path.touch()
    return path


def put(model: Path, name: str, content: object) -> Path:
    path = model.with_name(f"ink.v1{name}")
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_alone_it_has_none(model: Path) -> None:
    found = companions(model)
    assert (found.files, found.preview, found.trigger_words, found.faults) == ((), None, (), ())


def test_webui_notes(model: Path) -> None:
    put(model, ".json", WEBUI)
    found = companions(model)
    assert (found.description, found.trigger_words, found.negative) == ("An ink drawing.", ("ink, drawing",), "photo")
    assert (found.weight, found.base, found.notes) == (0.7, "SD1", "mine")


@pytest.mark.parametrize("name", [".civitai.info", ".json"])
def test_civitai_notes(model: Path, name: str) -> None:
    put(model, name, CIVITAI)
    found = companions(model)
    assert (found.title, found.trigger_words, found.base) == ("Ink - v1.0", ("ink drawing", "brush"), "SD 1.5")
    assert found.description == "Use ink & brush.\nEnjoy\nit"
    assert found.page == "https://civitai.com/models/42"


def test_a_whole_civitai_model_is_its_newest_version(model: Path) -> None:
    version = {key: CIVITAI[key] for key in ("id", "name", "trainedWords", "baseModel")}
    put(model, ".json", {"id": 42, "name": "Ink", "description": "<p>All</p>", "modelVersions": [version, {}]})
    found = companions(model)
    assert (found.title, found.page, found.description) == ("Ink - v1.0", "https://civitai.com/models/42", "All")


def test_plain_texts_and_who_comes_first(model: Path) -> None:
    put(model, ".txt", "\ufeffink drawing\n\nbrush, pen\n")
    put(model, ".description.txt", "From a text.")
    assert companions(model).trigger_words == ("ink drawing", "brush, pen")
    put(model, ".json", WEBUI)
    put(model, ".civitai.info", CIVITAI)
    found = companions(model)
    assert (found.trigger_words, found.description, found.title) == (("ink, drawing",), "An ink drawing.", "Ink - v1.0")


def test_the_preview_that_says_so_comes_first(model: Path) -> None:
    plain = put(model, ".png", "")
    assert companions(model).preview == plain
    marked = put(model, ".preview.webp", "")
    assert companions(model).preview == marked
    assert set(beside(model)) == {plain, marked}


def test_a_model_is_no_companion_of_itself(tmp_path: Path) -> None:
    picture = tmp_path / "face.png"
    picture.touch()
    assert beside(picture) == ()


@pytest.mark.parametrize("content", ["{", "[1]", "[" * 100_000, '{"activation text": "\\ud800'])
def test_bad_notes_are_told_and_left_out(model: Path, content: str) -> None:
    put(model, ".json", content)
    put(model, ".txt", "ink")
    found = companions(model)
    assert found.trigger_words == ("ink",)
    assert len(found.faults) == 1
    assert "ink.v1.json cannot be read" in found.faults[0]


def test_notes_of_odd_types_are_harmless(model: Path) -> None:
    put(model, ".json", {"description": 3, "activation text": ["a"], "preferred weight": "x", "sd version": None})
    put(model, ".civitai.info", {"trainedWords": "ink", "model": [], "modelId": "../x", "modelVersions": [3]})
    found = companions(model)
    assert (found.description, found.trigger_words, found.page, found.weight) == ("", (), "", None)
    assert found.faults == ()
    for weight in ("NaN", "Infinity", "1e999", "1" + "0" * 400, "true", "[1]", '"0.5"', "-1001"):
        put(model, ".json", f'{{"preferred weight": {weight}, "description": "d"}}')
        assert (companions(model).weight, companions(model).description, companions(model).faults) == (None, "d", ())
    put(model, ".json", '{"description": "a\\ud800b\\u0000", "notes": "[]"}')
    assert companions(model).description == "a?b"


def test_the_family_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "sd-1.5"
    folder.mkdir()
    (tmp_path / "sd-1.5.json").write_text(json.dumps(WEBUI))
    assert companions(folder).notes == "mine"
