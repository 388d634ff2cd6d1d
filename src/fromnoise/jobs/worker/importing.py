"""Takes folders of pictures into the gallery: those that AUTOMATIC1111, ComfyUI and others have made, where they are.

A job of the kind `import` has the body `{"folder": "/pictures"}`; it reads what is new there since the last time, and
forgets what is gone. Stopped, it goes on with what is left.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image

from fromnoise.engine.metadata.read import read_any
from fromnoise.errors import FileError, UserError
from fromnoise.jobs import thumbnails
from fromnoise.jobs.gallery import BIN, Gallery
from fromnoise.jobs.job import Result
from fromnoise.jobs.picture import New
from fromnoise.jobs.worker.tasks import Desk, Task, task

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif")
TOGETHER = 20  # pictures in one transaction
MAX_MORE = 2000  # characters that a picture is found by besides its recipe


@task("import")
def import_folder(body: Mapping[str, Any], desk: Desk) -> Task:
    folder = Path(str(body.get("folder") or "")).expanduser()
    if not body.get("folder") or not folder.is_dir():
        raise UserError(f"{str(body.get('folder'))!r} is no folder: give the path of one with pictures")
    root = str(folder.resolve())
    gallery = Gallery(desk.database, desk.outputs, desk.thumbs)
    known, new, bad = gallery.known(root), 0, 0
    waiting = [path for path in found(folder) if known.get(place(path, folder)) != stamp(path)]
    for done, some in enumerate(grouped(waiting)):
        yield done * TOGETHER, len(waiting)
        pictures = [picture for path in some if (picture := looked_at(path, folder, root, desk)) is not None]
        bad += len(some) - len(pictures)
        new += gallery.add(pictures)
    gone = gallery.forget_missing(root)
    told = {"folder": folder.name, "new": new, "unreadable": bad, "gone": gone}
    return [Result(media="application/json", data=told)]


def grouped(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for start in range(0, len(paths), TOGETHER):
        yield paths[start : start + TOGETHER]


def found(folder: Path) -> list[Path]:
    """The pictures in a folder and those below it, the oldest first."""
    paths = []
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != BIN)
        paths += [Path(where, name) for name in names if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
    times = {path: stamp(path)[1] for path in paths}
    return sorted(paths, key=lambda path: (times[path], path))


def place(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def stamp(path: Path) -> tuple[int, int]:
    """Size and time of change; zeros where the file has gone meanwhile."""
    with suppress(OSError):
        status = path.stat()
        return status.st_size, status.st_mtime_ns
    return 0, 0


def looked_at(path: Path, folder: Path, root: str, desk: Desk) -> New | None:
    """What the gallery keeps of a picture; None for what is none."""
    try:
        size, changed = stamp(path)
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        with Image.open(path) as image:
            width, height, media = image.width, image.height, Image.MIME.get(image.format or "", "image/png")
            if desk.thumbs is not None and not thumbnails.place(desk.thumbs, digest).is_file():
                thumbnails.keep(desk.thumbs, digest, image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    recipe, source, more = None, "", ""
    with suppress(FileError):
        read = read_any(path)
        recipe, source = read.recipe.model_dump(mode="json", exclude_none=True), read.source
        more = " ".join(str(value) for value in read.not_understood.values())[:MAX_MORE]
    return New(
        place(path, folder), digest, size, changed, width, height, media, root, desk.job.work.owner, desk.job.id,
        changed / 1e9, source, recipe, more.replace("\0", " "),
    )  # fmt: skip
