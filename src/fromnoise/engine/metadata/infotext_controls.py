"""Controls, image prompts and boxes in AUTOMATIC1111's text, as its extension sd-webui-controlnet writes units.

    ControlNet 0: "Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 1, ..."   (newest, and Forge)
    ControlNet 0: "preprocessor: canny, starting/ending: (0, 1), preprocessor params: (512, 100, 200), ..."   (1.1)
    ControlNet Enabled: True, ControlNet Module: canny, ControlNet Model: ..., ControlNet-1 Weight: 1   (1.0)

An IP-Adapter is a unit whose module prepares a picture for one. Pictures are not in the text: a control is read without
its own. What a unit can't say follows in JSON under a key of ours, `ControlNet N more`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fromnoise.engine.metadata.draft import MAX_SHOWN, Draft
from fromnoise.engine.metadata.networks import file_name
from fromnoise.engine.metadata.numbers import number
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_control import UNION_NAMES, Control
from fromnoise.engine.recipe_pictures import ImagePrompt
from fromnoise.errors import UserError
from fromnoise.preprocessors import PREPROCESSORS

UNIT = re.compile(r"ControlNet (\d{1,2})")
OLD = re.compile(r"ControlNet(?:-(\d{1,2}))? (\S.*)")  # a key for each setting
PAIR = re.compile(r"(?:^|, )([A-Za-z][A-Za-z /_-]{1,39}): ")
NAMED = re.compile(r"(.*?)(?: \[([0-9a-fA-F]{8,64})\])?")
MORE = " more"  # ours
BOXES, GLIGEN, DEPTH = "GLIGEN boxes", "GLIGEN", "Depth map"  # ours
IP_ADAPTER = re.compile(r"ip-?adapter|revision", re.IGNORECASE)  # revision: SDXL takes the picture by itself
STYLES = (
    "t2ia_style_clipvision",
    "clip_vision",
    "clip-vit-l (style)",
)  # modules of style adapters, which see it as it is
IP_MODULE = "ip-adapter-auto"
HASH_LENGTH = 8
NONE = ("none", "")

RESIZES = {"stretch": "Just Resize", "crop": "Crop and Resize", "fill": "Resize and Fill"}
MODES = {
    "balanced": "Balanced",
    "prompt": "My prompt is more important",
    "control": "ControlNet is more important",
}
PASSES = {"both": "Both", "first": "Low res only", "second": "High res only"}
READ_RESIZES = {
    **{shown.lower(): name for name, shown in RESIZES.items()},
    "resize and crop": "crop", "inner fit (scale to fit)": "crop", "scale to fit (inner fit)": "crop",
    "outer fit (shrink to fit)": "fill", "envelope (outer fit)": "fill",
}  # fmt: skip
SHORT = {  # keys of version 1.1, and of keys for each setting
    "preprocessor": "module", "resize mode": "resize mode", "guidance strength": "weight", "rfrmode": "resize mode",
    "preprocessor resolution": "processor res", "annotator resolution": "processor res",
}  # fmt: skip
SILENT = {  # they change no pixel
    "enabled", "low vram", "lowvram", "save detected map", "input mode", "show advanced", "use preview as input",
    "generated image", "image fg", "mask image fg", "advanced weighting", "is ui", "ipadapter input",
}  # fmt: skip


def control_fields(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """A unit for each control, then for each image prompt, and what units can't say."""
    units: list[tuple[dict[str, str], Control | ImagePrompt]] = [(control_unit(one), one) for one in recipe.controls]
    units += [(prompt_unit(prompt), prompt) for prompt in recipe.image_prompts]
    for index, (said, part) in enumerate(units):
        text = ", ".join(f"{key}: {value}" for key, value in said.items())
        yield f"ControlNet {index}", text
        more = unsaid(part, read_unit(dict(pairs(text)), Draft(), ""))
        if more:
            yield f"ControlNet {index}{MORE}", json.dumps(more, ensure_ascii=False)
    if recipe.gligen is not None:
        yield GLIGEN, recipe.gligen.model_dump_json(exclude_none=True)
    if recipe.boxes:
        yield BOXES, json.dumps([box.model_dump(mode="json") for box in recipe.boxes], ensure_ascii=False)
    if recipe.depth is not None:
        yield DEPTH, recipe.depth.model_dump_json(exclude_none=True)


