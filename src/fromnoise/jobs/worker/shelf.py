"""Work on the shelves as jobs: models fetched from a hub, and files that are there checked to their last weight.

{"name": "stabilityai/sd-turbo", "file": "sd_turbo.safetensors", "shelf": "checkpoints", "save_as": "turbo"}
{"shelf": "checkpoints", "file": "ink.safetensors"}
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fromnoise.checkpoints.describe import describe
from fromnoise.checkpoints.load import UnmatchedKeys
from fromnoise.checkpoints.opening import open_model
from fromnoise.engine.hub import Wanted, chosen, fetch, look_up, safe_name
from fromnoise.engine.shelves import kind_named
from fromnoise.errors import FileError, UserError
from fromnoise.jobs.index import Index
from fromnoise.jobs.job import Result
from fromnoise.jobs.shelving import shelved, staging
from fromnoise.jobs.worker.stepping import Progress, in_steps
from fromnoise.jobs.worker.tasks import Desk, Task, task

TABLE = "application/json"
KILO = 1000  # bytes are told in such units, so that a step's number fits into every database
WHOLE = ("checkpoint", "U-Net", "VAE", "text encoder")  # what is built to see whether anything is missing
MOST_NAMED = 50  # weights of each kind that a check names


@task("download")
def download(body: Mapping[str, Any], desk: Desk) -> Task:
    """A model from a hub onto its shelf. Stopped, it goes on where it was."""
    wanted = Wanted.of(str(body["name"]), body.get("file") or None, body.get("revision") or None)
    given = kind_named(str(body["shelf"])) if body.get("shelf") else None
    save_as = str(body["save_as"]) if body.get("save_as") else None
    if save_as is not None:
        safe_name(save_as)

    def run(tell: Progress) -> Path:
        tell(0, 0)
        offer = look_up(wanted)
        files = chosen(offer, wanted.file, pickle=bool(body.get("pickle")))
        place = staging(offer, desk.settings)
        fetched = fetch(offer, files, place, lambda done, total: tell(done // KILO, max(1, total // KILO)))
        index = Index(desk.database)
        return shelved(offer, wanted, fetched, given, save_as, place, desk.settings, index)

    made = yield from in_steps(run)
    return [Result(media=TABLE, data={"file": made.name, "shelf": made.parent.name})]


@task("check-model")
def check_model(body: Mapping[str, Any], desk: Desk) -> Task:
    """What is wrong with a file: names that match nothing, weights that are missing or no numbers. It is read whole."""
    entries = Index(desk.database).entries(desk.settings, kind_named(str(body["shelf"])))
    found = next((entry.place for entry in entries if entry.name == body["file"]), None)
    if found is None:
        raise UserError("no such file is on that shelf: look again at the shelves")
    place: Path = found

    def run(tell: Progress) -> dict[str, Any]:
        tell(0, 2)
        held = describe(place)
        faults: dict[str, list[str]] = {}
        if held.holds in WHOLE:
            try:
                open_model(place)
            except UnmatchedKeys as error:
                faults = {"missing": list(error.missing), "misshapen": list(error.misshapen),
                          "unknown": list(error.unknown)}  # fmt: skip
            except FileError as error:
                faults = {"fault": [str(error)]}
        tell(1, 2)
        faults["non_finite"] = list(describe(place, check=True).non_finite or ())
        told = {name: names[:MOST_NAMED] for name, names in faults.items() if names}
        counts = {name: len(names) for name, names in faults.items() if names}
        return {"holds": held.holds, "whole": not told, "faults": told, "counts": counts}

    return [Result(media=TABLE, data=(yield from in_steps(run)))]
