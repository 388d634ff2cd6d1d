"""A recipe as ComfyUI's standard graph in its API format, which ComfyUI loads from a PNG's `prompt`."""

import json
from pathlib import Path
from typing import TypeAlias

from fromnoise.engine.recipe import Recipe
from fromnoise.sampling.samplers import SAMPLERS

Link: TypeAlias = list[str | int]  # [id of a node, number of its output]
Node: TypeAlias = dict[str, str | dict[str, object]]

CHECKPOINT_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")


def graph_json(recipe: Recipe) -> str:
    """The graph as ComfyUI writes it: JSON in ASCII."""
    return json.dumps(graph(recipe))


def graph(recipe: Recipe) -> dict[str, Node]:
    """Checkpoint, two prompts, latents, KSampler, VAEDecode and SaveImage, numbered as in ComfyUI's own example."""
    return {
        "4": node("CheckpointLoaderSimple", ckpt_name=checkpoint_name(recipe.model)),
        "3": node(
            "KSampler",
            model=["4", 0],
            seed=recipe.seed,
            steps=recipe.steps,
            cfg=recipe.guidance_scale,
            sampler_name=recipe.sampler,
            scheduler=recipe.schedule or SAMPLERS[recipe.sampler].default_schedule,
            positive=["6", 0],
            negative=["7", 0],
            latent_image=["5", 0],
            denoise=recipe.strength if recipe.init else 1.0,
        ),
        **prompts(recipe),
        **latents(recipe),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", images=["8", 0], filename_prefix="fromnoise"),
    }


def prompts(recipe: Recipe) -> dict[str, Node]:
    """Nodes 6 and 7, and 10 where layers of the text encoder are skipped."""
    clip: Link = ["10", 0] if recipe.clip_skip else ["4", 1]
    nodes = {
        "6": node("CLIPTextEncode", text=recipe.prompt, clip=clip),
        "7": node("CLIPTextEncode", text=recipe.negative, clip=clip),
    }
    if recipe.clip_skip:
        nodes["10"] = node("CLIPSetLastLayer", clip=["4", 1], stop_at_clip_layer=-recipe.clip_skip)
    return nodes


def latents(recipe: Recipe) -> dict[str, Node]:
    """Node 5 and what it needs: empty latents, or a start picture in the recipe's size, perhaps under a mask."""
    if recipe.init is None:
        return {"5": node("EmptyLatentImage", width=recipe.width, height=recipe.height, batch_size=1)}
    nodes = {
        "11": node("LoadImage", image=Path(recipe.init.path).name),
        "12": node(
            "ImageScale", image=["11", 0], upscale_method="lanczos", width=recipe.width, height=recipe.height,
            crop="center",
        ),
        "5": node("VAEEncode", pixels=["12", 0], vae=["4", 2]),
    }  # fmt: skip
    if recipe.mask:
        nodes["13"] = node("LoadImageMask", image=Path(recipe.mask.path).name, channel="red")
        nodes["14"] = nodes.pop("5")
        nodes["5"] = node("SetLatentNoiseMask", samples=["14", 0], mask=["13", 0])
    return nodes


def node(class_type: str, **inputs: object) -> Node:
    return {"class_type": class_type, "inputs": inputs}


def checkpoint_name(model: str) -> str:
    name = Path(model).name
    return name if name.lower().endswith(CHECKPOINT_SUFFIXES) else f"{name}.safetensors"