def control_unit(control: Control) -> dict[str, str]:
    """What the extension says of a control."""
    spec = PREPROCESSORS[control.preprocessor]
    given = [control.parameters.get(one.name, one.default) for one in spec.parameters[:2]]
    thresholds = {f"Threshold {letter}": number(value) for letter, value in zip("AB", given, strict=False)}
    return {
        "Module": control.preprocessor,
        "Model": labelled(control.model, control.model_hash),
        "Weight": number(control.weight),
        **({"Resize Mode": RESIZES[control.resize]} if control.resize else {}),
        **({"Processor Res": str(control.resolution)} if control.resolution else {}),
        **thresholds,
        "Guidance Start": number(control.start),
        "Guidance End": number(control.end),
        "Pixel Perfect": str(control.pixel_perfect),
        "Control Mode": MODES.get(control.mode, MODES["balanced"]),
        "Hr Option": PASSES[control.passes],
        **({"Union Control Type": control.type} if control.type else {}),
    }


def prompt_unit(prompt: ImagePrompt) -> dict[str, str]:
    """What the extension says of an image prompt; one without an adapter is no unit there, but says as much."""
    return {
        "Module": IP_MODULE,
        "Model": labelled(prompt.model, prompt.model_hash),
        "Weight": number(prompt.weight),
        "Guidance Start": number(prompt.start),
        "Guidance End": number(prompt.end),
    }


def labelled(model: str | None, digest: str | None) -> str:
    """A model's name as the extension writes it, with eight digits of its hash."""
    if model is None:
        return "None"
    name = file_name(model)
    plain = name == name.strip() and not set(name) & set(":,\n\r[]") and name.lower() not in NONE
    return name + (f" [{digest[:HASH_LENGTH]}]" if digest else "") if plain else "None"


