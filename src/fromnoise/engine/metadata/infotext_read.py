"""What the fields of an infotext mean, for AUTOMATIC1111 and the tools that write like it."""

import re
from collections.abc import Mapping

from fromnoise.engine.metadata.draft import Draft, Imported
from fromnoise.engine.metadata.infotext import OPTION, UNIPC_OPTIONS, WRITTEN_OPTIONS, Parsed, parse
from fromnoise.errors import FileError

PLAIN = {  # fields that are one of ours under another name
    "Steps": "steps",
    "CFG scale": "guidance_scale",
    "Image CFG scale": "image_guidance_scale",
    "Seed": "seed",
    "Clip skip": "clip_skip",
}
OPTIONS = {
    **{key: option for option, key in (WRITTEN_OPTIONS | UNIPC_OPTIONS).items()},
    "Eta DDIM": "eta",
}
SILENT = {"Version", "User", "App"}  # they change no pixel
HIRES = ("Hires upscale", "Hires upscaler", "Hires resize", "Hires steps")

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
OLD_VERSION = re.compile(r"v?[01]\.[0-8](\.|$|-)")  # before 1.9 a sampler without a schedule in its name used Uniform

AUTOMATIC1111, FORGE, SD_NEXT = "AUTOMATIC1111", "Forge", "SD.Next"
CPP, FOOOCUS, OURS, COMFY_SITE = "stable-diffusion.cpp", "Fooocus", "fromnoise", "ComfyUI"


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
    draft, fields = Draft(), dict(parsed.fields)
    prompt, negative = parsed.prompt, parsed.negative
    if tool == SD_NEXT:
        negative, template = without_templates(negative)
        fields |= {"Template": template} if template else {}
    draft.set("prompt", prompt, "Prompt")
    draft.set("negative", negative, "Negative prompt")
    if tool != OURS:
        draft.profile(PROFILES.get(tool, "a1111"))
    take_sampler(draft, fields, tool)
    take_model(draft, fields)
    take_strength(draft, fields)
    if "Size" in fields:
        draft.size(fields.pop("Size"), "Size")
    for key, value in fields.items():
        take(draft, key, value, tool)
    return draft.build(tool)


def take(draft: Draft, key: str, value: str, tool: str) -> None:
    """One field."""
    if key in PLAIN:
        draft.set(PLAIN[key], value, key)
    elif key in OPTIONS:
        if not (key == "Sigma tmax" and tool != OURS and value == "0"):  # there 0 means no limit
            draft.option(OPTIONS[key], value, key)
    elif key.startswith(OPTION):
        draft.option(key.removeprefix(OPTION), value, key)
    elif key not in SILENT:
        draft.keep(key, value)


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
