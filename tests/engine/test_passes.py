"""Second passes, enlarging, and models that take over."""

from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch import Tensor

from fromnoise.engine.enlarge import covering, enlarged_image, enlarged_latents
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job, Step, generate
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_parts import Hires
from fromnoise.errors import UnknownName, UserError
from fromnoise.sampling.resume import Recording
from fromnoise.upscalers import LATENT_UPSCALERS, UPSCALERS
from fromnoise.upscalers.work import Work
from tests.engine.models import tiny_model


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture(scope="module")
def refiner() -> Model:
    """Another model of the same kind."""
    other = tiny_model()
    for parameter in other.unet.parameters():
        parameter.mul_(-1)
    return replace(other, sha256="f" * 64)


def recipe(**changes: object) -> Recipe:
    base = {"prompt": "a red apple", "width": 64, "height": 64, "steps": 4, "sampler": "euler_ancestral", "seed": 2}
    return Recipe.make(**{**base, **changes})


def latents(model: Model, one: Recipe, refiner: Model | None = None) -> Tensor:
    executor = Executor[int](model, refiner=refiner)
    executor.add(0, Job(model, one, refiner).picture(None, None))
    ((_, done),) = executor.run()
    return done


def steps(model: Model, one: Recipe, refiner: Model | None = None) -> list[Step]:
    seen: list[Step] = []
    list(generate(model, [one], refiner=refiner, watch=lambda _, step: seen.append(step)))
    return seen


# --- second pass ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["native", "a1111", "comfyui", "diffusers"])
@pytest.mark.parametrize("upscaler", ["latent", "lanczos", "Latent (bicubic antialiased)", "builtin"])
def test_the_picture_grows(model: Model, profile: str, upscaler: str) -> None:
    one = recipe(profile=profile, steps=2, hires={"scale": 1.5, "upscaler": upscaler, "strength": 0.6})
    (made,) = generate(model, [one])
    assert made.image.size == (96, 96)


@pytest.mark.parametrize(("profile", "counts"), [("native", (4, 3)), ("a1111", (4, 3)), ("diffusers", (4, 1))])
def test_steps_of_both_passes(model: Model, profile: str, counts: tuple[int, int]) -> None:
    seen = steps(model, recipe(profile=profile, hires={"steps": 3, "strength": 0.5}))
    sizes = [step.x.shape[-1] for step in seen]
    assert sizes == [8] * counts[0] + [16] * counts[1]
    assert all(step.count == sum(counts) for step in seen)
    assert [step.index for step in seen] == list(range(sum(counts)))


def test_the_first_pass_is_the_picture_without_a_second(model: Model) -> None:
    alone = steps(model, recipe())
    both = steps(model, recipe(hires={"prompt": "a cat"}))
    for one, other in zip(alone, both, strict=False):
        assert torch.equal(one.denoised, other.denoised)


def test_the_second_pass_starts_from_the_enlarged_first(model: Model) -> None:
    first = latents(model, recipe())
    weak = latents(model, recipe(hires={"strength": 0.0}))
    assert torch.equal(weak, enlarged_latents(first, 16, 16, LATENT_UPSCALERS["latent"]))
    distances = [
        float((latents(model, recipe(hires={"strength": s}, sampler="euler")) - weak).norm()) for s in (0.1, 0.9)
    ]
    assert distances[0] < distances[1]


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a cat"}, {"negative": "fog"}, {"guidance_scale": 3.0}, {"sampler": "heun"}, {"schedule": "karras"},
        {"seed": 9},
    ],
)  # fmt: skip
def test_what_the_second_pass_may_have_of_its_own(model: Model, change: dict[str, object]) -> None:
    base = latents(model, recipe(hires={"strength": 0.5}))
    assert not torch.allclose(base, latents(model, recipe(hires={"strength": 0.5, **change})), rtol=1e-3)


def test_moments_beyond_one_lie_in_the_second_pass(model: Model) -> None:
    def guesses(prompt: str) -> list[Tensor]:
        return [step.denoised for step in steps(model, recipe(prompt=prompt, hires={"strength": 0.5}))]

    edited, cat, dog = (guesses(prompt) for prompt in ("a [cat:dog:1.5]", "a cat", "a dog"))
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(edited, cat, strict=True)]
    assert same == [True] * 6 + [False] * 2
    early = guesses("a [cat:dog:0.5]")  # over before the second pass begins
    assert torch.allclose(early[1], cat[1], atol=1e-5)
    assert not torch.allclose(early[3], cat[3], atol=1e-5)
    assert not torch.allclose(dog[0], cat[0], atol=1e-5)


