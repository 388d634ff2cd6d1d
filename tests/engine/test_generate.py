"""From recipe to picture: the same alone or in company, after a stop, from a picture, and under a mask."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fromnoise.engine.conditioning import encode_prompts
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job, Step, generate
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.errors import FileError, UserError
from fromnoise.sampling.guidance import NetworkCall
from fromnoise.sampling.resume import Recording
from tests.engine.models import tiny_model


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def recipe(**changes: object) -> Recipe:
    return Recipe.make(**{"prompt": "a red apple", "width": 64, "height": 64, "steps": 5, **changes})


def latents(model: Model, recipes: list[Recipe], max_batch: int = 8) -> list[Tensor]:
    executor = Executor[int](model, max_batch)
    for i, one in enumerate(recipes):
        executor.add(i, Job(model, one).picture(None, None))
    done = dict(executor.run())
    return [done[i] for i in range(len(recipes))]


def close(a: Tensor, b: Tensor) -> bool:
    return float((a - b).abs().max()) <= 2e-5 * float(a.std())


SAMPLERS = ("euler", "euler_ancestral", "heun", "dpmpp_2m", "dpmpp_2m_sde", "ddim", "lcm")


def test_a_picture_is_the_same_alone_and_in_a_batch_of_five(model: Model) -> None:
    recipes = [recipe(seed=seed, sampler="euler_ancestral") for seed in range(5)]
    together = latents(model, recipes, max_batch=10)
    for one, picture in zip(recipes, together, strict=True):
        assert close(picture, latents(model, [one])[0])


def test_a_picture_is_the_same_interleaved_with_others(model: Model) -> None:
    recipes = [
        recipe(seed=i, sampler=name, steps=3 + i, guidance_scale=1 + i, prompt=f"picture {i}")
        for i, name in enumerate(SAMPLERS)
    ]
    for one, picture in zip(recipes, latents(model, recipes, max_batch=5), strict=True):
        assert close(picture, latents(model, [one])[0]), one.sampler


def test_interleaving_shares_batches(model: Model) -> None:
    executor = Executor[int](model, max_batch=32)
    for i, name in enumerate(SAMPLERS):
        executor.add(i, Job(model, recipe(sampler=name, steps=4)).picture(None, None))
    list(executor.run())
    assert executor.batches == 7  # Heun evaluates 2 * 4 - 1 times, the others less


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_stopped_picture_goes_on_exactly(model: Model, sampler: str) -> None:
    one, recording = recipe(sampler=sampler, seed=3), Recording()
    executor = Executor[str](model)
    executor.add("first", Job(model, one).picture(None, recording))
    for _ in range(2):
        executor.step()
    executor.cancel("first")
    kept = Recording.from_tensors(recording.tensors())
    executor.batches = 0
    executor.add("again", Job(model, one).picture(None, kept))
    (resumed,) = dict(executor.run()).values()
    whole = latents(model, [one])[0]
    assert torch.equal(resumed, whole)
    assert executor.batches == len(kept.answers) - 2


def test_prompt_negative_and_seed_matter(model: Model) -> None:
    base = latents(model, [recipe()])[0]
    for changed in (recipe(prompt="a cat"), recipe(negative="blue"), recipe(seed=1), recipe(guidance_scale=3)):
        assert not torch.allclose(base, latents(model, [changed])[0])


def test_long_prompts_of_different_length_still_make_a_picture(model: Model) -> None:
    long = recipe(prompt="word " * 200, negative="short")
    assert latents(model, [long])[0].isfinite().all()


def test_watch_sees_every_evaluation(model: Model) -> None:
    seen: list[tuple[int, Step]] = []
    list(generate(model, [recipe(), recipe(seed=1)], watch=lambda i, step: seen.append((i, step))))
    assert [(i, step.index) for i, step in seen] == [(i, index) for index in range(5) for i in (0, 1)]
    assert all(step.count == 5 and step.denoised.shape == (1, 4, 8, 8) for _, step in seen)
    sigmas = [float(step.sigma) for i, step in seen if i == 0]
    assert sigmas == sorted(sigmas, reverse=True)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_strength_decides_how_far_a_picture_moves(model: Model, photo: Path) -> None:
    start = Job(model, recipe(init=ImageRef.of(photo), strength=0)).latents
    assert start is not None
    moved = [
        float((latents(model, [recipe(init=ImageRef.of(photo), strength=s)])[0] - start).square().mean())
        for s in (0.0, 0.2, 0.5, 1.0)
    ]
    assert moved[0] == 0
    assert moved == sorted(moved)


def test_unmasked_pixels_come_back_bit_for_bit(model: Model, photo: Path, tmp_path: Path) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 10:50] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    one = recipe(init=ImageRef.of(photo), mask=ImageRef.of(tmp_path / "mask.png"), strength=0.9)
    (made,) = generate(model, [one])
    before, after = np.asarray(Image.open(photo)), np.asarray(made.image)
    assert (after[mask == 0] == before[mask == 0]).all()
    assert (after[mask == 255] != before[mask == 255]).mean() > 0.5


def test_the_kept_part_of_the_latents_is_exact(model: Model, photo: Path, tmp_path: Path) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[:, 32:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    job = Job(model, recipe(init=ImageRef.of(photo), mask=ImageRef.of(tmp_path / "mask.png"), sampler="euler"))
    executor = Executor[int](model)
    executor.add(0, job.picture(None, None))
    ((_, done),) = executor.run()
    assert job.latents is not None
    assert torch.allclose(done[..., :4], job.latents[..., :4], atol=1e-5)


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_families_and_predictions(family: str, prediction: str) -> None:
    (made,) = generate(tiny_model(family, prediction=prediction), [recipe(steps=2)])  # type: ignore[arg-type]
    assert made.image.size == (64, 64)
    assert made.recipe.model_hash == "0" * 64


def test_inpainting_model_sees_mask_and_masked_picture(photo: Path, tmp_path: Path) -> None:
    model, mask = tiny_model(in_channels=9), tmp_path / "mask.png"
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(mask)
    everything = recipe(init=ImageRef.of(photo), mask=ImageRef.of(mask))
    channels = Job(model, everything)._inpaint_channels()
    gray = Job(model, recipe())._inpaint_channels()
    assert channels.shape == (1, 5, 8, 8)
    assert torch.equal(channels, gray)  # nothing of the picture is left to see
    (made,) = generate(model, [everything])
    assert made.image.size == (64, 64)


def test_instruct_model_follows_picture_and_text(photo: Path) -> None:
    model = tiny_model(in_channels=8)
    base = recipe(init=ImageRef.of(photo), steps=3)
    made = latents(model, [base, base.but(image_guidance_scale=3.0), base.but(prompt="make it blue")])
    assert not torch.allclose(made[0], made[1])
    assert not torch.allclose(made[0], made[2])


def test_each_step_in_half_precision_stays_near(model: Model) -> None:
    rough, seen = tiny_model(dtype=torch.bfloat16), list[Step]()
    list(generate(model, [recipe(guidance_scale=1)], watch=lambda _, step: seen.append(step)))
    cond = encode_prompts(model, recipe()).cond
    for step in seen:
        (exact,), (near,) = (Executor[int](m).answer([NetworkCall(step.x, step.sigma, cond)]) for m in (model, rough))
        noise = (step.x - exact) / step.sigma
        assert float((exact - near).norm() / (step.sigma * noise.norm())) < 3e-2


def test_a_changed_start_picture_is_noticed(model: Model, photo: Path) -> None:
    one = recipe(init=ImageRef.of(photo))
    Image.new("RGB", (64, 64)).save(photo)
    with pytest.raises(FileError, match="has changed"):
        Job(model, one)


def test_the_wrong_model_is_noticed(model: Model) -> None:
    with pytest.raises(UserError, match="not the file of the recipe"):
        Job(model, recipe(model_hash="1" * 64))
