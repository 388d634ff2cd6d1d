"""References, styles, and what is done to guesses."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fromnoise.adapters.reference import References
from fromnoise.adapters.style import StyleTokens
from fromnoise.engine.control_latents import Painted, Recoloured, averaged, pasted, with_brightness, with_lightness
from fromnoise.engine.generate import generate
from fromnoise.engine.library import Model
from fromnoise.errors import FileError
from fromnoise.nn.clip_vision import CLIPVision, CLIPVisionConfig
from fromnoise.nn.t2i_adapter import StyleAdapter, StyleAdapterConfig
from fromnoise.preprocessors.sizes import fitted
from fromnoise.sampling.samplers import Evaluate
from fromnoise.settings import Settings
from tests import tiny
from tests.engine.models import tiny_model
from tests.tiny_control import written

from .making import Recipes, brought, companions, photo, pixels


@pytest.mark.parametrize(
    ("given", "second", "fidelity"),
    [
        ({}, False, 0.5),
        ({"parameters": {"fidelity": 0.8}}, False, 0.8),
        ({"mode": "control"}, False, 1.0),
        ({"mode": "prompt"}, False, 0.0),
        ({}, True, 0.0),
    ],
)
def test_references(model: Model, made: Recipes, given: dict[str, Any], second: bool, fidelity: float) -> None:
    control = made.control(None, preprocessor="reference_adain+attn", weight=0.7, **given)
    recipe = made.recipe(control, hires={"scale": 2} if second else None)
    for negative in (False, True):
        (one,) = brought(model, recipe, negative=negative, number=int(second))
        assert isinstance(one, References)
        assert one.negative == negative
        (member,) = one.members
        assert (member.fidelity, member.weight, member.attention, member.adain) == (fidelity, 0.7, True, True)
        assert member.latents.shape == (1, 4, 16 if second else 8, 16 if second else 8)


def test_references_of_sdxl_are_less_faithful(made: Recipes) -> None:
    xl = tiny_model("sdxl")
    (one,) = brought(xl, made.recipe(made.control(None, preprocessor="reference_only")))
    assert isinstance(one, References)
    assert one.members[0].fidelity == pytest.approx(0.125)


def test_several_references_are_looked_at_together(model: Model, made: Recipes) -> None:
    controls = [made.control(None, preprocessor="reference_only", end=end) for end in (1.0, 0.01)]
    (one,) = brought(model, made.recipe(*controls))
    assert isinstance(one, References)
    assert len(one.members) == 1
    (both,) = brought(model, made.recipe(controls[0], controls[0]))
    assert isinstance(both, References)
    assert len(both.members) == 2


def test_a_style_follows_the_prompt(model: Model, made: Recipes, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    encoder = tiny.filled(
        CLIPVision(CLIPVisionConfig(dim=64, layers=1, heads=1, projection_dim=64, image_size=28)), generator
    )
    style = tiny.filled(
        StyleAdapter(StyleAdapterConfig(width=64, context_dim=32, layers=1, tokens=8, heads=8)), generator
    )
    (tmp_path / "clip_vision").mkdir()
    styled = {**made.control(), "model": str(written(tmp_path / "style.safetensors", style))}
    here = replace(model, settings=Settings((tmp_path,)))
    with pytest.raises(FileError, match="a style needs CLIP's picture encoder of width 64"):
        brought(here, made.recipe(styled))
    written(tmp_path / "clip_vision" / "vit.safetensors", encoder)
    for profile, negative in (("native", 0), ("a1111", 1), ("comfyui", 0)):
        recipe = made.recipe({**styled, "weight": 0.5}, profile=profile)
        (one,) = brought(here, recipe)
        assert isinstance(one, StyleTokens)
        assert one.tokens.shape == (1, 8, 32)
        zeros = brought(here, recipe, negative=True)
        assert len(zeros) == negative
        assert not any(token.tokens.any() for token in zeros if isinstance(token, StyleTokens))
    (with_style,), (without,) = (list(generate(here, [made.recipe(*controls)])) for controls in ((styled,), ()))
    assert np.abs(pixels(with_style.image) - pixels(without.image)).max() > 4


def guess(seed: int = 0) -> Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


ASK = Evaluate(torch.zeros(1, 4, 8, 8), torch.tensor(2.0))


def test_colours_are_those_of_the_hint() -> None:
    one = Recoloured(guess(1), radius=2, blur=0.25, weight=1.0)
    changed = one.answered(ASK, False, guess(2), None)
    torch.testing.assert_close(changed - guess(2), averaged(guess(1), 2) - averaged(guess(2), 2))
    negative = one.answered(ASK, True, guess(2), None)
    torch.testing.assert_close(negative, 0.25 * averaged(changed, 2) + 0.75 * changed)
    half = Recoloured(guess(1), radius=2, blur=0.0, weight=0.5).answered(ASK, True, guess(2), None)
    torch.testing.assert_close(half, (changed + guess(2)) / 2)
    flat = torch.ones(1, 1, 5, 5)
    torch.testing.assert_close(averaged(flat, 3), flat)


def test_outside_the_mask_guesses_are_the_picture() -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    changed = Painted(guess(1), mask, weight=1.0).answered(ASK, False, guess(2), None)
    assert changed[..., :4].equal(guess(2)[..., :4])
    assert changed[..., 4:].equal(guess(1)[..., 4:])


def test_inpaint_only_keeps_the_rest_of_the_picture(model: Model, made: Recipes) -> None:
    control = made.control("canny", preprocessor="inpaint_only", mask=made.image("mask"), resize="stretch")
    recipe = made.recipe(control, width=88, height=56)
    assert [type(one) for one in companions(model, recipe)][-1] is Painted
    (done,) = generate(model, [recipe])
    expected = fitted(photo(made), 88, 56, "stretch")
    assert np.abs(pixels(done.image)[:10] - expected[:10].astype(int)).max() == 0
    assert np.abs(pixels(done.image)[25:32, 36:52] - expected[25:32, 36:52].astype(int)).max() > 8
    under_mask = recipe.but(init=made.image("photo"), mask=made.image("mask"), strength=0.9)
    assert not any(isinstance(one, Painted) for one in companions(model, under_mask))


def test_finished_pictures_keep_the_tones_of_the_hint() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    tones = np.repeat(np.random.default_rng(1).integers(60, 200, (8, 8, 1), dtype=np.uint8), 3, axis=2)
    brightness = np.asarray(with_brightness(picture, tones)).max(axis=2)
    assert np.abs(brightness.astype(int) - tones[..., 0]).max() <= 1
    grey = Image.fromarray(np.full((8, 8, 3), 128, np.uint8))
    lightness = cv2.cvtColor(np.asarray(with_lightness(grey, tones)), cv2.COLOR_RGB2LAB)[..., 0]
    assert np.abs(lightness.astype(int) - tones[..., 0]).max() <= 2
    hole = np.dstack((tones, np.zeros((8, 8), np.uint8)))
    assert np.array_equal(np.asarray(pasted(picture, hole)), tones)


def test_tile_colours_twice_as_far_in_a_second_pass(model: Model, made: Recipes) -> None:
    control = made.control("canny", preprocessor="tile_colorfix+sharp", parameters={"variation": 3, "sharpness": 2})
    recipe = made.recipe(control, hires={"scale": 2})
    radii = [one for i in range(2) for one in companions(model, recipe, i) if isinstance(one, Recoloured)]
    assert [(one.radius, one.blur) for one in radii] == [(3, 0.02), (6, 0.02)]
