"""Which files a recipe's image prompts and boxes were made with, for the recipe that goes into the picture."""

from typing import Any

from fromnoise.engine.image_tokens import wanted_vision
from fromnoise.engine.image_vectors import embedding_width
from fromnoise.engine.library import Model
from fromnoise.engine.picture_files import Wanted
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_pictures import ImagePrompt


def with_picture_hashes(model: Model, recipe: Recipe) -> Recipe:
    """The recipe with the hashes of those files. FileError where one is missing, UserError where it is another."""
    changes: dict[str, Any] = {}
    if recipe.image_prompts:
        changes["image_prompts"] = [noted(model, recipe, prompt).model_dump() for prompt in recipe.image_prompts]
    if recipe.gligen is not None and recipe.boxes:
        path = model.pictures.find("gligen", recipe.gligen.model, recipe.gligen.model_hash)
        changes["gligen"] = {**recipe.gligen.model_dump(), "model_hash": model.pictures.hash_of(path)}
    return recipe.but(**changes) if changes else recipe


def noted(model: Model, recipe: Recipe, prompt: ImagePrompt) -> ImagePrompt:
    """One prompt with the hashes of its files."""
    files = model.pictures
    hashes: dict[str, str] = {}
    width = embedding_width(model)
    wanted = None if width is None else Wanted(recipe.model, embedding=width)
    if prompt.model is not None:
        path = files.find("ipadapter", prompt.model, prompt.model_hash)
        hashes["model_hash"] = files.hash_of(path)
        wanted = wanted_vision(files.ip_adapter(path).config.projection, prompt.model)
    if wanted is not None:
        vision = files.vision_path(prompt.vision, wanted, prompt.vision_hash)
        hashes |= {} if vision is None else {"vision_hash": files.hash_of(vision)}
    return prompt.model_copy(update=hashes)
