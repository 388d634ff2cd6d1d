"""AUTOMATIC1111's text: the prompt, `Negative prompt: ...`, and one line of `Key: value, Key: value`.

Written as version 1.10 writes it; read in the spelling of every version and of the tools that copied it: Forge,
SD.Next, stable-diffusion.cpp, Fooocus (its scheme a1111), and sites that write it for ComfyUI.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from fromnoise import __version__
from fromnoise.engine.metadata.infotext_controls import control_fields
from fromnoise.engine.metadata.infotext_files import file_fields
from fromnoise.engine.metadata.infotext_guidance import guidance_fields, soft_fields
from fromnoise.engine.metadata.infotext_parse import NEGATIVE as NEGATIVE
from fromnoise.engine.metadata.infotext_parse import Parsed as Parsed
from fromnoise.engine.metadata.infotext_parse import parse as parse
from fromnoise.engine.metadata.infotext_upscale import Json, upscale_fields, upscaler_label, written_size
from fromnoise.engine.metadata.networks import hash_fields, with_tags
from fromnoise.engine.metadata.numbers import number
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_parts import Hires, Inpaint
from fromnoise.engine.recipe_upscale import FACE_LABELS
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import SCHEDULES

HASH_LENGTH = 10  # hexadecimal digits of the model's SHA-256

# AUTOMATIC1111's names of schedules where they are not our labels: its Beta and KL Optimal differ from ComfyUI's
WRITTEN_SCHEDULES = {
    "beta_sigma": "Beta",
    "beta": "Beta (ComfyUI)",
    "kl_optimal_open": "KL Optimal",
    "kl_optimal": "KL Optimal (ComfyUI)",
    "gits": "Align Your Steps GITS",
}
WRITTEN_OPTIONS = {
    "eta": "Eta",
    "s_churn": "Sigma churn",
    "s_tmin": "Sigma tmin",
    "s_tmax": "Sigma tmax",
    "s_noise": "Sigma noise",
}
WRITTEN_SOURCES = {"cpu": "CPU", "nv": "NV", "philox": "Philox"}
WRITTEN_CONTENTS = {"fill": "fill", "noise": "latent noise", "nothing": "latent nothing"}
SCHEDULE_OPTIONS = {
    "sigma_min": "Schedule min sigma", "sigma_max": "Schedule max sigma", "rho": "Schedule rho",
    "alpha": "Beta schedule alpha", "beta": "Beta schedule beta",
}  # fmt: skip
SCHEDULE_OPTION = "Schedule option "  # and its name: ours
UNIPC_OPTIONS = {"order": "UniPC order", "variant": "UniPC variant"}
OPTION = "Sampler option "  # ours, for options that AUTOMATIC1111 does not know
PROFILE = "Profile"  # ours; absent where it is AUTOMATIC1111's


def parameters(recipe: Recipe) -> str:
    """The infotext of `recipe`."""
    line = written_line(written_fields(recipe))
    negative = f"\n{NEGATIVE} {recipe.negative}" if recipe.negative else ""
    prompt = with_tags(recipe)
    return f"{prompt}{negative}\n{line}".removeprefix("\n" if not prompt else "")


def written_line(fields: Iterable[tuple[str, str]]) -> str:
    """`Key: value, Key: value`; a key that is its own value stands alone."""
    return ", ".join(key if key == value else f"{key}: {quoted(value)}" for key, value in fields)


def written_fields(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Keys and values in AUTOMATIC1111's order; what is absent there means its default."""
    yield "Steps", str(recipe.steps)
    yield "Sampler", SAMPLERS[recipe.sampler].label
    yield "Schedule type", schedule_label(recipe.schedule)
    yield "CFG scale", number(recipe.guidance_scale)
    if recipe.init and recipe.image_guidance_scale != Recipe.model_fields["image_guidance_scale"].default:
        yield "Image CFG scale", number(recipe.image_guidance_scale)
    yield "Seed", str(recipe.seed)
    if recipe.restore_faces:
        yield "Face restoration", FACE_LABELS[recipe.restore_faces.by]
    yield "Size", written_size(recipe)
    if recipe.model_hash:
        yield "Model hash", recipe.model_hash[:HASH_LENGTH]
    yield "Model", model_name(recipe.model)
    yield from file_fields(recipe)
    yield from noise_fields(recipe)
    if recipe.init or recipe.hires:
        yield "Denoising strength", number(recipe.hires.strength if recipe.hires else recipe.strength)
    if recipe.clip_skip:
        yield "Clip skip", str(recipe.clip_skip)
    for name, value in recipe.sampler_options.items():
        yield option_key(recipe.sampler, name), number(value) if isinstance(value, float) else str(value)
    for name, value in recipe.schedule_options.items():
        yield SCHEDULE_OPTIONS.get(name, f"{SCHEDULE_OPTION}{name}"), number(value)
    if recipe.drop_penultimate:
        yield "Discard penultimate sigma", "True"
    if recipe.mask and recipe.inpaint:
        yield from inpaint_fields(recipe.inpaint)
    yield from guidance_fields(recipe)
    yield from control_fields(recipe)
    if recipe.hires:
        yield from hires_fields(recipe.hires)
    yield from upscale_fields(recipe)
    if recipe.refiner:
        digest = recipe.refiner.model_hash
        yield "Refiner", model_name(recipe.refiner.model) + (f" [{digest[:HASH_LENGTH]}]" if digest else "")
        yield "Refiner switch at", number(recipe.refiner.switch_at)
    if recipe.old_prompt_timing:
        yield "Old prompt editing timelines", "True"
    if recipe.emphasis:
        yield "Emphasis", recipe.emphasis.capitalize()
    yield from hash_fields(recipe)
    if recipe.profile != "a1111":
        yield PROFILE, recipe.profile
    yield "Version", f"fromnoise {__version__}"


