"""InvokeAI: JSON under `invokeai_metadata` (version 3 on), `sd-metadata` (version 2), or a `Dream` command line."""

import re
import shlex
from collections import deque
from collections.abc import Mapping
from typing import Any

from fromnoise.engine.metadata.draft import Draft, Imported, json_object
from fromnoise.engine.metadata.networks import add_network
from fromnoise.errors import FileError

SOURCE = "InvokeAI"
KEY, OLD_KEY, DREAM_KEY = "invokeai_metadata", "sd-metadata", "Dream"
PLAIN = {
    "positive_prompt": "prompt",
    "negative_prompt": "negative",
    "seed": "seed",
    "steps": "steps",
    "cfg_scale": "guidance_scale",
}
SAMPLERS = {  # its names that are not ours, without the _k of Karras
    "euler_a": "euler_ancestral",
    "kdpm_2": "dpm_2",
    "kdpm_2_a": "dpm_2_ancestral",
    "dpmpp_3m": "dpmpp_3m",
    "unipc": "uni_pc",
    "pndm": "plms",
    "k_dpmpp_2": "dpmpp_2m",
    "k_dpm_2": "dpm_2",
}
SILENT = {"generation_mode", "rand_device", "app_version", "width", "height", "model", "scheduler", "app_id"}
DREAM_OPTIONS = {"-s": "steps", "-S": "seed", "-C": "guidance_scale", "-W": "width", "-H": "height"}
MAX_COMMAND = 20_000  # characters
COMPEL = re.compile(r"\w[+-]{1,8}(?:[\s,]|$)|\)[+-]|\)[0-9]|\.(?:and|swap|blend)\(")
OWN_SCHEDULE = {"ddim", "ddpm", "plms", "uni_pc", "lcm"}


def fits(texts: Mapping[str, str]) -> bool:
    return any(key in texts for key in (KEY, OLD_KEY, DREAM_KEY))


def read(texts: Mapping[str, str]) -> Imported:
    """The recipe; FileError where its JSON is broken."""
    draft = Draft()
    draft.profile("diffusers")
    if KEY in texts:
        read_metadata(draft, json_object(texts[KEY], KEY))
    elif OLD_KEY in texts:
        read_old(draft, json_object(texts[OLD_KEY], OLD_KEY))
    else:
        read_dream(draft, texts[DREAM_KEY])
    prompts = f"{draft.fields.get('prompt', '')} {draft.fields.get('negative', '')}"
    if COMPEL.search(prompts):
        draft.warn("its prompt has weights in InvokeAI's own syntax (word++, (words)1.3), which is text here")
    return draft.build(SOURCE)


def read_metadata(draft: Draft, data: Mapping[str, Any]) -> None:
    """Version 3 on. `clip_skip` counts skipped layers, so that 0 is our 1."""
    for key, field in PLAIN.items():
        if data.get(key) is not None:
            draft.set(field, data[key], key)
    take_sides(draft, data)
    if isinstance(data.get("scheduler"), str):
        take_scheduler(draft, data["scheduler"], "scheduler")
    take_model(draft, data.get("model"))
    skipped = data.get("clip_skip")
    if isinstance(skipped, int) and skipped > 0:
        draft.set("clip_skip", skipped + 1, "clip_skip")
    if data.get("init_image") is not None and data.get("strength") is not None:
        draft.strength(data["strength"], "strength")
    told = SILENT | PLAIN.keys() | {"clip_skip", "strength"}
    told |= {"loras"} if take_loras(draft, data.get("loras")) else set()
    for key, value in data.items():
        if key not in told and value not in (None, [], "", 0, False):
            draft.keep(key, value)


def take_loras(draft: Draft, loras: object) -> bool:
    """[{"model": {"name": ...}, "weight": ...}], in version 3 {"lora": {"model_name": ...}}; whether all are known."""
    taken = True
    for lora in loras if isinstance(loras, list) else ():
        model = (lora.get("model") or lora.get("lora")) if isinstance(lora, dict) else None
        if not isinstance(model, dict):
            return False
        name = model.get("name") or model.get("model_name") or ""
        taken = add_network(draft, {"name": name, "strength": lora.get("weight", 1)}, "loras") and taken
    return taken


def take_sides(draft: Draft, data: Mapping[str, Any]) -> None:
    width, height = data.get("width"), data.get("height")
    if isinstance(width, int) and isinstance(height, int):
        draft.sides(width, height, "size")


def take_scheduler(draft: Draft, name: str, key: str) -> None:
    """One name for both; _k is Karras, and without it diffusers spaces its steps evenly."""
    bare = name.strip().lower()
    karras = bare.endswith("_k")
    if draft.sampler(bare.removesuffix("_k"), key, SAMPLERS) and draft.fields["sampler"] not in OWN_SCHEDULE:
        draft.fields["schedule"] = "karras" if karras else "normal"


def take_model(draft: Draft, model: object) -> None:
    """A model is named in `name`, before version 4 in `model_name`. Its hash is BLAKE3, which tells nothing here."""
    if not isinstance(model, dict):
        return
    name = model.get("name") or model.get("model_name")
    if isinstance(name, str):
        draft.model(name, "model")
    if model.get("hash"):
        draft.keep("model.hash", model["hash"])


def read_old(draft: Draft, data: Mapping[str, Any]) -> None:
    """Version 2: the negative prompt stands in brackets inside the prompt."""
    image = data.get("image")
    if not isinstance(image, dict):
        raise FileError("its sd-metadata has no image")
    prompt = image.get("prompt")
    if isinstance(prompt, list):
        prompt = ", ".join(str(part.get("prompt", "")) for part in prompt if isinstance(part, dict))
    split_prompt(draft, str(prompt or ""))
    for key in ("seed", "steps", "cfg_scale"):
        if image.get(key) is not None:
            draft.set(PLAIN[key], image[key], key)
    take_sides(draft, image)
    if isinstance(image.get("sampler"), str):
        take_scheduler(draft, image["sampler"], "sampler")
    if isinstance(data.get("model_weights"), str):
        draft.model(data["model_weights"], "model_weights")
    if image.get("type") == "img2img" and image.get("strength") is not None:
        draft.strength(image["strength"], "strength")


def split_prompt(draft: Draft, prompt: str) -> None:
    """What [brackets] hold is the negative prompt."""
    negative = ", ".join(re.findall(r"\[([^\[\]]*)\]", prompt))
    draft.set("prompt", re.sub(r"\[[^\[\]]*\]", "", prompt).strip(), "prompt")
    draft.set("negative", negative, "negative")


def read_dream(draft: Draft, command: str) -> None:
    """Version 1: `"a prompt" -s 50 -S 42 -W 512 -H 512 -C 7.5 -A k_lms`, with or without the spaces."""
    try:
        words = deque(shlex.split(command[:MAX_COMMAND]))
    except ValueError as error:
        raise FileError("its Dream command has an open quote") from error
    prompt: list[str] = []
    while words:
        word = words.popleft()
        flag, value = word[:2], word[2:]
        if flag not in (*DREAM_OPTIONS, "-A"):
            prompt += [word] if not word.startswith("-") else []
            continue
        value = value or (words.popleft() if words else "")
        if flag == "-A":
            take_scheduler(draft, value, flag)
        else:
            draft.set(DREAM_OPTIONS[flag], value, flag)
    split_prompt(draft, " ".join(prompt))
