"""A recipe as the text that travels inside a picture: our JSON, and AUTOMATIC1111's `parameters`.

The JSON is the truth and gives the same `Recipe` back; `parameters` is for people and other tools.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fromnoise import __version__
from fromnoise.engine.images import open_image
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import FileError
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import SCHEDULES

JSON_KEY, PARAMETERS_KEY, SOFTWARE_KEY = "fromnoise", "parameters", "Software"


def texts(recipe: Recipe) -> dict[str, str]:
    """The PNG text chunks of a picture."""
    software = f"fromnoise {__version__}"
    return {JSON_KEY: recipe.to_json(), PARAMETERS_KEY: parameters(recipe), SOFTWARE_KEY: software}


def parameters(recipe: Recipe) -> str:
    """AUTOMATIC1111's layout: the prompt, the negative prompt, then one line of fields."""
    spec = SAMPLERS[recipe.sampler]
    fields: dict[str, object] = {
        "Steps": recipe.steps,
        "Sampler": spec.label,
        "Schedule type": SCHEDULES[recipe.schedule or spec.default_schedule].label,
        "CFG scale": f"{recipe.guidance_scale:g}",
        "Seed": recipe.seed,
        "Size": f"{recipe.width}x{recipe.height}",
    }
    if recipe.model_hash:
        fields["Model hash"] = recipe.model_hash[:10]
    fields["Model"] = Path(recipe.model).stem
    if recipe.clip_skip:
        fields["Clip skip"] = recipe.clip_skip
    if recipe.init:
        fields["Denoising strength"] = f"{recipe.strength:g}"
    fields["RNG"] = "fromnoise"
    fields["Version"] = f"fromnoise {__version__}"
    line = ", ".join(f"{name}: {quoted(str(value))}" for name, value in fields.items())
    negative = [f"Negative prompt: {recipe.negative}"] if recipe.negative else []
    return "\n".join([recipe.prompt, *negative, line])


def quoted(value: str) -> str:
    """As AUTOMATIC1111 quotes values that would break the line apart."""
    import json

    return json.dumps(value, ensure_ascii=False) if any(c in value for c in ',\n:"') else value


def read(path: Path) -> Recipe:
    """The recipe of a picture made here; FileError where it has none."""
    return recipe_of(open_image(path).info, path)


def recipe_of(info: Mapping[Any, Any], path: Path) -> Recipe:
    """The recipe in a picture's text chunks."""
    text = info.get(JSON_KEY)
    if not isinstance(text, str):
        raise FileError(f"{path}: carries no fromnoise recipe; was it made, or saved again, by another program?")
    return Recipe.from_json(text)
