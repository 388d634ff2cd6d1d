"""Units of AUTOMATIC1111's ControlNet extension, and of Forge's copy, as controls and image prompts of recipes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, field_validator

from fromnoise.engine.recipe import explain
from fromnoise.engine.references import ImageRef
from fromnoise.errors import UserError
from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.preprocessors.registry import MAX_RESOLUTION, MIN_RESOLUTION, Preprocessor
from fromnoise.server.sdapi.bodies import Body

MOST_UNITS = 10
NO_MODEL = ("", "none")
MODES = ("Balanced", "My prompt is more important", "ControlNet is more important")
OUR_MODES = ("balanced", "prompt", "control")
RESIZES = ("Just Resize", "Crop and Resize", "Resize and Fill")
OUR_RESIZES = ("stretch", "crop", "fill")
OLD_RESIZES = {"resize": 0, "scale to fit (inner fit)": 1, "inner fit (scale to fit)": 1, "crop and resize": 1,
               "envelope (outer fit)": 2, "outer fit (shrink to fit)": 2}  # fmt: skip
PASSES = {"both": "both", "low res only": "first", "high res only": "second"}
IP_ADAPTER = "ip-adapter"  # modules that begin so look at a picture as a prompt


class Unit(Body):
    """A unit as it is sent; its many older spellings too."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    enabled: bool = True
    module: str = Field(default="none", max_length=200)
    model: str | None = Field(default="None", max_length=1000)
    weight: float = Field(default=1.0, ge=0, le=10)
    image: str | dict[str, str | None] | None = None
    input_image: str | None = None
    mask: str | None = None
    mask_image: str | None = None
    effective_region_mask: str | None = None
    resize_mode: str | int = 1
    processor_res: float = -1
    threshold_a: float = -1
    threshold_b: float = -1
    guidance_start: float = Field(default=0.0, ge=0, le=1)
    guidance_end: float = Field(default=1.0, ge=0, le=1)
    pixel_perfect: bool = False
    control_mode: str | int = 0
    hr_option: str = "Both"
    save_detected_map: bool = True

    @field_validator("module", mode="before")
    @classmethod
    def _no_module(cls, value: object) -> object:
        return "none" if value is None else value

    @property
    def picture(self) -> str | None:
        """In base64."""
        given = self.image.get("image") if isinstance(self.image, dict) else self.image
        return given or self.input_image or None

    @property
    def drawn(self) -> str | None:
        """The mask, in base64."""
        return (self.image.get("mask") if isinstance(self.image, dict) else None) or self.mask_image or self.mask

    @property
    def looks_at_pictures(self) -> bool:
        return self.module.lower().startswith(IP_ADAPTER)


@dataclass(frozen=True)
class Hint:
    """What is shown of a unit besides the pictures: the hint that it made of its own picture."""

    image: ImageRef
    preprocessor: str
    resolution: int | None
    parameters: Mapping[str, float]
    resize: str


def units_of(args: list[Any]) -> list[Unit]:
    """The enabled units. UserError names the first field that is wrong."""
    if len(args) > MOST_UNITS:
        raise UserError(f"ControlNet: {len(args)} units; at most {MOST_UNITS} can be used")
    found = []
    for number, given in enumerate(args):
        if given is None or given is False or given == {}:
            continue
        if not isinstance(given, dict):
            raise UserError(f"ControlNet: unit {number} is no object")
        try:
            found.append(Unit.model_validate(given))
        except ValidationError as error:
            raise UserError(f"ControlNet: unit {number}: {explain(error)}") from error
    return [unit for unit in found if unit.enabled]


def apply(units: list[Unit], fields: dict[str, Any], picture: Callable[[str], ImageRef]) -> list[Hint]:
    """Put units into the fields of a recipe; the hints to show. UserError."""
    hints = []
    for unit in units:
        if unit.looks_at_pictures:
            fields.setdefault("image_prompts", []).append(image_prompt(unit, picture))
            continue
        control = control_of(unit, picture)
        if control.get("image") is None and "init" not in fields:
            raise UserError("ControlNet: give a unit its picture: without a start picture there is none to take")
        fields.setdefault("controls", []).append(control)
        hint = hint_of(unit, control)
        hints += [hint] if hint else []
    return hints


