"""What the fields of an infotext mean, for AUTOMATIC1111 and the tools that write like it."""

import re
from collections.abc import Mapping

from fromnoise.engine.metadata.draft import MAX_SHOWN, Draft, Imported
from fromnoise.engine.metadata.infotext import (
    OPTION,
    PROFILE,
    SCHEDULE_OPTION,
    SCHEDULE_OPTIONS,
    UNIPC_OPTIONS,
    WRITTEN_CONTENTS,
    WRITTEN_OPTIONS,
    Parsed,
    parse,
)
from fromnoise.engine.metadata.infotext_controls import take_controls
from fromnoise.engine.metadata.infotext_files import take_files
from fromnoise.engine.metadata.infotext_guidance import SOFT, take_guidance
from fromnoise.engine.metadata.infotext_upscale import take_upscale
from fromnoise.engine.metadata.networks import take_networks
from fromnoise.errors import FileError

PLAIN = {  # fields that are one of ours under another name
    "Steps": "steps",
    "CFG scale": "guidance_scale",
    "Image CFG scale": "image_guidance_scale",
    "Seed": "seed",
    "Clip skip": "clip_skip",
}
AUTOMATIC1111, FORGE, SD_NEXT = "AUTOMATIC1111", "Forge", "SD.Next"
CPP, FOOOCUS, OURS, COMFY_SITE = "stable-diffusion.cpp", "Fooocus", "fromnoise", "ComfyUI"

OPTIONS = {
    **{key: option for option, key in (WRITTEN_OPTIONS | UNIPC_OPTIONS).items()},
    "Eta DDIM": "eta",
}
FROM_SCHEDULE = {key: option for option, key in SCHEDULE_OPTIONS.items()}
PARTS = {  # fields that are one of a part of the recipe
    "Variation seed": ("variation", "seed"),
    "Variation seed strength": ("variation", "strength"),
    "ENSD": ("noise", "seed_delta"),
    "Noise multiplier": ("noise", "multiplier"),
    "Extra noise": ("noise", "extra"),
    "Mask blur": ("inpaint", "blur"),
    "Masked area padding": ("inpaint", "padding"),
    "Conditional mask weight": ("inpaint", "masked_image_weight"),
    "Hires upscale": ("hires", "scale"),
    "Hires steps": ("hires", "steps"),
    "Hires prompt": ("hires", "prompt"),
    "Hires negative prompt": ("hires", "negative"),
    "Hires CFG Scale": ("hires", "guidance_scale"),
    "Hires seed": ("hires", "seed"),
}
CHOICES: Mapping[str, tuple[str, str, Mapping[str, object]]] = {  # the same, with words for values
    "RNG": ("noise", "source", {"CPU": "cpu", "NV": "nv", "GPU": None, "Philox": "philox", "cuda": "nv"}),
    "Masked content": ("inpaint", "content", {shown: name for name, shown in WRITTEN_CONTENTS.items()}),
    "Mask mode": ("inpaint", "invert", {"Inpaint not masked": True, "Inpaint masked": False}),
    "Inpaint area": ("inpaint", "only_masked", {"Only masked": True, "Whole picture": False}),
}
OTHER_WORDS = {
    (SD_NEXT, "Hires scale"): "Hires upscale",
    (SD_NEXT, "Hires strength"): "Denoising strength",
}
FORGE_USUAL = {"Diffusion in Low Bits": "Automatic", "Beta schedule alpha": "0.6", "Beta schedule beta": "0.6"}
SILENT = {"Version", "User", "App", "Soft inpainting enabled"}  # they change no pixel by themselves
HIRES = ("Hires upscale", "Hires upscaler", "Hires resize", "Hires steps")
MASKED = ("Mask blur", "Masked content", "Inpaint area", "Masked area padding", "Mask mode")
NAMED = re.compile(r"(.*?)(?: \[([0-9a-f]{8,64})\])?")  # a model and its hash
PAIR = re.compile(r"(\d{1,6})x(\d{1,6})")

SCHEDULES: Mapping[str, str | None] = {  # AUTOMATIC1111's labels that are not ours, in lower case
    "automatic": None,
    "beta": "beta_sigma",
    "beta (comfyui)": "beta",
    "kl optimal": "kl_optimal_open",
    "kl optimal (comfyui)": "kl_optimal",
    "align your steps gits": "gits",
    "discrete": "normal",  # stable-diffusion.cpp
    "default": None,
}
CPP_SAMPLERS = {  # stable-diffusion.cpp's names
    "dpm2": "dpm_2",
    "dpm++2s_a": "dpmpp_2s_ancestral",
    "dpm++2m": "dpmpp_2m",
    "euler_a": "euler_ancestral",
    "ddim_trailing": "ddim",
}
CPP_SUFFIX = re.compile(r"(.*\S) (karras|exponential|ays|gits|sgm_uniform|simple|discrete|kl_optimal|lcm|smoothstep)")
KEEP_OWN_SCHEDULE = {"ddim", "plms", "uni_pc", "lcm", "euler_cfg_pp", "restart", "dpm_fast", "dpm_adaptive"}
ANCIENT_VERSION = re.compile(r"v?[01]\.[0-5](\.|$|-)")
OLD_VERSION = re.compile(r"v?[01]\.[0-8](\.|$|-)")  # before 1.9 a sampler without a schedule in its name used Uniform


