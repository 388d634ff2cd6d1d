"""Step reuse in recipes: which evaluations run the whole network, and that pictures do not see each other."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fromnoise.engine.company import read
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job, generate
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.verify import made_again
from fromnoise.errors import UserError
from fromnoise.sampling.resume import Recording
from tests.engine.models import tiny_model

STEPS = 7


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def recipe(**changes: object) -> Recipe:
    base = {
        "prompt": "a red apple", "negative": "blue", "width": 64, "height": 64, "steps": STEPS, "sampler": "euler",
        "seed": 2, "guidance_scale": 6.0, "step_reuse": {"every": 3, "blocks": 1},
    }  # fmt: skip
    return Recipe.make(**{**base, **changes})


@contextmanager
def counting(model: Model) -> Iterator[list[int]]:
    """How many calls ran the middle of the network, batch for batch."""
    ran: list[int] = []

    def note(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        ran.append(len(output))

    hook = model.unet.middle_block.register_forward_hook(note)
    try:
        yield ran
    finally:
        hook.remove()


def latents(model: Model, *recipes: Recipe, recordings: list[Recording] | None = None) -> list[Tensor]:
    executor = Executor[int](model, max_batch=16)
    for index, one in enumerate(recipes):
        executor.add(index, Job(model, one).picture(None, recordings[index] if recordings else None))
    made = dict(executor.run())
    return [made[index] for index in range(len(recipes))]


def test_one_of_so_many_evaluations_runs_all_of_the_network(model: Model) -> None:
    with counting(model) as ran:
        latents(model, recipe())
    assert ran == [2, 2, 2]  # of seven: the first, the fourth and the last, both sides of guidance at once
    with counting(model) as ran:
        latents(model, recipe(step_reuse={"every": 2}, guidance_scale=1))
    assert ran == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("changes", "whole"),
    [
        ({}, 3),
        ({"prompt": "[a pear:an apple:0.6]"}, 4),  # its first evaluation is whole, too
        ({"guidance": {"skip": {"early": 0.2}}}, 4),  # the negative prompt comes in late
        ({"guidance": {"perturbed": {}}}, 3),
        ({"regional": {"regions": [{"prompt": "a pear", "width": 0.5}]}}, 3),
        ({"tiles": {"width": 16, "height": 16, "overlap": 4}, "width": 160}, 3),
        ({"free_u": {}, "token_merging": {}, "seamless": {}}, 3),
        ({"sampler": "heun"}, 5),  # 13 evaluations
        ({"sampler": "euler_cfg_pp", "guidance_scale": 2}, 3),
    ],
)
def test_it_goes_along_with_the_rest(model: Model, changes: dict[str, object], whole: int) -> None:
    """The whole network runs as seldom, and the picture is near the one without, but another."""
    with counting(model) as ran:
        (reused,) = latents(model, recipe(**changes))
    assert len({id(model.unet.middle_block)}) == 1
    (plain,) = latents(model, recipe(**changes, step_reuse=None))
    with counting(model) as every:
        latents(model, recipe(**changes, step_reuse=None))
    assert sum(ran) < sum(every)
    assert not torch.equal(reused, plain)
    assert float((reused - plain).std()) < 0.5 * float(plain.std())
    with counting(model) as ran:
        executor = Executor[int](model, max_batch=64)
        executor.add(0, Job(model, recipe(**changes)).picture(None, None))
        evaluations = 0
        while executor.waiting or executor.finished:
            before = len(ran)
            executor.step()
            evaluations += len(ran) > before
    assert evaluations == whole


def test_each_picture_is_as_alone(model: Model) -> None:
    recipes = [
        recipe(), recipe(seed=3, prompt="a blue fish"), recipe(step_reuse={"every": 2, "blocks": 1}),
        recipe(step_reuse={"every": 3, "blocks": 2}), recipe(step_reuse=None), recipe(sampler="dpmpp_2m", steps=4),
        recipe(hires={"scale": 1.5, "strength": 0.9}),
    ]  # fmt: skip
    for one, together in zip(recipes, latents(model, *recipes), strict=True):
        (alone,) = latents(model, one)
        assert float((together - alone).abs().max()) <= 5e-5 * float(alone.std())


def test_alike_pictures_share_batches(model: Model) -> None:
    executor = Executor[int](model, max_batch=16)
    for index in range(2):
        executor.add(index, Job(model, recipe(seed=index)).picture(None, None))
    list(executor.run())
    assert executor.batches == STEPS


@pytest.mark.parametrize("stopped", range(1, 2 * STEPS - 1))
def test_a_resumed_picture_is_the_same_bit_for_bit(model: Model, stopped: int) -> None:
    one = recipe(hires={"scale": 1.5, "strength": 0.99}, prompt="[a pear:an apple:0.6]")
    (whole,) = latents(model, one)
    recording, executor = Recording(), Executor[int](model)
    executor.add(0, Job(model, one).picture(None, recording))
    for _ in range(stopped):
        executor.step()
    assert len(recording.answers) == stopped
    kept = Recording.from_tensors(recording.tensors())
    with counting(model) as ran:
        (resumed,) = latents(model, one, recordings=[kept])
    assert ran[0] == 2  # it begins with the whole network
    assert torch.equal(resumed, whole)


def test_a_picture_made_among_others_is_made_again_bit_for_bit(model: Model) -> None:
    recipes = [recipe(), recipe(seed=3, step_reuse={"every": 2, "blocks": 1}), recipe(seed=4), recipe(step_reuse=None)]
    for made in generate(model, recipes, max_batch=5):
        again, _ = made_again(model, None, recipes[made.index], max_batch=8, company=read(made.company))
        assert np.array_equal(np.asarray(again.image), np.asarray(made.image))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"controls": [{"model": "canny", "image": {"path": "a.png"}}]}, "controls"),
        ({"guidance": {"self_attention": {}}}, "self_attention"),
        ({"step_reuse": {"every": 1}}, "every"),
        ({"step_reuse": {"blocks": 0}}, "blocks"),
    ],
)
def test_what_does_not_go_with_it(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        recipe(**changes)


def test_a_network_with_too_few_blocks(model: Model) -> None:
    with pytest.raises(UserError, match="tiny has 4 blocks: let at most 3 run"):
        Job(model, recipe(step_reuse={"blocks": 4}))
