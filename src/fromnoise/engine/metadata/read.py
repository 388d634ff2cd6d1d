"""Any picture's recipe, whichever tool made it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from fromnoise.engine.metadata import comfyui, fooocus, invokeai, novelai, own
from fromnoise.engine.metadata.album import Album
from fromnoise.engine.metadata.carrier import (
    GRAPH_KEY,
    JSON_KEY,
    PARAMETERS_KEY,
    POSTPROCESSING_KEY,
    SCHEME,
    USER_COMMENT,
    read_texts,
)
from fromnoise.engine.metadata.draft import MAX_SHOWN, Imported
from fromnoise.engine.metadata.infotext_read import read_infotext
from fromnoise.errors import FileError

Texts = Mapping[str, str]
Reader = Callable[[Texts, Album], Imported]

INFOTEXT_KEYS = (PARAMETERS_KEY, USER_COMMENT, "comment", "Comment", "Description")


def read_any(path: Path, album: Album | None = None) -> Imported:
    """The recipe in a picture made by fromnoise or another tool; pictures that it names are looked for in `album`.

    FileError where the picture can't be read or carries none; nothing else is raised, whatever is in the file.
    """
    texts = dict(read_texts(path))
    if not any(fits(texts) for fits, _ in READERS):
        texts |= novelai.hidden_texts(path)
    errors: list[str] = []
    for fits, read in READERS:
        if fits(texts):
            try:
                return with_postprocessing(read(texts, album or Album()), texts)
            except FileError as error:
                errors.append(str(error))
    reason = errors[0] if errors else "carries no recipe; was it saved again by a program that drops them?"
    raise FileError(f"{path}: {reason}")


def with_postprocessing(imported: Imported, texts: Texts) -> Imported:
    """The import with a warning where the picture was changed after it was made."""
    done = texts.get(POSTPROCESSING_KEY)
    if not done:
        return imported
    warning = f"processed when it was finished, which its recipe does not make: {done[:MAX_SHOWN]}"
    return replace(imported, warnings=(*imported.warnings, warning))


def has_infotext(texts: Texts) -> bool:
    return any("Steps: " in texts.get(key, "") for key in INFOTEXT_KEYS)


def read_first_infotext(texts: Texts) -> Imported:
    """The infotext under the first key that has one."""
    return read_infotext(next(texts[key] for key in INFOTEXT_KEYS if "Steps: " in texts.get(key, "")))


READERS: tuple[tuple[Callable[[Texts], bool], Reader], ...] = (  # by how much they tell; the first that succeeds counts
    (lambda texts: JSON_KEY in texts, lambda texts, _: own.read(texts)),
    (invokeai.fits, lambda texts, _: invokeai.read(texts)),
    (novelai.fits, lambda texts, _: novelai.read(texts)),
    (lambda texts: SCHEME in texts or fooocus.fits(texts), lambda texts, _: fooocus.read(texts)),
    (lambda texts: GRAPH_KEY in texts, comfyui.read),
    (has_infotext, lambda texts, _: read_first_infotext(texts)),
)
