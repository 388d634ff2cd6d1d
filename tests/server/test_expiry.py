"""Pictures that were sent are kept while something names them, and otherwise for some hours."""

import os
from pathlib import Path

from fromnoise.engine.recipe import Recipe
from fromnoise.jobs.job import Work
from fromnoise.jobs.picture import New
from fromnoise.server import uploads
from fromnoise.server.expiry import HOUR, expire

from .conftest import Served, png

NOW = 2e9


def sent(served: Served, size: int, hours_ago: float) -> str:
    """The SHA-256 of a picture that was sent so long ago."""
    digest = uploads.keep(png(size=(size, size)), served.context.uploads).sha256
    for path in served.context.uploads.rglob("*.*"):
        if path.stem == digest or digest in path.read_bytes().decode("latin-1"):
            os.utime(path, (NOW - hours_ago * HOUR,) * 2)
    return digest


def there(served: Served, digest: str) -> bool:
    return uploads.place(digest, served.context.uploads).is_file()


def test_what_nobody_used_is_removed_after_some_hours(served: Served) -> None:
    context = served.context
    new, old, ordered, shown = (sent(served, 8 + i, hours) for i, hours in enumerate((23, 25, 25, 25)))
    recipe = Recipe(prompt="", init={"path": "x", "sha256": ordered}, strength=0.5)
    context.queue.submit([Work.picture(recipe)])
    table = Recipe(prompt="", init={"path": "x", "sha256": shown}, strength=0.5).to_table()
    context.gallery.add([New("a.png", "1" * 64, 1, 1, 8, 8, recipe=table)])
    database = context.queue.database
    assert expire(context.uploads, database, 24, NOW) == [old]
    assert [there(served, one) for one in (new, old, ordered, shown)] == [True, False, True, True]
    assert list((context.uploads / "sent").glob("*.json")) != []
    assert expire(context.uploads, database, 24, NOW) == []
    assert expire(context.uploads, database, 24, NOW + 2 * HOUR) == [new]


def test_a_picture_that_is_sent_or_named_again_lasts(served: Served) -> None:
    context = served.context
    again, named = sent(served, 8, 25), sent(served, 9, 25)
    assert uploads.keep(png(size=(8, 8)), context.uploads).sha256 == again
    uploads.reference(named, context.uploads)
    assert expire(context.uploads, context.queue.database, 24) == []
    assert there(served, again)
    assert there(served, named)


def test_what_a_crash_left_behind_is_removed(served: Served) -> None:
    context = served.context
    context.uploads.mkdir(exist_ok=True)
    part = context.uploads / ".sent-abc.part"
    part.write_bytes(b"x")
    expire(context.uploads, context.queue.database, 24)
    assert part.exists(), "it may be under way"
    os.utime(part, (NOW - 25 * HOUR,) * 2)
    expire(context.uploads, context.queue.database, 24, NOW)
    assert not part.exists()


def test_folders_that_are_not_there_yet(served: Served, tmp_path: Path) -> None:
    assert expire(tmp_path / "none", served.context.queue.database, 24) == []