def control_of(unit: Unit, picture: Callable[[str], ImageRef]) -> dict[str, Any]:
    """A `Control`."""
    spec = PREPROCESSORS[unit.module]
    control: dict[str, Any] = {
        "preprocessor": spec.name, "weight": unit.weight, "start": unit.guidance_start, "end": unit.guidance_end,
        "mode": OUR_MODES[chosen(unit.control_mode, MODES, "control_mode")],
        "resize": OUR_RESIZES[resize_number(unit.resize_mode)], "pixel_perfect": unit.pixel_perfect,
        "passes": passes(unit.hr_option), "parameters": parameters((unit.threshold_a, unit.threshold_b), spec),
    }  # fmt: skip
    if unit.picture:
        control["image"] = picture(unit.picture).model_dump()
    if (resolution := resolution_of(unit.processor_res, spec)) is not None:
        control["resolution"] = resolution
    if (model := model_of(unit.model)) and spec.role != "reference":
        control["model"] = model
    if unit.drawn:
        control["mask" if spec.role == "inpaint" else "region"] = picture(unit.drawn).model_dump()
    if unit.effective_region_mask:
        control["region"] = picture(unit.effective_region_mask).model_dump()
    return control


def image_prompt(unit: Unit, picture: Callable[[str], ImageRef]) -> dict[str, Any]:
    """An `ImagePrompt`."""
    if not unit.picture:
        raise UserError(f"ControlNet: {unit.module} needs a picture")
    prompt: dict[str, Any] = {
        "image": picture(unit.picture).model_dump(), "weight": unit.weight, "start": unit.guidance_start,
        "end": unit.guidance_end,
    }  # fmt: skip
    if model := model_of(unit.model):
        prompt["model"] = model
    mask = unit.drawn or unit.effective_region_mask
    return prompt | ({"mask": picture(mask).model_dump()} if mask else {})


def model_of(given: str | None) -> str | None:
    """The name without the hash that the extension writes after it: "control_v11p_sd15_canny [d14c016b]"."""
    text = (given or "").strip()
    return None if text.lower() in NO_MODEL else text.partition(" [")[0].strip()


def parameters(thresholds: tuple[float, float], spec: Preprocessor) -> dict[str, float]:
    """Threshold A and B are the first and the second parameter, where they are in their range; else its default.

    Clients send 64 for both whatever the preprocessor is, as the extension's web page did.
    """
    found = {}
    for parameter, value in zip(spec.parameters, thresholds, strict=False):
        low, high = parameter.limits
        if low <= value <= high and value != parameter.default:
            found[parameter.name] = value
    return found


def resolution_of(given: float, spec: Preprocessor) -> int | None:
    """Pixels of the shorter side; None where the preprocessor has its own, or takes pictures as they are."""
    if given <= 0 or spec.resolution is None:
        return None
    return int(min(max(given, MIN_RESOLUTION), MAX_RESOLUTION))


def chosen(given: str | int, names: tuple[str, ...], field: str) -> int:
    """The number of a choice that is given by number or name. UserError."""
    if isinstance(given, int) and 0 <= given < len(names):
        return given
    for number, name in enumerate(names):
        if str(given).strip().lower() in (name.lower(), str(number)):
            return number
    raise UserError(f"ControlNet: {field}: choose one of {', '.join(names)}")


def resize_number(given: str | int) -> int:
    old = OLD_RESIZES.get(str(given).strip().lower())
    return chosen(given, RESIZES, "resize_mode") if old is None else old


def passes(given: str) -> str:
    found = PASSES.get(given.strip().lower())
    if found is None:
        raise UserError(f"ControlNet: hr_option: choose one of {', '.join(PASSES)}")
    return found


def hint_of(unit: Unit, control: Mapping[str, Any]) -> Hint | None:
    """What is shown of a unit: nothing of references, and of those that take the start picture."""
    if not unit.save_detected_map or not control.get("image") or not control.get("model"):
        return None
    image = ImageRef.model_validate(control["image"])
    return Hint(image, control["preprocessor"], control.get("resolution"), control["parameters"], control["resize"])
