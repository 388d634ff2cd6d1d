"""Whole pictures of a tiny checkpoint under the `a1111` profile, by AUTOMATIC1111's names of k-diffusion's samplers.

The other side is k-diffusion's wrapper of epsilon models around the same weights, its schedules, its samplers and its
Brownian tree, with noise from one torch stream per picture, as the web UI draws it with "Random number generator
source: CPU".
"""

import types
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import Recipe
from fromnoise.sampling.samplers import resolve
from fromnoise.text.tokenizer import Tokenizer
from tests.engine.models import tiny_model

NAMES = {  # as the web UI shows them: k-diffusion's function
    "Euler a": "euler_ancestral", "Euler": "euler", "LMS": "lms", "Heun": "heun", "DPM2": "dpm_2",
    "DPM2 a": "dpm_2_ancestral", "DPM++ 2S a": "dpmpp_2s_ancestral", "DPM++ 2M": "dpmpp_2m", "DPM++ SDE": "dpmpp_sde",
    "DPM++ 2M SDE": "dpmpp_2m_sde", "DPM++ 2M SDE Heun": "dpmpp_2m_sde", "DPM++ 3M SDE": "dpmpp_3m_sde",
}  # fmt: skip
DISCARDING = ("DPM2", "DPM2 a", "DPM++ 3M SDE")  # the last level but one
SCHEDULES = {
    "Karras": "karras",
    "Exponential": "exponential",
    "Uniform": "normal",
    "Polyexponential": "polyexponential",
}
TOLERANCE = 1e-4  # of the standard deviation
SCALE, STEPS, SEED = 0.18215, 6, 4321
PROMPT, NEGATIVE = "a red apple on a table", "blurry"


@dataclass(frozen=True)
class Theirs:
    """k-diffusion over the tiny checkpoint."""

    k: types.SimpleNamespace
    model: Model
    scale: float

    def context(self, text: str) -> Tensor:
        last: Tensor = self.model.text[0](torch.tensor([Tokenizer().encode_window(text)])).last
        return last

    def denoiser(self) -> Any:
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2

        def epsilon(x: Tensor, timestep: Tensor) -> Tensor:
            cond, uncond = (
                self.model.unet(x.float(), timestep.float(), self.context(text)).to(x) for text in (PROMPT, NEGATIVE)
            )
            return uncond + self.scale * (cond - uncond)

        return self.k.external.DiscreteEpsDDPMDenoiser(epsilon, (1 - betas).cumprod(0).float(), quantize=False)

    def levels(self, wrapped: Any, schedule: str, steps: int, discards: bool) -> Tensor:
        steps += discards
        if schedule == "normal":
            found: Tensor = wrapped.get_sigmas(steps)
        else:
            ends = float(wrapped.sigmas[0]), float(wrapped.sigmas[-1])
            found = getattr(self.k.sampling, f"get_sigmas_{schedule}")(steps, *ends)
        return torch.cat((found[:-2], found[-1:])) if discards else found

    @torch.inference_mode()
    def latents(self, name: str, schedule: str) -> Tensor:
        wrapped, function = self.denoiser(), NAMES[name]
        sigmas = self.levels(wrapped, schedule, STEPS, name in DISCARDING)
        stream = torch.Generator().manual_seed(SEED)
        shape = (1, 4, 8, 8)
        x = (torch.randn(shape, generator=stream) * sigmas[0]).double()
        more: dict[str, Any] = {"noise_sampler": lambda *_: torch.randn(shape, generator=stream).to(x)}
        if "SDE" in name:  # in float32, as the path shows the last bit of its times
            x = x.float()
            ends = float(sigmas[sigmas > 0].min()), float(sigmas.max())
            more = {"noise_sampler": self.k.sampling.BrownianTreeNoiseSampler(x, *ends, seed=SEED)}
            more |= {"solver_type": "heun"} if "Heun" in name else {}
        elif " a" not in name:
            more = {}
        sample = getattr(self.k.sampling, f"sample_{function}")
        done: Tensor = sample(wrapped, x, sigmas.to(x), disable=True, **more)
        return done

    @torch.inference_mode()
    def pixels(self, latents: Tensor) -> NDArray[np.int64]:
        vae = self.model.vae
        image = vae.decoder(vae.post_quant_conv(latents.float() / SCALE))[0].permute(1, 2, 0)
        return (255 * ((image + 1) / 2).clamp(0, 1)).numpy().astype(np.uint8).astype(np.int64)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


CASES = [(name, "Karras") for name in NAMES] + [("Euler a", name) for name in SCHEDULES if name != "Karras"]


@pytest.mark.parametrize(("name", "schedule"), CASES)
def test_the_same_picture(name: str, schedule: str, k_diffusion: types.SimpleNamespace, model: Model) -> None:
    recipe = Recipe.make(
        profile="a1111", model="tiny", prompt=PROMPT, negative=NEGATIVE, seed=SEED, width=64, height=64, steps=STEPS,
        guidance_scale=3.0, sampler=resolve(name)[0], schedule=SCHEDULES[schedule], noise={"source": "cpu"},
    )  # fmt: skip
    job = Job(model, recipe)
    executor = Executor[int](model)
    executor.add(0, job.picture(None, None))
    ((_, ours),) = executor.run()
    image = np.asarray(job.finish(ours)).astype(np.int64)
    theirs = Theirs(k_diffusion, model, recipe.guidance_scale)
    wanted = theirs.latents(name, SCHEDULES[schedule])
    error = float((ours - wanted).abs().max() / wanted.std())
    difference = int(np.abs(image - theirs.pixels(wanted)).max())
    print(f"{name} {schedule}: {error:.1e} of the deviation, {difference} levels")
    assert error < TOLERANCE
    assert difference <= 1
