"""Work other than pictures from recipes: enlarging, hints, checking, training, merging; and pictures made again."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_cut import Cut
from fromnoise.engine.recipe_upscale import Postprocess
from fromnoise.errors import UserError
from fromnoise.jobs.clerk import LONGEST_TEXT, MOST_TEXTS
from fromnoise.jobs.job import Work
from fromnoise.server.access import Identity
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.native.gallery import mine
from fromnoise.server.native.orders import (
    accepted,
    check_names,
    check_priority,
    check_rate,
    picture_of,
    safe_folder,
    with_pictures,
)
from fromnoise.server.native.sending import Losses
from fromnoise.server.native.views import JobView
from fromnoise.server.native.works import HEAVY, AdminWork, body_of, check_work
from fromnoise.server.parts import new_part

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

router = new_part()


class Errand(BaseModel):
    """What all have in common."""

    model_config = ConfigDict(extra="forbid")

    picture: Sha256 = Field(description="A picture in the gallery, or one that was sent to /images.")


class Upscale(Errand):
    """A larger picture."""

    kind: Literal["upscale"]
    settings: Postprocess = Postprocess()


class Preprocess(Errand):
    """A hint for a control network; its file's SHA-256 can be used in recipes."""

    kind: Literal["preprocess"]
    preprocessor: str = Field(max_length=200)
    resolution: int | None = Field(default=None, ge=64, le=2048)
    parameters: dict[str, float] = {}


class Caption(Errand):
    """What is on a picture, in words: the result's data are text, tags and rating."""

    kind: Literal["caption"]
    by: str = Field(default="wd14", max_length=200, description="A captioner of the catalogue.")
    model: str | None = Field(default=None, max_length=500, description="Name of its files on the shelf captioners.")


class CutPicture(Errand):
    """A picture cut to what a model learns from: a result for each part and each mirrored copy."""

    kind: Literal["cut"]
    settings: Cut = Cut()


Keyword = Annotated[str, Field(max_length=200)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


class Verify(Errand):
    """Whether a picture is what the recipe in it makes: the result's data are verdict, changed, box, psnr ..."""

    kind: Literal["verify"]
    texts: dict[Keyword, Text] = Field(
        default={}, max_length=MOST_TEXTS,
        description="Those of a picture that was sent, as POST /read told them: what is kept of it has none.",
    )  # fmt: skip
    losses: Losses | None = Field(default=None, description="Of the file that was sent, as POST /read told them.")


AnyErrand = Annotated[Upscale | Preprocess | Caption | Verify | CutPicture | AdminWork, Field(discriminator="kind")]


class ErrandOrder(BaseModel):
    """Work that is asked for."""

    model_config = ConfigDict(extra="forbid")

    work: AnyErrand
    priority: int = Field(default=0, ge=-100, le=100)
    key: str | None = Field(default=None, min_length=1, max_length=200)
    group: str | None = Field(default=None, max_length=200)
    folder: str = Field(default="", max_length=200)


class Changes(BaseModel):
    """How a picture that is made again differs; nothing: not at all."""

    model_config = ConfigDict(extra="forbid")

    seed: int | None = Field(default=None, ge=0, lt=2**64)
    steps: int | None = Field(default=None, ge=1, le=10_000)
    guidance_scale: float | None = Field(default=None, ge=0, le=100)
    sampler: str | None = Field(default=None, max_length=200)
    prompt: str | None = Field(default=None, max_length=100_000)
    negative: str | None = Field(default=None, max_length=100_000)


@router.post("/errands", status_code=202)
def submit_errand(order: ErrandOrder, here: Here, who: Who) -> JobView:
    """Ask for other work than a picture from a recipe. It is stored when this answers.

    What changes models or data sets (train, merge, convert, prune, caption-set, examine-set, cut-set) is for
    administrators.
    """
    check_priority(order.priority, who)
    check_rate(1, here, who)
    if isinstance(order.work, AdminWork):
        if not who.is_admin:
            raise ApiError(403, "forbidden", "only an administrator may change models and data sets")
        check_work(order.work, here)
        body, cost = body_of(order.work), HEAVY
    else:
        check_errand(order.work, here)
        body, cost = order.work.model_dump(mode="json", exclude={"kind", "picture"}, exclude_none=True), 1.0
        body["picture"] = picture_of(order.work.picture, here, who).model_dump()
        if isinstance(order.work, Verify):
            body["files"] = sources(order.work.picture, here, who)
    work = Work(
        order.work.kind, body, who.name, order.priority, order.key, order.group or order.key, cost=cost,
        folder=safe_folder(order.folder),
    )  # fmt: skip
    return JobView.of(accepted(here.queue, [work])[0])


def sources(sha256: str, here: Context, who: Identity) -> list[dict[str, Any]]:
    """References to the pictures that one of the gallery was made from, as far as they are here."""
    one = here.gallery.with_content(sha256, here.owner_of(who))
    found = []
    for digest in sorted(named_in(one.recipe if one else None)):
        with suppress(ApiError):
            found.append(picture_of(digest, here, who).model_dump())
    return found


def named_in(value: Any) -> set[str]:
    """The SHA-256 of every picture that a recipe names."""
    if isinstance(value, Mapping):
        if set(value) == set(ImageRef.model_fields):
            return {str(value["sha256"])}
        value = list(value.values())
    return set().union(*map(named_in, value)) if isinstance(value, (list, tuple)) else set()


def check_errand(work: Errand, here: Context) -> None:
    """UnknownName while whoever asked is still listening."""
    if isinstance(work, Preprocess):
        here.catalogue.other("preprocessors", work.preprocessor)
    elif isinstance(work, Caption):
        here.catalogue.other("captioners", work.by)


@router.post("/gallery/{picture}/again", status_code=202)
def make_picture_again(picture: str, changes: Changes, here: Here, who: Who) -> JobView:
    """Make a picture of the gallery once more by its recipe, or with changes."""
    one = mine(here, who, picture)
    if one.recipe is None:
        raise ApiError(409, "state", "nothing is known of how that picture was made")
    check_rate(1, here, who)
    recipe = again(dict(one.recipe), changes, here, who)
    return JobView.of(accepted(here.queue, [Work.picture(recipe, owner=who.name)])[0])


def again(fields: dict[str, object], changes: Changes, here: Context, who: Identity) -> Recipe:
    """The recipe once more. UserError where it can't be made here."""
    told = changes.model_dump(exclude_none=True)
    try:
        recipe = with_pictures(Recipe.make(**{**fields, **told}), here, who)
    except ApiError as error:
        raise UserError("a picture that it was made from is not here any more: send it to /images") from error
    check_names(recipe, here)
    return recipe
