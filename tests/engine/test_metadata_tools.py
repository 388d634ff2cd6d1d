"""Pictures of other tools become recipes, and what has no place in one is named."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fromnoise.engine.metadata.comfyui_write import graph
from fromnoise.engine.metadata.draft import Imported
from fromnoise.engine.metadata.infotext_read import read_infotext
from fromnoise.engine.metadata.novelai import weighted
from fromnoise.engine.metadata.read import read_any
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_guidance import Region, Regional
from fromnoise.engine.recipe_networks import NetworkUse
from fromnoise.engine.recipe_parts import Hires, Inpaint, Noise, Refiner, SoftInpaint, Variation
from fromnoise.errors import FileError

WORKFLOWS = json.loads((Path(__file__).parents[1] / "golden/metadata/comfyui_workflows.json").read_text())


def png(folder: Path, texts: Mapping[str, str]) -> Path:
    """A picture with text chunks, as other tools write them."""
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    Image.new("RGB", (8, 8)).save(folder / "picture.png", pnginfo=info)
    return folder / "picture.png"


def fields(imported: Imported, *names: str) -> tuple[object, ...]:
    return tuple(getattr(imported.recipe, name) for name in names)


NOW = """(masterpiece:1.2), 1girl, <lora:add detail:0.7>
second line: with a colon, and CFG scale: 3, Steps: 4, Seed: 5
Negative prompt: (worst quality:1.4), EasyNegative
more of it
Steps: 28, Sampler: DPM++ 2M SDE, Schedule type: Exponential, CFG scale: 6.5, Seed: 1234567890, Size: 512x768, \
Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, VAE hash: 735e4c3a44, \
VAE: vae-ft-mse-840000-ema-pruned.safetensors, \
Clip skip: 2, Eta: 0.3, TI hashes: "EasyNegative: c74b4e810b03", Lora hashes: "add detail: 7c6bad76eb54", \
Version: v1.10.1"""


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


@pytest.mark.parametrize("case", WORKFLOWS)
def test_comfyui_workflows(tmp_path: Path, case: str) -> None:
    """Workflows as genuine ComfyUI ran them."""
    read = read_any(png(tmp_path, {"prompt": json.dumps(WORKFLOWS[case]), "workflow": "{}"}))
    k = WORKFLOWS[case]["3"]["inputs"]
    assert read.source == "ComfyUI"
    assert fields(read, "seed", "steps", "guidance_scale", "sampler", "schedule", "model", "prompt", "negative") == (
        k["seed"], 6, 5.0, k["sampler_name"], k["scheduler"], "tinyw",
        WORKFLOWS[case]["6"]["inputs"]["text"], WORKFLOWS[case]["7"]["inputs"]["text"],
    )  # fmt: skip
    named = {
        "img2img-06": {"LoadLatent 20"},
        "inpaint-mask": {"LoadLatent 20", "SetLatentNoiseMask 25", "SolidMask 22", "MaskComposite 24"},
    }
    assert set(read.not_understood) == named.get(case, set())
    assert read.recipe.strength == (0.6 if case == "img2img-06" else 1.0)
    assert read.recipe.noise == (Noise(batch=3) if case == "batch3" else None)
    if case not in ("img2img-06", "inpaint-mask"):
        assert fields(read, "width", "height") == (64, 64)
    listed = (NetworkUse(name="tinyw_lora", strength=0.8, text_strength=0.5),) if case == "lora-08-05" else ()
    assert read.recipe.networks == listed


@pytest.mark.parametrize(
    "changes", [{}, {"clip_skip": 2}, {"schedule": "beta", "sampler": "uni_pc", "seed": 2**64 - 1}]
)
def test_our_graph_reads_back(tmp_path: Path, changes: dict[str, Any]) -> None:
    recipe = Recipe(**{"prompt": "图 (a:1.2)", "negative": "b", "schedule": "karras", "model": "dream", **changes})
    read = read_any(png(tmp_path, {"prompt": json.dumps(graph(recipe))}))
    assert fields(read, *Recipe.model_fields.keys() - {"profile"}) == tuple(
        getattr(recipe, name) for name in Recipe.model_fields.keys() - {"profile"}
    )
    assert not read.not_understood


def test_our_graph_of_a_start_picture_names_it(tmp_path: Path) -> None:
    start = ImageRef(path="in/start.png", sha256="0" * 64)
    recipe = Recipe(width=640, height=384, init=start, mask=start, strength=0.4)
    read = read_any(png(tmp_path, {"prompt": json.dumps(graph(recipe))}))
    assert fields(read, "strength", "width", "height") == (0.4, 640, 384)
    assert json.loads(read.not_understood["LoadImage 11"]) == {"image": "start.png"}


def node(kind: str, **inputs: object) -> dict[str, object]:
    return {"class_type": kind, "inputs": inputs}


CUSTOM = {
    "1": node("CheckpointLoaderSimple", ckpt_name="SDXL/base.safetensors"),
    "2": node("LoraLoader", model=["1", 0], clip=["1", 1], lora_name="a.safetensors", strength_model=0.5,
              strength_clip=1),
    "3": node("CLIPSetLastLayer", clip=["2", 1], stop_at_clip_layer=-2),
    "4": node("PrimitiveStringMultiline", value="a cat"),
    "5": node("StringConcatenate", string_a=["4", 0], string_b="on a mat", delimiter=", "),
    "6": node("CLIPTextEncode", text=["5", 0], clip=["3", 0]),
    "7": node("CLIPTextEncode", text="blurry", clip=["3", 0]),
    "8": node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["9", 0]),
    "9": node("CLIPTextEncodeSDXL", text_g="a dog", text_l="a dog", width=1024, height=1024, clip=["3", 0]),
    "10": node("CFGGuider", model=["2", 0], positive=["8", 0], negative=["7", 0], cfg=4.5),
    "11": node("RandomNoise", noise_seed=["12", 0]),
    "12": node("PrimitiveInt", value=77),
    "13": node("SamplerDPMPP_2M_SDE", solver_type="heun", eta=0.5, s_noise=1.0, noise_device="gpu"),
    "14": node("KarrasScheduler", steps=33, sigma_max=14.614642, sigma_min=0.0291675, rho=7.0),
    "15": node("EmptyLatentImage", width=["16", 0], height=768, batch_size=1),
    "16": node("PrimitiveInt", value=512),
    "17": node("SamplerCustomAdvanced", noise=["11", 0], guider=["10", 0], sampler=["13", 0], sigmas=["14", 0],
               latent_image=["15", 0]),
    "18": node("Reroute", **{"": ["17", 0]}),
    "19": node("VAEDecode", samples=["18", 0], vae=["1", 2]),
    "20": node("PreviewImage", images=["19", 0]),
}  # fmt: skip


def test_comfyui_custom_sampling_and_primitives(tmp_path: Path) -> None:
    read = read_any(png(tmp_path, {"prompt": json.dumps(CUSTOM)}))
    assert fields(read, "prompt", "negative", "model", "clip_skip") == ("a cat, on a mat", "blurry", "base", 2)
    assert read.recipe.regional == Regional(regions=(Region(prompt="a dog"),))
    assert fields(read, "seed", "steps", "guidance_scale", "sampler", "schedule", "width", "height") == (
        77, 33, 4.5, "dpmpp_2m_sde", "karras", 512, 768,
    )  # fmt: skip
    assert read.recipe.sampler_options == {"solver_type": "heun", "eta": 0.5, "s_noise": 1.0}
    assert read.recipe.networks == (NetworkUse(name="a", strength=0.5, text_strength=1.0),)
    assert not read.not_understood


def test_comfyui_guidance_comes_back(tmp_path: Path) -> None:
    """What is written as a graph is read from it, node by node."""
    recipe = Recipe.make(
        profile="comfyui", prompt="a garden", negative="blurry", width=768, height=512, sampler="euler",
        schedule="karras", model="tiny", free_u={"version": 1, "b1": 1.2},
        guidance={
            "rescale": {"share": 0.6}, "perturbed": {"scale": 2.5}, "self_attention": {"scale": 0.7, "blur": 3},
            "zero_star": {},
        },
        regional={
            "base": 0.5,
            "regions": [
                {"prompt": "a cat", "width": 0.5, "strength": 2},
                {"prompt": "a dog", "left": 0.5, "top": 0.25, "width": 0.5, "height": 0.75, "start": 0.1, "end": 0.8},
                {"prompt": "rain", "negative": True, "height": 0.5},
            ],
        },
    )  # fmt: skip
    for one in (
        recipe,
        recipe.but(clip_skip=2, free_u={}, guidance={"projected": {"eta": 0.5}}, regional=None),
        recipe.but(guidance={"perp_neg": {"weight": 1.5}}, regional={"base": 0, "regions": [{"prompt": "x"}]}),
    ):
        read = read_any(png(tmp_path, {"prompt": json.dumps(graph(one))}))
        assert read.recipe == one.but(prompt="" if one.regional and not one.regional.base else one.prompt)
        assert read.not_understood == {}


def test_comfyui_areas_in_pixels(tmp_path: Path) -> None:
    workflow = graph(Recipe(prompt="a garden", width=768, height=512, sampler="euler"))
    workflow["40"] = node("CLIPTextEncode", text="a dog", clip=["4", 1])
    workflow["41"] = node(
        "ConditioningSetArea", conditioning=["40", 0], width=600, height=128, x=256, y=64, strength=1.5
    )
    workflow["42"] = node("ConditioningCombine", conditioning_1=["6", 0], conditioning_2=["41", 0])
    workflow["3"]["inputs"]["positive"] = ["42", 0]
    read = read_any(png(tmp_path, {"prompt": json.dumps(workflow)}))
    dog = Region(prompt="a dog", left=1 / 3, top=0.125, width=600 / 768, height=0.25, strength=1.5)
    assert read.recipe.regional == Regional(regions=(dog,))


def test_comfyui_masks_are_named(tmp_path: Path) -> None:
    """Of start pictures and of prompts; and the canvas that grew."""
    reference = {"path": "photo.png", "sha256": "0" * 64}
    recipe = Recipe.make(
        profile="comfyui", prompt="a garden", width=64, height=64, sampler="euler", schedule="karras", model="tiny",
        init=reference, strength=0.5, outpaint={"left": 16, "feather": 8}, inpaint={"gradual": True},
        regional={"regions": [{"prompt": "a cat", "mask": reference, "bounds": True, "strength": 2}]},
    )  # fmt: skip
    read = read_any(png(tmp_path, {"prompt": json.dumps(graph(recipe))}))
    assert read.recipe.outpaint == recipe.outpaint
    assert read.recipe.inpaint == recipe.inpaint
    assert read.recipe.regional is None or read.recipe.regional.regions == ()
    assert any(json.loads(value).get("prompt") == "a cat" for value in read.not_understood.values())
    assert any("a prompt under a mask of its own" in warning for warning in read.warnings)


def test_comfyui_second_pass_is_named(tmp_path: Path) -> None:
    workflow = {
        **WORKFLOWS["euler-normal"],
        "30": node("LatentUpscaleBy", samples=["3", 0], upscale_method="bilinear", scale_by=2.0),
        "31": node("KSampler", model=["4", 0], seed=9, steps=12, cfg=3.0, sampler_name="heun", scheduler="karras",
                   positive=["6", 0], negative=["7", 0], latent_image=["30", 0], denoise=0.5),
        "8": node("VAEDecode", samples=["31", 0], vae=["4", 2]),
    }  # fmt: skip
    read = read_any(png(tmp_path, {"prompt": json.dumps(workflow)}))
    assert fields(read, "seed", "steps", "sampler") == (1, 6, "euler")
    assert read.recipe.hires == Hires(
        scale=2.0, strength=0.5, steps=12, guidance_scale=3.0, sampler="heun", schedule="karras", seed=9
    )
    assert not read.not_understood


def test_comfyui_advanced_sampler(tmp_path: Path) -> None:
    workflow = dict(WORKFLOWS["euler-normal"])
    workflow["3"] = node(
        "KSamplerAdvanced", model=["4", 0], add_noise="enable", noise_seed=4, steps=25, cfg=8.0, 
        sampler_name="dpmpp_sde_gpu",
        scheduler="exponential", positive=["6", 0], negative=["7", 0], latent_image=["5", 0], start_at_step=0,
        end_at_step=20, return_with_leftover_noise="enable",
    )  # fmt: skip
    read = read_any(png(tmp_path, {"prompt": json.dumps(workflow)}))
    assert fields(read, "seed", "steps", "sampler", "schedule") == (4, 25, "dpmpp_sde", "exponential")


def test_comfyui_in_webp(tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[0x0110] = "prompt:" + json.dumps(WORKFLOWS["euler-normal"])
    Image.new("RGB", (8, 8)).save(tmp_path / "a.webp", exif=tags)
    assert read_any(tmp_path / "a.webp").recipe.steps == 6


INVOKE = {
    "generation_mode": "txt2img", "positive_prompt": "a cat", "negative_prompt": "dog", "width": 512, "height": 640,
    "seed": 3293022630, "rand_device": "cpu", "cfg_scale": 8.0, "cfg_rescale_multiplier": 0.0, "steps": 35,
    "scheduler": "dpmpp_2m_sde_k", "clip_skip": 1, "app_version": "5.4.2", "seamless_x": False,
    "model": {"key": "x", "hash": "blake3:1234", "name": "dreamshaper", "base": "sd-1", "type": "main"},
    "loras": [{"model": {"name": "paint"}, "weight": 0.75}],
}  # fmt: skip


def test_invokeai(tmp_path: Path) -> None:
    read = read_any(png(tmp_path, {"invokeai_metadata": json.dumps(INVOKE), "invokeai_graph": "{}"}))
    assert read.source == "InvokeAI"
    assert fields(read, "prompt", "negative", "width", "height", "seed", "guidance_scale", "steps", "clip_skip") == (
        "a cat", "dog", 512, 640, 3293022630, 8.0, 35, 2,
    )  # fmt: skip
    assert fields(read, "sampler", "schedule", "model", "model_hash") == ("dpmpp_2m_sde", "karras", "dreamshaper", None)
    assert read.recipe.networks == (NetworkUse(name="paint", strength=0.75),)
    assert set(read.not_understood) == {"model.hash"}


@pytest.mark.parametrize(
    ("name", "sampler"),
    [("euler_a", "euler_ancestral"), ("kdpm_2_a", "dpm_2_ancestral"), ("unipc", "uni_pc"), ("pndm", "plms"),
     ("lms_k", "lms"),
     ("ddim", "ddim"), ("er_sde", "er_sde"), ("dpmpp_sde_k", "dpmpp_sde"), ("deis_k", "deis"), ("lcm", "lcm")],
)  # fmt: skip
def test_invokeai_schedulers(tmp_path: Path, name: str, sampler: str) -> None:
    read = read_any(png(tmp_path, {"invokeai_metadata": json.dumps({**INVOKE, "scheduler": name})}))
    assert read.recipe.sampler == sampler


def test_invokeai_of_old(tmp_path: Path) -> None:
    image = {
        "prompt": [{"prompt": "a cat [dog] on a mat", "weight": 1}], "steps": 50, "cfg_scale": 7.5, "height": 512,
        "width": 512, "seed": 42, "type": "txt2img", "sampler": "k_lms",
    }  # fmt: skip
    old = {"model": "stable diffusion", "model_weights": "stable-diffusion-1.5", "app_version": "2.3.1", "image": image}
    read = read_any(png(tmp_path, {"sd-metadata": json.dumps(old), "Dream": "ignored"}))
    assert fields(read, "prompt", "negative", "sampler", "seed") == ("a cat  on a mat", "dog", "lms", 42)
    read = read_any(png(tmp_path, {"Dream": '"a cat [dog]" -s 50 -S 42 -W 640 -H512 -C7.5 -A k_euler_a'}))
    assert fields(read, "prompt", "negative", "steps", "seed", "width", "sampler") == (
        "a cat", "dog", 50, 42, 640, "euler_ancestral",
    )  # fmt: skip


FOOOCUS = {
    "adm_guidance": "(1.5, 0.8, 0.3)", "base_model": "juggernautXL_v8Rundiffusion", "base_model_hash": "aeb7e9e689",
    "clip_skip": 2, "full_negative_prompt": ["bad"], "full_prompt": ["cinematic still a cat . sad", "a cat, fine"],
    "guidance_scale": 4, "lora_combined_1": "offset : 0.1", "loras": [["offset", 0.1, "4852686128"]],
    "metadata_scheme": "fooocus", "negative_prompt": "", "performance": "Speed", "prompt": "a cat",
    "refiner_model": "None", "resolution": "(1152, 896)", "sampler": "dpmpp_2m_sde_gpu", "scheduler": "karras",
    "seed": "8201387472842", "sharpness": 2, "steps": 30, "styles": "['Fooocus V2']", "version": "Fooocus v2.3.0",
}  # fmt: skip


def test_fooocus_json(tmp_path: Path) -> None:
    read = read_any(png(tmp_path, {"parameters": json.dumps(FOOOCUS), "fooocus_scheme": "fooocus"}))
    assert read.source == "Fooocus"
    assert fields(read, "prompt", "width", "height", "seed", "steps", "guidance_scale", "sampler", "schedule") == (
        "cinematic still a cat . sad, a cat, fine", 1152, 896, 8201387472842, 30, 4.0, "dpmpp_2m_sde", "karras",
    )  # fmt: skip
    assert fields(read, "model", "model_hash", "clip_skip") == ("juggernautXL_v8Rundiffusion", "aeb7e9e689", 2)
    assert read.not_understood["prompt"] == "a cat"
    assert read.recipe.networks == (NetworkUse(name="offset", strength=0.1, hash="4852686128"),)
    assert "sharpness" in read.not_understood


def test_fooocus_infotext_and_exif(tmp_path: Path) -> None:
    text = (
        'a cat, fine\nNegative prompt: bad\nSteps: 30, Sampler: DPM++ 2M SDE Karras, Seed: 82, Size: 1152x896, '
        'CFG scale: 4, '
        'Sharpness: 2, ADM Guidance: "(1.5, 0.8, 0.3)", Model: juggernautXL, Model hash: aeb7e9e689, Performance: '
        "Speed, "
        "Scheduler: karras, VAE: Default (model), Raw prompt: a cat, Version: Fooocus v2.3.0"
    )  # fmt: skip
    tags = Image.Exif()
    tags[0x9286], tags[0x927C] = text, "a1111"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=tags)
    for path in (tmp_path / "a.jpg", png(tmp_path, {"parameters": text, "fooocus_scheme": "a1111"})):
        read = read_any(path)
        assert (read.source, *fields(read, "sampler", "schedule", "width")) == (
            "Fooocus",
            "dpmpp_2m_sde",
            "karras",
            1152,
        )


NOVELAI = {
    "steps": 28, "sampler": "k_euler_ancestral", "seed": 1234, "scale": 11.0, "uc": "lowres, [bad]", "height": 768,
    "width": 512, "noise_schedule": "native", "sm": True, "n_samples": 1, "strength": 0.7, "noise": 0.2,
}  # fmt: skip


def novelai_texts(comment: Mapping[str, object]) -> dict[str, str]:
    return {
        "Title": "AI generated image", "Description": "{1girl}, cat", "Software": "NovelAI",
        "Source": "Stable Diffusion 81274D13", "Comment": json.dumps(comment),
    }  # fmt: skip


def test_novelai(tmp_path: Path) -> None:
    read = read_any(png(tmp_path, novelai_texts(NOVELAI)))
    assert read.source == "NovelAI"
    assert fields(read, "prompt", "negative") == ("(1girl:1.05), cat", "lowres, (bad:0.952381)")
    assert fields(read, "steps", "seed", "guidance_scale", "width", "height", "sampler", "schedule") == (
        28, 1234, 11.0, 512, 768, "euler_ancestral", "normal",
    )  # fmt: skip
    assert {"sm", "noise", "Source"} <= set(read.not_understood)


def test_novelai_captions(tmp_path: Path) -> None:
    whole = {"base_caption": "a park", "char_captions": [{"char_caption": "girl"}, {"char_caption": "boy"}]}
    read = read_any(png(tmp_path, novelai_texts({**NOVELAI, "v4_prompt": {"caption": whole}})))
    assert read.recipe.prompt == "a park, girl, boy"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("{{a}}", "((a:1.05):1.05)"), ("a} {b", "a (b:1.05)"), ("(c)", r"\(c\)"), ("[{a]}", "((a:1.05):0.952381)")],
)
def test_novelai_weights(theirs: str, ours: str) -> None:
    assert weighted(theirs) == ours


def hide(text: bytes, mark: bytes, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A picture with text in its alpha channel, column by column."""
    bits = np.unpackbits(np.frombuffer(mark + (8 * len(text)).to_bytes(4, "big") + text, np.uint8))
    alpha = np.full(size, 255, np.uint8).reshape(-1)
    alpha[: len(bits)] = 254 | bits
    image = Image.new("RGBA", size)
    image.putalpha(Image.fromarray(alpha.reshape(size).T.copy()))
    return image


def test_hidden_texts(tmp_path: Path) -> None:
    hide(gzip.compress(json.dumps(novelai_texts(NOVELAI)).encode()), b"stealth_pngcomp").save(tmp_path / "n.png")
    assert read_any(tmp_path / "n.png").source == "NovelAI"
    hide(b"a\nSteps: 9, Sampler: Euler, CFG scale: 7, Seed: 1", b"stealth_pnginfo").save(tmp_path / "f.png")
    assert read_any(tmp_path / "f.png").recipe.steps == 9
    hide(gzip.compress(b"0" * 50_000_000), b"stealth_pngcomp", (1024, 1024)).save(tmp_path / "bomb.png")
    with pytest.raises(FileError):
        read_any(tmp_path / "bomb.png")


def test_a1111_in_jpeg_in_either_byte_order(tmp_path: Path) -> None:
    for order in ("utf-16-be", "utf-16-le"):
        tags = Image.Exif()
        tags.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + NOW.encode(order)
        Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=tags)
        assert read_any(tmp_path / "a.jpg").recipe.seed == 1234567890
