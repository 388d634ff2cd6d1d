"""What is shown of how a picture comes about, and that showing it changes nothing."""

from collections.abc import Sequence

import pytest
import torch

from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job, generate
from fromnoise.engine.library import Model, load
from fromnoise.engine.memory import place
from fromnoise.engine.previews import Previewer
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.trace import Look, Tracer, words_of
from fromnoise.nn.attention_probe import AttentionProbe

RECIPE = Recipe(prompt="a red apple, shining", width=64, height=64, steps=3, guidance_scale=4, seed=3, sampler="euler")


@pytest.fixture(scope="module")
def model() -> Model:
    return load("builtin", place("cpu", "float32"))


def traced(model: Model, recipes: Sequence[Recipe]) -> tuple[list[list[Look]], list[bytes]]:
    """The looks of each recipe, and the pictures, made side by side."""
    looks: list[list[Look]] = [[] for _ in recipes]
    executor, jobs = Executor[int](model), [Job(model, recipe) for recipe in recipes]
    previewer = Previewer(model)
    with torch.inference_mode():
        for number, job in enumerate(jobs):
            tracer = Tracer(model, job.recipe, previewer, looks[number].append)
            executor.add(number, tracer.listening(job.picture(tracer.watch, None)))
        made = {number: jobs[number].finish(latents).tobytes() for number, latents in executor.run()}
    return looks, [made[number] for number in range(len(jobs))]


def test_looking_changes_no_pixel(model: Model) -> None:
    recipes = [RECIPE, RECIPE.but(seed=4, steps=2, prompt="a cat AND a dog"), RECIPE.but(guidance_scale=1)]
    looks, pictures = traced(model, recipes)
    plain = [made.image.tobytes() for made in sorted(generate(model, recipes), key=lambda made: made.index)]
    assert pictures == plain
    assert [len(one) for one in looks] == [3, 2, 3]


def test_every_step_shows_where_it_looked(model: Model) -> None:
    ((first, *_, last),), _ = traced(model, [RECIPE])
    assert (first.index, last.index, first.count) == (0, 2, 3)
    assert first.sigma > last.sigma > 0
    assert last.predicted.size == (64, 64)
    side = 64 // model.vae.config.downscale
    assert [image.size for image in last.channels] == [(side, side)] * model.vae.config.latent_channels
    assert (last.noise.size, last.noisy.size) == ((side, side), (side, side))
    assert [word.text for word in last.words] == ["a", "red", "apple", "shining"]
    assert last.maps is not None
    assert last.maps.shape[0] == 4
    assert last.maps.amax(dim=(1, 2)).tolist() == pytest.approx([1.0] * 4)
    assert not torch.equal(last.maps[1], last.maps[2])


def test_shares_of_attention_add_up_to_one(model: Model) -> None:
    probe = AttentionProbe()
    context = torch.randn(1, 77, model.unet.config.context_dim)
    with torch.inference_mode(), probe.applied(model.unet):
        model.unet(torch.randn(1, 4, 8, 8), torch.tensor([500.0]), context)
    maps = probe.maps(8, 8)
    assert maps is not None
    assert torch.allclose(maps.sum(dim=0), torch.ones(maps.shape[1:]), atol=1e-5)
    assert not any(module._forward_pre_hooks for module in model.unet.modules())


def test_words_are_whole_and_know_their_places() -> None:
    words = words_of(Recipe(prompt="an (extraordinarily:1.2) red apple!"), 0)
    assert [word.text for word in words] == ["an", "extraordinarily", "red", "apple"]
    assert words[0].tokens == (1,)
    assert sum(len(word.tokens) for word in words) == max(place for word in words for place in word.tokens)
    later = words_of(Recipe(prompt="a [cat:dog:0.5]", steps=10), 9)
    assert [word.text for word in later] == ["a", "dog"]
