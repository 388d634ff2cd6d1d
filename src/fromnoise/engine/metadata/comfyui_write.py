"""A recipe as ComfyUI's standard graph in its API format, which ComfyUI loads from a PNG's `prompt`."""

import json
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

from fromnoise.engine.metadata.comfyui_controls import control_nodes
from fromnoise.engine.metadata.comfyui_files import Link, loaders
from fromnoise.engine.metadata.comfyui_files import Written as Node
from fromnoise.engine.metadata.comfyui_models import changes_of
from fromnoise.engine.metadata.comfyui_networks import FIRST, network_nodes, without_tags
from fromnoise.engine.metadata.comfyui_passes import ADVANCED, hires_nodes, refiner_nodes
from fromnoise.engine.metadata.comfyui_prompts import adapter_nodes, vector_nodes
from fromnoise.engine.metadata.comfyui_regions import MASK, SHARES, TIMES
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_guidance import Region
from fromnoise.sampling.samplers import SAMPLERS

PICTURES, PASSES = 200, 300  # numbers of the first nodes of image prompts, and of what follows the first sampler


def graph_json(recipe: Recipe) -> str:
    """The graph as ComfyUI writes it: JSON in ASCII."""
    return json.dumps(graph(recipe))


def graph(recipe: Recipe) -> dict[str, Node]:
    """Checkpoint, two prompts, latents, KSampler, VAEDecode and SaveImage, numbered as in ComfyUI's own example.

    Nodes that change the model are numbered from 20, loaders of single networks from 30, those of regions from 40,
    LoRAs and hypernetworks from 60, controls and boxes from 80, pictures as prompts from 200, second
    passes and refiners from 300.
    """
    changed, (places, told), (loading, links) = model_changes(recipe), regions(recipe), loaders(recipe)
    steering, told = control_nodes(recipe, told, clip_of(recipe))
    pictures, model, told = picture_prompts(recipe, last_model(recipe, changed), told)
    sampler: dict[str, object] = {
        "model": model,
        "seed": recipe.seed,
        "steps": recipe.steps,
        "cfg": recipe.guidance_scale,
        "sampler_name": recipe.sampler,
        "scheduler": recipe.schedule or SAMPLERS[recipe.sampler].default_schedule,
        "positive": told["positive"],
        "negative": told["negative"],
        "latent_image": ["5", 0],
        "denoise": recipe.strength if recipe.init else 1.0,
    }
    sampling, done, vae = passes(recipe, sampler, links["vae"])
    return {
        **loading,
        **sampling,
        **prompts(recipe),
        **changed,
        **places,
        **steering,
        **pictures,
        **latents(recipe),
        "8": node("VAEDecode", samples=done, vae=vae),
        "9": node("SaveImage", images=["8", 0], filename_prefix="fromnoise"),
    }


def passes(recipe: Recipe, sampler: dict[str, object], vae: Link) -> tuple[dict[str, Node], Link, Link]:
    """Node 3, what comes behind it of a second pass or a refiner, the output of the last, and what decodes it."""
    nodes: dict[str, Node] = {}
    free = count(PASSES)

    def add(class_type: str, **inputs: object) -> str:
        number = str(next(free))
        nodes[number] = {"class_type": class_type, "inputs": inputs}
        return number

    if recipe.hires is not None:
        done, loader, vae = hires_nodes(recipe, recipe.hires, sampler, vae, add)
        words = {"positive": recipe.hires.prompt, "negative": recipe.hires.negative}
        if loader is not None:  # which has text encoders of its own
            usual = {"positive": recipe.prompt, "negative": recipe.negative}
            words = {side: usual[side] if text is None else text for side, text in words.items()}
        again = nodes[str(done[0])]["inputs"]
        assert isinstance(again, dict)
        again |= {
            side: [
                add("CLIPTextEncode", text=without_tags(recipe, text), clip=[loader, 1] if loader else clip_of(recipe)),
                0,
            ]
            for side, text in words.items()
            if text is not None
        }
    elif recipe.refiner is not None:
        first, done = refiner_nodes(recipe, sampler, add)
        return {"3": {"class_type": ADVANCED, "inputs": first}, **nodes}, done, vae
    else:
        done = ["3", 0]
    return {"3": {"class_type": "KSampler", "inputs": sampler}, **nodes}, done, vae


def picture_prompts(
    recipe: Recipe, model: Link, told: Mapping[str, Link]
) -> tuple[dict[str, Node], Link, dict[str, Link]]:  # fmt: skip
    """The nodes of image prompts, the model behind them, and what the sampler is given on each side."""
    nodes: dict[str, Node] = {}
    free = count(PICTURES)

    def add(class_type: str, **inputs: object) -> str:
        number = str(next(free))
        nodes[number] = {"class_type": class_type, "inputs": inputs}
        return number

    model = adapter_nodes(recipe, model, add)
    return nodes, model, {**told, "positive": vector_nodes(recipe, told["positive"], loaders(recipe)[1]["vision"], add)}


def model_changes(recipe: Recipe) -> dict[str, Node]:
    """Nodes between the loader and the sampler, each on the one before."""
    nodes: dict[str, Node] = {}
    for number, (kind, inputs) in enumerate(network_nodes(recipe), FIRST):
        clip: dict[str, object] = {"clip": loaded_clip(recipe, nodes)} if kind == "LoraLoader" else {}
        nodes[str(number)] = {"class_type": kind, "inputs": {"model": last_model(recipe, nodes), **clip, **inputs}}
    for number, (kind, inputs) in enumerate(changes_of(recipe), 20):
        link = last_model(recipe, nodes)
        empty: dict[str, object] = {"empty_conditioning": ["19", 0]} if kind == "PerpNeg" else {}
        nodes[str(number)] = {"class_type": kind, "inputs": {"model": link, **empty, **inputs}}
    if any(one["class_type"] == "PerpNeg" for one in nodes.values()):
        nodes = {"19": node("CLIPTextEncode", text="", clip=loaded_clip(recipe, nodes)), **nodes}
    return nodes


