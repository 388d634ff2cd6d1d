"""ComfyUI's graphs of two samplers, read and written: a second pass on what was enlarged, or a refiner."""

import re
from collections.abc import Callable
from typing import Any

from fromnoise.engine.metadata.comfyui_files import Link
from fromnoise.engine.metadata.comfyui_graph import Graph, Node
from fromnoise.engine.metadata.comfyui_networks import file_of
from fromnoise.engine.metadata.comfyui_pictures import chain
from fromnoise.engine.metadata.comfyui_sampling import SEED_INPUTS
from fromnoise.engine.metadata.draft import Draft
from fromnoise.engine.metadata.networks import file_name
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_parts import Hires
from fromnoise.errors import UserError
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import SCHEDULES, NoiseTable, sigmas_for
from fromnoise.upscalers import LATENT_UPSCALERS

ADVANCED = "KSamplerAdvanced"
LATENT_METHODS = {"bilinear": "latent", "bicubic": "Latent (bicubic)", "nearest-exact": "Latent (nearest-exact)"}
PIXEL_METHODS = {"lanczos": "Lanczos", "nearest-exact": "Nearest"}
PASSED = ("VAEDecode", "VAEDecodeTiled", "VAEEncode", "VAEEncodeTiled", "UpscaleModelLoader")
FACTOR = re.compile(r"(?:^|[^0-9])([248])x|x([248])(?:[^0-9]|$)", re.IGNORECASE)  # in names of upscaling models
USUAL_FACTOR = 4
FORGETFUL = ("euler", "ddim", "heun", "heunpp2", "dpm_2")  # samplers that may be stopped and started without a trace
END = 10_000  # of KSamplerAdvanced: to the end

Add = Callable[..., str]


def take_later(draft: Draft, graph: Graph, first: Node, later: Node) -> bool:
    """Set the second pass or the refiner that a sampler behind `first` is; whether it is one of them."""
    way: list[Node] = []
    for name in ("latent_image", "latent"):
        for node in chain(graph, later, name):
            if node.id == first.id:
                refined = not way and later.kind == first.kind == ADVANCED and take_refiner(draft, graph, first, later)
                return refined or (bool(way) and take_hires(draft, graph, first, later, way))
            way.append(node)
    return False


