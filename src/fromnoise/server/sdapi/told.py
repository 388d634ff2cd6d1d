"""AUTOMATIC1111's `info` about pictures that were made."""

from collections.abc import Mapping, Sequence
from typing import Any

from fromnoise.engine.catalogue import Catalogue
from fromnoise.engine.metadata.infotext_parse import parse
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_upscale import FACE_LABELS

USUAL = ("Steps", "Sampler", "CFG scale", "Seed", "Size", "Model hash", "Model", "Version", "Profile", "Clip skip",
         "Variation seed", "Variation seed strength", "Seed resize from", "Image CFG scale")  # fmt: skip


def info(
    recipes: Sequence[Recipe], infotexts: Sequence[str], catalogue: Catalogue, *, first: int = 0, moment: str = "0",
    styles: Sequence[str] = (), comments: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """For pictures of these recipes as they were made; `first` of the pictures that are shown is the first of them.

    `comments`: what there was to say of how they were made; without any `info` is as AUTOMATIC1111's.
    """
    one = recipes[0]
    variation = one.variation
    return {
        "prompt": one.prompt,
        "all_prompts": [recipe.prompt for recipe in recipes],
        "negative_prompt": one.negative,
        "all_negative_prompts": [recipe.negative for recipe in recipes],
        "seed": one.seed,
        "all_seeds": [recipe.seed for recipe in recipes],
        "subseed": variation.seed if variation else one.seed,
        "all_subseeds": [recipe.variation.seed if recipe.variation else recipe.seed for recipe in recipes],
        "subseed_strength": variation.strength if variation else 0,
        "width": one.width,
        "height": one.height,
        "sampler_name": catalogue.sampler(one.sampler).label,
        "cfg_scale": one.guidance_scale,
        "steps": one.steps,
        "batch_size": len(recipes),
        "restore_faces": one.restore_faces is not None,
        "face_restoration_model": None if one.restore_faces is None else FACE_LABELS[one.restore_faces.by],
        "sd_model_name": one.model,
        "sd_model_hash": (one.model_hash or "")[:10],
        "sd_vae_name": one.vae.name if one.vae else None,
        "sd_vae_hash": (one.vae.hash or "")[:10] if one.vae else None,
        "seed_resize_from_w": one.noise.from_size[0] if one.noise and one.noise.from_size else -1,
        "seed_resize_from_h": one.noise.from_size[1] if one.noise and one.noise.from_size else -1,
        "denoising_strength": one.hires.strength if one.hires else one.strength if one.init else None,
        "extra_generation_params": extra(infotexts[first] if first < len(infotexts) else ""),
        "index_of_first_image": first,
        "infotexts": list(infotexts),
        "styles": list(styles),
        "job_timestamp": moment,
        "clip_skip": one.clip_skip or 1,
        "is_using_inpainting_conditioning": False,
        "version": "fromnoise",
        **({"comments": "".join(f"{one}\n" for one in dict.fromkeys(comments))} if comments else {}),
    }


def extra(infotext: str) -> Mapping[str, str]:
    """The fields of an infotext that have no place of their own."""
    parsed = parse(infotext)
    return {key: value for key, value in parsed.fields.items() if key not in USUAL} if parsed else {}