@pytest.mark.parametrize("stop", [2, 6])
def test_a_picture_goes_on_in_either_pass(model: Model, stop: int) -> None:
    one, recording = recipe(prompt="a [cat|dog]", profile="a1111", hires={"upscaler": "lanczos"}), Recording()
    executor = Executor[int](model)
    executor.add(0, Job(model, one).picture(None, recording))
    for _ in range(stop):
        executor.step()
    executor.add(0, Job(model, one).picture(None, Recording.from_tensors(recording.tensors())))
    ((_, resumed),) = executor.run()
    assert torch.equal(resumed, latents(model, one))


def test_pictures_with_and_without_a_second_pass_run_together(model: Model) -> None:
    recipes = [recipe(), recipe(hires={"strength": 0.5}), recipe(profile="comfyui")]
    executor = Executor[int](model)
    for i, one in enumerate(recipes):
        executor.add(i, Job(model, one).picture(None, None))
    for i, made in executor.run():
        alone = latents(model, recipes[i])
        assert float((made - alone).abs().max()) <= 2e-5 * float(alone.std())


@pytest.mark.parametrize(
    ("hires", "size"),
    [
        ({"scale": 2}, (1024, 1536)),
        ({"scale": 1.3}, (664, 992)),
        ({"width": 768}, (768, 1152)),
        ({"height": 1152}, (768, 1152)),
        ({"width": 640, "height": 640}, (640, 640)),
    ],
)
def test_size_of_the_second_pass(hires: dict[str, int], size: tuple[int, int]) -> None:
    assert Hires.model_validate(hires).size(512, 768) == size


@pytest.mark.parametrize("name", LATENT_UPSCALERS)
def test_latents_cover_the_new_size_and_are_cut(name: str) -> None:
    ramp = torch.arange(8.0).expand(1, 4, 8, 8)
    made = enlarged_latents(ramp, 8, 16, LATENT_UPSCALERS[name])
    assert made.shape == (1, 4, 8, 16)
    assert (made.diff(dim=-1) >= -1e-5).all()  # still a ramp
    assert float(made.mean()) == pytest.approx(3.5, abs=1e-4)


def test_pixels_cover_the_new_size_and_are_cut() -> None:
    assert covering(64, 64, 64, 128) == (128, 128)
    image = Image.new("RGB", (64, 64), "red")
    image.paste("blue", (0, 0, 64, 32))
    made = enlarged_image(image, 64, 128, UPSCALERS["nearest"].make(), Work())
    assert made.size == (128, 64)
    assert made.getpixel((0, 31)) == (0, 0, 255)
    assert made.getpixel((0, 32)) == (255, 0, 0)


def test_an_unknown_upscaler_is_named(model: Model) -> None:
    with pytest.raises(UnknownName, match="unknown upscaler 'lanzcos'; did you mean 'Lanczos'"):
        Job(model, recipe(hires={"upscaler": "lanzcos"}))


# --- refiner ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("switch_at", [0.0, 0.5, 1.0])
def test_the_refiner_takes_over_at_its_share(model: Model, refiner: Model, switch_at: float) -> None:
    one = recipe(refiner={"model": "other", "switch_at": switch_at}, sampler="euler", schedule="normal", steps=5)
    plain, refined = steps(model, one.but(refiner=None)), steps(model, one, refiner)
    same = [torch.allclose(a.denoised, b.denoised, atol=1e-5) for a, b in zip(plain, refined, strict=True)]
    timesteps = [999, 749.25, 499.5, 249.75, 0]
    assert same == [(999 - t) / 1000 <= switch_at for t in timesteps]


def test_a_refiner_of_another_kind_has_its_own_conditioning() -> None:
    base, refiner = tiny_model("sdxl"), tiny_model("sd1")
    one = recipe(refiner={"model": "other", "switch_at": 0.5})
    (made,) = generate(base, [one], refiner=refiner)
    assert made.recipe.refiner is not None
    assert made.recipe.refiner.model_hash == refiner.sha256


def test_the_refiner_waits_for_the_second_pass(model: Model, refiner: Model) -> None:
    one = recipe(hires={"strength": 0.5}, refiner={"model": "other", "switch_at": 0.2})
    plain, refined = steps(model, one.but(refiner=None)), steps(model, one, refiner)
    same = [torch.allclose(a.denoised, b.denoised, atol=1e-5) for a, b in zip(plain, refined, strict=True)]
    assert same[:4] == [True] * 4
    assert not same[-1]


def test_a_missing_or_wrong_refiner_is_noticed(model: Model, refiner: Model) -> None:
    with pytest.raises(UserError, match="finished by the model other: load it, too"):
        Job(model, recipe(refiner={"model": "other"}))
    with pytest.raises(UserError, match="other: not the file of the recipe"):
        Job(model, recipe(refiner={"model": "other", "model_hash": "1234567890"}), refiner)


def test_the_beginning_of_a_hash_is_enough(model: Model) -> None:
    assert Job(model, recipe(model_hash="0" * 10)).recipe.model_hash == "0" * 64
