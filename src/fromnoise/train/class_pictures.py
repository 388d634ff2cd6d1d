"""Prior preservation: pictures of the class in general, drawn by the model before it learns.

Ruiz et al. (2023), "DreamBooth: Fine Tuning Text-to-Image Diffusion Models for Subject-Driven Generation", section 3.3.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from fromnoise.engine.fitting import fitted
from fromnoise.engine.generate import generate
from fromnoise.engine.images import save_png
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import Recipe

TOGETHER = 4


def class_folder(prompt: str) -> str:
    """The name of the folder of a class's pictures: those of another prompt are other pictures."""
    return f"class-{hashlib.sha256(prompt.encode()).hexdigest()[:8]}"


def drawn_class(model: Model, prompt: str, count: int, seed: int, folder: Path, say: Callable[[str], None]) -> Path:
    """A folder with `count` pictures of `prompt`; those that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [(i, folder / f"{i:04d}.png") for i in range(count)]
    missing = [(i, path) for i, path in wanted if not path.exists()]
    if missing:
        say(f"drawing {len(missing)} pictures of {prompt!r} to keep what the model knows of it")
    for start in range(0, len(missing), TOGETHER):
        part = missing[start : start + TOGETHER]
        recipes = [fitted(Recipe.make(prompt=prompt, seed=seed + i), model.defaults) for i, _ in part]
        for made in generate(model, recipes):
            save_png(made.image, part[made.index][1], {})
    return folder
