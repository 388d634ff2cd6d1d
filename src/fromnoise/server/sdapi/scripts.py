"""Scripts that a body can choose: X/Y/Z plot and its kin are plans of pictures; others change how one is made."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fromnoise.engine.axis_values import seeds
from fromnoise.errors import UserError
from fromnoise.server.errors import ApiError

# Axes in AUTOMATIC1111's order: an axis is asked for by its number among those of the tab. T: text to image alone; I:
# image to image alone.
AXES: tuple[tuple[str, str], ...] = (
    ("Nothing", ""), ("Seed", ""), ("Var. seed", ""), ("Var. strength", ""), ("Steps", ""), ("Hires steps", "T"),
    ("CFG Scale", ""), ("Image CFG Scale", "I"), ("Prompt S/R", ""), ("Prompt order", ""), ("Sampler", "T"),
    ("Hires sampler", "T"), ("Sampler", "I"), ("Checkpoint name", ""), ("Negative Guidance minimum sigma", ""),
    ("Sigma Churn", ""), ("Sigma min", ""), ("Sigma max", ""), ("Sigma noise", ""), ("Schedule type", ""),
    ("Schedule min sigma", ""), ("Schedule max sigma", ""), ("Schedule rho", ""), ("Beta schedule alpha", ""),
    ("Beta schedule beta", ""), ("Eta", ""), ("Clip skip", ""), ("Denoising", ""), ("Initial noise multiplier", ""),
    ("Extra noise", ""), ("Hires upscaler", "T"), ("Cond. Image Mask Weight", "I"), ("VAE", ""), ("Styles", ""),
    ("UniPC Order", ""), ("Face restore", ""), ("Token merging ratio", ""), ("Token merging ratio high-res", ""),
    ("Always discard next-to-last sigma", ""), ("SGM noise multiplier", ""), ("Refiner checkpoint", ""),
    ("Refiner switch at", ""), ("RNG source", ""), ("FP8 mode", ""), ("Size", ""),
)  # fmt: skip
NO_AXIS = "Nothing"
SEEDS = ("seed", "var. seed")
LISTED = {  # their values are chosen in a list, unless csv_mode is on
    "sampler", "hires sampler", "checkpoint name", "schedule type", "hires upscaler", "vae", "styles", "face restore",
    "always discard next-to-last sigma", "sgm noise multiplier", "refiner checkpoint", "rng source", "fp8 mode",
}  # fmt: skip
CAPTIONERS = {"clip": "blip", "deepdanbooru": "wd14", "deepbooru": "wd14"}  # AUTOMATIC1111's, and ours
VARIED = ("vary_seeds_x", "vary_seeds_y", "vary_seeds_z")


@dataclass(frozen=True)
class Plan:
    """Many pictures by one script: what is asked of the planner, and what is shown in the end."""

    script: str  # as the planner calls it
    given: Mapping[str, Any]
    title: str
    sheet: bool = True  # a sheet of all pictures comes first
    legend: bool = True
    lone: bool = False  # the pictures are shown besides
    sub_grids: bool = False
    margin: int = 0
    in_turn: bool = False  # each picture starts from the one before
    describe_by: str = ""  # a captioner, whose words for each start picture join the prompt
    fields: Mapping[str, str] = field(default_factory=dict)  # of the sheet's infotext


ARGUMENTS: Mapping[str, tuple[tuple[str, Any], ...]] = {  # in their order, with defaults
    "x/y/z plot": (
        ("x_type", 0), ("x_values", ""), ("x_values_dropdown", []), ("y_type", 0), ("y_values", ""),
        ("y_values_dropdown", []), ("z_type", 0), ("z_values", ""), ("z_values_dropdown", []), ("draw_legend", True),
        ("include_lone_images", False), ("include_sub_grids", False), ("no_fixed_seeds", False),
        ("vary_seeds_x", False), ("vary_seeds_y", False), ("vary_seeds_z", False), ("margin_size", 0),
        ("csv_mode", False),
    ),
    "prompt matrix": (
        ("put_at_start", False), ("different_seeds", False), ("prompt_type", "positive"),
        ("variations_delimiter", "comma"), ("margin_size", 0),
    ),
    "prompts from file or textbox": (
        ("checkbox_iterate", False), ("checkbox_iterate_batch", False), ("prompt_position", "start"),
        ("prompt_txt", ""),
    ),
    "loopback": (
        ("loops", 4), ("final_denoising_strength", 0.5), ("denoising_curve", "Linear"),
        ("append_interrogation", "None"),
    ),
    "img2img alternative test": (
        ("info", ""), ("override_sampler", True), ("override_prompt", True), ("original_prompt", ""),
        ("original_negative_prompt", ""), ("override_steps", True), ("st", 50), ("override_strength", True),
        ("cfg", 1.0), ("randomness", 0.0), ("sigma_adjustment", False),
    ),
    "outpainting mk2": (
        ("info", ""), ("pixels", 128), ("mask_blur", 8), ("direction", ["left", "right", "up", "down"]),
        ("noise_q", 1.0), ("color_variation", 0.05),
    ),
    "poor man's outpainting": (
        ("pixels", 128), ("mask_blur", 4), ("inpainting_fill", "fill"),
        ("direction", ["left", "right", "up", "down"]),
    ),
    "sd upscale": (("info", ""), ("overlap", 64), ("upscaler_index", 0), ("scale_factor", 2.0)),
    "ultimate sd upscale": (
        ("info", ""), ("tile_width", 512), ("tile_height", 0), ("mask_blur", 8), ("padding", 32),
        ("seams_fix_width", 64), ("seams_fix_denoise", 0.35), ("seams_fix_padding", 32), ("upscaler_index", 0),
        ("save_upscaled_image", True), ("redraw_mode", 0), ("save_seams_fix_image", False),
        ("seams_fix_mask_blur", 8), ("seams_fix_type", 0), ("target_size_type", 0), ("custom_width", 2048),
        ("custom_height", 2048), ("custom_scale", 2.0),
    ),
}  # fmt: skip

Tab = str  # "T" or "I"
Args = list[Any] | dict[str, Any]


def arguments(script: str, given: Args) -> dict[str, Any]:
    """Arguments by name, from a list in their order or a table; what is not given has its default."""
    table = dict(ARGUMENTS[script])
    if isinstance(given, dict):
        return table | {name: value for name, value in given.items() if name in table}
    return table | dict(zip(table, given, strict=False))


def as_now(given: Args) -> Args:
    """Arguments of X/Y/Z plot in today's order: before vary_seeds_x came, margin_size stood in its place."""
    place = [name for name, _ in ARGUMENTS["x/y/z plot"]].index(VARIED[0])
    if isinstance(given, list) and place < len(given) <= place + 2 and str(given[place]).isdigit():
        return [*given[:place], False, False, False, *given[place:]]
    return given


