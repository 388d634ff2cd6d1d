"""The gallery changed: marks, albums, the bin, and folders taken in."""

import time

from pydantic import BaseModel, ConfigDict, Field

from fromnoise.jobs.job import Work
from fromnoise.jobs.picture import MAX_TAG, UnknownPicture
from fromnoise.server.access import Identity
from fromnoise.server.context import Admin, Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.native.folders import Folder, opened
from fromnoise.server.native.gallery import Card, Count, mine
from fromnoise.server.native.orders import accepted
from fromnoise.server.native.views import JobView
from fromnoise.server.parts import new_part

MOST_AT_ONCE = 1000  # pictures that one call changes

router = new_part("/gallery")


class These(BaseModel):
    """Pictures that are meant."""

    model_config = ConfigDict(extra="forbid")

    pictures: list[str] = Field(min_length=1, max_length=MOST_AT_ONCE, description="Their ids.")


class Change(These):
    """What becomes of pictures; what is left out stays as it is."""

    favourite: bool | None = None
    album: str | None = Field(default=None, max_length=MAX_TAG, description="Empty: none.")
    add_tags: list[str] = Field(default=[], max_length=100)
    remove_tags: list[str] = Field(default=[], max_length=100)


class Emptying(BaseModel):
    """What of the bin is deleted for good."""

    model_config = ConfigDict(extra="forbid")

    days: float = Field(default=0.0, ge=0, le=36_500, description="Only what has been in it for as long.")


@router.post("/change")
def change_pictures(change: Change, here: Here, who: Who) -> list[Card]:
    """Mark pictures as favourites, put them into an album, add and remove tags."""
    gallery, owner = here.gallery, here.owner_of(who)
    check(change, here, who)
    if change.favourite is not None:
        gallery.set_favourite(change.pictures, change.favourite, owner)
    if change.album is not None:
        gallery.set_album(change.pictures, change.album, owner)
    if change.add_tags:
        gallery.tag(change.pictures, change.add_tags, owner)
    if change.remove_tags:
        gallery.untag(change.pictures, change.remove_tags, owner)
    return cards(change, here, who)


@router.post("/delete")
def delete_pictures(these: These, here: Here, who: Who) -> list[Card]:
    """Move pictures to the bin."""
    check(these, here, who)
    here.gallery.delete(these.pictures, here.owner_of(who))
    return cards(these, here, who)


@router.post("/restore")
def restore_pictures(these: These, here: Here, who: Who) -> list[Card]:
    """Move pictures back from the bin."""
    check(these, here, who)
    here.gallery.restore(these.pictures, here.owner_of(who))
    return cards(these, here, who)


@router.post("/empty")
def empty_bin(wanted: Emptying, here: Here, who: Who) -> Count:
    """Delete for good what is in one's bin; how many pictures that were."""
    gone = here.gallery.empty_bin(time.time() - wanted.days * 86_400, who.name)
    for job in {one.job for one in gone if one.job is not None}:
        here.traces.forget(job)
    return Count(count=len(gone))


@router.post("/import", status_code=202)
def import_pictures(wanted: Folder, here: Here, who: Admin) -> JobView:
    """Take in a folder of pictures where it is, in the background; again: what is new in it."""
    return JobView.of(accepted(here.queue, [Work("import", {"folder": str(opened(wanted))}, owner=who.name)])[0])


def check(these: These, here: Context, who: Identity) -> None:
    """ApiError 404 before anything is changed."""
    try:
        here.gallery.check(these.pictures, here.owner_of(who))
    except UnknownPicture as error:
        raise ApiError(404, "not-found", str(error)) from error


def cards(these: These, here: Context, who: Identity) -> list[Card]:
    return [Card.of(mine(here, who, picture)) for picture in these.pictures]
