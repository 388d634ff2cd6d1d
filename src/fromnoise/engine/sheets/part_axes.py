"""Axes that change a part of a recipe: its second pass, refiner, autoencoder, noise, faces, variation ..."""

from collections.abc import Callable, Mapping
from typing import Any

from fromnoise.engine.axis_values import integers, numbers, seeds, words
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.sheets.axes import Point, axis, schedule_named, truth
from fromnoise.errors import UnknownName, UserError
from fromnoise.sampling.samplers import resolve

NONE = ("none", "automatic", "")
SOURCES = {"gpu": None, "cpu": "cpu", "nv": "nv"}  # GPU is what the profile does
RESTORERS = ("codeformer", "gfpgan")
Change = Callable[[Recipe], Recipe]


def part_of(recipe: Recipe, name: str) -> dict[str, Any]:
    """A part as a table; empty where the recipe has none."""
    part = getattr(recipe, name)
    return {} if part is None else dict(part.model_dump())


def changing(part: str, **fields: object) -> Change:
    """Fields of a part changed, which is made where it is missing."""
    return lambda recipe: recipe.but(**{part: {**part_of(recipe, part), **fields}})


def of_hires(label: str, **fields: object) -> Change:
    """Fields of the second pass. UserError where there is none."""

    def change(recipe: Recipe) -> Recipe:
        if recipe.hires is None:
            raise UserError(f"{label}: there is no second pass; turn it on, such as with --hires on or enable_hr")
        return changing("hires", **fields)(recipe)

    return change


def without(part: str) -> Change:
    return lambda recipe: recipe.but(**{part: None})


@axis("hires.steps", "Hires steps", "whole")
def hires_steps(text: str) -> list[Point]:
    """Steps of the second pass; 0 as many as the first."""
    return [Point(str(steps), of_hires("Hires steps", steps=steps or None)) for steps in integers(text)]


@axis("hires.sampler", "Hires sampler", among="samplers")
def hires_sampler(text: str) -> list[Point]:
    """Samplers of the second pass by any name."""
    return [Point(word, hires_sampler_change(word)) for word in words(text)]


def hires_sampler_change(word: str) -> Change:
    name, schedule = resolve(word)
    return of_hires("Hires sampler", sampler=name, **({"schedule": schedule} if schedule else {}))


@axis("hires.schedule", "Hires schedule type", among="schedules")
def hires_schedule(text: str) -> list[Point]:
    """Schedules of the second pass by any name; Automatic is the sampler's own."""
    return [Point(word, of_hires("Hires schedule type", schedule=schedule_named(word))) for word in words(text)]


@axis("hires.upscaler", "Hires upscaler", among="upscalers")
def hires_upscaler(text: str) -> list[Point]:
    """What enlarges the picture of the first pass."""
    return [Point(word, of_hires("Hires upscaler", upscaler=word)) for word in words(text)]


@axis("vae", "VAE")
def autoencoders(text: str) -> list[Point]:
    """Autoencoders by name; None and Automatic are the model's own."""
    return [
        Point(word, without("vae") if word.lower() in NONE else changing("vae", name=word, hash=None))
        for word in words(text)
    ]


@axis("refiner.model", "Refiner checkpoint", among="checkpoints")
def refiners(text: str) -> list[Point]:
    """Models of the last steps; None is the model itself."""
    return [
        Point(word, without("refiner") if word.lower() in NONE else changing("refiner", model=word, model_hash=None))
        for word in words(text)
    ]


@axis("refiner.switch_at", "Refiner switch at", "number")
def refiner_switches(text: str) -> list[Point]:
    """When it takes over, as a share of the steps."""
    return [Point(f"{share:g}", switching(share)) for share in numbers(text)]


def switching(share: float) -> Change:
    def change(recipe: Recipe) -> Recipe:
        if recipe.refiner is None:
            raise UserError("Refiner switch at: there is no refiner; name its checkpoint")
        return changing("refiner", switch_at=share)(recipe)

    return change


@axis("noise.source", "RNG source", choices=("GPU", "CPU", "NV"))
def sources(text: str) -> list[Point]:
    """Whose random numbers make the noise."""
    return [Point(word, changing("noise", source=named(word, SOURCES, "RNG source"))) for word in words(text)]


@axis("noise.multiplier", "Initial noise multiplier", "number")
def multipliers(text: str) -> list[Point]:
    """Times the noise that a start picture is given."""
    return [Point(f"{times:g}", changing("noise", multiplier=times)) for times in numbers(text)]


@axis("noise.extra", "Extra noise", "number")
def extra_noise(text: str) -> list[Point]:
    """Noise that a start picture is given besides."""
    return [Point(f"{extra:g}", changing("noise", extra=extra)) for extra in numbers(text)]


@axis("variation.seed", "Var. seed", "whole")
def variation_seeds(text: str) -> list[Point]:
    """Seeds of the noise that is mixed in; -1 is any."""
    return [Point(str(seed), changing("variation", seed=seed)) for seed in seeds(text)]


