"""Texts of AUTOMATIC1111 and its kin become recipes, and what has no place in one is named."""

import json

import pytest

from fromnoise.engine.metadata.infotext_read import read_infotext
from fromnoise.engine.recipe_parts import Hires, Inpaint, Noise, Refiner, SoftInpaint, Variation

from .written import NOW, fields


def test_automatic1111_of_today() -> None:
    read = read_infotext(NOW)
    assert read.source == "AUTOMATIC1111"
    assert read.recipe.prompt == NOW.split("\nNegative")[0]
    assert read.recipe.negative == "(worst quality:1.4), EasyNegative\nmore of it"
    assert fields(read, "steps", "sampler", "schedule", "guidance_scale", "seed", "width", "height", "clip_skip") == (
        28, "dpmpp_2m_sde", "exponential", 6.5, 1234567890, 512, 768, 2,
    )  # fmt: skip
    assert fields(read, "model", "model_hash", "sampler_options") == ("v1-5-pruned-emaonly", "6ce0161689", {"eta": 0.3})
    assert [(use.kind, use.name, use.hash, use.in_prompt) for use in read.recipe.networks] == [
        ("lora", "add detail", "7c6bad76eb54", True),
        ("embedding", "EasyNegative", "c74b4e810b03", True),
    ]


@pytest.mark.parametrize(
    ("label", "sampler", "schedule"),
    [
        ("Euler a", "euler_ancestral", "normal"),
        ("DPM++ 2M Karras", "dpmpp_2m", "karras"),
        ("DPM++ 2M", "dpmpp_2m", "normal"),  # before 1.9 a label without a schedule meant Uniform
        ("DPM++ SDE Karras", "dpmpp_sde", "karras"),
        ("DPM++ 3M SDE Exponential", "dpmpp_3m_sde", "exponential"),
        ("DDIM", "ddim", None),
        ("LMS Karras", "lms", "karras"),
    ],
)
def test_automatic1111_before_schedule_types(label: str, sampler: str, schedule: str | None) -> None:
    text = f"a cat\nSteps: 20, Sampler: {label}, CFG scale: 7, Seed: 1, Size: 512x512, Model hash: 7460a6fa"
    read = read_infotext(text)
    assert fields(read, "sampler", "schedule") == (sampler, schedule)
    assert read.recipe.model_hash == "7460a6fa"  # the old kind of hash


@pytest.mark.parametrize(
    ("label", "schedule"),
    [("Automatic", None), ("Uniform", "normal"), ("Karras", "karras"), ("SGM Uniform", "sgm_uniform"),
     ("Beta", "beta_sigma"), ("KL Optimal", "kl_optimal_open"), ("Align Your Steps", "align_your_steps"),
     ("DDIM", "ddim_uniform"), ("Polyexponential", "polyexponential"),
     ("Exponential", "exponential"), ("Simple", "simple"), ("Normal", "normal")],
)  # fmt: skip
def test_every_schedule_type(label: str, schedule: str | None) -> None:
    text = f"a\nSteps: 20, Sampler: Euler, Schedule type: {label}, CFG scale: 7, Seed: 1, Size: 64x64, Version: v1.10.1"
    read = read_infotext(text)
    assert (read.recipe.schedule, dict(read.not_understood)) == (schedule, {})


SAMPLERS_1111 = (
    "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE", "Euler a", "Euler",
    "LMS",
    "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart", "DDIM", "DDIM CFG++", "PLMS", "UniPC", "LCM",
)  # fmt: skip


@pytest.mark.parametrize("label", SAMPLERS_1111)
def test_every_sampler(label: str) -> None:
    text = f"a\nSteps: 20, Sampler: {label}, Schedule type: Automatic, CFG scale: 7, Seed: 1, Size: 64x64"
    assert not read_infotext(text).not_understood


def test_hires_fix() -> None:
    text = (
        "a\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 512x512, Denoising strength: 0.55, "
        "Hires upscale: 1.5, Hires steps: 10, Hires upscaler: 4x-UltraSharp, Hires sampler: DPM++ 2M, "
        'Hires schedule type: Karras, Hires prompt: "a, b: c", Hires checkpoint: other, Version: v1.10.1'
    )
    read = read_infotext(text)
    assert read.recipe.hires == Hires(
        scale=1.5, steps=10, upscaler="4x-UltraSharp", strength=0.55, prompt="a, b: c", sampler="dpmpp_2m",
        schedule="karras", model="other",
    )  # fmt: skip
    assert (read.recipe.strength, dict(read.not_understood), read.warnings) == (1.0, {}, ())
    read = read_infotext(text.replace("Hires upscale: 1.5", "Hires resize: 0x1000"))
    assert read.recipe.hires is not None
    assert (read.recipe.hires.width, read.recipe.hires.height) == (None, 1000)


