"""Schedules with a theory or a measurement behind them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fromnoise.errors import UserError
from fromnoise.sampling.schedules import NoiseTable, append_zero, schedule
from fromnoise.sampling.spacing import kl_optimal_sigmas, log_interpolated, polyexponential_sigmas


@schedule(
    "linear_quadratic",
    label="Linear Quadratic",
    good_for="Small even steps at high noise, then growing ones; made for video models.",
    good_for_zh="高噪声处小步匀速，之后步子渐大；为视频模型设计。",
)
def linear_quadratic(table: NoiseTable, steps: int, threshold: float = 0.025) -> Tensor:
    """The schedule of Genmo's Mochi: half of the steps share the first `threshold` of the way, linearly; the rest
    continues as a parabola with the same slope."""
    if steps == 1:
        return append_zero(table.sigmas[-1:])
    linear = steps // 2
    rest = steps - linear
    excess = linear - threshold * steps
    square = excess / (linear * rest**2)
    slope = threshold / linear - 2 * excess / rest**2
    done = [step * threshold / linear for step in range(linear)]
    done += [square * step**2 + slope * step + square * linear**2 for step in range(linear, steps)]
    return append_zero(torch.tensor([1 - share for share in done]) * table.sigmas[-1])


@schedule(
    "kl_optimal",
    label="KL Optimal",
    good_for="Few steps at high noise, many in the middle: good with 10 to 20 steps.",
    good_for_zh="高噪声处步少、中段步多；适合 10 到 20 步。",
)
def kl_optimal(
    table: NoiseTable, steps: int, sigma_min: float | None = None, sigma_max: float | None = None
) -> Tensor:  # fmt: skip
    return append_zero(kl_optimal_sigmas(steps, sigma_min or table.sigma_min, sigma_max or table.sigma_max))


@schedule(
    "kl_optimal_open",
    label="KL Optimal (open)",
    good_for="KL Optimal as AUTOMATIC1111 has it: one level more, and it ends with a trace of noise.",
    good_for_zh="AUTOMATIC1111 的 KL Optimal：多取一点，结尾留极少噪声。",
)
def kl_optimal_open(
    table: NoiseTable, steps: int, sigma_min: float | None = None, sigma_max: float | None = None
) -> Tensor:  # fmt: skip
    """The last of the steps + 1 levels is the table's lowest, not 0."""
    return kl_optimal_sigmas(steps + 1, sigma_min or table.sigma_min, sigma_max or table.sigma_max)


@schedule(
    "polyexponential",
    label="Polyexponential",
    good_for="Exponential with a power to bend it; equal to Exponential unless a tool sets the power.",
    good_for_zh="可调幂次的 Exponential；不设幂次时与 Exponential 相同。",
)
def polyexponential(
    table: NoiseTable, steps: int, sigma_min: float | None = None, sigma_max: float | None = None, rho: float = 1.0
) -> Tensor:
    return append_zero(polyexponential_sigmas(steps, sigma_min or table.sigma_min, sigma_max or table.sigma_max, rho))


@schedule(
    "beta_sigma",
    label="Beta (sigma)",
    good_for="Beta as AUTOMATIC1111 has it: quantiles of the noise level instead of the timestep.",
    good_for_zh="AUTOMATIC1111 的 Beta：按噪声强度而不是时间步取分位点。",
)
def beta_sigma(
    table: NoiseTable, steps: int, alpha: float = 0.6, beta: float = 0.6, sigma_min: float | None = None,
    sigma_max: float | None = None,
) -> Tensor:  # fmt: skip
    from scipy import stats

    quantiles = torch.from_numpy(stats.beta.ppf(1 - torch.linspace(0, 1, steps).double().numpy(), alpha, beta))
    low, high = sigma_min or table.sigma_min, sigma_max or table.sigma_max
    return append_zero(low + quantiles * (high - low))


@schedule(
    "turbo",
    label="Turbo",
    good_for="The timesteps SD-Turbo and SDXL-Turbo were trained on: 1 to 4 steps, 10 at most.",
    good_for_zh="SD-Turbo、SDXL-Turbo 训练所用的时间步：1 到 4 步，最多 10 步。",
)
def turbo(table: NoiseTable, steps: int) -> Tensor:
    """The first `steps` of the timesteps 999, 899, ... 99 (Sauer et al. 2023, adversarial diffusion distillation)."""
    if steps > 10:
        raise UserError(f"{steps} steps: the schedule Turbo has at most 10")
    count = len(table.sigmas)
    return append_zero(table.sigma(torch.arange(10, 10 - steps, -1) * (count / 10) - 1))


