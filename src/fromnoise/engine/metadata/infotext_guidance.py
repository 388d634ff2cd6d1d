"""Guidance in AUTOMATIC1111's text: the keys of the web UI itself, of its well-known extensions, and of Forge.

Written are the web UI's and the extensions' keys. What these can't say stands behind them in JSON under a key of ours,
`Part NAME`, which replaces what they said.
"""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from fromnoise.engine.metadata.draft import Draft
from fromnoise.engine.metadata.numbers import number
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_guidance import FreeU, Inversion, Seamless, Thresholding, TokenMerging
from fromnoise.engine.recipe_parts import SoftInpaint

PART = "Part "  # ours, before the path of a part of the recipe
PATHS = (  # parts that are written here
    "guidance.rescale",
    "guidance.projected",
    "guidance.thresholding",
    "guidance.zero_star",
    "guidance.perp_neg",
    "guidance.skip",
    "guidance.perturbed",
    "guidance.self_attention",
    "regional",
    "free_u",
    "token_merging",
    "step_reuse",
    "seamless",
    "outpaint",
    "inversion",
    "enlarge",
    "redraw",
    "restore_faces",
)

Place = tuple[str, str]  # the path of a part, and a field of it

NUMBERS: Mapping[str, Place] = {
    "NGMS": ("guidance.skip", "below"),
    "Skip Early CFG": ("guidance.skip", "early"),
    "CFG Rescale phi": ("guidance.rescale", "share"),
    "CFG Rescale φ": ("guidance.rescale", "share"),
    "CFG Rescale": ("guidance.rescale", "share"),
    "PAG Scale": ("guidance.perturbed", "scale"),
    "PerturbedAttentionGuidance_scale": ("guidance.perturbed", "scale"),
    "SAG Guidance Scale": ("guidance.self_attention", "scale"),
    "SAG Mask Threshold": ("guidance.self_attention", "threshold"),
    "SAG Blur Sigma": ("guidance.self_attention", "blur"),
    "sag_scale": ("guidance.self_attention", "scale"),
    "sag_threshold": ("guidance.self_attention", "threshold"),
    "sag_blur_sigma": ("guidance.self_attention", "blur"),
    "Mimic scale": ("guidance.thresholding", "mimic_scale"),
    "Interpolate Phi": ("guidance.thresholding", "share"),
    "Mimic scale minimum": ("guidance.thresholding", "mimic_minimum"),
    "CFG scale minimum": ("guidance.thresholding", "scale_minimum"),
    "Scheduler value": ("guidance.thresholding", "power"),
    "Power scheduler value": ("guidance.thresholding", "power"),
    "Token merging ratio": ("token_merging", "ratio"),
    "Token merging ratio hr": ("token_merging", "hires_ratio"),
    "freeu_b1": ("free_u", "b1"),
    "freeu_b2": ("free_u", "b2"),
    "freeu_s1": ("free_u", "s1"),
    "freeu_s2": ("free_u", "s2"),
    "FreeU Version": ("free_u", "version"),
    "Decode steps": ("inversion", "steps"),
    "Decode CFG scale": ("inversion", "guidance_scale"),
    "Decode prompt": ("inversion", "prompt"),
    "Decode negative prompt": ("inversion", "negative"),
    "Randomness": ("inversion", "randomness"),
}
SWITCHES: Mapping[str, Place] = {
    "NGMS all steps": ("guidance.skip", "every_step"),
    "Separate Feature Channels": ("guidance.thresholding", "per_channel"),
    "Sigma Adjustment": ("inversion", "adjusted"),
}
ON: Mapping[str, str] = {  # True: the part is there, with its defaults
    "Dynamic thresholding enabled": "guidance.thresholding",
    "PAG Active": "guidance.perturbed",
    "PerturbedAttentionGuidance_enabled": "guidance.perturbed",
    "SAG Guidance Enabled": "guidance.self_attention",
    "sag_enabled": "guidance.self_attention",
    "freeu_enabled": "free_u",
    "Tiling": "seamless",
}
WORDS: Mapping[str, tuple[Place, Mapping[str, str]]] = {
    "Scaling Startpoint": (("guidance.thresholding", "around"), {"MEAN": "mean", "ZERO": "zero"}),
    "Variability Measure": (("guidance.thresholding", "variability"), {"AD": "range", "STD": "deviation"}),
}
MODES: Mapping[str, Place] = {
    "Mimic mode": ("guidance.thresholding", "mimic_mode"),
    "CFG mode": ("guidance.thresholding", "scale_mode"),
}
SOFT = {
    "Soft inpainting schedule bias": "bias",
    "Soft inpainting preservation strength": "preservation",
    "Soft inpainting transition contrast boost": "contrast",
    "Soft inpainting mask influence": "mask_influence",
    "Soft inpainting difference threshold": "difference_threshold",
    "Soft inpainting difference contrast": "difference_contrast",
}
ALWAYS = "0.0, 1.0, 0.0"  # FreeU Schedule: from the beginning to the end, at once
NOTHING_AT_ZERO = {
    "NGMS",
    "Skip Early CFG",
    "CFG Rescale phi",
    "CFG Rescale φ",
    "CFG Rescale",
    "Token merging ratio hr",
}


