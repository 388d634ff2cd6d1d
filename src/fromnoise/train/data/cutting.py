"""A data set's pictures cut into another folder, each part with its picture's caption beside it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fromnoise.engine.cutting import cut
from fromnoise.engine.picture_io import open_image, save_png
from fromnoise.engine.recipe_cut import Cut
from fromnoise.errors import FileError
from fromnoise.train.data.caption_files import write_caption
from fromnoise.train.data.source import Subset, caption_of


def cut_into(
    folder: Path, pictures: Sequence[Path], out: Path, wanted: Cut, tell_of: Callable[[FileError], None]
) -> Iterator[tuple[int, int]]:
    """Write what becomes of `pictures` below `folder` into `out`, in folders of the same names; files that are there
    stay as they are, so that what was broken off goes on.

    Before each picture: how many are done, and how many were written. Pictures that can't be read are told of.
    """
    written = 0
    for done, (path, stem) in enumerate(named(pictures)):
        yield done, written
        try:
            image, caption = open_image(path), caption_of(path, Subset())
        except FileError as error:
            tell_of(error)
            continue
        for ending, part in cut(image, wanted):
            place = out / path.parent.relative_to(folder) / f"{stem}{ending}.png"
            if not place.exists():
                if caption is not None:
                    write_caption(place, caption)
                save_png(part, place, {})
            written += 1
    yield len(pictures), written


def named(pictures: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Pictures with names of their own: of a.png and a.jpg the second is a-jpg."""
    taken: set[Path] = set()
    for path in pictures:
        place = path.with_suffix("")
        yield path, path.stem if place not in taken else f"{path.stem}-{path.suffix[1:].lower()}"
        taken.add(place)
