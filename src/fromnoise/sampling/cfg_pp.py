"""Samplers with CFG++: the guided answer says where to go, the unconditional one which way the noise points.

Chung et al. (2024), "CFG++: Manifold-constrained Classifier Free Guidance for Diffusion Models". They ask for both
answers (`split`) and want a guidance scale of about 1 to 2 instead of 5 to 10.
"""

from itertools import pairwise

from torch import Tensor

from fromnoise.sampling.multistep import res_share
from fromnoise.sampling.noise import NoiseSource, no_noise
from fromnoise.sampling.samplers import Evaluate, Sampler, sampler
from fromnoise.sampling.steps import add_noise, ancestral, log_ratio, toward


@sampler(
    "euler_cfg_pp",
    label="Euler CFG++",
    order=1,
    good_for="Euler that keeps to plausible pictures under guidance; use a scale of 1 to 2.",
    good_for_zh="引导下仍贴近真实图像的 Euler；引导系数用 1 到 2。",
    aliases=("DDIM CFG++", "ddim_cfgpp"),
)
def euler_cfg_pp(x: Tensor, sigmas: Tensor) -> Sampler:
    """Algorithm 2 of the paper: DDIM with the unconditional noise."""
    return (yield from euler_ancestral_cfg_pp(x, sigmas, no_noise, eta=0.0))


@sampler(
    "euler_ancestral_cfg_pp",
    label="Euler a CFG++",
    order=1,
    stochastic=True,
    good_for="Euler a that keeps to plausible pictures under guidance; use a scale of 1 to 2.",
    good_for_zh="引导下仍贴近真实图像的 Euler a；引导系数用 1 到 2。",
)
def euler_ancestral_cfg_pp(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """Ancestral steps with the unconditional noise."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, uncond = yield Evaluate(x, sigma, split=True)
        down, up = ancestral(sigma, sigma_next, eta)
        x = denoised + (x - uncond) * (down / sigma)
        x = add_noise(x, noise, step, sigma, sigma_next, up * s_noise)
    return x


@sampler(
    "dpmpp_2s_ancestral_cfg_pp",
    label="DPM++ 2S a CFG++",
    order=0,
    evaluations=2,
    stochastic=True,
    default_schedule="karras",
    good_for="For repeating ComfyUI pictures made with it; its errors stay, however many steps. Scale 1 to 2.",
    good_for_zh="用于重现 ComfyUI 用它生成的图；增加步数也不会消除其误差。引导系数用 1 到 2。",
)
def dpmpp_2s_ancestral_cfg_pp(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """DPM-Solver++(2S) whose starting point is shifted by the guidance: for the step itself, from the first guided to
    the second unconditional answer, as in ComfyUI. Without guidance that leaves a shift, so it does not converge."""
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, uncond = yield Evaluate(x, sigma, split=True)
        down, up = ancestral(sigma, sigma_next, eta)
        target = denoised
        if down > 0:
            middle = (sigma * down).sqrt()
            trial = toward(denoised, x + (denoised - uncond), middle / sigma)
            target, uncond = yield Evaluate(trial, middle, split=True)
        x = toward(target, x + (denoised - uncond), down / sigma)
        x = add_noise(x, noise, step, sigma, sigma_next, up * s_noise)
    return x


@sampler(
    "dpmpp_2m_cfg_pp",
    label="DPM++ 2M CFG++",
    order=2,
    default_schedule="karras",
    good_for="DPM++ 2M with CFG++; use a guidance scale of 1 to 2.",
    good_for_zh="带 CFG++ 的 DPM++ 2M；引导系数用 1 到 2。",
)
def dpmpp_2m_cfg_pp(x: Tensor, sigmas: Tensor) -> Sampler:
    """DPM-Solver++(2M) on the unconditional answers, ending at the guided one."""
    uncond_last = h_last = None
    for sigma, sigma_next in pairwise(sigmas):
        denoised, uncond = yield Evaluate(x, sigma, split=True)
        h = log_ratio(sigma, sigma_next)
        x = denoised + (x - uncond) * (sigma_next / sigma)
        if uncond_last is not None and h_last is not None and sigma_next > 0:
            x = x + (denoised - uncond_last) * (-(-h).expm1() * h / (2 * h_last))
        uncond_last, h_last = uncond, h
    return x


@sampler(
    "res_multistep_cfg_pp",
    label="RES multistep CFG++",
    order=2,
    good_for="RES multistep with CFG++; use a guidance scale of 1 to 2.",
    good_for_zh="带 CFG++ 的 RES multistep；引导系数用 1 到 2。",
)
def res_multistep_cfg_pp(x: Tensor, sigmas: Tensor) -> Sampler:
    """`res_multistep` on the unconditional answers from a starting point shifted by the guidance."""
    return (yield from res_multistep_ancestral_cfg_pp(x, sigmas, no_noise, eta=0.0))


@sampler(
    "res_multistep_ancestral_cfg_pp",
    label="RES multistep a CFG++",
    order=2,
    stochastic=True,
    good_for="RES multistep a with CFG++; use a guidance scale of 1 to 2.",
    good_for_zh="带 CFG++ 的 RES multistep a；引导系数用 1 到 2。",
)
def res_multistep_ancestral_cfg_pp(
    x: Tensor, sigmas: Tensor, noise: NoiseSource, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """`res_multistep_ancestral` on the unconditional answers from a starting point shifted by the guidance."""
    uncond_last = down_last = None
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, uncond = yield Evaluate(x, sigma, split=True)
        down, up = ancestral(sigma, sigma_next, eta)
        if uncond_last is None or down_last is None or down == 0:
            x = denoised + (x - uncond) * (down / sigma)
        else:
            target = uncond + (uncond_last - uncond) * res_share(sigmas[step - 1], down_last, sigma, down)
            x = toward(target, x + (denoised - uncond), down / sigma)
        x = add_noise(x, noise, step, sigma, sigma_next, up * s_noise)
        uncond_last, down_last = uncond, down
    return x


@sampler(
    "gradient_estimation_cfg_pp",
    label="Gradient estimation CFG++",
    order=1,
    good_for="Gradient estimation with CFG++; use a guidance scale of 1 to 2.",
    good_for_zh="带 CFG++ 的 Gradient estimation；引导系数用 1 到 2。",
)
def gradient_estimation_cfg_pp(x: Tensor, sigmas: Tensor, *, ge_gamma: float = 2.0) -> Sampler:
    """`gradient_estimation` on the unconditional slopes, ending at the guided answer."""
    slope_last: Tensor | None = None
    for sigma, sigma_next in pairwise(sigmas):
        denoised, uncond = yield Evaluate(x, sigma, split=True)
        if sigma_next == 0:
            x = denoised
            break
        slope = (x - uncond) / sigma
        x = denoised + slope * sigma_next
        if slope_last is not None:
            x = x + (slope - slope_last) * (ge_gamma - 1) * (sigma_next - sigma)
        slope_last = slope
    return x