# Sabour et al. (2024), "Align Your Steps: Optimizing Sampling Schedules in Diffusion Models": published levels.
ALIGN_YOUR_STEPS_SD = (
    14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092, 0.9642583904, 0.6523686016,
    0.3977456272, 0.1515232662, 0.0291671582,
)  # fmt: skip
ALIGN_YOUR_STEPS_SDXL = (
    14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141, 0.5550693289, 0.3798540708,
    0.2332364134, 0.1114188177, 0.0291671582,
)  # fmt: skip


@schedule(
    "align_your_steps",
    label="Align Your Steps",
    aliases=("align_your_steps_sd", "ays"),
    good_for="Levels optimised for Stable Diffusion 1.5 at 10 steps.",
    good_for_zh="为 Stable Diffusion 1.5 在 10 步时优化的噪声级。",
)
def align_your_steps(table: NoiseTable, steps: int) -> Tensor:
    return append_zero(log_interpolated(ALIGN_YOUR_STEPS_SD, steps))


@schedule(
    "align_your_steps_sdxl",
    label="Align Your Steps SDXL",
    good_for="Levels optimised for SDXL at 10 steps.",
    good_for_zh="为 SDXL 在 10 步时优化的噪声级。",
)
def align_your_steps_sdxl(table: NoiseTable, steps: int) -> Tensor:
    return append_zero(log_interpolated(ALIGN_YOUR_STEPS_SDXL, steps))


# Chen et al. (2024), "On the Trajectory Regularity of ODE-based Diffusion Sampling": the published levels between the
# highest and the last for 2 to 20 steps (coefficient 1.20), in hundredths of the training timesteps.
_GITS: Sequence[Sequence[int]] = (
    (29,),
    (49, 18),
    (61, 33, 11),
    (66, 42, 21, 6),
    (83, 57, 34, 15, 3),
    (83, 62, 42, 23, 8, 1),
    (83, 62, 45, 29, 15, 6, 1),
    (83, 66, 50, 34, 21, 11, 4, 1),
    (83, 66, 51, 38, 27, 17, 9, 4, 1),
    (83, 67, 54, 42, 30, 21, 13, 7, 3, 1),
    (83, 68, 56, 45, 34, 25, 17, 11, 6, 3, 1),
    (86, 71, 61, 49, 38, 29, 21, 15, 10, 6, 3, 1),
    (86, 71, 62, 50, 40, 31, 23, 17, 12, 8, 5, 3, 1),
    (88, 78, 68, 58, 48, 38, 30, 23, 17, 12, 8, 5, 3, 1),
    (88, 78, 68, 58, 48, 38, 30, 23, 17, 13, 9, 6, 4, 2, 1),
    (88, 78, 68, 58, 48, 38, 30, 23, 17, 13, 10, 7, 5, 3, 2, 1),
    (88, 78, 68, 59, 50, 41, 33, 26, 20, 15, 11, 8, 6, 4, 3, 2, 1),
    (88, 78, 68, 59, 50, 42, 34, 27, 21, 16, 12, 9, 7, 5, 4, 3, 2, 1),
    (88, 78, 68, 59, 50, 42, 34, 27, 21, 17, 13, 10, 8, 6, 5, 4, 3, 2, 1),
)


@schedule(
    "gits",
    label="GITS",
    good_for="Levels that follow the bends of the sampling path: for 4 to 10 steps.",
    good_for_zh="沿采样轨迹的弯折取点：适合 4 到 10 步。",
)
def gits(table: NoiseTable, steps: int) -> Tensor:
    """Published levels for 2 to 20 steps; beyond, the last of them interpolated in log sigma."""
    hundredths = torch.tensor([100, *(_GITS[min(steps, 20) - 2] if steps > 1 else ()), 0])
    sigmas = table.sigma(hundredths * ((len(table.sigmas) - 1) / 100))
    if steps > 20:
        sigmas = log_interpolated(sigmas.tolist(), steps + 1)
    return append_zero(sigmas[:-1])


@schedule(
    "leading",
    label="Leading",
    good_for="Every n-th training timestep from the second on: what diffusers takes for Stable Diffusion.",
    good_for_zh="从第二个训练时间步起等距取点；diffusers 对 Stable Diffusion 的默认做法。",
)
def leading(table: NoiseTable, steps: int) -> Tensor:
    """Lin et al. (2023), table 2, "leading" with an offset of 1; it starts below the highest noise."""
    stride = max(1, len(table.sigmas) // steps)
    return append_zero(table.sigmas[1 : 1 + steps * stride : stride].flip(0))
