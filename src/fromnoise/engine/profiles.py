"""Profiles: whose numerics a picture follows, so that an old seed gives the picture that people remember.

A profile is one frozen object. It holds no code: the engine asks it what the tool does at each point
where tools differ. `native` has no legacy quirks; the others do what version 1.10 of AUTOMATIC1111's web UI, ComfyUI
0.3.64 and diffusers 0.35 do. docs/profiles.md has the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fromnoise.registry import Registry
from fromnoise.text.prompt_weights import Dialect, Emphasis

if TYPE_CHECKING:  # a profile, and so a recipe, needs no torch
    from fromnoise.sampling.samplers import Option, SamplerSpec
    from fromnoise.sampling.schedules import TimestepRule

Source = Literal["philox", "cpu", "nv"]
"""Where noise comes from: Philox keyed by purpose and step; PyTorch's generator on the CPU, or on NVIDIA GPUs."""

StepNoise = Literal["keyed", "continued", "restarted"]
"""The noise of stochastic steps: keyed by step; the starting noise's stream going on; the stream started again."""

StartScale = Literal["variance", "denoise", "sigma"]
"""Starting noise is multiplied by sqrt(1 + sigma^2) where there is no start picture, where it starts at the model's
highest sigma, or never; by sigma otherwise."""

StrengthRule = Literal["stretch", "t_enc", "shorten"]
"""Steps with a start picture, n asked for at strength s: n of int(n / s); int(min(s, 0.999) n) + 1; int(n s)."""

MaskRule = Literal["noised", "clean"]
"""Whether the network sees the kept part of a picture at the step's noise level, or as the sampler left it."""

MaskScale = Literal["area", "bilinear", "bicubic", "nearest"]

ControlWindow = Literal["steps", "callbacks", "levels"]
"""When a control acts, from one share of the run to another: by steps; by steps as the last one reported; by noise
levels, as shares of the timesteps."""

HintScale = Literal["content", "nearest", "lanczos"]
"""How hints are resized: by what they are, so that lines stay lines; by torch's "nearest-exact"; by PIL's Lanczos."""


@dataclass(frozen=True)
class Profile:
    """What a tool does wherever tools differ."""

    name: str
    title: str

    # noise
    source: Source = "philox"
    step_noise: StepNoise = "keyed"
    brownian: bool = False  # step noise of the SDE samplers is a Brownian path in sigma
    brownian_over_all: bool = False  # with a start picture its range is that of all planned steps, not of those taken
    posterior_first: bool = False  # encoding a start picture draws from the stream before the starting noise does
    random_kept: frozenset[str] = frozenset()  # samplers whose kept part is noised with the seed's successor

    # noise levels
    start_scale: StartScale = "variance"
    strength: StrengthRule = "stretch"
    timestep: "TimestepRule" = "nearest"
    single_precision_table: bool = False  # sigmas are computed from alphas_cumprod in float32
    drop_penultimate: frozenset[str] | None = None  # samplers that do; None: those that say so themselves
    default_schedules: Mapping[str, str] | None = None  # by sampler; None: the sampler's own
    fallback_schedule: str = "normal"  # of samplers that `default_schedules` leaves out
    schedule_names: Mapping[str, str] = field(default_factory=dict)  # names that mean another schedule here
    sdxl_schedules: Mapping[str, str] = field(default_factory=dict)  # that SDXL models take instead of others
    timestep_samplers: frozenset[str] = frozenset()  # walk whole timesteps and stop at the lowest (original LDM code)
    sampler_options: Mapping[str, "Mapping[str, Option]"] = field(default_factory=dict)
    guidance_divisors: Mapping[str, float] = field(default_factory=dict)

    # prompts
    dialect: Dialect = "native"
    weights: bool = True  # brackets change weights
    emphasis: Emphasis = "native"
    emphasis_together: bool = False  # the mean is restored over all that a prompt says in the course of the picture
    first_chunk_only: bool = False  # what does not fit 75 tokens is not seen
    pad_prompts: bool = True  # the shorter of prompt and negative prompt is lengthened by empty chunks
    count_evaluations: bool = False  # prompts change by evaluations of the model, else by the noise level
    clip_skip_families: frozenset[str] = frozenset({"sd1", "sd2", "sdxl", "sdxl_refiner"})  # that clip skip acts on
    zero_empty_negative: bool = False  # SDXL: an empty negative prompt is zeros, not the states of an empty prompt

    # guidance
    rescale_of: Literal["v", "output", "denoised"] = "v"  # whose contrast CFG rescale keeps
    zero_star_of: Literal["slope", "denoised"] = "slope"  # what CFG-Zero* scales
    projected_scale_more: float = 0.0  # APG counts its scale from the conditional answer, not from the other
    free_u_stages: Literal["width", "level"] = "width"  # FreeU chooses by channels or by resolution
    threshold_by_timestep: bool = False  # progress of dynamic thresholding, else by evaluations

    # start pictures and masks
    mask: MaskRule = "noised"
    mask_scale: MaskScale = "area"  # how a mask becomes as small as the latents
    round_mask: bool = False  # each latent is kept or not
    paste_kept: bool = True  # the kept pixels of the start picture come back exactly
    round_pixels: bool = True  # to the nearest of 256 levels, else down
    outpaint_fill: Literal["edge", "gray"] = "edge"  # what is on a larger canvas at first

    # control networks
    union_together: bool = True  # hints of one union ControlNet are seen in one pass, each by its type
    control_window: ControlWindow = "steps"
    hint_scale: HintScale = "content"
    hint_resize: Literal["crop", "stretch"] = "crop"  # where a control says nothing
    soft_of_thirteen: bool = False  # softer layers count as if there were SD 1.x's thirteen residuals
    soft_second_pass: frozenset[str] = frozenset()  # preprocessors whose hints act softly in a second pass
    pooled_on_both: bool = False  # hints of which only the mean acts do so for the negative prompt, too
    zero_style: bool = False  # the negative prompt gets tokens of zeros beside a style

    def drops_penultimate(self, spec: "SamplerSpec") -> bool:
        """Whether a step more is planned and its last level above 0 left out."""
        return spec.drop_penultimate if self.drop_penultimate is None else spec.name in self.drop_penultimate

    def schedule(self, sampler: str, own: str) -> str:
        """The schedule where a recipe names none; `own` is what suits model and sampler."""
        if self.default_schedules is None:
            return own
        return self.default_schedules.get(sampler, self.fallback_schedule)

    def schedule_named(self, name: str) -> str:
        """The name here of what the tool calls `name`.

        >>> PROFILES["a1111"].schedule_named("Beta"), PROFILES["comfyui"].schedule_named("beta")
        ('beta_sigma', 'beta')
        """
        return self.schedule_names.get(name.lower(), name)

    def options(self, sampler: str, given: "Mapping[str, Option]") -> "Mapping[str, Option]":
        """The options that a sampler is started with."""
        return {**self.sampler_options.get(sampler, {}), **given}


