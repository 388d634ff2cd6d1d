"""Graphs of ComfyUI become recipes, and what has no place in one is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fromnoise.engine.metadata.comfyui_write import graph
from fromnoise.engine.metadata.read import read_any
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_guidance import Region, Regional
from fromnoise.engine.recipe_networks import NetworkUse
from fromnoise.engine.recipe_parts import Hires, Noise

from .written import fields, png

WORKFLOWS = json.loads((Path(__file__).parents[2] / "golden/metadata/comfyui_workflows.json").read_text())


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