def axis(kind: Any, values: Any, choices: Any, tab: Tab, *, typed: bool = False) -> tuple[str, str] | None:
    """Name and values of an axis; `typed` values count before chosen ones. UserError."""
    there = [label for label, where in AXES if where in ("", tab)]
    if isinstance(kind, str) and not kind.strip().isdigit():
        label = kind.strip()
    else:
        number = whole(kind, "axis type")
        if not 0 <= number < len(there):
            raise UserError(f"X/Y/Z plot: axes go from 0 to {len(there) - 1}, not {number}")
        label = there[number]
    if label.lower() == NO_AXIS.lower():
        return None
    text = str(values or "").strip()
    chosen = ", ".join(quoted(str(choice)) for choice in choices) if isinstance(choices, list) else ""
    typed = typed or label.lower() not in LISTED
    return label, (text or chosen) if typed else (chosen or text)


def quoted(value: str) -> str:
    """As one value of a list in the manner of CSV."""
    return '"' + value.replace('"', '""') + '"' if any(c in value for c in ',"') else value


def xyz(given: Args, tab: Tab) -> Plan:
    found = arguments("x/y/z plot", as_now(given))
    axes: list[tuple[str, str] | None] = []
    fields = {"Script": "X/Y/Z plot"}
    for letter in "xyz":
        one = axis(found[f"{letter}_type"], found[f"{letter}_values"], found[f"{letter}_values_dropdown"], tab,
                   typed=on(found["csv_mode"]))  # fmt: skip
        big = letter.upper()
        fields |= {f"{big} Type": one[0], f"{big} Values": one[1]} if one else {}
        if one and one[0].lower() in SEEDS:
            one = one[0], ", ".join(map(str, seeds(one[1])))
            fields |= {} if on(found["no_fixed_seeds"]) else {f"Fixed {big} Values": one[1]}
        axes.append(one)
    asked = {"axes": axes, "vary_seeds": "".join(name[-1] for name in VARIED if on(found[name])),
             "any_seeds": on(found["no_fixed_seeds"])}  # fmt: skip
    return Plan(
        "xyz", asked, "X/Y/Z plot", legend=on(found["draw_legend"]), lone=on(found["include_lone_images"]),
        sub_grids=on(found["include_sub_grids"]), margin=margin(found["margin_size"]), fields=fields,
    )  # fmt: skip


def on(value: Any) -> bool:
    """Whether an option is; clients write it as a word, too."""
    return str(value).strip().lower() not in ("false", "0", "", "none")