def read_infotext(text: str, tool: str | None = None) -> Imported:
    """The recipe in an infotext; FileError where it is none. `tool` is who wrote it, by default told by its fields."""
    parsed = parse(text)
    if parsed is None:
        raise FileError("its text has no line of fields such as Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1")
    return understood(parsed, tool or tool_of(parsed.fields))


def tool_of(fields: Mapping[str, str]) -> str:
    """Who wrote an infotext. Forge's versions begin with f and a digit; SD.Next names itself as App."""
    version = fields.get("Version", "")
    for tool in (CPP, FOOOCUS, OURS, COMFY_SITE):
        if version.lower().startswith(tool.lower()):
            return tool
    if fields.get("App", "").startswith(SD_NEXT) or "Backend" in fields:
        return SD_NEXT
    return FORGE if re.match(r"f\d|neo|classic", version) else AUTOMATIC1111


PROFILES = {SD_NEXT: "diffusers", FOOOCUS: "comfyui", COMFY_SITE: "comfyui"}


def understood(parsed: Parsed, tool: str) -> Imported:
    """Fields as a recipe."""
    draft, fields = Draft(), in_usual_words(parsed.fields, tool)
    prompt, negative = parsed.prompt, parsed.negative
    if tool == SD_NEXT:
        negative, template = without_templates(negative)
        fields |= {"Template": template} if template else {}
    draft.set("prompt", prompt, "Prompt")
    draft.set("negative", negative, "Negative prompt")
    draft.profile(PROFILES.get(tool, "a1111"))
    if PROFILE in fields:
        draft.set("profile", fields.pop(PROFILE), PROFILE)
    take_sampler(draft, fields, tool)
    take_model(draft, fields)
    take_files(draft, fields)
    take_strength(draft, fields)
    take_hires(draft, fields)
    take_upscale(draft, fields)
    take_refiner(draft, fields)
    take_words(draft, fields, tool)
    take_guidance(draft, fields)
    take_controls(draft, fields)
    if "Steps" in fields:
        draft.set("steps", fields.pop("Steps"), "Steps")
    take_networks(draft, fields, ours=tool == OURS)
    if "Size" in fields:
        draft.size(fields.pop("Size"), "Size")
    for key, value in fields.items():
        take(draft, key, value, tool)
    return draft.build(tool)


def in_usual_words(given: Mapping[str, str], tool: str) -> dict[str, str]:
    """Fields under AUTOMATIC1111's names, without those that say nothing."""
    fields = {OTHER_WORDS.get((tool, key), key): value for key, value in given.items()}
    if tool == CPP and not fields.get("Sampler", "").lower().startswith(("ddim", "tcd")):
        fields.pop("Eta", None)  # it is of these two alone, and always written
    if tool == FORGE:
        vae = fields.get("VAE", "").removesuffix(".safetensors")
        said_twice = [key for key, value in fields.items() if key.startswith("Module ") and value in (vae, "Built in")]
        for key in (*said_twice, *(key for key, usual in FORGE_USUAL.items() if fields.get(key) == usual)):
            fields.pop(key)
    return fields


def take(draft: Draft, key: str, value: str, tool: str) -> None:
    """One field."""
    if key in PLAIN:
        draft.set(PLAIN[key], value, key)
    elif key in PARTS:
        draft.part(*PARTS[key], value, key)
    elif key in CHOICES and value in CHOICES[key][2]:
        name, inner, values = CHOICES[key]
        if values[value] is not None:
            draft.part(name, inner, values[value], key)
    elif key in SOFT:
        draft.part("inpaint.soft", SOFT[key], value, key)
    elif key == "Seed resize from" and (found := PAIR.fullmatch(value)):
        draft.part("noise", "from_size", (int(found[1]), int(found[2])), key)
    elif key in OPTIONS:
        if not (key == "Sigma tmax" and tool != OURS and value == "0"):  # there 0 means no limit
            draft.option(OPTIONS[key], value, key)
    elif key in FROM_SCHEDULE or key.startswith(SCHEDULE_OPTION):
        draft.part("schedule_options", FROM_SCHEDULE.get(key, key.removeprefix(SCHEDULE_OPTION)), value, key)
    elif key == "SGM noise multiplier" and value == "True":
        draft.part("noise", "whole_variance", True, key)
    elif key == "Discard penultimate sigma" and value == "True":
        draft.set("drop_penultimate", True, key)
    elif key.startswith(OPTION):
        draft.option(key.removeprefix(OPTION), value, key)
    elif key not in SILENT:
        draft.keep(key, value)