@axis("variation.strength", "Var. strength", "number")
def variation_strengths(text: str) -> list[Point]:
    """How much of it is mixed in."""
    return [Point(f"{share:g}", varying(share)) for share in numbers(text)]


def varying(share: float) -> Change:
    def change(recipe: Recipe) -> Recipe:
        known = part_of(recipe, "variation") or {"seed": (recipe.seed + 1) % 2**64}
        return recipe.but(variation={**known, "strength": share})

    return change


@axis("restore_faces", "Face restore", choices=("None", "CodeFormer", "GFPGAN"))
def faces(text: str) -> list[Point]:
    """What makes faces clear; None leaves them."""
    return [Point(word, face_change(word)) for word in words(text)]


def face_change(word: str) -> Change:
    if word.lower() in NONE:
        return without("restore_faces")
    return changing("restore_faces", by=named(word, {name: name for name in RESTORERS}, "Face restore"))


@axis("guidance.skip.below", "Negative Guidance minimum sigma", "number")
def least_sigmas(text: str) -> list[Point]:
    """Below which the negative prompt is left out."""
    return [Point(f"{sigma:g}", skipping(sigma)) for sigma in numbers(text)]


def skipping(sigma: float) -> Change:
    def change(recipe: Recipe) -> Recipe:
        guidance = part_of(recipe, "guidance")
        skip = {**(guidance.get("skip") or {}), "below": sigma}
        return recipe.but(guidance={**guidance, "skip": skip})

    return change


@axis("token_merging.ratio", "Token merging ratio", "number")
def merging_ratios(text: str) -> list[Point]:
    """Share of the tokens that is done without."""
    return [Point(f"{ratio:g}", changing("token_merging", ratio=ratio)) for ratio in numbers(text)]


@axis("token_merging.hires_ratio", "Token merging ratio high-res", "number")
def high_merging_ratios(text: str) -> list[Point]:
    """The same of the second pass."""

    def change(ratio: float) -> Change:
        return lambda recipe: recipe.but(
            token_merging={"ratio": 0.0, **part_of(recipe, "token_merging"), "hires_ratio": ratio}
        )

    return [Point(f"{ratio:g}", change(ratio)) for ratio in numbers(text)]


@axis("order", "UniPC Order", "whole")
def orders(text: str) -> list[Point]:
    """The option `order` of UniPC and other samplers that have one."""

    def change(order: int) -> Change:
        return lambda recipe: recipe.but(sampler_options={**recipe.sampler_options, "order": order})

    return [Point(str(order), change(order)) for order in integers(text)]


SCHEDULE_OPTIONS = {
    "sigma_min": "Schedule min sigma", "sigma_max": "Schedule max sigma", "rho": "Schedule rho",
    "alpha": "Beta schedule alpha", "beta": "Beta schedule beta",
}  # fmt: skip


def add_schedule_options() -> None:
    """An axis for each option of schedules; those without it are left as they are, 0 is the schedule's own."""
    for option, label in SCHEDULE_OPTIONS.items():

        def points(text: str, option: str = option) -> list[Point]:
            return [Point(f"{value:g}", with_schedule_option(option, value)) for value in numbers(text)]

        axis(f"schedule_options.{option}", label, "number")(points)


def with_schedule_option(option: str, value: float) -> Change:
    def change(recipe: Recipe) -> Recipe:
        others = {name: known for name, known in recipe.schedule_options.items() if name != option}
        return recipe.but(schedule_options={**others, **({option: value} if value else {})})

    return change


add_schedule_options()


@axis("noise.whole_variance", "SGM noise multiplier", "truth", choices=("False", "True"))
def whole_variances(text: str) -> list[Point]:
    """Whether noise begins with the whole variance."""
    return [Point(word, changing("noise", whole_variance=truth(word))) for word in words(text)]


@axis("fp8_mode", "FP8 mode", choices=("Disable",))
def float8(text: str) -> list[Point]:
    """Weights are rounded when a file is written, not while a picture is made. UserError."""
    for word in words(text):
        if word.lower() != "disable":
            raise UserError(
                f"FP8 mode {word}: write the model with fromnoise convert --dtype fp8, and compare by Checkpoint name"
            )
    return [Point(word, lambda recipe: recipe) for word in words(text)]


@axis("inpaint.masked_image_weight", "Cond. Image Mask Weight", "number")
def mask_weights(text: str) -> list[Point]:
    """How much of the masked picture models for inpainting see."""

    def change(weight: float) -> Change:
        weighed = changing("inpaint", masked_image_weight=weight)
        return lambda recipe: recipe if recipe.inpaint is None else weighed(recipe)

    return [Point(f"{weight:g}", change(weight)) for weight in numbers(text)]


def named(word: str, known: Mapping[str, Any], label: str) -> Any:
    """UnknownName for what is none of them."""
    if word.lower() not in known:
        raise UnknownName(label, word, list(known))
    return known[word.lower()]
