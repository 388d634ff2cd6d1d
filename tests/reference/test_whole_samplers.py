"""Whole pictures of a tiny checkpoint under the `comfyui` profile, for all of ComfyUI's samplers and schedules.

The other side is put together here from ComfyUI's rules and shares only the weights with the engine: noise levels are
recorded ones, noise is torch's and torchsde's, samplers are k-diffusion's, or written out from their publications
(`comfyui_samplers.py`) and first held to numbers that ComfyUI gave. Samplers run in float64 there, in float32 here.
"""

import json
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
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
from fromnoise.sampling.schedules import NoiseTable, sigmas_for
from fromnoise.text.tokenizer import Tokenizer
from tests.engine.models import tiny_model
from tests.reference.comfyui_samplers import WRITTEN_OUT, Noise
from tests.reference.comfyui_samplers import Model as Asked
from tests.sampling.exact import wavy

GOLDEN = Path(__file__).parents[1] / "golden" / "sampling"
RECORDED = dict(np.load(GOLDEN / "samplers.npz"))
LEVELS = json.loads((GOLDEN / "sigmas.json").read_text())["eps"]
RECORDED_NOISE = torch.from_numpy(RECORDED.pop("noise_seed42")).double()
SAMPLERS = tuple(dict.fromkeys(key.split("/")[0] for key in RECORDED))  # ComfyUI's 42
SCHEDULES = tuple(dict.fromkeys(key.split("/")[0] for key in LEVELS if "/" in key))  # and 9
K_DIFFUSION = {  # names there, besides equal ones
    "dpmpp_2m_sde_heun": "dpmpp_2m_sde",
}
BROWNIAN = ("dpmpp_sde", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde")
DROPPING = ("dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2")  # take one level more and leave the last but one out
TOLERANCE = 1e-4  # of the standard deviation
SCALE = 0.18215  # of SD 1.x's latents
SEED = 1234567
PROMPT, NEGATIVE = "a red apple on a table", "blurry"


def recorded_levels(sampler: str, schedule: str, steps: int) -> list[float]:
    """ComfyUI's noise levels; those that drop one have a step fewer."""
    found = list(map(float, LEVELS[f"{schedule}/{steps}"]))
    return [*found[:-2], found[-1]] if sampler.removesuffix("_gpu") in DROPPING else found


@dataclass(frozen=True)
class Comparison:
    """ComfyUI's samplers over any model."""

    k: types.SimpleNamespace

    def sample(self, name: str, model: Asked, start: Tensor, levels: list[float], seed: int) -> Tensor:
        """The latents of a sampler from `start` (1 c h w)."""
        name = name.removesuffix("_gpu")  # the same on a CPU
        stream = torch.Generator().manual_seed(seed)

        def noise(sigma: float, following: float) -> Tensor:
            return torch.randn(start.shape, generator=stream).to(start)

        if name in WRITTEN_OUT:
            return WRITTEN_OUT[name](model, start, levels, noise)
        return self._by_k_diffusion(name, model, start, levels, noise, seed)

    def _by_k_diffusion(
        self, name: str, model: Asked, x: Tensor, levels: list[float], noise: Noise, seed: int
    ) -> Tensor:  # fmt: skip
        def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
            return model(x, float(sigma.flatten()[0]))[0]

        sample: Callable[..., Tensor] = getattr(self.k.sampling, f"sample_{K_DIFFUSION.get(name, name)}")
        sigmas = torch.tensor(levels, dtype=torch.float64)
        drawn = {"noise_sampler": lambda sigma, following: noise(float(sigma), float(following))}
        if name in BROWNIAN:  # which shows the last bit of its times, so these are float32 as ComfyUI's are
            x, sigmas = x.float(), sigmas.float()
            ends = float(sigmas[sigmas > 0].min()), float(sigmas.max())
            drawn["noise_sampler"] = self.k.sampling.BrownianTreeNoiseSampler(x, *ends, seed=seed)
        if name in ("dpm_fast", "dpm_adaptive"):
            ends = levels[-2] if levels[-1] == 0 else levels[-1], levels[0]
            steps = {"n": len(levels) - 1} if name == "dpm_fast" else {}
            return sample(denoiser, x, *ends, **steps, disable=True, **drawn)
        if name == "lms":  # ComfyUI's last step is the model's answer
            x = sample(denoiser, x, sigmas[:-1], disable=True)
            return model(x, levels[-2])[0]
        more: dict[str, Any] = drawn if "ancestral" in name or name in BROWNIAN else {}
        more |= {"solver_type": "heun"} if name == "dpmpp_2m_sde_heun" else {}
        return sample(denoiser, x, sigmas, disable=True, **more)


@dataclass(frozen=True)
class Theirs:
    """The tiny checkpoint as ComfyUI would ask it."""

    model: Model
    scale: float

    def context(self, text: str) -> Tensor:
        tokens = torch.tensor([Tokenizer().encode_window(text)])
        last: Tensor = self.model.text[0](tokens).last
        return last

    @torch.inference_mode()
    def __call__(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The guided and the unconditional answer, as an epsilon model at the nearest of 1000 timesteps."""
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        products = (1 - betas).cumprod(0)
        logs = ((1 - products) / products).sqrt().log()
        timestep = (logs - torch.tensor(sigma, dtype=torch.float64).log()).abs().argmin()
        shown = (x / (sigma**2 + 1) ** 0.5).float()
        answers = []
        for text in (PROMPT, NEGATIVE):
            epsilon = self.model.unet(shown, timestep[None].float(), self.context(text))
            answers.append(x - sigma * epsilon.to(x))
        cond, uncond = answers
        return uncond + self.scale * (cond - uncond), uncond

    @torch.inference_mode()
    def pixels(self, latents: Tensor) -> NDArray[np.int64]:
        """(h w 3), 0 to 255, rounded down as ComfyUI does."""
        vae = self.model.vae
        image = vae.decoder(vae.post_quant_conv(latents.float() / SCALE))[0].permute(1, 2, 0)
        return (((image + 1) / 2).clamp(0, 1) * 255).to(torch.uint8).numpy().astype(np.int64)


@pytest.fixture(scope="module")
def comparison(k_diffusion: types.SimpleNamespace) -> Comparison:
    return Comparison(k_diffusion)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.mark.parametrize("key", RECORDED)
def test_the_other_side_gives_what_comfyui_recorded(key: str, comparison: Comparison) -> None:
    name, schedule, steps = key.split("/")
    if name in DROPPING:  # no list of one level more is recorded
        levels = sigmas_for(schedule, NoiseTable.ldm(), int(steps), drop_penultimate=True).tolist()
    else:
        levels = recorded_levels(name, schedule, int(steps))

    def asked(x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        answer = wavy(x, torch.tensor(sigma, dtype=x.dtype))
        return answer, 0.9 * answer

    start = RECORDED_NOISE * (1 + levels[0] ** 2) ** 0.5
    found, want = comparison.sample(name, asked, start, levels, seed=7), torch.from_numpy(RECORDED[key])
    assert float((found - want).abs().max() / want.std()) < TOLERANCE


def compared(comparison: Comparison, model: Model, sampler: str, schedule: str, steps: int) -> None:
    """One picture on both sides, latents and pixels."""
    recipe = Recipe(
        profile="comfyui", model="tiny", prompt=PROMPT, negative=NEGATIVE, seed=SEED, width=64, height=64,
        steps=steps - (sampler in DROPPING), guidance_scale=1.5 if "cfg_pp" in sampler else 3.0, sampler=sampler,
        schedule=schedule,
    )  # fmt: skip
    job = Job(model, recipe)
    executor = Executor[int](model)
    executor.add(0, job.picture(None, None))
    ((_, ours),) = executor.run()
    image = np.asarray(job.finish(ours)).astype(np.int64)
    levels = recorded_levels(sampler, schedule, steps)
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(SEED)).double()
    pure = levels[0] > 14.614  # the model's highest
    start = noise * ((1 + levels[0] ** 2) ** 0.5 if pure else levels[0])
    theirs = Theirs(model, recipe.guidance_scale)
    wanted = comparison.sample(sampler, theirs, start, levels, SEED)
    error = float((ours - wanted).abs().max() / wanted.std())
    difference = int(np.abs(image - theirs.pixels(wanted)).max())
    print(f"{sampler} {schedule}: {error:.1e} of the deviation, {difference} levels")
    assert error < TOLERANCE
    assert difference <= 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_makes_the_same_picture(sampler: str, comparison: Comparison, model: Model) -> None:
    compared(comparison, model, sampler, "karras", 5)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m_sde"])
def test_every_schedule_makes_the_same_picture(
    sampler: str, schedule: str, comparison: Comparison, model: Model
) -> None:  # fmt: skip
    compared(comparison, model, sampler, schedule, 20)
