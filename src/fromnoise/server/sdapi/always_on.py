"""Always-on scripts of AUTOMATIC1111: what `alwayson_scripts` asks for, in the fields of a recipe."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fromnoise.engine.references import ImageRef
from fromnoise.errors import UserError
from fromnoise.server.errors import ApiError
from fromnoise.server.sdapi import units
from fromnoise.server.sdapi.units import Hint

SOFT = ("bias", "preservation", "contrast", "mask_influence", "difference_threshold", "difference_contrast")
ON = (True, "True", "true", 1)


@dataclass(frozen=True)
class Seat:
    """What a script may change, and whom it may ask."""

    fields: dict[str, Any]
    picture: Callable[[str], ImageRef]
    checkpoint: Callable[[object], str]
    hints: list[Hint]


def controlnet(args: Sequence[Any], seat: Seat) -> None:
    seat.hints.extend(units.apply(units.units_of(list(args)), seat.fields, seat.picture))


def soft_inpainting(args: Sequence[Any], seat: Seat) -> None:
    given = as_table(args, ("Soft inpainting", *SOFT_LABELS))
    if not is_on(given):
        return
    if "inpaint" not in seat.fields:
        raise UserError("Soft Inpainting needs a mask")
    values = dict(zip(SOFT, given[1:], strict=False))
    seat.fields["inpaint"]["soft"] = {name: value for name, value in values.items() if value is not None}


def refiner(args: Sequence[Any], seat: Seat) -> None:
    given = [*args, *[None] * (3 - len(args))]
    if is_on(given) and given[1] not in (None, "", "None"):
        switch = 0.8 if given[2] is None else given[2]
        seat.fields["refiner"] = {"model": seat.checkpoint(given[1]), "switch_at": switch}


def free_u(args: Sequence[Any], seat: Seat) -> None:
    """Forge's: enabled, b1, b2, s1, s2, start, end."""
    if is_on(args):
        names = ("b1", "b2", "s1", "s2")
        seat.fields["free_u"] = dict(zip(names, args[1:], strict=False)) | {"version": 2}


def self_attention(args: Sequence[Any], seat: Seat) -> None:
    """Forge's: enabled, scale, blur, threshold; the extension's: enabled, scale, threshold."""
    if is_on(args):
        names = ("scale", "blur", "threshold") if len(args) > 3 else ("scale", "threshold")
        guided(seat, "self_attention", dict(zip(names, args[1:], strict=False)))


def perturbed_attention(args: Sequence[Any], seat: Seat) -> None:
    """Forge's: enabled, scale."""
    if is_on(args):
        guided(seat, "perturbed", {"scale": args[1]} if len(args) > 1 else {})


def guided(seat: Seat, name: str, values: Mapping[str, Any]) -> None:
    seat.fields["guidance"] = {**(seat.fields.get("guidance") or {}), name: dict(values)}


def already_there(args: Sequence[Any], seat: Seat) -> None:
    """Its arguments are fields of the body, and these count, as in AUTOMATIC1111's interface."""


def no_counterpart(args: Sequence[Any], seat: Seat) -> None:
    if is_on(args):
        raise UserError("this always-on script is not here")


SOFT_LABELS = (
    "Schedule bias", "Preservation strength", "Transition contrast boost", "Mask influence", "Difference threshold",
    "Difference contrast",
)  # fmt: skip
SCRIPTS: Mapping[str, Callable[[Sequence[Any], Seat], None]] = {
    "controlnet": controlnet,
    "soft inpainting": soft_inpainting,
    "refiner": refiner,
    "seed": already_there,
    "sampler": already_there,
    "comments": already_there,
    "extra options": already_there,
    "freeu integrated": free_u,
    "selfattentionguidance integrated": self_attention,
    "self attention guidance": self_attention,
    "perturbedattentionguidance integrated": perturbed_attention,
    "hypertile": no_counterpart,
    "adetailer": no_counterpart,
    "animatediff": no_counterpart,
    "roop": no_counterpart,
    "reactor": no_counterpart,
}
OFFERED = ("comments", "controlnet", "extra options", "freeu integrated", "perturbedattentionguidance integrated",
           "refiner", "sampler", "seed", "selfattentionguidance integrated", "soft inpainting")  # fmt: skip
SELECTABLE = "Cannot have a selectable script in the always on scripts params"


def apply(asked: Mapping[str, Any], seat: Seat, selectable: Sequence[str]) -> None:
    """Do what each script asks for. ApiError 422 for one that is not here; UserError for wrong arguments."""
    for name, given in asked.items():
        wanted = name.strip().lower()
        if wanted in selectable:
            raise ApiError(422, "HTTPException", SELECTABLE)
        if wanted not in SCRIPTS:
            raise ApiError(422, "HTTPException", f"always on script {name[:200]} not found")
        args = given.get("args", []) if isinstance(given, dict) else given
        args = [] if args is None else [args] if isinstance(args, dict) else args
        if not isinstance(args, list):
            raise UserError(f"always on script {name[:200]}: args is a list")
        try:
            SCRIPTS[wanted](args, seat)
        except UserError as error:
            raise UserError(f"{name[:200]}: {error}") from error


def is_on(args: Sequence[Any]) -> bool:
    """Whether a script whose first argument switches it on is asked for: `[{...}]` of ADetailer is, too."""
    first = args[0] if args else False
    if isinstance(first, dict):
        return first.get("enable", True) is not False
    return first in ON


def as_table(args: Sequence[Any], labels: Sequence[str]) -> list[Any]:
    """Arguments in their order, where they are given as one table by their labels."""
    if len(args) == 1 and isinstance(args[0], dict):
        return [args[0].get(label) for label in labels]
    return list(args)