def noise_fields(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Variation seed, seed resize, ENSD and the generator."""
    if recipe.variation:
        yield "Variation seed", str(recipe.variation.seed)
        yield "Variation seed strength", number(recipe.variation.strength)
    if recipe.noise is None:
        return
    if recipe.noise.from_size:
        yield "Seed resize from", "{}x{}".format(*recipe.noise.from_size)
    if recipe.noise.seed_delta:
        yield "ENSD", str(recipe.noise.seed_delta)
    if recipe.noise.whole_variance:
        yield "SGM noise multiplier", "True"
    if recipe.noise.source:
        yield "RNG", WRITTEN_SOURCES[recipe.noise.source]
    if recipe.noise.multiplier != 1:
        yield "Noise multiplier", number(recipe.noise.multiplier)
    if recipe.noise.extra:
        yield "Extra noise", number(recipe.noise.extra)


def inpaint_fields(inpaint: Inpaint) -> Iterator[tuple[str, str]]:
    """How a mask was used. The mask itself has no place."""
    if inpaint.masked_image_weight != 1:
        yield "Conditional mask weight", number(inpaint.masked_image_weight)
    if inpaint.content != "original":
        yield "Masked content", WRITTEN_CONTENTS[inpaint.content]
    yield "Mask blur", number(inpaint.blur)
    if inpaint.invert:
        yield "Mask mode", "Inpaint not masked"
    if inpaint.only_masked:
        yield "Inpaint area", "Only masked"
    yield "Masked area padding", str(inpaint.padding)
    if inpaint.soft:
        yield from soft_fields(inpaint.soft)


def hires_fields(hires: Hires) -> Iterator[tuple[str, str]]:
    """The second pass; what is as in the first has no field."""
    if hires.width or hires.height:
        yield "Hires resize", f"{hires.width or 0}x{hires.height or 0}"
    else:
        yield "Hires upscale", number(hires.scale)
    if hires.steps:
        yield "Hires steps", str(hires.steps)
    yield "Hires upscaler", upscaler_label(hires.upscaler)
    if hires.guidance_scale is not None:
        yield "Hires CFG Scale", number(hires.guidance_scale)
    if hires.sampler:
        yield "Hires sampler", SAMPLERS[hires.sampler].label
    if hires.schedule:
        yield "Hires schedule type", schedule_label(hires.schedule)
    if hires.prompt is not None:
        yield "Hires prompt", hires.prompt
    if hires.negative is not None:
        yield "Hires negative prompt", hires.negative
    if hires.seed is not None:
        yield "Hires seed", str(hires.seed)  # ours
    if hires.model:
        digest = hires.model_hash
        yield "Hires checkpoint", model_name(hires.model) + (f" [{digest[:HASH_LENGTH]}]" if digest else "")


def model_name(model: str) -> str:
    return Path(model).name.removesuffix(".safetensors").removesuffix(".ckpt")


def schedule_label(schedule: str | None) -> str:
    if schedule is None:
        return "Automatic"
    name = SCHEDULES.canonical(schedule)
    return WRITTEN_SCHEDULES.get(name, SCHEDULES[name].label)


def option_key(sampler: str, option: str) -> str:
    if option == "eta" and sampler == "ddim":
        return "Eta DDIM"
    known = UNIPC_OPTIONS if sampler.startswith("uni_pc") else WRITTEN_OPTIONS
    return known.get(option, OPTION + option)


def quoted(value: str) -> str:
    """As JSON where a comma, a colon or a line break would take the line apart, as AUTOMATIC1111 does.

    `Json` is left as it is. Besides, where outer blanks would go, and where a quote or bracket at the start would be
    taken for JSON.
    """
    if isinstance(value, Json):
        return value
    takes_apart = any(c in value for c in ",:\n") or value != value.strip() or value[:1] in ('"', "{", "[")
    return json.dumps(value, ensure_ascii=False) if takes_apart and value else value