def test_variation_and_noise() -> None:
    text = (
        "a\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Variation seed: 9, "
        "Variation seed strength: 0.2, Seed resize from: 512x768, ENSD: 31337, RNG: CPU, Noise multiplier: 1.1, "
        "Extra noise: 0.1, Emphasis: No norm, Refiner: sd_xl_refiner_1.0 [7440042bbd], Refiner switch at: 0.7"
    )
    read = read_infotext(text)
    assert read.recipe.variation == Variation(seed=9, strength=0.2)
    assert read.recipe.noise == Noise(source="cpu", from_size=(512, 768), seed_delta=31337, multiplier=1.1, extra=0.1)
    assert read.recipe.refiner == Refiner(model="sd_xl_refiner_1.0", model_hash="7440042bbd", switch_at=0.7)
    assert (read.recipe.emphasis, read.recipe.profile, dict(read.not_understood)) == ("no norm", "a1111", {})


SETTINGS = "a\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, "
EXTENSIONS: list[tuple[str, dict[str, object]]] = [  # as the web UI, its extensions and Forge write them
    ("NGMS: 1.5, NGMS all steps: True", {"guidance": {"skip": {"below": 1.5, "every_step": True}}}),
    ("Skip Early CFG: 0.1", {"guidance": {"skip": {"early": 0.1}}}),
    (
        "Token merging ratio: 0.5, Token merging ratio hr: 0.2, Tiling: True",
        {"token_merging": {"ratio": 0.5, "hires_ratio": 0.2}, "seamless": {}},
    ),
    ("Token merging ratio hr: 0.2", {"token_merging": {"ratio": 0, "hires_ratio": 0.2}}),
    ("CFG Rescale φ: 0.3", {"guidance": {"rescale": {"share": 0.3}}}),
    ("CFG Rescale phi: 0, Tiling: False", {}),
    (
        r'FreeU Stages: "[{\"backbone_factor\": 1.1, \"skip_factor\": 0.6}, '
        r'{\"backbone_factor\": 1.2, \"skip_factor\": 0.4}]", '
        'FreeU Schedule: "0.0, 1.0, 0.0", FreeU Version: 2, Dynamic thresholding enabled: True, Mimic scale: 1, '
        "Separate Feature Channels: False, Scaling Startpoint: MEAN, Variability Measure: AD, Interpolate Phi: 0.3, "
        "Threshold percentile: 99.9, PAG Active: True, PAG Scale: 1",
        {
            "free_u": {"b1": 1.1, "s1": 0.6, "b2": 1.2, "s2": 0.4, "version": 2},
            "guidance": {
                "thresholding": {"mimic_scale": 1, "per_channel": False, "share": 0.3, "percentile": 0.999},
                "perturbed": {"scale": 1},
            },
        },
    ),
    (
        "Dynamic thresholding enabled: True, Mimic scale: 10, Threshold percentile: 100, Mimic mode: Half Cosine Up, "
        "Mimic scale minimum: 4, CFG mode: Power Down, CFG scale minimum: 3, Scheduler value: 4",
        {
            "guidance": {
                "thresholding": {
                    "mimic_scale": 10, "mimic_mode": "half cosine up", "mimic_minimum": 4, "scale_mode": "power down",
                    "scale_minimum": 3, "power": 4,
                }
            }
        },
    ),
    (
        "freeu_enabled: True, freeu_b1: 1.01, freeu_b2: 1.02, freeu_s1: 0.99, freeu_s2: 0.95, sag_enabled: True, "
        "sag_scale: 0.75, sag_blur_sigma: 3, sag_threshold: 1.5, PerturbedAttentionGuidance_enabled: True, "
        "PerturbedAttentionGuidance_scale: 2, Version: f2.0.1",
        {
            "free_u": {"b1": 1.01, "b2": 1.02, "s1": 0.99, "s2": 0.95},
            "guidance": {"self_attention": {"scale": 0.75, "blur": 3, "threshold": 1.5}, "perturbed": {"scale": 2}},
        },
    ),
    ("SAG Guidance Scale: 0.75, SAG Mask Threshold: 1", {"guidance": {"self_attention": {"scale": 0.75}}}),
    (
        'Decode prompt: "a, b", Decode CFG scale: 1.5, Decode steps: 40, Randomness: 0.1, Sigma Adjustment: True',
        {"inversion": {"prompt": "a, b", "guidance_scale": 1.5, "steps": 40, "randomness": 0.1, "adjusted": True}},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "parts"), EXTENSIONS)
