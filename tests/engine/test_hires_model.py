"""A second pass by another model: its network, text encoder and autoencoder, and how it is told."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny

from fromnoise.engine.generate import Job, generate
from fromnoise.engine.library import Model, load
from fromnoise.engine.memory import place
from fromnoise.engine.metadata import comfyui
from fromnoise.engine.metadata.comfyui_graph import Graph
from fromnoise.engine.metadata.comfyui_write import graph
from fromnoise.engine.metadata.infotext import parameters
from fromnoise.engine.metadata.infotext_read import read_infotext
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_files import Weights
from fromnoise.errors import UserError

HIRES = {"scale": 1.5, "upscaler": "Lanczos", "strength": 0.6}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Model, Model]:
    """A model, a copy of it under another name, and another model."""
    folder = tmp_path_factory.mktemp("models")
    first = tiny.checkpoint(folder / "first.safetensors", "sd1")
    copy = Path(shutil.copy(first, folder / "copy.safetensors"))
    other = tiny.checkpoint(folder / "other.safetensors", "sd1", seed=5)
    return tuple(load(str(path), place("cpu", "float32")) for path in (first, copy, other))  # type: ignore[return-value]


def made(model: Model, second: Model | None, **hires: object) -> np.ndarray:
    name = {} if second is None else {"model": second.name}
    recipe = Recipe.make(
        prompt="a cat", model=model.name, width=64, height=64, steps=2, seed=3, hires={**HIRES, **hires, **name}
    )
    (found,) = generate(model, [recipe], refiner=second)
    assert (found.recipe.hires.model_hash if found.recipe.hires else None) == (second.sha256 if second else None)
    return np.asarray(found.image)


def test_a_copy_makes_the_same_picture_and_another_model_another(models: tuple[Model, Model, Model]) -> None:
    first, copy, other = models
    for upscaler in ("Lanczos", "latent"):
        plain = made(first, None, upscaler=upscaler)
        assert np.array_equal(plain, made(first, copy, upscaler=upscaler))
        assert not np.array_equal(plain, made(first, other, upscaler=upscaler))


def test_both_models_have_their_part(models: tuple[Model, Model, Model]) -> None:
    first, _, other = models
    assert not np.array_equal(made(first, other), made(other, None))  # the first pass is not the other's
    assert not np.array_equal(made(first, other), made(other, first))
    untouched = made(first, None, strength=0.0), made(first, other, strength=0.0)
    assert not np.array_equal(*untouched)  # with nothing to draw, its autoencoder is still the second's


def test_what_can_not_be_is_refused(models: tuple[Model, Model, Model]) -> None:
    first = models[0]
    recipe = Recipe.make(model=first.name, width=64, height=64, hires={"model": "other"})
    assert [one.model for one in Weights.others(recipe)] == ["other"]
    with pytest.raises(UserError, match="the second pass is made by the model other"):
        Job(first, recipe)
    with pytest.raises(UserError, match="exclude each other"):
        recipe.but(refiner={"model": "third"})


def test_it_is_written_and_read() -> None:
    recipe = Recipe.make(prompt="a cat", hires={**HIRES, "model": "other", "model_hash": "ab" * 32})
    text = parameters(recipe)
    assert "Hires checkpoint: other [abababab" in text
    read = read_infotext(text).recipe.hires
    assert read is not None
    assert (read.model, str(read.model_hash)[:8]) == ("other", "abababab")
    nodes = graph(recipe)
    again = comfyui.read_graph(Graph(nodes)).recipe.hires
    assert again is not None
    assert (again.model, again.prompt) == ("other", None)
    loaders = {name: node for name, node in nodes.items() if node["class_type"] == "CheckpointLoaderSimple"}
    decoder = nodes["8"]["inputs"]
    assert isinstance(decoder, dict)
    assert loaders[decoder["vae"][0]]["inputs"] == {"ckpt_name": "other.safetensors"}