def last_model(recipe: Recipe, nodes: Mapping[str, Node]) -> Link:
    numbers = [number for number, one in nodes.items() if one["class_type"] != "CLIPTextEncode"]
    return [numbers[-1], 0] if numbers else loaders(recipe)[1]["model"]


def loaded_clip(recipe: Recipe, nodes: Mapping[str, Node]) -> Link:
    """The text encoder behind the last LoRA."""
    numbers = [number for number, one in nodes.items() if one["class_type"] == "LoraLoader"]
    return [numbers[-1], 1] if numbers else loaders(recipe)[1]["clip"]


def regions(recipe: Recipe) -> tuple[dict[str, Node], dict[str, Link]]:
    """Nodes of the prompts for parts of the picture, and what the sampler is given on each side."""
    told: dict[str, Link] = {"positive": ["6", 0], "negative": ["7", 0]}
    nodes: dict[str, Node] = {}
    if recipe.regional is None:
        return nodes, told
    free = count(40)

    def add(class_type: str, inputs: Mapping[str, object]) -> Link:
        number = str(next(free))
        nodes[number] = {"class_type": class_type, "inputs": dict(inputs)}
        return [number, 0]

    combined: dict[str, Link | None] = dict(told)
    if recipe.regional.base == 0:
        combined["positive"] = None
    elif recipe.regional.base != 1:
        inputs = {"conditioning": told["positive"], "strength": recipe.regional.base}
        combined["positive"] = add("ConditioningSetAreaStrength", inputs)
    for region in recipe.regional.regions:
        link = add("CLIPTextEncode", {"text": without_tags(recipe, region.prompt), "clip": clip_of(recipe)})
        for kind, inputs in placed(region):
            masks: dict[str, object] = {}
            if "image" in inputs:
                masks["mask"] = add("LoadImageMask", {"image": inputs.pop("image"), "channel": "red"})
            link = add(kind, {"conditioning": link, **masks, **inputs})
        side = "negative" if region.negative else "positive"
        before = combined[side]
        combined[side] = (
            link if before is None else add("ConditioningCombine", {"conditioning_1": before, "conditioning_2": link})
        )
    return nodes, {side: combined[side] or link for side, link in told.items()}


def placed(region: Region) -> Iterator[tuple[str, dict[str, object]]]:
    """Kinds and inputs of the nodes that say where and when a region counts."""
    if region.mask is not None:
        bounds = "mask bounds" if region.bounds else "default"
        image = Path(region.mask.path).name
        yield MASK, {"image": image, "strength": region.strength, "set_cond_area": bounds}
    else:
        yield SHARES, {
            "width": region.width, "height": region.height, "x": region.left, "y": region.top,
            "strength": region.strength,
        }  # fmt: skip
    if (region.start, region.end) != (0, 1):
        yield TIMES, {"start": region.start, "end": region.end}


def clip_of(recipe: Recipe) -> Link:
    """The text encoder, where layers are skipped behind that."""
    return ["10", 0] if recipe.clip_skip else loaded_clip(recipe, model_changes(recipe))


def prompts(recipe: Recipe) -> dict[str, Node]:
    """Nodes 6 and 7, and 10 where layers of the text encoder are skipped."""
    clip = clip_of(recipe)
    nodes = {
        "6": node("CLIPTextEncode", text=without_tags(recipe, recipe.prompt), clip=clip),
        "7": node("CLIPTextEncode", text=recipe.negative, clip=clip),
    }
    if recipe.clip_skip:
        nodes["10"] = node(
            "CLIPSetLastLayer", clip=loaded_clip(recipe, model_changes(recipe)), stop_at_clip_layer=-recipe.clip_skip
        )
    return nodes


def latents(recipe: Recipe) -> dict[str, Node]:
    """Node 5 and what it needs: empty latents, or a start picture in the recipe's size, perhaps under a mask."""
    if recipe.init is None:
        return {"5": node("EmptyLatentImage", width=recipe.width, height=recipe.height, batch_size=1)}
    grown = recipe.outpaint
    image: Link = ["11", 0] if grown is None else ["15", 0]
    nodes = {
        "11": node("LoadImage", image=Path(recipe.init.path).name),
        "12": node(
            "ImageScale", image=image, upscale_method="lanczos", width=recipe.width, height=recipe.height,
            crop="center",
        ),
        "5": node("VAEEncode", pixels=["12", 0], vae=loaders(recipe)[1]["vae"]),
    }  # fmt: skip
    if grown is not None:
        sides = {"left": grown.left, "top": grown.top, "right": grown.right, "bottom": grown.bottom}
        nodes["15"] = node("ImagePadForOutpaint", image=["11", 0], **sides, feathering=grown.feather)
        nodes["14"] = nodes.pop("5")
        nodes["5"] = node("SetLatentNoiseMask", samples=["14", 0], mask=["15", 1])
    elif recipe.mask:
        nodes["13"] = node("LoadImageMask", image=Path(recipe.mask.path).name, channel="red")
        nodes["14"] = nodes.pop("5")
        nodes["5"] = node("SetLatentNoiseMask", samples=["14", 0], mask=["13", 0])
    return nodes


def node(class_type: str, **inputs: object) -> Node:
    return {"class_type": class_type, "inputs": inputs}
