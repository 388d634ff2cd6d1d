"""Asking for work: recipes become jobs, with the pictures that they name and the choices in their prompts made."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fromnoise.engine.choices import with_choices_made
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.shelves import shelves
from fromnoise.errors import FileError
from fromnoise.jobs.job import LOCAL, Job, QueueFull, Work, members
from fromnoise.jobs.options import Options
from fromnoise.jobs.preferences import Preferences
from fromnoise.jobs.queue import Queue
from fromnoise.server import uploads
from fromnoise.server.access import Identity
from fromnoise.server.accounts import OverQuota, Users
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.native.styles import styled
from fromnoise.server.native.views import JobView
from fromnoise.server.parts import new_part

MOST_RECIPES = 100  # in one call
TERMS = "terms"  # the name under which it is kept what somebody accepted

router = new_part()


class Order(BaseModel):
    """Pictures that are asked for."""

    model_config = ConfigDict(extra="forbid")

    recipes: list[Recipe] = Field(
        min_length=1,
        max_length=MOST_RECIPES,
        description="One job for each. Steps, guidance "
        "scale, sampler, width and height that are left out are those that suit the model.",
    )
    priority: int = Field(default=0, ge=-100, le=100, description="Higher comes first; above 0 for administrators.")
    key: str | None = Field(
        default=None, min_length=1, max_length=200, description="The same key again is the same order, not another one."
    )
    group: str | None = Field(
        default=None, max_length=200, description="A name that these jobs have in common; by default the key."
    )
    folder: str = Field(default="", max_length=200, description="Below the folder of outputs.")
    styles: list[str] = Field(default=[], max_length=100, description="Names of styles whose texts join the prompts.")
    trace: bool = Field(default=False, description="Keep what shows how the picture comes about: /jobs/ID/trace.")
    choices: bool = Field(
        default=False, description="Make the choices in prompts: {red|green} and __wildcard__, by each seed."
    )


@router.post("/jobs", status_code=202)
def submit_jobs(order: Order, here: Here, who: Who) -> list[JobView]:
    """Ask for pictures. They are stored when this answers."""
    check_priority(order.priority, who)
    check_rate(len(order.recipes), here, who)
    recipes = [settled(recipe, order, here, who) for recipe in order.recipes]
    works = [
        Work.picture(
            recipe, owner=who.name, priority=order.priority,
            folder=safe_folder(order.folder), key=order.key if order.key is None else f"{order.key}/{number}",
            group=order.group or order.key, trace=order.trace, member=member,
        )
        for number, (recipe, member) in enumerate(zip(recipes, members([one.seed for one in recipes]), strict=True))
    ]  # fmt: skip
    return [JobView.of(job) for job in accepted(here.queue, works)]


def settled(recipe: Recipe, order: Order, here: Context, who: Identity) -> Recipe:
    """The recipe as it will be made."""
    check_names(recipe, here)
    recipe = with_pictures(recipe, here, who)
    if order.styles:
        recipe = styled(recipe, order.styles, here)
    if order.choices:
        recipe = with_choices_made(recipe, [shelf.folder for shelf in shelves("wildcards", here.settings)])[0]
    return recipe


def check_priority(priority: int, who: Identity) -> None:
    if priority > 0 and not who.is_admin:
        raise ApiError(403, "forbidden", "only an administrator's jobs may overtake others")


def check_rate(count: int, here: Context, who: Identity) -> None:
    """ApiError 429 for whoever asks too much at once, or too much in all."""
    if isinstance(here.access.accounts, Users):
        try:
            here.access.accounts.check_quota(who.name, count)
        except OverQuota as error:
            raise ApiError(429, "quota", str(error), retry_after=3600) from error
    here.check_room()
    wait = here.submissions.wait(who.name, count)
    if wait:
        raise ApiError(429, "rate", "too many jobs at once; come back a little later", retry_after=min(wait, 600.0))


def accepted(queue: Queue, works: Sequence[Work]) -> list[Job]:
    """Stored jobs, each with a folder of its owner's.

    ApiError 429 or 503 where too many wait, 403 where an owner has not accepted the terms of use.
    """
    for owner in {work.owner for work in works}:
        if not has_accepted(queue, owner):
            raise ApiError(403, "terms", "accept the terms of use first: /api/v1/terms has them")
    try:
        return queue.submit([replace(work, folder=own_folder(work)) for work in works])
    except QueueFull as error:
        status = 429 if error.of_owner else 503
        raise ApiError(status, "queue-full", str(error), retry_after=error.retry_after) from error


def has_accepted(queue: Queue, owner: str) -> bool:
    """Whether somebody may ask for work as far as terms of use go."""
    wanted = Options.load(queue.database).terms_digest
    return wanted is None or owner == LOCAL or Preferences(queue.database).get(owner, TERMS) == {"accepted": wanted}


def own_folder(work: Work) -> str:
    """Where a job's files go: users have folders of their own."""
    return work.folder if work.owner == LOCAL else "/".join(part for part in (work.owner, work.folder) if part)


def check_names(recipe: Recipe, here: Context) -> None:
    """UnknownName for a sampler or schedule that nobody knows, while whoever asked is still listening."""
    here.catalogue.resolve(recipe.sampler)
    if recipe.schedule is not None:
        here.catalogue.schedule(recipe.schedule)


def with_pictures(recipe: Recipe, here: Context, who: Identity) -> Recipe:
    """The recipe with the files of its pictures, named by their SHA-256; paths of clients mean nothing."""
    return Recipe.model_validate(placed(recipe.model_dump(), here, who)).leaving(recipe.unsaid)


def placed(value: Any, here: Context, who: Identity) -> Any:
    """Every `ImageRef` in nested tables, where its file is here. ApiError 404 where it is nowhere."""
    if isinstance(value, Mapping):
        if set(value) == set(ImageRef.model_fields):
            return picture_of(str(value["sha256"]), here, who).model_dump()
        return {key: placed(inner, here, who) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [placed(inner, here, who) for inner in value]
    return value


def picture_of(sha256: str, here: Context, who: Identity) -> ImageRef:
    """A picture in the caller's gallery, one that their jobs made, or one that was sent. ApiError 404."""
    found = here.gallery.with_content(sha256, here.owner_of(who))
    if found is not None:
        with suppress(FileError):  # somebody has taken it away
            return ImageRef(path=str(here.gallery.file(found)), sha256=sha256)
    made = here.queue.made(sha256, here.owner_of(who))
    if made is not None:
        with suppress(ApiError):
            return ImageRef(path=str(here.file(here.outputs, str(made.path))), sha256=sha256)
    return uploads.reference(sha256, here.uploads)


def safe_folder(folder: str) -> str:
    """A folder below the outputs; ApiError 422 for a way out of it."""
    parts = [part for part in folder.replace("\\", "/").split("/") if part not in ("", ".")]
    if any(part == ".." or ":" in part or part.startswith(".") or not part.isprintable() for part in parts):
        raise ApiError(422, "request", "folder: only plain names, parted by slashes")
    return "/".join(parts)
