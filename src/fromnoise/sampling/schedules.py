"""Noise levels: a trained model's own table of sigmas, and the schedules that choose steps from it.

`sigma` is the standard deviation of the noise on clean latents of unit scale (Karras et al. 2022): x = x0 + sigma * n.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from fromnoise.errors import UserError
from fromnoise.registry import Registry
from fromnoise.sampling.spacing import exponential_sigmas, karras_sigmas

NO_OPTIONS: Mapping[str, float] = MappingProxyType({})
TimestepRule = Literal["nearest", "interpolate"]


class NoiseTable:
    """A trained model's noise levels, lowest first: sigma of timestep and timestep of sigma.

    `sigmas`, `log_sigmas`, `alphas_cumprod`: float32 of shape (T,) on the CPU. `alphas_cumprod` falls, `sigmas` rise.
    """

    # The last of a zero-terminal-SNR table would be 0 and its sigma infinite; other tools put this number there.
    LAST_ALPHA_CUMPROD = 4.8973451890853435e-08

    def __init__(self, alphas_cumprod: Tensor) -> None:
        exact = alphas_cumprod.double().cpu()
        self.alphas_cumprod = exact.float()
        self.sigmas = ((1 - exact) / exact).sqrt().float()
        self.log_sigmas = ((1 - exact) / exact).sqrt().log().float()

    @classmethod
    def ldm(
        cls, beta_start: float = 0.00085, beta_end: float = 0.012, steps: int = 1000, zero_snr: bool = False
    ) -> "NoiseTable":
        """The "scaled linear" betas of Stable Diffusion; `zero_snr` rescales them so that the last step is pure noise
        (Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps are Flawed", algorithm 1)."""
        betas = torch.linspace(beta_start**0.5, beta_end**0.5, steps, dtype=torch.float64) ** 2
        alphas_cumprod = (1 - betas).cumprod(0)
        return cls(_zero_terminal_snr(alphas_cumprod) if zero_snr else alphas_cumprod)

    @property
    def sigma_min(self) -> float:
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        return float(self.sigmas[-1])

    def timestep(self, sigma: Tensor, rule: TimestepRule = "nearest") -> Tensor:
        """Timesteps in [0, T - 1] for noise levels of any shape, as float32 on the device of `sigma`.

        "nearest" (ComfyUI) is a whole number; "interpolate" (k-diffusion, AUTOMATIC1111) is linear in log sigma.
        """
        table = self.log_sigmas.to(sigma.device)
        wanted = sigma.float().log()
        if rule == "nearest":
            return (wanted[..., None] - table).abs().argmin(dim=-1).float()
        high = torch.searchsorted(table, wanted.contiguous()).clamp(1, len(table) - 1)
        below, above = table[high - 1], table[high]
        return high - 1 + ((wanted - below) / (above - below)).clamp(0, 1)

    def network_time(self, sigma: Tensor, rule: TimestepRule = "nearest") -> Tensor:
        """What the network is told of a noise level: its timestep."""
        return self.timestep(sigma, rule)

    def sigma(self, timestep: Tensor) -> Tensor:
        """Noise levels of (fractional) timesteps of any shape: linear in log sigma between trained timesteps."""
        table = self.log_sigmas.to(timestep.device)
        t = timestep.float().clamp(0, len(table) - 1)
        low, high, share = table[t.floor().long()], table[t.ceil().long()], t.frac()
        return ((1 - share) * low + share * high).exp()  # not lerp: other tools' last bits


class ContinuousTable(NoiseTable):
    """Of a network that was trained on a continuous range of noise levels (EDM): a thousand of them, even in log sigma.

    It is told ln(sigma) / 4 of each (Karras et al. 2022, table 1).
    """

    def __init__(self, sigma_min: float, sigma_max: float, steps: int = 1000) -> None:
        ends = torch.tensor((sigma_min, sigma_max), dtype=torch.float64).log()
        sigmas = torch.linspace(float(ends[0]), float(ends[1]), steps, dtype=torch.float64).exp()
        super().__init__(1 / (1 + sigmas**2))

    def network_time(self, sigma: Tensor, rule: TimestepRule = "nearest") -> Tensor:
        return sigma.float().log() / 4


def _zero_terminal_snr(alphas_cumprod: Tensor) -> Tensor:
    root = alphas_cumprod.sqrt()
    rescaled = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    rescaled[-1] = NoiseTable.LAST_ALPHA_CUMPROD
    return rescaled


@dataclass(frozen=True)
class Schedule:
    """A registered schedule; call it with a table and a number of steps for the noise levels, highest first."""

    name: str
    label: str
    choose: "Choose"
    good_for: str
    good_for_zh: str
    aliases: tuple[str, ...] = ()  # other names it answers to, besides the label

    def __call__(self, table: NoiseTable, steps: int, options: Mapping[str, float] = NO_OPTIONS) -> Tensor:
        """Float32 noise levels on the CPU: `steps` of them (a few schedules give one more or less) and a final 0.

        Of the options those act that it has.
        """
        return self.choose(table, steps, **{name: value for name, value in options.items() if name in self.options})

    @cached_property
    def options(self) -> tuple[str, ...]:
        """Names of numbers that can be given besides, such as rho."""
        _table, _steps, *names = signature(self.choose).parameters
        return tuple(names)


SCHEDULES: Registry[Schedule] = Registry("schedule", entry_points="fromnoise.schedules")

Choose = Callable[..., Tensor]  # (NoiseTable, int), and options by name


def schedule(
    name: str, *, label: str, good_for: str, good_for_zh: str, aliases: tuple[str, ...] = ()
) -> Callable[[Choose], Choose]:
    """Register a function `(table, steps) -> sigmas`; the label is an alias."""

    def register(choose: Choose) -> Choose:
        names = tuple(alias for alias in (label, *aliases) if alias.lower() != name)
        SCHEDULES.add(name, Schedule(name, label, choose, good_for, good_for_zh, aliases), names)
        return choose

    return register


def sigmas_for(
    name: str, table: NoiseTable, steps: int, strength: float = 1.0, *, drop_penultimate: bool = False,
    options: Mapping[str, float] = NO_OPTIONS,
) -> Tensor:  # fmt: skip
    """Noise levels, highest first, for `steps` steps of the named schedule: float32 on the CPU.

    `strength` in [0, 1] is the share of the noise put on a start picture: int(steps / strength) steps are planned and
    the last `steps` of them taken; 0 gives an empty tensor. `drop_penultimate` plans one step more and leaves out its
    last level above 0, which second-order samplers need to end well. `options` are those of the schedule.
    """
    if steps < 1:
        raise UserError(f"{steps} sampling steps: at least 1 is needed")
    if not 0 <= strength <= 1:
        raise UserError(f"strength {strength}: choose a number from 0 (keep the picture) to 1 (pure noise)")
    if strength == 0:
        return torch.empty(0)
    planned = int(steps / strength)
    sigmas = SCHEDULES[name](table, planned + drop_penultimate, options)
    if drop_penultimate:
        sigmas = torch.cat((sigmas[:-2], sigmas[-1:]))
    return sigmas if strength == 1 else sigmas[-(steps + 1) :]


def append_zero(sigmas: Tensor) -> Tensor:
    """`sigmas` as float32 with the final 0."""
    return torch.cat((sigmas.float(), torch.zeros(1)))


def ends(table: NoiseTable, sigma_min: float | None, sigma_max: float | None) -> tuple[float, float]:
    """The highest and the lowest timestep of a schedule between these noise levels; None: the table's own."""
    high, low = float(len(table.sigmas) - 1), 0.0
    if sigma_max is not None:
        high = float(table.timestep(torch.tensor(sigma_max), "interpolate"))
    if sigma_min is not None:
        low = float(table.timestep(torch.tensor(sigma_min), "interpolate"))
    return high, low


@schedule(
    "normal",
    label="Normal",
    aliases=("Uniform",),
    good_for="The training timesteps at even distances; a plain choice for every sampler.",
    good_for_zh="在训练时间步上均匀取点，适合任何采样器的普通选择。",
)
def normal(table: NoiseTable, steps: int, sigma_min: float | None = None, sigma_max: float | None = None) -> Tensor:
    return append_zero(table.sigma(torch.linspace(*ends(table, sigma_min, sigma_max), steps)))


@schedule(
    "karras",
    label="Karras",
    good_for="More steps at low noise; the usual companion of the DPM++ samplers.",
    good_for_zh="低噪声处步子更密，DPM++ 系列采样器的常用搭配。",
)
def karras(
    table: NoiseTable, steps: int, sigma_min: float | None = None, sigma_max: float | None = None, rho: float = 7.0
) -> Tensor:
    return append_zero(karras_sigmas(steps, sigma_min or table.sigma_min, sigma_max or table.sigma_max, rho))


@schedule(
    "exponential",
    label="Exponential",
    good_for="Even distances in log sigma; the usual companion of the DPM++ SDE samplers.",
    good_for_zh="在 log σ 上均匀取点，DPM++ SDE 系列采样器的常用搭配。",
)
def exponential(
    table: NoiseTable, steps: int, sigma_min: float | None = None, sigma_max: float | None = None
) -> Tensor:  # fmt: skip
    return append_zero(exponential_sigmas(steps, sigma_min or table.sigma_min, sigma_max or table.sigma_max))


@schedule(
    "sgm_uniform",
    label="SGM Uniform",
    aliases=("SGMUniform",),
    good_for="Even timesteps that start at the very first; few-step models (Turbo, Lightning, LCM) are trained for it.",
    good_for_zh="从第一个时间步起均匀取点，Turbo、Lightning、LCM 等少步模型按它训练。",
)
def sgm_uniform(
    table: NoiseTable, steps: int, sigma_min: float | None = None, sigma_max: float | None = None
) -> Tensor:  # fmt: skip
    return append_zero(table.sigma(torch.linspace(*ends(table, sigma_min, sigma_max), steps + 1)[:-1]))


@schedule(
    "simple",
    label="Simple",
    good_for="Entries of the model's own table at even distances, starting at the highest.",
    good_for_zh="从最高处起，在模型自带的噪声表中等距取值。",
)
def simple(table: NoiseTable, steps: int) -> Tensor:
    count = len(table.sigmas)
    return append_zero(table.sigmas[[count - 1 - int(step * (count / steps)) for step in range(steps)]])


@schedule(
    "ddim_uniform",
    label="DDIM",
    good_for="The steps of the original DDIM; it starts a little below the highest noise, so colours stay moderate.",
    good_for_zh="原版 DDIM 的取点方式；起点略低于最高噪声，色彩较为温和。",
)
def ddim_uniform(table: NoiseTable, steps: int) -> Tensor:
    """May be a step longer or shorter than asked: the stride is a whole number of timesteps."""
    return append_zero(table.sigmas[1 :: max(len(table.sigmas) // steps, 1)].flip(0))


@schedule(
    "beta",
    label="Beta",
    good_for="More steps at both ends (Lee et al. 2024); better composition and detail for the same number of steps.",
    good_for_zh="两端步子更密（Lee 等，2024），同样步数下构图和细节更好。",
)
def beta(table: NoiseTable, steps: int, alpha: float = 0.6, beta: float = 0.6) -> Tensor:
    """Timesteps at quantiles of a beta distribution (arXiv 2407.12173); equal ones fall together."""
    from scipy import stats

    quantiles = stats.beta.ppf(1 - torch.arange(steps, dtype=torch.float64).numpy() / steps, alpha, beta)
    chosen = dict.fromkeys(int(t) for t in (quantiles * (len(table.sigmas) - 1)).round())
    return append_zero(table.sigmas[list(chosen)])