def test_guidance_of_extensions(fields: str, parts: dict[str, object]) -> None:
    read = read_infotext(SETTINGS + fields)
    assert read.not_understood == {}
    plain = read_infotext(SETTINGS.removesuffix(", ")).recipe
    assert read.recipe.but(schedule=None) == plain.but(schedule=None, **parts)


@pytest.mark.parametrize(
    "fields",
    [
        "FreeU Stages: [1]",
        'FreeU Stages: "[{"',
        'FreeU Schedule: "0.1, 1.0, 0.0"',
        "Threshold percentile: many",
        "Part free_u: {",
        "Part seed: {}",
        'Part regional: {"regions": [{"left": 7}]}',
        "NGMS: none",
        "CFG mode: Sideways",
    ],
)
def test_guidance_that_makes_no_sense_is_kept(fields: str) -> None:
    read = read_infotext(SETTINGS + fields)
    assert list(read.not_understood) == [fields.split(": ", 1)[0]]


def test_inpainting() -> None:
    text = (
        "a\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Denoising strength: 0.75, "
        "Mask blur: 4, Masked content: latent noise, Inpaint area: Only masked, Masked area padding: 16, "
        "Mask mode: Inpaint not masked, Soft inpainting enabled: True, Soft inpainting schedule bias: 2"
    )
    read = read_infotext(text)
    soft = SoftInpaint(bias=2)
    assert read.recipe.inpaint == Inpaint(
        content="noise", blur=4, invert=True, only_masked=True, padding=16, soft=soft
    )  # fmt: skip
    assert len(read.warnings) == 2


@pytest.mark.parametrize(("version", "old"), [("v1.5.2", True), ("v1.6.0", False), ("v1.10.1", False)])
def test_prompt_editing_of_old_versions(version: str, old: bool) -> None:
    text = f"[a:b:3]\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64, Version: {version}"
    assert read_infotext(text).recipe.old_prompt_timing is old


def test_a_start_picture_is_asked_for() -> None:
    read = read_infotext("a\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 512x512, Denoising strength: 0.55")
    assert read.recipe.strength == 0.55
    assert any("--init" in warning for warning in read.warnings)


def test_templates_of_dynamic_prompts() -> None:
    text = (
        "a red cat\nNegative prompt: bad\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64\n"
        "Template: a {red|blue} cat\nof two lines\nNegative Template: bad, a: b, c: d, e: f"
    )
    read = read_infotext(text)
    assert fields(read, "prompt", "negative", "steps") == ("a red cat", "bad", 20)
    assert read.not_understood["Template"].startswith("Template: a {red|blue} cat")


def test_sites_add_json_to_the_line() -> None:
    text = (
        "a\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 64x64, Clip skip: 2, "
        'Hashes: {"vae": "735e4c3a44", "model": "31e35c80fc"}, Civitai resources: [{"type":"checkpoint","weight":1}], '
        "Version: ComfyUI"
    )
    read = read_infotext(text)
    assert (read.source, read.recipe.clip_skip) == ("ComfyUI", 2)
    assert json.loads(read.not_understood["Hashes"]) == {"vae": "735e4c3a44", "model": "31e35c80fc"}
    assert json.loads(read.not_understood["Civitai resources"]) == [{"type": "checkpoint", "weight": 1}]


def test_forge() -> None:
    text = (
        "a\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 896x1152, Model hash: "
        "e3c47aedb0, Model: animagine, Distilled CFG Scale: 3.5, Module 1: ae, Version: f2.0.1v1.10.1-previous-659"
    )
    read = read_infotext(text)
    assert read.source == "Forge"
    assert read.not_understood == {"Distilled CFG Scale": "3.5", "Module 1": "ae"}