def matrix(given: Args, tab: Tab) -> Plan:
    found = arguments("prompt matrix", given)
    side = {"positive": "prompt", "negative": "negative"}.get(str(found["prompt_type"]))
    delimiter = {"comma": ", ", "space": " "}.get(str(found["variations_delimiter"]))
    if side is None or delimiter is None:
        raise UserError("Prompt matrix: prompt_type is positive or negative, variations_delimiter comma or space")
    asked = {"side": side, "at_start": bool(found["put_at_start"]), "delimiter": delimiter,
             "different_seeds": bool(found["different_seeds"])}  # fmt: skip
    return Plan("matrix", asked, "Prompt matrix", lone=True, margin=margin(found["margin_size"]),
                fields={"Script": "Prompt matrix"})  # fmt: skip


def lines(given: Args, tab: Tab) -> Plan:
    found = arguments("prompts from file or textbox", given)
    position = str(found["prompt_position"])
    if position not in ("start", "end"):
        raise UserError("Prompts from file or textbox: prompt_position is start or end")
    asked = {"text": str(found["prompt_txt"]), "position": position, "count_seeds": bool(found["checkbox_iterate"])}
    return Plan("lines", asked, "Prompts from file or textbox", sheet=False, lone=True)


def loopback(given: Args, tab: Tab) -> Plan:
    found = arguments("loopback", given)
    by = str(found["append_interrogation"]).lower()
    if by not in ("none", "", *CAPTIONERS):
        raise UserError("Loopback: append_interrogation is None, CLIP or DeepBooru")
    curve, strength = str(found["denoising_curve"]).lower(), found["final_denoising_strength"]
    if curve not in ("aggressive", "linear", "lazy") or isinstance(strength, bool):
        raise UserError("Loopback: denoising_curve is Aggressive, Linear or Lazy")
    if not isinstance(strength, (int, float)) or not 0 <= strength <= 1:
        raise UserError("Loopback: final_denoising_strength goes from 0 to 1")
    asked = {"loops": whole(found["loops"], "loops"), "final_strength": strength, "curve": curve}
    return Plan("loopback", asked, "Loopback", lone=True, in_turn=True, sheet=False, describe_by=CAPTIONERS.get(by, ""))


PLANS: Mapping[str, Callable[[Args, Tab], Plan]] = {
    "x/y/z plot": xyz,
    "prompt matrix": matrix,
    "prompts from file or textbox": lines,
    "loopback": loopback,
}


def alternative_test(given: Args, fields: dict[str, Any], upscalers: Sequence[str]) -> None:
    """The noise of a start picture, found by running its making backwards."""
    found = arguments("img2img alternative test", given)
    prompts = {"prompt": str(found["original_prompt"]), "negative": str(found["original_negative_prompt"])}
    inversion: dict[str, Any] = {
        "steps": found["st"], "guidance_scale": found["cfg"], "randomness": found["randomness"],
        "adjusted": bool(found["sigma_adjustment"]), **prompts,
    }  # fmt: skip
    changes = {"override_sampler": {"sampler": "euler"}, "override_prompt": prompts,
               "override_steps": {"steps": found["st"]}, "override_strength": {"strength": 1.0}}  # fmt: skip
    for name, change in changes.items():
        fields |= change if found[name] else {}
    fields["inversion"] = inversion


def outpainting(given: Args, fields: dict[str, Any], upscalers: Sequence[str]) -> None:
    """Outpainting mk2: new noise beyond the edges."""
    found = arguments("outpainting mk2", given)
    outpainted(found, fields, "noise")


def poor_mans_outpainting(given: Args, fields: dict[str, Any], upscalers: Sequence[str]) -> None:
    found = arguments("poor man's outpainting", given)
    contents = {"fill": "fill", "original": "original", "latent noise": "noise", "latent nothing": "nothing"}
    fill = found["inpainting_fill"]
    content = list(contents.values())[fill] if fill in (0, 1, 2, 3) else contents.get(str(fill))
    if content is None:
        raise UserError(f"Poor man's outpainting: the masked content is one of {', '.join(contents)}")
    outpainted(found, fields, content)


SIDES = ("left", "right", "up", "down")
OUR_SIDES = {"left": "left", "right": "right", "up": "top", "down": "bottom"}


def outpainted(found: Mapping[str, Any], fields: dict[str, Any], content: str) -> None:
    pixels = whole(found["pixels"], "pixels") // 8 * 8
    directions = [str(side).lower() for side in found["direction"] or []]
    if not directions or any(side not in SIDES for side in directions):
        raise UserError(f"Outpainting: the directions are some of {', '.join(SIDES)}")
    if "mask" in fields:
        raise UserError("Outpainting: leave out the mask")
    blur = whole(found["mask_blur"], "mask_blur")
    fields["outpaint"] = {OUR_SIDES[side]: pixels for side in directions} | {"feather": blur}
    fields["inpaint"] = {"content": content}
    fields["width"] += pixels * sum(side in ("left", "right") for side in directions)
    fields["height"] += pixels * sum(side in ("up", "down") for side in directions)


