"""`fromnoise models get`: a model from a hub onto its shelf."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fromnoise import settings
from fromnoise.cli.messages import say, translated
from fromnoise.cli.progress import note, transfer
from fromnoise.cli.shelf_show import known, licence_line, opened, size
from fromnoise.engine import licences
from fromnoise.engine.hub import (
    NoConnection,
    Offer,
    Remote,
    Wanted,
    cached_offer,
    chosen,
    fetch,
    look_up,
    safe_name,
)
from fromnoise.engine.shelves import kind_named
from fromnoise.errors import UserError
from fromnoise.jobs.shelving import shelved, staging
from fromnoise.settings import Settings


def get_model(
    name: str, file: str | None, kind: str | None, revision: str | None, save_as: str | None, pickle: bool, yes: bool,
    quiet: bool,
) -> None:  # fmt: skip
    """Fetch a model and print its path."""
    here = settings.read()
    wanted, given = Wanted.of(name, file, revision), kind_named(kind) if kind else None
    if save_as is not None:
        safe_name(save_as)
    offer = offered(wanted, here)
    if isinstance(offer, Path):
        note(say("there already"), quiet)
        print(offer)
        return
    files = chosen(offer, wanted.file, pickle=pickle)
    tell(offer, files, quiet)
    already = there_already(files, here)
    if already is not None:
        note(say("there already"), quiet)
        print(already)
        return
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        confirm(files)
    place = staging(offer, here)
    with transfer(quiet) as report:
        fetched = fetch(offer, files, place, report)
    print(shelved(offer, wanted, fetched, given, save_as, place, here, opened(here)))


def offered(wanted: Wanted, here: Settings) -> Offer | Path:
    """What the hub offers, or the hub's cache on this machine, or where the file lies already."""
    try:
        return look_up(wanted)
    except NoConnection as error:
        for entry in known(here, None):
            source = entry.source
            if source and source.repo == wanted.repo and wanted.file in (None, source.file):
                return entry.place
        note(translated(str(error)))
        return cached_offer(wanted)


def tell(offer: Offer, files: Sequence[Remote], quiet: bool) -> None:
    """What is about to be fetched, and on which terms."""
    total = size(sum(remote.size for remote in files))
    names = ", ".join(remote.name for remote in files[:3]) + (" ..." if len(files) > 3 else "")
    note(say("{repo}: {names} ({size})", repo=offer.repo, names=names, size=total), quiet)
    licence = licences.known(*offer.licences)
    if licence is not None:
        note(say("licence: {licence}", licence=licence_line(licence)), quiet)
    elif offer.licences:
        note(say("licence: {licence}, which its page explains", licence=offer.licences[0]), quiet)
    else:
        note(say("licence: none is named; its page may say more"), quiet)
    if any(remote.is_pickle for remote in files):
        note(say("a pickle can carry code: we never run it, but other tools may"), quiet)


def confirm(files: Sequence[Remote]) -> None:
    """Ask on a terminal; UserError where the answer is no."""
    print(say("fetch {size}? [Y/n] ", size=size(sum(r.size for r in files))), end="", file=sys.stderr, flush=True)
    if input().strip().lower() not in ("", "y", "yes", "是"):
        raise UserError(say("nothing was fetched"))


def there_already(files: Sequence[Remote], here: Settings) -> Path | None:
    """Where a single file lies, if one with its checksum is on a shelf."""
    index = opened(here)
    if len(files) != 1 or not files[0].sha256 or index is None:
        return None
    index.refresh(here)
    found = index.by_hash(here, files[0].sha256)
    return found[0].place if found else None