def take_hires(draft: Draft, fields: dict[str, str]) -> None:
    """The second pass: what is more than a number."""
    if not any(key in fields for key in HIRES):
        return
    if "Denoising strength" in fields:
        draft.part("hires", "strength", fields.pop("Denoising strength"), "Denoising strength")
    if found := PAIR.fullmatch(fields.get("Hires resize", "")):
        key = "Hires resize"
        del fields[key]
        for side, length in (("width", int(found[1])), ("height", int(found[2]))):
            if length:
                draft.part("hires", side, length // 8 * 8, key)
    if "Hires upscaler" in fields:
        name = fields.pop("Hires upscaler")
        draft.part("hires", "upscaler", "latent" if name == "Latent" else name, "Hires upscaler")
    take_hires_sampler(draft, fields)
    take_hires_model(draft, fields)


def take_hires_sampler(draft: Draft, fields: dict[str, str]) -> None:
    """Sampler and schedule of the second pass, by the rules of the first."""
    second = Draft()
    if "Hires sampler" in fields:
        second.sampler(fields.pop("Hires sampler"), "Hires sampler", CPP_SAMPLERS)
    if "Hires schedule type" in fields:
        second.schedule(fields.pop("Hires schedule type"), "Hires schedule type", SCHEDULES)
    for name, value in second.fields.items():
        if value is not None:
            draft.part("hires", name, value, f"Hires {name}")
    draft.not_understood |= second.not_understood
    draft.warnings += second.warnings


def take_hires_model(draft: Draft, fields: dict[str, str]) -> None:
    """The checkpoint of the second pass, written as "name [hash]"."""
    found = NAMED.fullmatch(fields.get("Hires checkpoint", ""))
    if found is None or not found[1]:
        return
    key = f"Hires checkpoint {fields.pop('Hires checkpoint')}"[:MAX_SHOWN]
    if draft.part("hires", "model", re.split(r"[/\\]", found[1])[-1], key) and found[2]:
        draft.part("hires", "model_hash", found[2], key)


def take_refiner(draft: Draft, fields: dict[str, str]) -> None:
    """The model that takes over, written as "name [hash]"."""
    found = NAMED.fullmatch(fields.get("Refiner", ""))
    if found is None or not found[1]:
        return
    whole, switch = fields.pop("Refiner"), fields.pop("Refiner switch at", "0.8")
    last = re.split(r"[/\\]", found[1])[-1]
    digest = {"model_hash": found[2]} if found[2] else {}
    draft.set("refiner", {"model": last, "switch_at": switch, **digest}, f"Refiner {whole}"[:MAX_SHOWN])


def take_words(draft: Draft, fields: dict[str, str], tool: str) -> None:
    """How prompts are read. Before version 1.6 moments in [from:to:when] were counted in another way."""
    ancient = tool == AUTOMATIC1111 and ANCIENT_VERSION.match(fields.get("Version", ""))
    old = fields.pop("Old prompt editing timelines", "")
    if old == "True" or (ancient and "[" in str(draft.fields.get("prompt"))):
        draft.set("old_prompt_timing", True, "Old prompt editing timelines")
    emphasis = fields.pop("Emphasis", "Original")
    if emphasis != "Original":
        draft.set("emphasis", emphasis.lower(), "Emphasis")
    if any(key in fields for key in MASKED):
        draft.warn("made under a mask, which is not in the file: give it with --mask")


def take_sampler(draft: Draft, fields: dict[str, str], tool: str) -> None:
    """Sampler and schedule: in two fields, or in one label as before version 1.9."""
    label, schedule = fields.pop("Sampler", None), fields.pop("Schedule type", None)
    if tool == CPP and label and (found := CPP_SUFFIX.fullmatch(label)):
        label, schedule = found[1], found[2]
    if tool == FOOOCUS and label and "Scheduler" in fields:
        label, schedule = label.removesuffix(" Karras"), fields.pop("Scheduler")
    known = label is not None and draft.sampler(label, "Sampler", CPP_SAMPLERS)
    if schedule is not None:
        draft.schedule(schedule, "Schedule type", SCHEDULES)
    elif known and "schedule" not in draft.fields and draft.fields["sampler"] not in KEEP_OWN_SCHEDULE:
        version = fields.get("Version", "")
        if tool == CPP or (tool == AUTOMATIC1111 and (not version or OLD_VERSION.match(version))):
            draft.fields["schedule"] = "normal"


def take_model(draft: Draft, fields: dict[str, str]) -> None:
    """The model's name and hash."""
    if "Model" in fields:
        draft.model(fields.pop("Model"), "Model")
    if value := fields.pop("Model hash", ""):
        draft.hash(value, "Model hash")


def take_strength(draft: Draft, fields: dict[str, str]) -> None:
    """Denoising strength: of a start picture, or of hires fix, whose fields give it away."""
    if "Denoising strength" in fields and not any(key in fields for key in HIRES):
        draft.strength(fields.pop("Denoising strength"), "Denoising strength")


def without_templates(negative: str) -> tuple[str, str]:
    """SD.Next puts what wildcards and styles were made from between the prompts and the fields."""
    prompt, found, template = negative.partition("\nTemplate: ")
    return prompt, template if found else ""