def unsaid(part: Control | ImagePrompt, said: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a part that its unit does not say."""
    known = part.model_dump(mode="json")
    usual = {name: field.get_default(call_default_factory=True) for name, field in type(part).model_fields.items()}
    read = {name: said.get(name, usual[name]) for name in known}
    return {
        name: value for name, value in known.items() if value != (list(read[name]) if read[name] == () else read[name])
    }


def take_controls(draft: Draft, fields: dict[str, str]) -> None:
    """Take controls, image prompts and boxes out of `fields`."""
    units = old_units(fields)
    for key in [key for key in fields if UNIT.fullmatch(key)]:
        units[int(key.split()[1])] = (key, dict(pairs(fields.pop(key))))
    controls: list[dict[str, Any]] = []
    prompts: list[dict[str, Any]] = []
    for index, (key, unit) in sorted(units.items()):
        more = extra(draft, f"ControlNet {index}{MORE}", fields)
        whole = ", ".join(f"{name}: {value}" for name, value in unit.items())
        is_prompt = bool(IP_ADAPTER.search(unit.get("module", "")))
        found: dict[str, Any] = {}
        try:
            found = read_unit(unit, draft, key) | more
            checked = (ImagePrompt if is_prompt else Control).model_validate(found)
        except ValueError:
            draft.keep(key, whole)
            draft.warn(unseen("PICTURE", found) if is_prompt else f"{key} can't be taken over; give it with --control")
            continue
        if isinstance(checked, Control) and checked.image is None:
            draft.warn(f"{key}: its picture is not in the file; give it with --control, or a start picture")
        (prompts if is_prompt else controls).append(found)
    for name, listed in (("controls", controls), ("image_prompts", prompts)):
        if listed:
            draft.set(name, listed, "ControlNet")
    for key, name in ((GLIGEN, "gligen"), (DEPTH, "depth")):
        if key in fields:
            draft.set(name, decoded(fields.pop(key)), key)
    if BOXES in fields:
        take_boxes(draft, fields.pop(BOXES))


def take_boxes(draft: Draft, text: str) -> None:
    """Boxes, which a recipe has only with the model that heeds them."""
    try:
        boxes = Recipe.model_validate({"gligen": draft.fields.get("gligen"), "boxes": decoded(text)}).boxes
    except ValueError:
        draft.keep(BOXES, text)
        return
    draft.fields["boxes"] = boxes


def unseen(picture: str, fields: Mapping[str, Any]) -> str:
    """What to do about an image prompt whose picture is not there: the option with all that is known of it."""
    known = [(key, fields[key], of.default) for key, of in ImagePrompt.model_fields.items() if key in fields]
    said = [f"{key}={value}" for key, value, usual in known if isinstance(value, PLAIN) and value != usual]
    return f'{UNSEEN} "{", ".join((picture, *said))}"'


PLAIN = (str, int, float, bool)
UNSEEN = "made with a picture as a prompt, which is not in the file: give it with --image-prompt"


def old_units(fields: dict[str, str]) -> dict[int, tuple[str, dict[str, str]]]:
    """Units that have a key for each setting; `ControlNet-0` and no number are the first."""
    units: dict[int, tuple[str, dict[str, str]]] = {}
    for key in list(fields):
        found = OLD.fullmatch(key)
        if found is not None and not UNIT.fullmatch(key) and not key.endswith(MORE):
            index = int(found[1] or 0)
            name = found[2].lower()
            units.setdefault(index, (f"ControlNet {index}", {}))[1][SHORT.get(name, name)] = fields.pop(key)
    return {index: unit for index, unit in units.items() if unit[1].get("enabled", "True") == "True"}


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """The settings of a unit by their names in lower case."""
    found = list(PAIR.finditer(text[: 4 * MAX_SHOWN]))
    ends = [one.start() for one in found[1:]] + [len(text)]
    for one, end in zip(found, ends, strict=True):
        name = one[1].lower()
        yield SHORT.get(name, name), text[one.end() : end].strip()


def read_unit(unit: Mapping[str, str], draft: Draft, key: str) -> dict[str, Any]:
    """The fields of a control, or of an image prompt, that a unit says. ValueError where it makes no sense."""
    unit = dict(unit)
    module, model = unit.pop("module", "none"), NAMED.fullmatch(unit.pop("model", "None").strip())
    found: dict[str, Any] = {}
    if model is not None and model[1].lower() not in NONE:
        found["model"] = file_name(model[1])
        found |= {"model_hash": model[2]} if model[2] else {}
    if "weight" in unit:
        found["weight"] = float(unit.pop("weight"))
    found |= times(unit)
    if not IP_ADAPTER.search(module):
        found |= control_only(unit, module, draft, key)
    else:
        for name in ("resize mode", "processor res", "threshold a", "threshold b", "pixel perfect", "control mode"):
            unit.pop(name, None)
    for name in unit.keys() - SILENT:
        draft.keep(f"{key} {name}", unit[name])
    return found


def times(unit: dict[str, str]) -> dict[str, float]:
    """From when to when it acts: two numbers, or a pair of them."""
    found: dict[str, float] = {}
    pair = re.findall(r"[\d.]+", unit.pop("starting/ending", ""))[:2]
    for index, (name, key) in enumerate((("start", "guidance start"), ("end", "guidance end"))):
        text = unit.pop(key, pair[index] if len(pair) == 2 else "")
        found |= {name: float(text)} if text else {}
    return found


def control_only(unit: dict[str, str], module: str, draft: Draft, key: str) -> dict[str, Any]:
    """What is said of a control alone."""
    found: dict[str, Any] = {}
    module = "none" if module.lower() in STYLES else module
    try:
        found["preprocessor"] = PREPROCESSORS.canonical(module)
    except UserError as error:
        draft.keep(f"{key} Module", module)
        draft.warn(f"{error}; the recipe has none: give a finished hint")
    params = re.findall(r"-?[\d.]+", unit.pop("preprocessor params", ""))
    names = ("processor res", "threshold a", "threshold b")
    unit |= {name: value for name, value in zip(names, params, strict=False) if name not in unit}
    resolution, first, second = (float(unit.pop(name, "") or -1) for name in names)
    if resolution >= 1:
        found["resolution"] = int(resolution)
    spec = PREPROCESSORS[found.get("preprocessor", "none")]
    given = dict(zip((one.name for one in spec.parameters), (first, second), strict=False))
    parameters = {one.name: given[one.name] for one in spec.parameters[:2] if given[one.name] not in (-1, one.default)}
    found |= {"parameters": parameters} if parameters else {}
    words: tuple[tuple[str, str, Mapping[str, object]], ...] = (
        ("resize mode", "resize", READ_RESIZES),
        ("control mode", "mode", {shown.lower(): name for name, shown in MODES.items()}),
        ("hr option", "passes", {shown.lower(): name for name, shown in PASSES.items()}),
        ("hires-fix option", "passes", {shown.lower(): name for name, shown in PASSES.items()}),
        ("pixel perfect", "pixel_perfect", {"true": True, "false": False}),
        ("union control type", "type", {**UNION_NAMES, "unknown": None}),
    )
    for name, field, values in words:
        text = unit.pop(name, None)
        if text is None:
            continue
        if text.lower().removeprefix("hiresfixoption.") in values:
            found[field] = values[text.lower().removeprefix("hiresfixoption.")]
        else:
            draft.keep(f"{key} {name}", text)
    return found


def extra(draft: Draft, key: str, fields: dict[str, str]) -> dict[str, Any]:
    """What a unit could not say."""
    if key not in fields:
        return {}
    text = fields.pop(key)
    found = decoded(text)
    if isinstance(found, dict):
        return found
    draft.keep(key, text)
    return {}


def decoded(text: str) -> Any:
    """JSON; nothing where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
