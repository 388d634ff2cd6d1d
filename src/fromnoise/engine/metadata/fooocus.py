"""Fooocus: `parameters` as JSON (its scheme fooocus) or as an infotext (its scheme a1111); the scheme beside it."""

from collections.abc import Mapping
from typing import Any

from fromnoise.engine.metadata.carrier import MAKER_NOTE, PARAMETERS_KEY, USER_COMMENT
from fromnoise.engine.metadata.draft import Draft, Imported, json_object
from fromnoise.engine.metadata.infotext_read import read_infotext
from fromnoise.engine.metadata.networks import add_network

SOURCE = "Fooocus"
SCHEMES = ("fooocus", "a1111")
PLAIN = {"seed": "seed", "steps": "steps", "guidance_scale": "guidance_scale", "clip_skip": "clip_skip"}
SCHEDULES: Mapping[str, str | None] = {"align_your_steps": "align_your_steps_sdxl"}  # it is for SDXL alone
SILENT = {
    "prompt", "negative_prompt", "full_prompt", "full_negative_prompt", "resolution", "sampler", "scheduler",
    "base_model", "base_model_hash", "metadata_scheme", "version", "created_by",
}  # fmt: skip


def text_of(texts: Mapping[str, str]) -> str:
    return texts.get(PARAMETERS_KEY) or texts.get(USER_COMMENT) or ""


def fits(texts: Mapping[str, str]) -> bool:
    return texts.get(MAKER_NOTE) in SCHEMES or ('"full_prompt"' in text_of(texts) and text_of(texts)[:1] == "{")


def read(texts: Mapping[str, str]) -> Imported:
    """The recipe in either scheme; FileError where it is broken."""
    text = text_of(texts)
    return read_json(json_object(text, PARAMETERS_KEY)) if text[:1] == "{" else read_infotext(text, SOURCE)


def read_json(data: Mapping[str, Any]) -> Imported:
    """The scheme fooocus. Its numbers and pairs are Python in strings, of which only digits are read."""
    draft = Draft()
    draft.profile("comfyui")
    for key, field, full in (
        ("prompt", "prompt", "full_prompt"),
        ("negative_prompt", "negative", "full_negative_prompt"),
    ):
        draft.set(field, whole_prompt(draft, data, key, full), key)
    for key, field in PLAIN.items():
        if data.get(key) is not None:
            draft.set(field, data[key], key)
    if isinstance(data.get("resolution"), str):
        draft.size(data["resolution"], "resolution")
    if isinstance(data.get("sampler"), str):
        draft.sampler(data["sampler"], "sampler")
    if isinstance(data.get("scheduler"), str):
        draft.schedule(data["scheduler"], "scheduler", SCHEDULES)
    if isinstance(data.get("base_model"), str):
        draft.model(data["base_model"], "base_model")
    if isinstance(data.get("base_model_hash"), str):
        draft.hash(data["base_model_hash"], "base_model_hash")
    taken = take_loras(draft, data.get("loras"))
    for key, value in data.items():
        told = taken and (key == "loras" or key.startswith("lora_combined_"))
        if key not in SILENT | PLAIN.keys() and value not in (None, [], "", "None") and not told:
            draft.keep(key, value)
    return draft.build(SOURCE)


def take_loras(draft: Draft, loras: object) -> bool:
    """[[name, strength, hash], ...]; whether all of them were understood."""
    taken = True
    for lora in loras if isinstance(loras, list) else ():
        if not isinstance(lora, list) or len(lora) < 2:
            return False
        digest = {"hash": lora[2]} if len(lora) > 2 and lora[2] else {}
        taken = add_network(draft, {"name": lora[0], "strength": lora[1], **digest}, "loras") and taken
    return taken


def whole_prompt(draft: Draft, data: Mapping[str, Any], key: str, full: str) -> str:
    """The prompt with its styles, as it was used, where the picture has it."""
    parts = data.get(full)
    typed = data.get(key)
    if not isinstance(parts, list) or not parts:
        return typed if isinstance(typed, str) else ""
    used = ", ".join(part for part in parts if isinstance(part, str) and part)
    if isinstance(typed, str) and typed != used:
        draft.keep(key, typed)
        draft.warn("its styles are written out in the prompt")
    return used
