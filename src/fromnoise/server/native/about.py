"""What this server is, and what can be chosen by name."""

import math
from typing import Any

from fastapi import Response
from pydantic import BaseModel, Field

from fromnoise import __version__
from fromnoise.engine.catalogue import Catalogue, Choice
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import BUILTIN, Recipe
from fromnoise.jobs.options import Options
from fromnoise.server.context import Here, Who
from fromnoise.server.parts import new_part

router = new_part()
MOST_WRITTEN = 4
WRITTEN: dict[int, tuple[Catalogue, bytes]] = {}  # large answers that seldom change, by the catalogue's identity


class About(BaseModel):
    """What this server is."""

    name: str = "fromnoise"
    version: str
    user: str
    role: str
    counts: dict[str, int] = Field(description="Jobs by state, of this user.")
    workers: list[dict[str, Any]] = Field(description="For administrators.")
    held: bool = Field(description="Whether the queue is held: nothing new begins.")
    terms: str = Field(description="Terms of use that the operator wants every user to see; often none.")
    builtin: str = Field(default=BUILTIN, description="The name of the model that comes with the package.")


class Named(BaseModel):
    """Something that is chosen by its name."""

    name: str
    label: str
    aliases: list[str]
    good_for: str
    good_for_zh: str


class SamplerView(Named):
    """How to walk from noise to picture."""

    order: int
    evaluations: int = Field(description="Of the network, a step.")
    stochastic: bool = Field(description="Whether it adds noise on the way.")
    default_schedule: str
    options: dict[str, float | int | str | bool | None] = Field(description="With their defaults; null is infinite.")


class UpscalerView(Named):
    """What makes pictures larger."""

    latent: bool = Field(description="Enlarges latents: for second passes only.")


class ParameterView(BaseModel):
    """A number of a preprocessor's."""

    name: str
    default: float
    low: float
    high: float


class PreprocessorView(Named):
    """What makes a hint of a picture."""

    role: str = Field(description="hint, inpaint (with a mask) or reference.")
    control_type: str | None = Field(description="What a union ControlNet is told.")
    resolution: int | None = Field(description="Of the shorter side by default; none: the picture as it is.")
    needs: str = Field(description="What must be there besides OpenCV.")
    parameters: list[ParameterView]


class AxisView(BaseModel):
    """What can change along a side of a grid."""

    name: str
    label: str = Field(description="AUTOMATIC1111's.")
    values: str = Field(description="What is typed: whole, number, truth, words, or none.")
    choices: list[str] = Field(description="All values, where they are few.")
    among: str = Field(description="Else what they are names of: samplers, schedules, upscalers, checkpoints ...")


class ProfileView(BaseModel):
    """Whose numerics a picture follows."""

    name: str
    title: str


class FieldView(BaseModel):
    """A field of a recipe, for a form."""

    path: str = Field(description="Such as hires.strength; a list's parts have [] in it: controls[].weight.")
    explanation: str
    explanation_zh: str


class CatalogueView(BaseModel):
    """All that has a name."""

    samplers: list[SamplerView]
    schedules: list[Named]
    profiles: list[ProfileView]
    upscalers: list[UpscalerView]
    preprocessors: list[PreprocessorView]
    captioners: list[Named]
    axes: list[AxisView]
    fields: list[FieldView] = Field(description="What each field of a recipe means, in a sentence.")
    recipe: dict[str, Any] = Field(description="The JSON schema of a recipe: types, limits and defaults.")


@router.get("/about")
def get_about(here: Here, who: Who) -> About:
    """Who this is, and what is going on."""
    counts = {str(state): count for state, count in here.queue.counts(here.owner_of(who)).items()}
    workers = [dict(worker) for worker in here.queue.workers()] if who.is_admin else []
    return About(version=__version__, user=who.name, role=who.role, counts=counts, workers=workers,
                 held=here.queue.is_held(), terms=Options.load(here.queue.database).terms)  # fmt: skip


@router.get("/catalogue", response_model=CatalogueView)
def get_catalogue(here: Here, who: Who) -> Response:
    """Samplers, schedules and all else that has a name, and the fields of a recipe."""
    found = here.catalogue
    known = WRITTEN.get(id(found))
    if known is None:
        if len(WRITTEN) >= MOST_WRITTEN:
            WRITTEN.clear()
        known = WRITTEN[id(found)] = found, view(found).model_dump_json(by_alias=True).encode()
    return Response(known[1], media_type="application/json")


def view(found: Catalogue) -> CatalogueView:
    """The catalogue for clients."""
    return CatalogueView(
        samplers=[SamplerView(**named(choice), **{k: getattr(choice, k) for k in SAMPLER},
                              options={k: finite(v) for k, v in choice.options.items()}) for choice in found.samplers],
        schedules=[Named(**named(choice)) for choice in found.schedules],
        profiles=[ProfileView(name=name, title=profile.title) for name, profile in PROFILES.items()],
        upscalers=[UpscalerView(**described(choice)) for choice in found.others.get("upscalers", ())],
        preprocessors=[PreprocessorView(**described(choice)) for choice in found.others.get("preprocessors", ())],
        captioners=[Named(**named(choice)) for choice in found.others.get("captioners", ())],
        axes=[AxisView(**described(choice)) for choice in found.others.get("axes", ())],
        fields=[FieldView(**described(choice)) for choice in found.fields],
        recipe=Recipe.model_json_schema(),
    )  # fmt: skip


SAMPLER = ("order", "evaluations", "stochastic", "default_schedule")


def named(choice: Choice) -> dict[str, Any]:
    return {name: getattr(choice, name) for name in Named.model_fields} | {"aliases": list(choice.aliases)}


def described(choice: BaseModel) -> dict[str, Any]:
    """With whatever its kind has besides."""
    return choice.model_dump(mode="json")


def finite(value: float | int | str | bool) -> float | int | str | bool | None:
    """JSON has no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
