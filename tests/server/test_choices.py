"""What can be chosen over HTTP: models, styles, wildcards; a prompt's tokens; what a picture says of itself."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from fromnoise.engine.images import save_png
from fromnoise.engine.metadata.own import texts
from fromnoise.engine.recipe import BUILTIN, Recipe
from fromnoise.jobs.index import Digests, Facts, Stamp
from fromnoise.settings import Settings

from .conftest import Served, png
from .test_native import RECIPE


@pytest.fixture
def shelf(served: Served, tmp_path: Path) -> Path:
    """A tree of models."""
    tree = tmp_path / "tree"
    for folder in ("loras/style", "styles", "wildcards", "embeddings"):
        (tree / folder).mkdir(parents=True)
    object.__setattr__(served.context, "settings", replace(Settings(), models=(tree,), any_path=False))
    return tree


def test_models_with_what_is_known_of_them(served: Served, shelf: Path) -> None:
    file = shelf / "loras/style/ink.safetensors"
    file.write_bytes(b"x" * 100)
    Image.new("RGB", (8, 8)).save(shelf / "loras/style/ink.png")
    (shelf / "loras/style/ink.txt").write_text("ink wash")
    assert served.client.post("/api/v1/models/refresh").json()["unread"] == 1
    facts = Facts("LoRA", "sdxl", licence="openrail", trigger_words=("other",))
    served.context.index.store(file, Stamp.of(file), facts)
    served.context.index.store(file, Stamp.of(file), Digests("ab" * 32, "cd" * 32))
    (card,) = served.client.get("/api/v1/models?kind=loras").json()["models"]
    assert (card["name"], card["file"], card["short_hash"]) == ("style/ink", "style/ink.safetensors", "abababab" + "ab")
    assert (card["family"], card["trigger_words"], card["tensors_hash"]) == ("sdxl", ["ink wash"], "cd" * 6)
    assert card["licence"] == "OpenRAIL"
    assert served.client.get(card["preview"]).headers["content-type"] == "image/png"
    assert served.client.get("/api/v1/models/loras/style/ink.safetensors").json() == card
    assert served.client.get("/api/v1/models/loras/style/pen.safetensors").status_code == 404
    assert served.client.get("/api/v1/models/loras/..%2F..%2Fx/preview").status_code == 404
    (builtin,) = served.client.get("/api/v1/models?kind=checkpoints").json()["models"]
    assert builtin["name"] == BUILTIN
    assert [c["name"] for c in served.client.get("/api/v1/models?search=wash").json()["models"]] == ["style/ink"]
    kinds = {kind["kind"]: kind["count"] for kind in served.client.get("/api/v1/models/kinds").json()}
    assert (kinds["checkpoints"], kinds["loras"]) == (1, 1)


def test_styles_are_kept_and_put_around_prompts(served: Served, shelf: Path) -> None:
    (shelf / "styles/mine.csv").write_text('name,prompt,negative_prompt\nfilm,"{prompt}, film grain",blurry\n')
    assert served.client.put("/api/v1/styles/ink", json={"name": "ink", "prompt": "ink wash"}).status_code == 200
    assert {style["name"] for style in served.client.get("/api/v1/styles").json()} == {"film", "ink"}
    order = {"recipes": [RECIPE], "styles": ["film", "ink"]}
    body = served.client.post("/api/v1/jobs", json=order).json()[0]["body"]
    assert (body["prompt"], body["negative"]) == ("a red apple, film grain, ink wash", "blurry")
    unknown = served.client.post("/api/v1/jobs", json={"recipes": [RECIPE], "styles": ["fim"]})
    assert (unknown.status_code, "film" in unknown.json()["message"]) == (422, True)
    assert served.client.delete("/api/v1/styles/ink").status_code == 204
    assert served.client.delete("/api/v1/styles/film").status_code == 404
    assert [style["name"] for style in served.client.get("/api/v1/styles").json()] == ["film"]


def test_wildcards_and_choices(served: Served, shelf: Path) -> None:
    (shelf / "wildcards/colour.txt").write_text("# of things\nred\n\ngreen\n", "utf-8")
    assert served.client.get("/api/v1/wildcards").json() == [{"name": "colour", "lines": 2}]
    assert served.client.get("/api/v1/wildcards/colour").json()["lines"] == ["red", "green"]
    assert served.client.get("/api/v1/wildcards/../x").status_code == 404
    raw = {"text": "a __colour__ {apple|apple}", "seed": 3}
    text = served.client.post("/api/v1/prompts/expand", json=raw).json()["text"]
    assert text in ("a red apple", "a green apple")
    order = {"recipes": [{**RECIPE, "prompt": raw["text"], "seed": 3}], "choices": True}
    assert served.client.post("/api/v1/jobs", json=order).json()[0]["body"]["prompt"] == text
    as_written = served.client.post("/api/v1/jobs", json={**order, "choices": False}).json()[0]
    assert as_written["body"]["prompt"] == raw["text"]


def test_tokens_by_chunk(served: Served) -> None:
    body = {"text": "a photo of (a cat:1.5) <lora:ink:0.5>", "profile": "a1111"}
    found = served.client.post("/api/v1/tokens", json=body).json()
    assert (found["count"], found["room"], found["networks"]) == (5, 75, [{"kind": "lora", "name": "ink"}])
    ((chunk,),) = found["parts"]
    assert [(token["text"], token["weight"]) for token in chunk["tokens"]][-2:] == [("a", 1.5), ("cat", 1.5)]
    long = served.client.post("/api/v1/tokens", json={"text": "cat " * 80}).json()
    assert (long["count"], long["room"], len(long["parts"][0])) == (80, 150, 2)
    assert len(served.client.post("/api/v1/tokens", json={"text": "a AND b"}).json()["parts"]) == 2
    assert served.client.post("/api/v1/tokens", json={"text": "a", "profile": "x"}).status_code == 422


def test_a_picture_tells_its_recipe(served: Served, tmp_path: Path) -> None:
    recipe = Recipe(prompt="a red apple", seed=2**60, width=64, height=64)
    path = tmp_path / "made.png"
    save_png(Image.new("RGB", (64, 64)), path, texts(recipe, "cpu"))
    found = served.client.post("/api/v1/read", content=path.read_bytes()).json()
    assert (found["source"], found["recipe"]["prompt"]) == ("fromnoise", "a red apple")
    assert found["recipe"]["seed"] == str(2**60)
    assert "parameters" in found["texts"]
    text = "a cat\nNegative prompt: fog\nSteps: 7, Sampler: Euler a, CFG scale: 5, Seed: 9, Size: 64x64"
    told = served.client.post("/api/v1/read/text", json={"text": text}).json()
    assert [told["recipe"][name] for name in ("prompt", "negative", "steps")] == ["a cat", "fog", 7]
    assert served.client.post("/api/v1/read/text", json={"text": "just words"}).status_code in (200, 422)
    blank = served.client.post("/api/v1/read", content=png()).json()
    assert (blank["recipe"], blank["source"]) == (None, None)
    assert "carries no recipe" in blank["warnings"][0]
    again = {"recipes": [found["recipe"]]}
    assert served.client.post("/api/v1/jobs", json=again).json()[0]["body"]["seed"] == str(2**60)
    cut = path.read_bytes()[:60]
    assert served.client.post("/api/v1/read", content=cut).status_code in (200, 422)
    served.context.clerk.close()
