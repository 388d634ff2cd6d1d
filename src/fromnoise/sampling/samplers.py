"""Samplers: generators that lead latents from noise to a picture, one question to the model at a time.

    def euler(x, sigmas):
        for sigma, sigma_next in pairwise(sigmas):
            denoised = yield Evaluate(x, sigma)
            x = toward(denoised, x, sigma_next / sigma)
        return x

A sampler knows no network, device, clock or progress bar: whoever drives it answers its questions (`guidance.drive`).
It is deterministic given its inputs and never changes them. `x` is (1 c h w) of any float type on any device; `sigmas`
are falling noise levels, best kept on the CPU, where looking at them does not wait for an accelerator.
"""

import inspect
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeAlias, get_args, get_type_hints

from torch import Tensor

from fromnoise.errors import UnknownName, UserError
from fromnoise.registry import Registry
from fromnoise.sampling.noise import NoiseSource as NoiseSource
from fromnoise.sampling.noise import no_noise
from fromnoise.sampling.schedules import SCHEDULES
from fromnoise.sampling.steps import add_noise, ancestral, toward


class Evaluate(NamedTuple):
    """What a sampler asks: the model's guess of the clean latents behind `x` at noise level `sigma`.

    The answer is `denoised` (1 c h w). With `split` it is (2 1 c h w): the guided guess, and the unconditional one.
    """

    x: Tensor  # (1 c h w)
    sigma: Tensor  # ()
    split: bool = False
    number: int = 0  # of the evaluation, counted by `drive` for guidance that changes as the picture grows


Sampler: TypeAlias = Generator[Evaluate, Tensor, Tensor]  # yields questions, is sent answers, returns the latents
Option: TypeAlias = float | int | str | bool


@dataclass(frozen=True)
class SamplerSpec:
    """A registered sampler and what a person or program should know to choose and start it."""

    name: str
    label: str
    make: Callable[..., Sampler]  # (x, sigmas, [noise], keyword options) -> Sampler
    order: int  # the error falls with steps**-order; for stochastic samplers the error of the distribution's variance
    evaluations: int  # of the model in each step, though the first and last may differ; 0: chooses its own steps
    stochastic: bool  # draws noise with its default options
    good_for: str
    good_for_zh: str
    default_schedule: str
    drop_penultimate: bool = False  # plan a step more and leave out the last level above 0: see `sigmas_for`
    brownian: bool = False  # other tools give it Brownian noise
    by_slope: bool = False  # its whole step goes along the slope dx/dsigma at its end, too: see `even_schedule`
    aliases: tuple[str, ...] = ()  # other names it answers to, besides the label

    @property
    def even_schedule(self) -> str:
        """The schedule for a table that ends in pure noise, where the sampler's own does not suit.

        Even timesteps begin there with a step from a noise level of thousands to one of tens. Heun's rule follows the
        slope at the end of it, (x - denoised) / sigma_next, for half of the step: what the model says otherwise at
        the two ends is taken (sigma / sigma_next - 1) / 2 times, a hundredfold, and the picture is far too bright,
        with any guidance, as it is with k-diffusion's. Karras's levels fall more evenly.
        """
        return "karras" if self.by_slope else "sgm_uniform"

    @property
    def takes_noise(self) -> bool:
        """Whether `make` has a `noise` argument: true as well of samplers that draw noise only when asked to."""
        return "noise" in inspect.signature(self.make).parameters

    @property
    def options(self) -> dict[str, Option]:
        """The keyword options of `make` and their defaults."""
        parameters = inspect.signature(self.make).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    def start(
        self, x: Tensor, sigmas: Tensor, noise: NoiseSource = no_noise, options: Mapping[str, Option] | None = None
    ) -> Sampler:
        """A fresh sampler on `x` (1 c h w), already noised to the level of sigmas[0].

        `options` are keyword arguments of `make` by name; an unknown name or a wrong choice is a UserError.
        """
        chosen = dict(options or {})
        for name, value in chosen.items():
            self._check(name, value)
        return self.make(x, sigmas, noise, **chosen) if self.takes_noise else self.make(x, sigmas, **chosen)

    def _check(self, name: str, value: Option) -> None:
        if name not in self.options:
            raise UnknownName(f"option of sampler {self.label}", name, self.options)
        choices = get_args(get_type_hints(self.make)[name])
        if choices and value not in choices:
            raise UserError(f"{name} of sampler {self.label} is {value!r}; choose one of {', '.join(choices)}")


