"""Writes docs/samplers.md from the registries: `python -m fromnoise.sampling.docs > docs/samplers.md`."""

from collections.abc import Iterable, Sequence

from fromnoise.sampling.samplers import SAMPLERS, SamplerSpec
from fromnoise.sampling.schedules import SCHEDULES, Schedule

_HEAD = """# Samplers and schedules · 采样器与调度

<!-- Written by `python -m fromnoise.sampling.docs`; change the code, not this page. -->

A sampler leads the latents from noise to a picture; a schedule chooses the noise levels on the way. Names of ComfyUI
and k-diffusion, labels of AUTOMATIC1111 and old labels such as `DPM++ 2M Karras` all work, in any case.
采样器把潜变量从噪声带到图像，调度决定途中的噪声级。ComfyUI 与 k-diffusion 的名字、AUTOMATIC1111 的标签，
以及 `DPM++ 2M Karras` 这类旧标签都可使用，不分大小写。

In doubt, take `dpmpp_2m` with `karras` and 25 steps. 拿不准时，用 `dpmpp_2m` 配 `karras`，25 步。
"""

_SAMPLERS = """
## Samplers · 采样器

*Order*: the error falls with that power of the number of steps, for samplers with noise the error of the variance; 0
does not converge. *Calls*: of the model for each step; twice the calls, twice the time. *Noise*: draws fresh noise in
each step, so the picture changes with the number of steps.
阶：误差随步数按此幂次下降（带噪声的采样器指方差误差），0 表示不收敛。调用：每步调用模型的次数，次数加倍则耗时加倍。
噪声：每步加入新的随机噪声，画面随步数变化。
"""

_OPTIONS = """
## Options · 选项

Keyword options and their defaults. `eta` scales the fresh noise (0: none), `s_noise` multiplies it, `s_churn` adds
noise back between the levels `s_tmin` and `s_tmax`; the others are explained in the sampler's own documentation.
关键字选项及默认值。`eta` 控制随机噪声的多少（0 为无），`s_noise` 为其倍数，`s_churn` 在 `s_tmin` 与 `s_tmax`
之间的噪声级上回加噪声；其余见各采样器的文档。
"""

_SCHEDULES = """
## Schedules · 调度
"""


def page() -> str:
    """The whole page as Markdown."""
    samplers, schedules = list(SAMPLERS.values()), list(SCHEDULES.values())
    return "".join(
        (
            _HEAD,
            _SAMPLERS,
            _table(("Name", "Order", "Calls", "Noise", "Schedule", "Good for · 适合"), map(_sampler_row, samplers)),
            _OPTIONS,
            _table(("Sampler", "Method", "Options"), map(_options_row, samplers)),
            _SCHEDULES,
            _table(("Name", "Good for · 适合"), map(_schedule_row, schedules)),
        )
    )


def _sampler_row(spec: SamplerSpec) -> Sequence[str]:
    calls = str(spec.evaluations or "its own")
    noise = "yes" if spec.stochastic else ""
    good_for = f"{spec.good_for}<br>{spec.good_for_zh}"
    return _names(spec), str(spec.order), calls, noise, f"`{spec.default_schedule}`", good_for


def _options_row(spec: SamplerSpec) -> Sequence[str]:
    method = " ".join((spec.make.__doc__ or "").split())
    return f"`{spec.name}`", method, ", ".join(f"`{name}={value!r}`" for name, value in spec.options.items())


def _schedule_row(schedule: Schedule) -> Sequence[str]:
    return _names(schedule), f"{schedule.good_for}<br>{schedule.good_for_zh}"


def _names(item: SamplerSpec | Schedule) -> str:
    others = ", ".join(f"`{alias}`" for alias in item.aliases)
    return f"**{item.label}**<br>`{item.name}`" + (f"<br>{others}" if others else "")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    print(page(), end="")