PROFILES: Registry[Profile] = Registry("profile", entry_points="fromnoise.profiles")


def register(profile: Profile) -> Profile:
    """Add a profile to the registry; plug-ins call it, too."""
    PROFILES.add(profile.name, profile)
    return profile


NATIVE = register(Profile("native", "fromnoise"))

A1111 = register(
    Profile(
        "a1111",
        "AUTOMATIC1111 web UI 1.10",
        source="nv",
        step_noise="continued",
        brownian=True,
        brownian_over_all=True,
        start_scale="sigma",
        strength="t_enc",
        timestep="interpolate",
        single_precision_table=True,
        drop_penultimate=frozenset({"dpm_2", "dpm_2_ancestral", "dpmpp_3m_sde"}),
        default_schedules={
            "dpmpp_2m": "karras",
            "dpmpp_sde": "karras",
            "dpmpp_2m_sde": "exponential",
            "dpmpp_2m_sde_heun": "exponential",
            "dpmpp_2s_ancestral": "karras",
            "dpmpp_3m_sde": "exponential",
            "dpm_2": "karras",
            "dpm_2_ancestral": "karras",
            "restart": "karras",
        },
        schedule_names={"beta": "beta_sigma", "kl optimal": "kl_optimal_open", "kl_optimal": "kl_optimal_open"},
        sdxl_schedules={"align_your_steps": "align_your_steps_sdxl"},
        timestep_samplers=frozenset({"ddim", "plms", "uni_pc", "euler_cfg_pp"}),
        sampler_options={"lms": {"extrapolate_last": True}, "dpm_fast": {"eta": 1.0}, "dpm_adaptive": {"eta": 1.0}},
        guidance_divisors={"euler_cfg_pp": 12.5},  # there DDIM CFG++
        dialect="a1111",
        emphasis_together=True,
        pad_prompts=False,
        count_evaluations=True,
        clip_skip_families=frozenset({"sd1"}),
        zero_empty_negative=True,
        rescale_of="denoised",
        mask="clean",
        mask_scale="bicubic",
        round_mask=True,
        round_pixels=False,
        union_together=False,
        control_window="callbacks",
        soft_of_thirteen=True,
        soft_second_pass=frozenset({"canny", "mlsd"}),
        zero_style=True,
    )
)

COMFYUI = register(
    Profile(
        "comfyui",
        "ComfyUI 0.3.64",
        source="cpu",
        step_noise="restarted",
        brownian=True,
        random_kept=frozenset({"ddim"}),
        start_scale="denoise",
        dialect="comfyui",
        emphasis="comfyui",
        pad_prompts=False,
        zero_star_of="denoised",
        projected_scale_more=1.0,
        threshold_by_timestep=True,
        mask_scale="bilinear",
        paste_kept=False,
        round_pixels=False,
        outpaint_fill="gray",
        union_together=False,
        control_window="levels",
        hint_scale="nearest",
        pooled_on_both=True,
    )
)

DIFFUSERS = register(
    Profile(
        "diffusers",
        "diffusers 0.35",
        source="cpu",
        step_noise="continued",
        posterior_first=True,
        strength="shorten",
        drop_penultimate=frozenset(),
        default_schedules={},
        fallback_schedule="leading",
        dialect="comfyui",  # which has no words of its own
        weights=False,
        emphasis="ignore",
        first_chunk_only=True,
        zero_empty_negative=True,
        rescale_of="output",
        free_u_stages="level",
        mask_scale="nearest",
        round_mask=True,
        paste_kept=False,
        hint_scale="lanczos",
        hint_resize="stretch",
    )
)