SAMPLERS: Registry[SamplerSpec] = Registry("sampler", entry_points="fromnoise.samplers")


def sampler(
    name: str,
    *,
    label: str,
    order: int,
    good_for: str,
    good_for_zh: str,
    evaluations: int = 1,
    stochastic: bool = False,
    default_schedule: str = "normal",
    drop_penultimate: bool = False,
    brownian: bool = False,
    by_slope: bool = False,
    aliases: tuple[str, ...] = (),
) -> Callable[[Callable[..., Sampler]], Callable[..., Sampler]]:
    """Register a generator function `(x, sigmas, [noise], *, options)`; the label is an alias."""

    def register(make: Callable[..., Sampler]) -> Callable[..., Sampler]:
        spec = SamplerSpec(
            name, label, make, order, evaluations, stochastic, good_for, good_for_zh, default_schedule,
            drop_penultimate, brownian, by_slope, aliases,
        )  # fmt: skip
        SAMPLERS.add(name, spec, tuple(alias for alias in (label, *aliases) if alias.lower() != name))
        return make

    return register


def resolve(name: str) -> tuple[str, str | None]:
    """(sampler, schedule or None) for any name or label, also old labels that carry the schedule.

    >>> resolve("DPM++ 2M Karras"), resolve("k_lms_ka"), resolve("Euler a")
    (('dpmpp_2m', 'karras'), ('lms', 'karras'), ('euler_ancestral', None))
    """
    if name in SAMPLERS:
        return SAMPLERS.canonical(name), None
    endings = {f" {schedule.label}": schedule.name for schedule in SCHEDULES.values()} | {"_ka": "karras"}
    for ending, schedule in endings.items():
        stem = name[: -len(ending)]
        if name.lower().endswith(ending.lower()) and stem in SAMPLERS:
            return SAMPLERS.canonical(stem), schedule
    raise UnknownName("sampler", name, SAMPLERS)


@sampler(
    "euler",
    label="Euler",
    order=1,
    good_for="The plainest sampler: predictable, smooth, good with 20 to 30 steps and with few-step models.",
    good_for_zh="最朴素的采样器：稳定平滑，20 到 30 步效果好，也适合少步模型。",
    aliases=("k_euler",),
)
def euler(
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource = no_noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = float("inf"),
    s_noise: float = 1.0,
) -> Sampler:
    """Karras et al. (2022), algorithm 2 with Euler steps; `s_churn` adds noise back at levels s_tmin to s_tmax."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x, sigma = churned(x, step, sigmas, noise, s_churn, s_tmin, s_tmax, s_noise)
        denoised = yield Evaluate(x, sigma)
        x = toward(denoised, x, sigma_next / sigma)
    return x


@sampler(
    "heun",
    label="Heun",
    order=2,
    evaluations=2,
    by_slope=True,
    good_for="Twice as exact as Euler per step at twice the time; for a careful picture with few steps.",
    good_for_zh="每步用两次模型，比 Euler 更精确，适合步数少而要求精细的图。",
    aliases=("k_heun",),
)
def heun(
    x: Tensor,
    sigmas: Tensor,
    noise: NoiseSource = no_noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = float("inf"),
    s_noise: float = 1.0,
) -> Sampler:
    """Karras et al. (2022), algorithm 2: a trial Euler step, then the mean of both slopes."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x, sigma = churned(x, step, sigmas, noise, s_churn, s_tmin, s_tmax, s_noise)
        slope = (x - (yield Evaluate(x, sigma))) / sigma
        trial = x + slope * (sigma_next - sigma)
        if sigma_next > 0:
            slope_next = (trial - (yield Evaluate(trial, sigma_next))) / sigma_next
            trial = x + (slope + slope_next) / 2 * (sigma_next - sigma)
        x = trial
    return x


