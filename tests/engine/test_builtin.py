"""The model that comes with the package: small, ordinary, and it listens."""

import numpy as np
import pytest

from bench.builtin import LAB_DISTANCE
from bench.features import background, lab
from fromnoise.checkpoints.merge import blocks_of
from fromnoise.engine import library
from fromnoise.engine.generate import Step, generate
from fromnoise.engine.library import Model
from fromnoise.engine.losses import psnr
from fromnoise.engine.memory import place
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.shelves import BUILTIN_BLOCKS
from fromnoise.train.emoji import BACKGROUNDS

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def model() -> Model:
    return library.load("builtin", place("cpu", "float32"))


def test_it_is_small_enough_to_come_along() -> None:
    assert library.builtin().stat().st_size <= 64 * MEGABYTE


def test_it_is_an_ordinary_checkpoint(model: Model) -> None:
    assert (model.facts.family, model.facts.task, model.facts.prediction) == ("sd1", "base", "v")
    assert model.text[0].config.vocab_size == 49408
    assert model.vae.config.downscale == 8
    assert len(blocks_of(model.facts.unet)) == BUILTIN_BLOCKS


def test_most_backgrounds_are_as_asked_in_both_languages(model: Model) -> None:
    asked = ["white", "black", "light blue", "pink", "green", "navy"]
    prompts = [f"sun, 3d style, {name} background" for name in asked]
    prompts += [f"苹果，扁平风格，{BACKGROUNDS[name][0]}背景" for name in asked]
    side = model.defaults.size
    recipes = [
        Recipe.make(prompt=prompt, seed=i, width=side, height=side, steps=12, guidance_scale=4)
        for i, prompt in enumerate(prompts)
    ]
    right = 0
    for made in generate(model, recipes, max_batch=24):
        wanted = lab(np.array([[BACKGROUNDS[asked[made.index % len(asked)]][1]]], np.uint8))[0, 0]
        right += float(np.linalg.norm(background(np.asarray(made.image)) - wanted)) <= LAB_DISTANCE
    assert right >= 9


def test_bfloat16_draws_the_picture_of_float32(model: Model) -> None:
    """Rounding is below what an eye sees: 40 dB, after twenty steps."""
    side = model.defaults.size
    recipes = [Recipe.make(prompt="a red apple", seed=seed, width=side, height=side) for seed in range(2)]
    rough = library.load("builtin", place("cpu", "bfloat16"))
    for one, other in zip(generate(model, recipes), generate(rough, recipes), strict=True):
        assert psnr(*(np.asarray(made.image, np.float64) for made in (one, other))) >= 40


def test_heun_has_a_schedule_that_does_not_overshoot(model: Model) -> None:
    """After its first step latents are as noisy as they should be; under even timesteps more than twice as noisy."""
    noise: dict[str | None, float] = {}

    def look(index: int, step: Step) -> None:
        if step.index == 2:
            noise[schedules[index]] = float(step.x.std() / (1 + step.sigma**2).sqrt())

    schedules = [None, "sgm_uniform"]
    recipes = [
        Recipe.make(
            prompt="a red apple", seed=3, width=64, height=64, steps=12, sampler="heun", schedule=name, guidance_scale=2
        )
        for name in schedules
    ]
    list(generate(model, recipes, watch=look))
    assert model.schedule("heun") == "karras"
    assert noise[None] == pytest.approx(1, abs=0.1)
    assert noise["sgm_uniform"] > 2