def test_what_forge_always_writes_says_nothing() -> None:
    text = (
        "a\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 1, Size: 896x1152, VAE: "
        "sdxl_vae.safetensors, Beta schedule alpha: 0.6, Diffusion in Low Bits: Automatic, Module 1: sdxl_vae, "
        "Module 2: other, Version: f2.0.1v1.10.1-previous-659"
    )
    read = read_infotext(text)
    assert read.recipe.vae is not None
    assert read.recipe.vae.name == "sdxl_vae"
    assert read.not_understood == {"Module 2": "other"}


def test_second_passes_of_sd_next() -> None:
    text = (
        "a cat\nSteps: 30, Size: 512x512, Sampler: Euler a, Seed: 42, CFG scale: 6, App: SD.Next, Version: 5fec8d9, "
        "Hires upscaler: Latent, Hires scale: 1.5, Hires steps: 10, Hires strength: 0.35"
    )
    assert read_infotext(text).recipe.hires == Hires(scale=1.5, steps=10, strength=0.35)


@pytest.mark.parametrize(("sampler", "options"), [("euler_a karras", {}), ("ddim_trailing", {"eta": 0.0})])
def test_eta_of_stable_diffusion_cpp_is_that_of_ddim(sampler: str, options: dict[str, float]) -> None:
    text = f"a\nSteps: 20, CFG scale: 7, Eta: 0.000000, Seed: 1, Size: 64x64, Sampler: {sampler}, Version: "
    assert read_infotext(f"{text}stable-diffusion.cpp").recipe.sampler_options == options


def test_sd_next() -> None:
    text = (
        "a cat\nNegative prompt: bad\nTemplate: a __animal__\nSteps: 30, Size: 1024x1024, Sampler: Euler a, Seed: 42, "
        "CFG scale: 6, App: SD.Next, Version: 5fec8d9, Operations: txt2img, Model: juggernaut, Model hash: 33e58e8668"
    )
    read = read_infotext(text)
    assert (read.source, *fields(read, "prompt", "negative", "width")) == ("SD.Next", "a cat", "bad", 1024)
    assert read.not_understood["Template"] == "a __animal__"


@pytest.mark.parametrize(
    ("label", "sampler", "schedule"),
    [("euler_a", "euler_ancestral", "normal"), ("dpm++2m karras", "dpmpp_2m", "karras"),
     ("heun discrete", "heun", "normal"),
     ("ipndm_v ays", "ipndm_v", "align_your_steps")],
)  # fmt: skip
def test_stable_diffusion_cpp(label: str, sampler: str, schedule: str) -> None:
    text = (
        "A sunflower field\nSteps: 30, CFG scale: 5.000000, Guidance: 3.500000, Eta: 0.000000, Seed: 197583933, "
        f"Size: 512x512, Model: v1-5-pruned-emaonly.safetensors, RNG: cuda, Sampler: {label}, "
        "Version: stable-diffusion.cpp"
    )
    read = read_infotext(text)
    assert (read.source, *fields(read, "guidance_scale", "model", "sampler", "schedule")) == (
        "stable-diffusion.cpp", 5.0, "v1-5-pruned-emaonly", sampler, schedule,
    )  # fmt: skip


def test_unknown_names_come_with_the_nearest() -> None:
    text = "a\nSteps: 20, Sampler: DPM++ 2N, Schedule type: Karas, CFG scale: 7, Seed: 1, Size: 64x64"
    read = read_infotext(text)
    assert read.not_understood["Sampler"] == "DPM++ 2N (nearest here: dpmpp_2m, dpmpp_2s_ancestral)"
    assert read.not_understood["Schedule type"] == "Karas (nearest here: karras)"
    assert len(read.warnings) == 2


def test_values_that_can_not_be_are_kept() -> None:
    text = "a\nSteps: -4, Sampler: Euler, CFG scale: nan, Seed: 99999999999999999999999, Size: 500x333, Clip skip: two"
    read = read_infotext(text)
    assert set(read.not_understood) == {"Steps", "CFG scale", "Seed", "Clip skip"}
    assert fields(read, "steps", "width", "height") == (20, 496, 328)


def test_models_are_named_by_file_alone() -> None:
    line = "Steps: 1, Sampler: Euler, CFG scale: 7, Seed: 1"
    assert read_infotext(f"a\n{line}, Model: ../../etc/shadow").recipe.model == "shadow"
    assert read_infotext(f"a\n{line}, Model: sd\\v1.5.safetensors").recipe.model == "v1.5"
    assert read_infotext(f"a\n{line}, Model: ..").recipe.model == "builtin"