def sd_upscale(given: Args, fields: dict[str, Any], upscalers: Sequence[str]) -> None:
    """The start picture enlarged and painted anew in tiles of the size that is asked for."""
    found = arguments("sd upscale", given)
    upscaler = chosen_upscaler(found["upscaler_index"], upscalers)
    scale = found["scale_factor"] if upscaler else 1.0
    fields["redraw"] = {"method": "tiles", "scale": scale, "overlap": whole(found["overlap"], "overlap")}
    fields |= {"init_upscaler": upscaler} if upscaler else {}


def ultimate_sd_upscale(given: Args, fields: dict[str, Any], upscalers: Sequence[str]) -> None:
    """The extension's: squares of one canvas in turn, and seams once more."""
    found = arguments("ultimate sd upscale", given)
    upscaler = chosen_upscaler(found["upscaler_index"], upscalers)
    redraw: dict[str, Any] = {
        "method": one_of(found["redraw_mode"], ("linear", "chess", "none"), "redraw_mode"),
        "padding": found["padding"], "blur": found["mask_blur"],
        "seams": one_of(found["seams_fix_type"], ("none", "band", "half", "half+intersections"), "seams_fix_type"),
        "seam_strength": found["seams_fix_denoise"], "seam_width": found["seams_fix_width"],
        "seam_padding": found["seams_fix_padding"], "seam_blur": found["seams_fix_mask_blur"],
    }  # fmt: skip
    target = one_of(found["target_size_type"], ("asked", "custom", "scale"), "target_size_type")
    sizes = {"asked": (fields["width"], fields["height"]), "custom": (found["custom_width"], found["custom_height"])}
    redraw |= {"size": sizes[target]} if target in sizes else {"scale": found["custom_scale"]}
    width, height = whole(found["tile_width"], "tile_width"), whole(found["tile_height"], "tile_height")
    fields |= {"redraw": redraw, "width": (width or height or 512), "height": (height or width or 512)}
    fields |= {"init_upscaler": upscaler} if upscaler else {}


def chosen_upscaler(given: Any, upscalers: Sequence[str]) -> str | None:
    """An upscaler by name, or by its number in the list; None for none. UserError."""
    if isinstance(given, str) and not given.isdigit():
        name = given
    else:
        number = whole(given, "upscaler_index")
        if number >= len(upscalers):
            raise UserError(f"upscaler_index goes from 0 to {len(upscalers) - 1}, not {number}")
        name = upscalers[number]
    return None if name in ("", "None") else name


def one_of(given: Any, names: Sequence[str], field: str) -> str:
    """A choice by its number. UserError."""
    number = whole(given, field)
    if number >= len(names):
        raise UserError(f"{field} goes from 0 to {len(names) - 1}, not {number}")
    return names[number]


CHANGES: Mapping[str, Callable[[Args, dict[str, Any], Sequence[str]], None]] = {
    "sd upscale": sd_upscale,
    "ultimate sd upscale": ultimate_sd_upscale,
    "img2img alternative test": alternative_test,
    "outpainting mk2": outpainting,
    "poor man's outpainting": poor_mans_outpainting,
}
OF_START_PICTURES = (*CHANGES, "loopback")  # image to image alone


def names(tab: Tab) -> list[str]:
    """The scripts of a tab, as AUTOMATIC1111 lists them: in small letters."""
    return sorted(name for name in (*PLANS, *CHANGES) if tab == "I" or name not in OF_START_PICTURES)


def described(tab: Tab, always: Sequence[str]) -> Iterator[tuple[str, bool, list[tuple[str, Any, list[Any] | None]]]]:
    """Name, whether it is always on, and label, default and choices of each argument."""
    yield from ((name, True, []) for name in always)
    labels = [label for label, where in AXES if where in ("", tab)]
    for name in names(tab):
        yield (
            name,
            False,
            [
                (label, default, labels if label.endswith("_type") and name == "x/y/z plot" else None)
                for label, default in ARGUMENTS[name]
            ],
        )


def named(name: str | None, tab: Tab) -> str | None:
    """A script of a tab. ApiError 422 in AUTOMATIC1111's words where there is none."""
    wanted = (name or "").strip().lower()
    if wanted in ("", "none"):
        return None
    if wanted not in names(tab):
        raise ApiError(422, "HTTPException", f"Script '{str(name)[:200]}' not found")
    return wanted


def whole(value: Any, name: str) -> int:
    """A whole number that is not negative, also as text. UserError."""
    if isinstance(value, bool) or not str(value).split(".")[0].isdigit():
        raise UserError(f"{name}: {str(value)[:50]!r} is no number")
    return int(float(str(value)[:12]))


def margin(value: Any) -> int:
    return min(whole(value, "margin_size"), 500)
