"""Latents stay on the device that computes, from the noise to the last step; the pixels are those of a processor."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils._pytree import tree_map

from fromnoise.engine.blame import Overflow
from fromnoise.engine.doubts import LATE
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job, Step, generate
from fromnoise.engine.library import Model
from fromnoise.engine.memory import Placement
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.nn.unet import UNet
from fromnoise.nn.vae import AutoencoderKL
from fromnoise.sampling.resume import Recording
from fromnoise.sampling.samplers import SAMPLERS, Sampler
from tests.elsewhere import ELSEWHERE, Elsewhere, Played, opened, played
from tests.engine.models import tiny_model

RECIPE = Recipe.make(prompt="a red apple", width=64, height=64, steps=4, sampler="euler", guidance_scale=4.0)


def there(one: object) -> object:
    return Elsewhere(one) if isinstance(one, Tensor) else one


def computing_there(patch: pytest.MonkeyPatch, where: type, what: str) -> None:
    """A network whose weights are there: it takes tensors from there alone, and gives such."""
    real: Callable[..., Tensor] = getattr(where, what)

    def working(self: object, *given: object, **named: object) -> object:
        for one in (*given, *named.values()):
            assert not isinstance(one, Tensor) or isinstance(one, Elsewhere), "the network is shown what is not there"
        opened_named: Mapping[str, object] = tree_map(opened, named)
        return tree_map(there, real(self, *tree_map(opened, given), **opened_named))

    patch.setattr(where, what, working)


@pytest.fixture
def model() -> Model:
    return replace(tiny_model(), placement=Placement(ELSEWHERE, torch.float32))


@contextmanager
def away() -> Iterator[Played]:
    """Inside, U-Net and autoencoder compute there."""
    with pytest.MonkeyPatch.context() as patch, played() as seen:
        computing_there(patch, UNet, "forward")
        computing_there(patch, AutoencoderKL, "decode")
        computing_there(patch, AutoencoderKL, "encode")
        yield seen


def pictures(folder: Path) -> dict[str, object]:
    """A start picture and a mask."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "photo.png")
    grey = np.zeros((64, 64), np.uint8)
    grey[16:48, 8:40] = 255
    Image.fromarray(grey).save(folder / "mask.png")
    return {name: ImageRef.of(folder / f"{name}.png").model_dump() for name in ("photo", "mask")}


def recipes(folder: Path) -> dict[str, Recipe]:
    found = pictures(folder)
    painting = {"init": found["photo"], "mask": found["mask"], "strength": 0.7}
    region = {"prompt": "a dog", "left": 0.0, "top": 0.0, "width": 0.5, "height": 1.0}
    return {
        "plain": RECIPE,
        "noise at each step": RECIPE.but(sampler="euler_ancestral"),
        "Brownian noise": RECIPE.but(sampler="dpmpp_2m_sde"),
        "a start picture": RECIPE.but(init=found["photo"], strength=0.5),
        "a mask": RECIPE.but(**painting),
        "a mask, ComfyUI's way": RECIPE.but(profile="comfyui", **painting),
        "a mask, AUTOMATIC1111's way": RECIPE.but(profile="a1111", **painting),
        "a gradual mask": RECIPE.but(**painting, inpaint={"gradual": True}),
        "a soft mask": RECIPE.but(**painting, inpaint={"soft": {}}),
        "a second pass": RECIPE.but(hires={"scale": 2.0, "steps": 2, "strength": 0.6, "upscaler": "Latent"}),
        "regions": RECIPE.but(regional={"regions": [region, {**region, "left": 0.5, "mask": found["mask"]}]}),
        "tiles": RECIPE.but(width=192, tiles={"width": 16, "height": 16, "overlap": 4}),
        "inversion": RECIPE.but(init=found["photo"], strength=1.0, inversion={"steps": 3}),
        "momentum": RECIPE.but(guidance={"projected": {"momentum": -0.5}}),
        "rescale": RECIPE.but(guidance={"rescale": {"share": 0.7}}),
        "two guides at once": RECIPE.but(guidance={"perturbed": {"scale": 2.0}}),
        "step reuse": RECIPE.but(step_reuse={"every": 2, "blocks": 1}),
    }


