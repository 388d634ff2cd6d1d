"""Recipes with controls, and what they bring along."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise.engine.generate import Job
from fromnoise.engine.library import Model
from fromnoise.engine.passes import orders
from fromnoise.engine.prepare import Preparation
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.preprocessors.registry import Picture
from fromnoise.sampling.guidance import Attachment
from fromnoise.sampling.guidance_companions import Companion
from fromnoise.sampling.samplers import Evaluate


class Recipes:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def image(self, name: str) -> dict[str, Any]:
        return ImageRef.of(self.folder / f"{name}.png").model_dump()

    def control(self, name: str | None = "canny", **given: Any) -> dict[str, Any]:
        model = {"model": str(self.folder / f"{name}.safetensors")} if name else {}
        return {"image": self.image("photo"), **model, **given}

    def recipe(self, *controls: dict[str, Any], **given: Any) -> Recipe:
        base = {"prompt": "a red apple", "negative": "blue", "width": 64, "height": 64, "steps": 4, "seed": 3}
        return Recipe.make(**{**base, "guidance_scale": 5.0, **given}, controls=controls)


def companions(model: Model, recipe: Recipe, number: int = 0) -> list[Companion]:
    """Those of a pass."""
    job = Job(model, recipe)
    preparation, order = Preparation(model, job.recipe), orders(job.recipe)[number]
    seen: list[list[Companion]] = []
    original = Preparation._companions
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Preparation, "_companions", lambda self, *args: seen.append(original(self, *args)) or seen[-1])
        preparation.prepared(order, job.start if number == 0 else None)
    return seen[-1]


def brought(model: Model, recipe: Recipe, *, negative: bool = False, number: int = 0) -> list[Attachment]:
    """What calls bring along in the middle of the run."""
    ask = Evaluate(torch.zeros(1, 4, 8, 8), torch.tensor(2.0))
    found = companions(model, recipe, number)
    return [one for companion in found for one in companion.attachments(ask, negative)]


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.int32)


def photo(made: Recipes) -> Picture:
    return np.array(Image.open(made.folder / "photo.png"))
