"""Work on data sets: every picture described, cut, and what is broken, small or there twice found."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fromnoise.engine import shelves
from fromnoise.engine.recipe import checked
from fromnoise.engine.recipe_cut import Cut
from fromnoise.errors import FileError
from fromnoise.jobs.job import Result
from fromnoise.jobs.worker.stepping import Progress, in_steps
from fromnoise.jobs.worker.tasks import Desk, Task, task
from fromnoise.train.data import sets
from fromnoise.train.data.captioning import Wanted, captioned
from fromnoise.train.data.clean import examine
from fromnoise.train.data.cutting import cut_into

TABLE = "application/json"
MOST = 1000  # names in a table
CHOICES = ("threshold", "character_threshold", "first", "undesired", "begin", "existing", "chinese")


@task("caption-set")
def caption_set(body: Mapping[str, Any], desk: Desk) -> Task:
    """`{"dataset": NAME, "by": "wd14", "model": NAME, "existing": "keep"}`: a caption beside each picture.

    Stopped, it leaves those that are written; with `existing` "keep" it goes on with the others.
    """
    folder, by = sets.folder_of(str(body["dataset"]), desk.settings), str(body["by"])
    found = shelves.find("captioners", str(body.get("model") or by), desk.settings)
    wanted = Wanted(
        found if found.is_dir() else found.parent, by, **{name: body[name] for name in CHOICES if name in body}
    )
    left_out: list[str] = []

    def tell_of(error: FileError) -> None:
        left_out.append(str(error))

    def run(tell: Progress) -> int:
        pictures = [path for path in sets.picture_files(folder) if chosen(path, folder, body)]
        tell(0, len(pictures))
        writing = captioned(wanted, pictures, tell_of)
        while True:
            try:
                tell(*next(writing))
            except StopIteration as stop:
                return int(stop.value)

    count = yield from in_steps(run)
    return [Result(media=TABLE, data={"written": count, "left_out": left_out[:MOST]})]


def chosen(path: Path, folder: Path, body: Mapping[str, Any]) -> bool:
    """Whether a picture is among those that were named, if any were."""
    named = body.get("pictures")
    return not named or path.relative_to(folder).as_posix() in named


@task("examine-set")
def examine_set(body: Mapping[str, Any], desk: Desk) -> Task:
    """`{"dataset": NAME, "smallest": 256}`: which pictures are broken, small, or there twice."""
    folder = sets.folder_of(str(body["dataset"]), desk.settings)

    def name(path: Path) -> str:
        return path.relative_to(folder).as_posix()

    def run(tell: Progress) -> dict[str, Any]:
        pictures = list(sets.picture_files(folder))
        found = examine(pictures, smallest=int(body.get("smallest", 256)), report=tell)
        return {
            "count": found.count,
            "broken": [{"name": name(path), "reason": reason} for path, reason in found.broken[:MOST]],
            "small": [{"name": name(path), "width": w, "height": h} for path, (w, h) in found.small[:MOST]],
            "same": [[name(path) for path in group] for group in found.same[:MOST]],
            "spare": [name(path) for path in found.spare[:MOST]],
        }

    return [Result(media=TABLE, data=(yield from in_steps(run)))]


@task("cut-set")
def cut_set(body: Mapping[str, Any], desk: Desk) -> Task:
    """`{"dataset": NAME, "out": NAME, "settings": Cut}`: the pictures cut into another data set, with their captions.

    Broken off, it goes on with what is not written yet.
    """
    folder = sets.folder_of(str(body["dataset"]), desk.settings)
    out = desk.settings.datasets / sets.checked_name(str(body["out"]))
    wanted = checked(Cut, **body.get("settings", {}))
    left_out: list[str] = []

    def run(tell: Progress) -> int:
        pictures, written = list(sets.picture_files(folder)), 0
        out.mkdir(parents=True, exist_ok=True)
        cutting = cut_into(folder, pictures, out, wanted, lambda error: left_out.append(str(error)))
        for done, count in cutting:
            tell(done, len(pictures))
            written = count
        return written

    written = yield from in_steps(run)
    return [Result(media=TABLE, data={"dataset": out.name, "written": written, "left_out": left_out[:MOST]})]
