"""The pictures that controls see: resized, masked, and made for each pass."""

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise.adapters.controlnet import ControlHint
from fromnoise.adapters.t2i_adapter import AdapterHint
from fromnoise.engine.control import in_squares
from fromnoise.engine.generate import Job, generate
from fromnoise.engine.hints import hint_picture, hint_tensor, nearest
from fromnoise.engine.library import Model
from fromnoise.errors import UserError
from fromnoise.preprocessors.registry import Picture
from fromnoise.preprocessors.sizes import fitted
from fromnoise.settings import Settings

from .making import Recipes, brought, photo


def hint(made: Recipes, control: dict[str, Any], size: tuple[int, int] = (64, 64), **given: Any) -> Picture:
    recipe = made.recipe(control, **given)
    return hint_picture(recipe, recipe.controls[0], *size, None, Settings())


def test_hints_are_resized_as_the_profile_does(made: Recipes) -> None:
    image, control = photo(made), made.control()
    assert np.array_equal(hint(made, control), fitted(image, 64, 64, "crop"))
    assert np.array_equal(hint(made, control, profile="a1111"), fitted(image, 64, 64, "crop"))
    lanczos = np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.LANCZOS))
    assert np.array_equal(hint(made, control, profile="diffusers"), lanczos)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    cut = torch.nn.functional.interpolate(tensor[..., 15:75], size=(64, 64), mode="nearest-exact")
    expected = cut[0].permute(1, 2, 0).to(torch.uint8).numpy()
    assert np.array_equal(hint(made, control, profile="comfyui"), expected)
    for mode in ("crop", "stretch", "fill"):
        assert np.array_equal(hint(made, {**control, "resize": mode}), fitted(image, 64, 64, mode))
    assert nearest(image, 90, 60, "stretch").tolist() == image.tolist()


def test_a_preprocessor_works_at_its_resolution_or_the_pictures(made: Recipes) -> None:
    image = photo(made)
    canny = made.control(preprocessor="canny", parameters={"low": 50, "high": 90})
    plain = cv2.Canny(
        np.pad(cv2.resize(image, (96, 64), interpolation=cv2.INTER_CUBIC), ((0, 0), (0, 32), (0, 0)), mode="edge"),
        50,
        90,
    )
    expected = np.repeat(plain[:, :96, None], 3, axis=2)
    at_64 = hint(made, {**canny, "resolution": 64}, size=(96, 64))
    assert np.array_equal(at_64, expected)
    assert np.array_equal(hint(made, {**canny, "pixel_perfect": True}, size=(96, 64)), expected)
    assert not np.array_equal(hint(made, canny, size=(96, 64)), expected)


def test_the_start_picture_is_the_hint_where_there_is_no_other(made: Recipes) -> None:
    control = {**made.control(preprocessor="inpaint"), "image": None}
    found = hint(made, control, init=made.image("photo"), mask=made.image("mask"), resize="stretch", size=(90, 60))
    assert np.array_equal(found[..., :3], photo(made))
    assert np.array_equal(found[..., 3], np.asarray(Image.open(made.folder / "mask.png")))


def test_what_is_to_be_painted_anew_is_minus_one() -> None:
    picture = np.full((8, 8, 4), 51, np.uint8)
    picture[..., 3] = 0
    picture[2:4, 2:4, 3] = 255
    tensor = hint_tensor(picture, 3)
    assert tensor.shape == (1, 3, 8, 8)
    assert (tensor[..., 2:4, 2:4] == -1).all()
    assert tensor[0, 0, 0, 0] == pytest.approx(0.2)
    assert hint_tensor(picture[..., :3], 1).shape == (1, 1, 8, 8)
    with pytest.raises(UserError, match="hints of 5 channels"):
        hint_tensor(picture, 5)


def test_only_the_masked_part_is_the_hint(model: Model, made: Recipes) -> None:
    recipe = made.recipe(
        {**made.control(preprocessor="tile_resample"), "image": None},
        init=made.image("photo"), mask=made.image("mask"), inpaint={"only_masked": True, "padding": 4}, strength=0.5,
    )  # fmt: skip
    job = Job(model, recipe)
    assert job.start is not None
    assert job.start.box is not None
    found = hint_picture(recipe, recipe.controls[0], 64, 64, job.start, Settings())
    expected = fitted(np.asarray(Image.open(made.folder / "photo.png").crop(job.start.box)), 64, 64, "stretch")
    assert np.array_equal(found, expected)
    list(generate(model, [recipe]))


def test_hints_of_a_second_pass_have_its_size(model: Model, made: Recipes) -> None:
    recipe = made.recipe(made.control(), made.control("adapter", passes="first"), hires={"scale": 2, "strength": 0.6})
    first, second = (brought(model, recipe, number=i) for i in range(2))
    assert [type(one) for one in first] == [ControlHint, AdapterHint]
    assert [type(one) for one in second] == [ControlHint]
    assert [one.guided.shape[-1] for one in (first[0], second[0]) if isinstance(one, ControlHint)] == [8, 16]
    assert not brought(model, made.recipe(made.control(passes="second"), hires={"scale": 2}))
    assert brought(model, made.recipe(made.control(passes="second")))  # without a second pass it does not matter
    (done,) = generate(model, [recipe])
    assert done.image.size == (128, 128)


def test_thin_lines_act_softly_in_a_second_pass_of_a1111(model: Model, made: Recipes) -> None:
    control = made.control(preprocessor="canny")
    for profile, soft in (("a1111", True), ("native", False)):
        recipe = made.recipe(control, profile=profile, hires={"scale": 2})
        (first,), (second,) = (brought(model, recipe, number=i) for i in range(2))
        assert isinstance(first, ControlHint)
        assert isinstance(second, ControlHint)
        assert first.scales == (1.0,) * 5
        assert (second.scales != first.scales) == soft


def test_squares_are_filled() -> None:
    assert in_squares(torch.zeros(1, 3, 64, 72), 8).shape == (1, 3, 64, 72)
    assert in_squares(torch.zeros(1, 3, 64, 72), 16).shape == (1, 3, 64, 80)