def guidance_fields(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Keys and values; what the known keys can't say follows in JSON."""
    known = list(known_fields(recipe))
    yield from known
    draft, fields = Draft(), dict(known)
    take_guidance(draft, fields)
    said = draft.build("").recipe
    for path in PATHS:
        part = part_of(recipe, path)
        if part is not None and part != part_of(said, path):
            yield PART + path.replace(".", "/"), json.dumps(plain(part), ensure_ascii=False)


def plain(part: BaseModel) -> dict[str, Any]:
    """A part in JSON, without masks, which have no place in a text."""
    return part.model_dump(mode="json", exclude_none=True, exclude={"regions": {"__all__": {"mask"}}})


def part_of(recipe: Recipe, path: str) -> BaseModel | None:
    """The part at a path such as guidance.rescale."""
    found: Any = recipe
    for name in path.split("."):
        found = None if found is None else getattr(found, name)
    assert found is None or isinstance(found, BaseModel)
    return found


def known_fields(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """What the web UI and its extensions have keys for."""
    guidance = recipe.guidance
    if recipe.token_merging:
        yield from merging_fields(recipe.token_merging)
    if recipe.seamless == Seamless():
        yield "Tiling", "True"
    if guidance and (skip := guidance.skip):
        if skip.below:
            yield "NGMS", number(skip.below)
        if skip.every_step:
            yield "NGMS all steps", "True"
        if skip.early:
            yield "Skip Early CFG", number(skip.early)
    if guidance and guidance.rescale and guidance.rescale.share:
        yield "CFG Rescale phi", number(guidance.rescale.share)
    if guidance and guidance.thresholding:
        yield from threshold_fields(guidance.thresholding)
    if recipe.free_u:
        yield from free_u_fields(recipe.free_u)
    if guidance and guidance.perturbed:
        yield "PAG Active", "True"
        yield "PAG Scale", number(guidance.perturbed.scale)
    if guidance and (sag := guidance.self_attention):
        yield "SAG Guidance Enabled", "True"
        yield "SAG Guidance Scale", number(sag.scale)
        yield "SAG Mask Threshold", number(sag.threshold)
        yield "SAG Blur Sigma", number(sag.blur)
    if recipe.inversion:
        yield from inversion_fields(recipe.inversion)


def merging_fields(part: TokenMerging) -> Iterator[tuple[str, str]]:
    yield "Token merging ratio", number(part.ratio)
    if part.hires_ratio:
        yield "Token merging ratio hr", number(part.hires_ratio)


def threshold_fields(part: Thresholding) -> Iterator[tuple[str, str]]:
    yield "Dynamic thresholding enabled", "True"
    yield "Mimic scale", number(part.mimic_scale)
    yield "Separate Feature Channels", str(part.per_channel)
    yield "Scaling Startpoint", part.around.upper()
    yield "Variability Measure", "AD" if part.variability == "range" else "STD"
    yield "Interpolate Phi", number(part.share)
    yield "Threshold percentile", str((Decimal(repr(part.percentile)) * 100).normalize())
    if part.mimic_mode != "constant":
        yield "Mimic mode", part.mimic_mode.title()
        yield "Mimic scale minimum", number(part.mimic_minimum)
    if part.scale_mode != "constant":
        yield "CFG mode", part.scale_mode.title()
        yield "CFG scale minimum", number(part.scale_minimum)
    if part.power != 1:
        yield "Scheduler value", number(part.power)


def free_u_fields(part: FreeU) -> Iterator[tuple[str, str]]:
    stages = ((part.b1, part.s1), (part.b2, part.s2))
    yield "FreeU Stages", json.dumps([{"backbone_factor": b, "skip_factor": s} for b, s in stages])
    yield "FreeU Schedule", ALWAYS
    yield "FreeU Version", str(part.version)


def inversion_fields(part: Inversion) -> Iterator[tuple[str, str]]:
    if part.prompt is not None:
        yield "Decode prompt", part.prompt
    if part.negative is not None:
        yield "Decode negative prompt", part.negative
    yield "Decode CFG scale", number(part.guidance_scale)
    yield "Decode steps", str(part.steps)
    yield "Randomness", number(part.randomness)
    yield "Sigma Adjustment", str(part.adjusted)


def soft_fields(part: SoftInpaint) -> Iterator[tuple[str, str]]:
    """Soft inpainting."""
    yield "Soft inpainting enabled", "True"
    for key, name in SOFT.items():
        yield key, number(getattr(part, name))


def take_guidance(draft: Draft, fields: dict[str, str]) -> None:
    """Take all fields of this page out of `fields`."""
    for key in [key for key in ON if key in fields]:
        if fields.pop(key) == "True":
            outer, _, inner = ON[key].rpartition(".")
            draft.place(outer, inner, {}, key)
    if "Token merging ratio hr" in fields and "Token merging ratio" not in fields:
        draft.part("token_merging", "ratio", 0, "Token merging ratio")
    take_free_u(draft, fields)
    for key in [key for key in NUMBERS if key in fields]:
        value = fields.pop(key)
        if key not in NOTHING_AT_ZERO or value not in ("0", "0.0"):
            draft.part(*NUMBERS[key], value, key)
    for key in [key for key in SWITCHES if key in fields]:
        draft.part(*SWITCHES[key], fields.pop(key), key)
    for key, (place, words) in WORDS.items():
        if fields.get(key) in words:
            draft.part(*place, words[fields.pop(key)], key)
    for key in [key for key in MODES if key in fields]:
        draft.part(*MODES[key], fields.pop(key).lower(), key)
    take_percentile(draft, fields)
    for key in [key for key in fields if key.startswith(PART)]:
        take_part(draft, key, fields.pop(key))


def take_percentile(draft: Draft, fields: dict[str, str]) -> None:
    """Which is counted to a hundred there."""
    key = "Threshold percentile"
    if key not in fields:
        return
    value = fields.pop(key)
    try:
        draft.part("guidance.thresholding", "percentile", float(Decimal(value) / 100), key)
    except ArithmeticError:
        draft.keep(key, value)


def take_free_u(draft: Draft, fields: dict[str, str]) -> None:
    """The stages of the extension FreeU, whose other settings, and times other than all, have no place here."""
    if "FreeU Stages" in fields:
        text = fields.pop("FreeU Stages")
        try:
            stages = [(dict(stage), f"{i}") for i, stage in enumerate(json.loads(text), 1)]
            for stage, i in stages[:2]:
                draft.part("free_u", f"b{i}", stage.pop("backbone_factor", 1), "FreeU Stages")
                draft.part("free_u", f"s{i}", stage.pop("skip_factor", 1), "FreeU Stages")
            if any(stage for stage, _ in stages):
                draft.keep("FreeU Stages", text)
        except (ValueError, TypeError, RecursionError):
            draft.keep("FreeU Stages", text)
    if fields.get("FreeU Schedule") == ALWAYS:
        del fields["FreeU Schedule"]


def take_part(draft: Draft, key: str, value: str) -> None:
    """A part of ours in JSON, instead of what was said of it before."""
    path = key.removeprefix(PART).replace("/", ".")
    try:
        part = json.loads(value)
    except (ValueError, RecursionError):
        part = None
    if path not in PATHS or not isinstance(part, dict):
        draft.keep(key, value)
        return
    outer, _, inner = path.rpartition(".")
    draft.place(outer, inner, part, key)