NAMES = (
    "plain", "noise at each step", "Brownian noise", "a start picture", "a mask", "a mask, ComfyUI's way",
    "a mask, AUTOMATIC1111's way", "a gradual mask", "a soft mask", "a second pass", "regions", "tiles", "inversion",
    "momentum", "rescale", "two guides at once", "step reuse",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_the_same(name: str, model: Model, tmp_path: Path) -> None:
    recipe = recipes(tmp_path)[name]
    (wanted,) = generate(tiny_model(), [recipe])
    with away():
        (made,) = generate(model, [recipe])
    assert made.image.tobytes() == wanted.image.tobytes()


def steps_of(model: Model, recipe: Recipe) -> tuple[list[Step], list[int]]:
    """The steps of a picture, and how often numbers had been waited for at each."""
    seen: list[Step] = []
    waits: list[int] = []
    with away() as device:

        def watch(step: Step) -> None:
            seen.append(step)
            waits.append(device.waits)

        executor = Executor[int](model)
        executor.add(0, Job(model, recipe).picture(watch, None))
        list(executor.run())
    return seen, waits


def test_no_step_waits_for_the_device(model: Model) -> None:
    seen, waits = steps_of(model, RECIPE.but(steps=3 * LATE, sampler="euler_ancestral"))
    assert all(step.x.device == step.denoised.device == ELSEWHERE for step in seen)
    assert all(step.sigma.device.type == "cpu" for step in seen), "samplers ask it, which would wait"
    assert waits[-1] - waits[0] == 3, "to see whether answers are numbers, once in so many batches"


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "dpm_adaptive"])
def test_samplers_wait_for_nothing(name: str) -> None:
    sigmas, spec = torch.tensor([10.0, 4.0, 1.5, 0.6, 0.2, 0.0]), SAMPLERS[name]
    with played() as seen:
        x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).to(ELSEWHERE)
        sampler = spec.start(x, sigmas, lambda *_: torch.ones(1, 4, 8, 8).to(ELSEWHERE), {})
        with torch.inference_mode():
            assert finished(sampler).device == ELSEWHERE
        assert not seen.waits


def finished(sampler: Sampler) -> Tensor:
    """What comes of a sampler whose denoiser halves."""
    try:
        ask = next(sampler)
        while True:
            answer = ask.x * 0.5
            ask = sampler.send(torch.stack((answer, answer)) if ask.split else answer)
    except StopIteration as stop:
        latents: Tensor = stop.value
        return latents


def test_a_stopped_picture_goes_on_there(model: Model) -> None:
    (wanted,) = generate(tiny_model(), [RECIPE])
    recording = Recording()
    with away():
        executor = Executor[int](model)
        executor.add(0, Job(model, RECIPE).picture(None, recording))
        executor.step(), executor.step()
        kept = {name: tensor.cpu() for name, tensor in recording.tensors().items()}
        (made,) = generate(model, [RECIPE], recordings=[Recording.from_tensors(kept)])
    assert made.image.tobytes() == wanted.image.tobytes()


def breaks_at(patch: pytest.MonkeyPatch, call: int) -> list[int]:
    """The U-Net's answers are none from that call on."""
    real, calls = UNet.forward, [0]

    def breaking(self: UNet, *given: Tensor, **named: Tensor | None) -> Tensor:
        calls[0] += 1
        answer = real(self, *given, **named)
        return answer * float("nan") if calls[0] >= call else answer

    patch.setattr(UNet, "forward", breaking)
    return calls


@pytest.mark.parametrize(("steps", "call", "sent"), [(4, 2, 4), (3 * LATE, LATE + 2, 2 * LATE)])
def test_answers_that_are_none_are_found_later_and_it_is_told_when(
    steps: int, call: int, sent: int, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = breaks_at(monkeypatch, call)
    with away(), pytest.raises(Overflow, match="its U-Net makes numbers that are none") as raised:
        list(generate(model, [RECIPE.but(steps=steps)]))
    assert calls[0] == sent
    assert raised.value.__notes__ == [f"batch {call} of those that this executor sent"]


def test_on_a_processor_they_are_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = breaks_at(monkeypatch, 2)
    with pytest.raises(Overflow):
        list(generate(tiny_model(), [RECIPE]))
    assert calls[0] == 2


def test_what_is_wrong_is_found_again_until_it_is_told(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks_at(monkeypatch, 1)
    with away():
        executor = Executor[int](model)
        executor.add(0, Job(model, RECIPE).picture(None, None))
        executor.step()
        assert isinstance(executor.doubts.look(), Overflow)
        assert isinstance(executor.doubts.look(), Overflow)
        with pytest.raises(Overflow):
            executor.doubts.settle()
        assert executor.doubts.look() is None
