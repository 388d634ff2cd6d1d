"""Axes of a recipe's parts: what each changes, and what it can't change."""

from typing import Any

import pytest

from fromnoise.engine.recipe import Recipe
from fromnoise.engine.sheets.axes import points_of
from fromnoise.errors import UnknownName, UserError

BASE = Recipe.make(prompt="a cat", seed=3, hires={"scale": 2}, refiner={"model": "other"})


@pytest.mark.parametrize(
    ("label", "values", "part", "field", "wanted"),
    [
        ("Hires steps", "3, 0", "hires", "steps", [3, None]),
        ("Hires sampler", "Euler a, DPM++ 2M Karras", "hires", "sampler", ["euler_ancestral", "dpmpp_2m"]),
        ("Hires upscaler", "Latent, Lanczos", "hires", "upscaler", ["Latent", "Lanczos"]),
        ("Refiner checkpoint", "one, two", "refiner", "model", ["one", "two"]),
        ("Refiner switch at", "0.5, 0.7", "refiner", "switch_at", [0.5, 0.7]),
        ("VAE", "mse, other", "vae", "name", ["mse", "other"]),
        ("RNG source", "GPU, cpu, NV", "noise", "source", [None, "cpu", "nv"]),
        ("Initial noise multiplier", "0.9-1.1 [3]", "noise", "multiplier", [0.9, 1.0, 1.1]),
        ("Extra noise", "0.1", "noise", "extra", [0.1]),
        ("Var. seed", "5-7", "variation", "seed", [5, 6, 7]),
        ("Var. strength", "0.2, 0.4", "variation", "strength", [0.2, 0.4]),
        ("Face restore", "CodeFormer, GFPGAN", "restore_faces", "by", ["codeformer", "gfpgan"]),
        ("Token merging ratio", "0.2", "token_merging", "ratio", [0.2]),
        ("Token merging ratio high-res", "0.4", "token_merging", "hires_ratio", [0.4]),
    ],
)
def test_a_part_is_changed(label: str, values: str, part: str, field: str, wanted: list[Any]) -> None:
    made = [point.change(BASE) for point in points_of(label, values)]
    found = [getattr(getattr(recipe, part), field) for recipe in made]
    assert found == [pytest.approx(one) if isinstance(one, float) else one for one in wanted]
    assert all(recipe.prompt == "a cat" and recipe.hires is not None for recipe in made)


def test_nothing_takes_a_part_away() -> None:
    for label, part in (("VAE", "vae"), ("Refiner checkpoint", "refiner"), ("Face restore", "restore_faces")):
        (point,) = points_of(label, "None")
        assert getattr(point.change(BASE), part) is None


def test_guidance_and_sampler_options_keep_the_rest() -> None:
    (point,) = points_of("Negative Guidance minimum sigma", "1.5")
    base = BASE.but(guidance={"skip": {"early": 0.2}})
    skip = point.change(base).guidance.skip  # type: ignore[union-attr]
    assert (skip.below, skip.early) == (1.5, 0.2)  # type: ignore[union-attr]
    (order,) = points_of("UniPC Order", "2")
    assert order.change(BASE.but(sampler="uni_pc")).sampler_options == {"order": 2}


def test_what_is_not_there_can_not_be_changed() -> None:
    plain = Recipe.make(prompt="a cat")
    for label, values, said in (("Hires steps", "3", "second pass"), ("Refiner switch at", "0.5", "no refiner")):
        with pytest.raises(UserError, match=said):
            points_of(label, values)[0].change(plain)
    with pytest.raises(UnknownName, match="cpu"):
        points_of("RNG source", "TPU")
