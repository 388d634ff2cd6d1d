"""The field `infotext` of a body: what it says fills those fields that the client has left out."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from fromnoise.engine.metadata.infotext_parse import parse
from fromnoise.errors import UserError
from fromnoise.server.sdapi.bodies import ImageToImage, Shared

B = TypeVar("B", bound=Shared)

SHARED = {
    "Steps": "steps", "Sampler": "sampler_name", "Schedule type": "scheduler", "Seed": "seed",
    "Variation seed": "subseed", "Variation seed strength": "subseed_strength", "Refiner": "refiner_checkpoint",
    "Refiner switch at": "refiner_switch_at", "Seed resize from-1": "seed_resize_from_w",
    "Seed resize from-2": "seed_resize_from_h",
}  # fmt: skip
OF_TEXT = {
    "CFG scale": "cfg_scale", "Size-1": "width", "Size-2": "height", "Denoising strength": "denoising_strength",
    "Hires upscale": "hr_scale", "Hires upscaler": "hr_upscaler", "Hires steps": "hr_second_pass_steps",
    "Hires resize-1": "hr_resize_x", "Hires resize-2": "hr_resize_y", "Hires checkpoint": "hr_checkpoint_name",
    "Hires sampler": "hr_sampler_name", "Hires schedule type": "hr_scheduler", "Hires prompt": "hr_prompt",
    "Hires negative prompt": "hr_negative_prompt",
}  # fmt: skip
SETTINGS = {
    "Clip skip": "CLIP_stop_at_last_layers", "ENSD": "eta_noise_seed_delta", "RNG": "randn_source",
    "Emphasis": "emphasis", "NGMS": "s_min_uncond", "Skip Early CFG": "skip_early_cond", "Tiling": "tiling",
    "Token merging ratio": "token_merging_ratio", "Token merging ratio hr": "token_merging_ratio_hr",
    "Noise multiplier": "initial_noise_multiplier", "Extra noise": "img2img_extra_noise", "VAE": "sd_vae",
    "Old prompt editing timelines": "use_old_scheduling", "Schedule min sigma": "sigma_min",
    "Schedule max sigma": "sigma_max", "Schedule rho": "rho", "Beta schedule alpha": "beta_dist_alpha",
    "Beta schedule beta": "beta_dist_beta", "SGM noise multiplier": "sgm_noise_multiplier",
    "Discard penultimate sigma": "always_discard_next_to_last_sigma",
}  # fmt: skip
PAIR = re.compile(r"(\d{1,6})x(\d{1,6})")
HIRES = ("Hires upscale", "Hires upscaler", "Hires resize-1")
ABSENT = {  # what AUTOMATIC1111 tells where a field is absent
    "Clip skip": "1", "Hires resize-1": 0, "Hires resize-2": 0, "Hires sampler": "Use same sampler",
    "Hires schedule type": "Use same scheduler", "Hires checkpoint": "Use same checkpoint", "Hires prompt": "",
    "Hires negative prompt": "", "Mask mode": "Inpaint masked", "Masked content": "original",
    "Inpaint area": "Whole picture", "Masked area padding": 32, "RNG": "GPU", "Schedule type": "Automatic",
    "Schedule max sigma": 0, "Schedule min sigma": 0, "Schedule rho": 0, "VAE Encoder": "Full", "VAE Decoder": "Full",
    "FP8 weight": "Disable",
}  # fmt: skip


def taken_apart(text: str) -> dict[str, Any]:
    """The fields as AUTOMATIC1111's png-info tells them; {} where there is nothing to tell."""
    parsed = parse(text)
    if parsed is None:
        return {}
    found: dict[str, Any] = {"Prompt": parsed.prompt, "Negative prompt": parsed.negative}
    for key, value in parsed.fields.items():
        pair = PAIR.fullmatch(value)
        found |= {f"{key}-1": pair[1], f"{key}-2": pair[2]} if pair else {key: value}
    return ABSENT | found


def filled(body: B) -> B:
    """The body with what its infotext says in those fields that were not sent. UserError where that makes no sense."""
    if not body.infotext:
        return body
    found = taken_apart(body.infotext)
    if not found:
        raise UserError("infotext: there is no line of fields such as Steps: 20, Sampler: Euler a, Seed: 1 in it")
    told = {key: value for key, value in found.items() if key in SHARED or key not in ABSENT or ABSENT[key] != value}
    table = SHARED if isinstance(body, ImageToImage) else SHARED | OF_TEXT
    fields = {name: told[key] for key, name in table.items() if key in told}
    if not isinstance(body, ImageToImage):
        fields |= {"prompt": found["Prompt"], "negative_prompt": found["Negative prompt"]}
        fields |= {"enable_hr": True} if any(key in parsed_keys(told) for key in HIRES) else {}
    fields = {name: value for name, value in fields.items() if name not in body.model_fields_set}
    settings = {name: typed(told[key]) for key, name in SETTINGS.items() if key in told}
    if model := told.get("Model"):
        settings["sd_model_checkpoint"] = str(model)
    sent = {name: getattr(body, name) for name in body.model_fields_set}
    wanted = settings | (body.override_settings or {})
    return type(body).model_validate({**fields, **sent, "override_settings": wanted})


def parsed_keys(told: Mapping[str, Any]) -> set[str]:
    return set(told)


def typed(value: Any) -> Any:
    """A value of a setting: a number, yes or no, or the text."""
    text = str(value)
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