def churned(
    x: Tensor,
    step: int,
    sigmas: Tensor,
    noise: NoiseSource,
    s_churn: float,
    s_tmin: float,
    s_tmax: float,
    s_noise: float,
) -> tuple[Tensor, Tensor]:
    """(x, sigma) of `step` with the noise level raised: Karras et al. (2022), algorithm 2, lines 4 to 6."""
    sigma = sigmas[step]
    growth = min(s_churn / (len(sigmas) - 1), 2**0.5 - 1) if s_tmin <= sigma <= s_tmax else 0.0
    if growth == 0:
        return x, sigma
    raised = sigma * (1 + growth)
    return x + noise(step, sigma, raised) * s_noise * (raised**2 - sigma**2).sqrt(), raised


@sampler(
    "euler_ancestral",
    label="Euler a",
    order=1,
    stochastic=True,
    good_for="Lively and forgiving; keeps changing with the number of steps, good from 20 steps on.",
    good_for_zh="画面生动、容错高；结果随步数变化，建议 20 步以上。",
    aliases=("k_euler_a", "k_euler_ancestral"),
)
def euler_ancestral(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """Each Euler step goes lower than it should and returns with fresh noise (Karras, k-diffusion); eta 0 is Euler."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = yield Evaluate(x, sigma)
        down, up = ancestral(sigma, sigma_next, eta)
        x = toward(denoised, x, down / sigma)
        x = add_noise(x, noise, step, sigma, sigma_next, up * s_noise)
    return x


@sampler(
    "ddim",
    label="DDIM",
    order=1,
    default_schedule="ddim_uniform",
    good_for="The first fast sampler; smooth, good for inpainting and for turning a picture back into noise.",
    good_for_zh="最早的快速采样器；画面平滑，适合局部重绘和反推噪声。",
)
def ddim(
    x: Tensor, sigmas: Tensor, noise: NoiseSource = no_noise, *, eta: float = 0.0, s_noise: float = 1.0
) -> Sampler:
    """Song et al. (2021), equations 12 and 16, on x / sqrt(alphas_cumprod): there they are the ancestral Euler step."""
    return (yield from euler_ancestral(x, sigmas, noise, eta=eta, s_noise=s_noise))


@sampler(
    "ddpm",
    label="DDPM",
    order=1,
    stochastic=True,
    good_for="The training process run backwards; needs many steps, 50 and more.",
    good_for_zh="训练过程的逆过程；需要较多步数，50 步以上。",
)
def ddpm(x: Tensor, sigmas: Tensor, noise: NoiseSource, *, s_noise: float = 1.0) -> Sampler:
    """Ho et al. (2020), algorithm 2 with posterior variance: in these variables the ancestral Euler step."""
    return (yield from euler_ancestral(x, sigmas, noise, s_noise=s_noise))


@sampler(
    "lcm",
    label="LCM",
    order=1,
    stochastic=True,
    default_schedule="sgm_uniform",
    good_for="For latent consistency models and LCM LoRAs: 4 to 8 steps with guidance 1 to 2.",
    good_for_zh="用于 LCM 模型和 LCM LoRA：4 到 8 步，引导系数 1 到 2。",
    aliases=("k_lcm",),
)
def lcm(x: Tensor, sigmas: Tensor, noise: NoiseSource, *, s_noise: float = 1.0) -> Sampler:
    """Multistep consistency sampling, Song et al. (2023), algorithm 1: jump to the end, then noise the answer again."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        x = yield Evaluate(x, sigma)
        x = add_noise(x, noise, step, sigma, sigma_next, sigma_next * s_noise)
    return x