def take_hires(draft: Draft, graph: Graph, first: Node, later: Node, way: list[Node]) -> bool:
    """A second pass on enlarged latents or on the enlarged picture."""
    if "denoise" not in later.values and "denoise" not in later.links:
        return False
    found: dict[str, Any] = {"upscaler": "Lanczos"}
    factor = 1.0
    for node in reversed(way):  # from the first pass on
        method = str(graph.value(node, "upscale_method"))
        if node.kind in ("LatentUpscale", "LatentUpscaleBy"):
            found["upscaler"] = LATENT_METHODS.get(method, "latent")
            if method not in LATENT_METHODS:
                draft.keep(f"{node.kind} {node.id}", node.values)
        elif node.kind == "ImageUpscaleWithModel":
            loader = graph.source(node, "upscale_model")
            name = graph.text(loader, "model_name") if loader is not None else None
            found["upscaler"] = file_name(name) if name else "Lanczos"
            factor *= own_factor(found["upscaler"])
        elif node.kind in ("ImageScale", "ImageScaleBy"):
            if found["upscaler"] == "Lanczos":
                found["upscaler"] = PIXEL_METHODS.get(method, "Lanczos")
        elif node.kind not in PASSED:
            draft.keep(f"{node.kind} {node.id}", node.values)
        width, height, by = (graph.value(node, name) for name in ("width", "height", "scale_by"))
        if isinstance(width, int) and isinstance(height, int) and (width or height):
            found |= {"width": width // 8 * 8 or None, "height": height // 8 * 8 or None}
        elif isinstance(by, (int, float)):
            factor *= by
    if "width" not in found:
        found["scale"] = factor
    found |= settings(draft, graph, later)
    own, checkpoint = loaded(graph, later)
    if checkpoint and own != loaded(graph, first)[0]:
        found["model"] = file_name(checkpoint)
    return draft.set("hires", found, f"{later.kind} {later.id}")


def loaded(graph: Graph, sampler: Node) -> tuple[str | None, str | None]:
    """The node that a sampler's checkpoint comes from, and the checkpoint's name."""
    for node in chain(graph, sampler, "model"):
        if name := graph.text(node, "ckpt_name"):
            return node.id, name
    return None, None


def own_factor(name: str) -> int:
    """How many times as large an upscaling model makes pictures, by its name."""
    match = FACTOR.search(name)
    return USUAL_FACTOR if match is None else int(match[1] or match[2])


def settings(draft: Draft, graph: Graph, later: Node) -> dict[str, Any]:
    """What the second sampler does otherwise than the first."""
    found: dict[str, Any] = {"strength": graph.value(later, "denoise")}
    for ours, theirs in (("steps", "steps"), ("guidance_scale", "cfg")):
        value = graph.value(later, theirs)
        if value is not None and value != draft.fields.get(ours):
            found[ours] = value
    seed = graph.value(later, *SEED_INPUTS)
    if seed is not None and seed != draft.fields.get("seed"):
        found["seed"] = seed
    other = Draft()
    other.sampler(str(graph.value(later, "sampler_name")), "sampler_name")
    other.schedule(str(graph.value(later, "scheduler")), "scheduler")
    for name in ("sampler", "schedule"):
        if name in other.fields and other.fields[name] != draft.fields.get(name):
            found[name] = other.fields[name]
    if "sampler" in found and "schedule" in other.fields:
        found["schedule"] = other.fields["schedule"]
    for key, value in other.not_understood.items():
        draft.keep(f"second {key}", value)
    return found


def take_refiner(draft: Draft, graph: Graph, first: Node, later: Node) -> bool:
    """Another model that goes on where the first stopped."""
    loader = graph.source(later, "model")
    name = graph.text(loader, "ckpt_name") if loader is not None else None
    at = graph.value(later, "start_at_step")
    same = all(
        graph.value(first, key) == graph.value(later, key) for key in ("steps", "sampler_name", "scheduler", "cfg")
    )
    told = later.values.get("add_noise"), first.values.get("return_with_leftover_noise")
    stops = graph.value(first, "end_at_step")
    if not name or not isinstance(at, int) or not same or told != ("disable", "enable") or stops != at:
        return False
    share = share_at(str(draft.fields.get("sampler")), draft.fields.get("schedule"), draft.fields.get("steps"), at)
    if share is None or not draft.set(
        "refiner", {"model": file_name(name), "switch_at": share}, f"{later.kind} {later.id}"
    ):
        return False
    if draft.fields.get("sampler") not in FORGETFUL:
        draft.warn(
            "the refiner goes on where the first model stops; ComfyUI begins a new run there, which differs a little"
        )
    return True


def share_at(sampler: str, schedule: object, steps: object, at: int) -> float | None:
    """A share of the timesteps that lies between the noise levels of the steps before `at` and from there on."""
    done = shares(sampler, schedule, steps)
    return (done[at - 1] + done[at]) / 2 if 0 < at < len(done) else None


def shares(sampler: str, schedule: object, steps: object) -> list[float]:
    """Which share of the timesteps is done when each step begins; none where the schedule has not so many steps."""
    if sampler not in SAMPLERS or not isinstance(steps, int):
        return []
    spec, table = SAMPLERS[sampler], NoiseTable.ldm()
    name = schedule if isinstance(schedule, str) and schedule in SCHEDULES else spec.default_schedule
    try:
        sigmas = sigmas_for(name, table, steps, drop_penultimate=spec.drop_penultimate)
    except UserError:
        return []
    highest = len(table.sigmas) - 1
    return [(highest - float(table.timestep(sigma, "interpolate"))) / (highest + 1) for sigma in sigmas if sigma > 0]


def hires_nodes(
    recipe: Recipe, hires: Hires, sampler: dict[str, object], vae: Link, add: Add
) -> tuple[Link, str | None, Link]:
    """Write a second pass behind node 3, whose inputs are `sampler`: its output, its own loader, its autoencoder."""
    other_model = add("CheckpointLoaderSimple", ckpt_name=file_of(hires.model, ".safetensors")) if hires.model else None
    own_vae: Link = vae if other_model is None or recipe.vae else [other_model, 2]
    width, height = hires.size(recipe.width, recipe.height)
    size: dict[str, object] = {"width": width, "height": height, "crop": "center"}
    if hires.upscaler in LATENT_UPSCALERS:
        known = {LATENT_UPSCALERS.canonical(ours): theirs for theirs, ours in LATENT_METHODS.items()}
        method = known.get(LATENT_UPSCALERS.canonical(hires.upscaler), "bilinear")
        latents: Link = [add("LatentUpscale", samples=["3", 0], upscale_method=method, **size), 0]
    else:
        image: Link = [add("VAEDecode", samples=["3", 0], vae=vae), 0]
        plain = {ours: theirs for theirs, ours in PIXEL_METHODS.items()}
        if hires.upscaler not in plain:
            loader: Link = [add("UpscaleModelLoader", model_name=file_of(hires.upscaler, ".pth")), 0]
            image = [add("ImageUpscaleWithModel", upscale_model=loader, image=image), 0]
        image = [add("ImageScale", image=image, upscale_method=plain.get(hires.upscaler, "lanczos"), **size), 0]
        latents = [add("VAEEncode", pixels=image, vae=own_vae), 0]
    other = SAMPLERS[hires.sampler or recipe.sampler]
    schedule = hires.schedule or (other.default_schedule if hires.sampler else sampler["scheduler"])
    again = {
        **sampler,
        "seed": recipe.seed if hires.seed is None else hires.seed,
        "steps": hires.steps or recipe.steps,
        "cfg": recipe.guidance_scale if hires.guidance_scale is None else hires.guidance_scale,
        "sampler_name": hires.sampler or recipe.sampler,
        "scheduler": schedule,
        "latent_image": latents,
        "denoise": hires.strength,
    }
    if other_model is not None:
        again["model"] = [other_model, 0]
    return [add("KSampler", **again), 0], other_model, own_vae


def refiner_nodes(recipe: Recipe, sampler: dict[str, object], add: Add) -> tuple[dict[str, object], Link]:
    """Write a refiner behind node 3, whose inputs are `sampler`: the inputs that 3 has then, and the last output."""
    assert recipe.refiner is not None
    done = shares(recipe.sampler, recipe.schedule, recipe.steps)
    at = next((step for step, share in enumerate(done) if share > recipe.refiner.switch_at), recipe.steps)
    loader = add("CheckpointLoaderSimple", ckpt_name=file_of(recipe.refiner.model, ".safetensors"))
    texts = {"positive": recipe.prompt, "negative": recipe.negative}
    prompts = {side: [add("CLIPTextEncode", text=text, clip=[loader, 1]), 0] for side, text in texts.items()}
    common = {key: value for key, value in sampler.items() if key not in ("seed", "denoise")}
    common["noise_seed"] = sampler["seed"]
    first = {
        **common, "add_noise": "enable", "start_at_step": 0, "end_at_step": at, "return_with_leftover_noise": "enable",
    }  # fmt: skip
    second = {
        **common, **prompts, "model": [loader, 0], "latent_image": ["3", 0], "add_noise": "disable",
        "start_at_step": at, "end_at_step": END, "return_with_leftover_noise": "disable",
    }  # fmt: skip
    return first, [add(ADVANCED, **second), 0]
