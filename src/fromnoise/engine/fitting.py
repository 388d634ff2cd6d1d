"""What a recipe leaves to its model: steps, guidance scale, sampler and size, where nobody has said them.

    recipe = fitted(Recipe(prompt="a cat"), model.defaults)

Every door goes through here, so that the same request is the same picture: the command line, and the worker that
makes what came over HTTP.
"""

from pathlib import Path

from fromnoise.engine.images import open_image
from fromnoise.engine.library import Defaults
from fromnoise.engine.recipe import Recipe

TIMES = 4  # as large as the small picture that an upscaling model is shown


def fitted(recipe: Recipe, wishes: Defaults) -> Recipe:
    """The recipe with nothing left open. FileError where the start picture, whose size counts, can't be read.

    A sampler whose options were given is the recipe's own.
    """
    changes: dict[str, object] = {name: getattr(recipe, name) for name in recipe.unsaid}
    for name, wish in (("guidance_scale", wishes.guidance_scale), ("steps", wishes.steps), ("sampler", wishes.sampler)):
        if name in changes and wish is not None and not (name == "sampler" and recipe.sampler_options):
            changes[name] = wish
    size = size_of(recipe, wishes.size) if recipe.unsaid >= {"width", "height"} else (wishes.size, wishes.size)
    sides = zip(("width", "height"), size, strict=True)
    return recipe.but(**changes | {name: side for name, side in sides if name in changes}) if changes else recipe


def size_of(recipe: Recipe, side: int) -> tuple[int, int]:
    """Width and height where none are given: the model's own, or the start picture's proportions or larger canvas."""
    if recipe.enlarge is not None:
        return times_four(open_image(Path(recipe.enlarge.image.path)).size)
    if recipe.init is None or recipe.redraw is not None:
        return side, side
    width, height = open_image(Path(recipe.init.path)).size
    if (grown := recipe.outpaint) is None:
        return native_size((width, height), side)
    canvas = width + grown.left + grown.right, height + grown.top + grown.bottom
    return max(8, round(canvas[0] / 8) * 8), max(8, round(canvas[1] / 8) * 8)


def times_four(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height, in eights, of what an upscaling model makes of a picture."""
    width, height = (max(8, round(side * TIMES / 8) * 8) for side in size)
    return width, height


def native_size(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height in the proportions of `shape`, about as many pixels as the model was trained on, in eights."""
    scale = side / (shape[0] * shape[1]) ** 0.5
    width, height = (max(8, round(length * scale / 8) * 8) for length in shape)
    return width, height
