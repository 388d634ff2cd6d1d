"""A tiny model, one file of every kind of control, and recipes with them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.engine.library import Model
from fromnoise.nn.controlnet import UnionConfig
from tests import tiny_control
from tests.engine.models import tiny_model
from tests.tiny_control import written

from .making import Recipes


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model: Model) -> Path:
    """Pictures and one file of every kind."""
    made = tmp_path_factory.mktemp("controls")
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(made / "photo.png")
    Image.fromarray(noise[:, ::-1].copy()).save(made / "other.png")
    half = np.zeros((60, 90), np.uint8)
    half[20:40, 30:60] = 255
    Image.fromarray(half).save(made / "mask.png")
    written(made / "canny.safetensors", tiny_control.controlnet(model.unet, seed=1))
    written(made / "shuffle.safetensors", tiny_control.controlnet(model.unet, seed=2))
    written(made / "union.safetensors", tiny_control.controlnet(model.unet, seed=3, union=UnionConfig(6)))
    written(made / "adapter.safetensors", tiny_control.adapter(model.unet, seed=4))
    written(made / "lllite.safetensors", tiny_control.lllite(model.unet, seed=5))
    written(made / "lora.safetensors", tiny_control.control_lora(model.unet, tiny_control.controlnet(model.unet, 6))[0])
    return made


@pytest.fixture(scope="module")
def made(folder: Path) -> Recipes:
    return Recipes(folder)
