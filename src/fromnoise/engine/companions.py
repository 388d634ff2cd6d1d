"""What lies beside a model file and tells of it: previews, notes and trigger words, as other tools write them.

| beside `ink.safetensors` | who writes it | what is read |
|---|---|---|
| `ink.json` | AUTOMATIC1111 | description, notes, activation text, negative text, preferred weight, sd version, vae |
| `ink.civitai.info`, `ink.json` | helpers for Civitai, SD.Next | name, trained words, base model, description, page |
| `ink.txt` | people | trigger words, one set a line |
| `ink.description.txt` | AUTOMATIC1111 | description |
| `ink.preview.png`, `ink.png`, also jpg, jpeg, webp, gif | all | a picture |

What can't be read is left out and said in `faults`: a bad note is no reason not to use a model.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from typing import Any

from fromnoise.engine.picture_io import write_whole
from fromnoise.errors import FileError

PREVIEWS = tuple(f"{mark}.{suffix}" for mark in (".preview", "") for suffix in ("png", "jpg", "jpeg", "webp", "gif"))
NOTES = (".json", ".civitai.info", ".description.txt", ".txt")
OTHERS = (".metadata.json", ".cm-info.json", ".yaml", ".sha256")  # belong to the model, but hold nothing that we read
MAX_BYTES = 4 << 20
MAX_TEXT = 10_000  # characters of a description
MAX_WEIGHT = 1000


@dataclass(frozen=True)
class Companions:
    """What is known of a model from the files beside it."""

    files: tuple[Path, ...] = ()
    preview: Path | None = None
    title: str = ""
    description: str = ""
    notes: str = ""
    trigger_words: tuple[str, ...] = ()
    negative: str = ""
    weight: float | None = None  # that suits most pictures
    base: str = ""  # the family, in the words of whoever wrote it
    vae: str = ""
    page: str = ""  # in the web
    faults: tuple[str, ...] = ()


def stem_of(model: Path) -> str:
    """The name that companions share with a model file; a folder's whole name."""
    return model.name if model.is_dir() else model.name.removesuffix(model.suffix)


def beside(model: Path) -> tuple[Path, ...]:
    """The companions of a model that exist."""
    names = (*NOTES, *PREVIEWS, *OTHERS)
    found = (model.with_name(stem_of(model) + name) for name in names)
    return tuple(path for path in found if path != model and path.is_file())


def companions(model: Path) -> Companions:
    """Everything that is told beside a model. Never raises for what is in a file."""
    files = beside(model)
    previews = {path.name.removeprefix(stem_of(model)): path for path in files}
    found = Companions(files, next((previews[name] for name in PREVIEWS if name in previews), None))
    for name in NOTES:
        path = model.with_name(stem_of(model) + name)
        if path not in files:
            continue
        try:
            found = joined(found, read(path, name))
        except (OSError, ValueError, RecursionError) as error:
            found = replace(found, faults=(*found.faults, f"{path} cannot be read ({' '.join(str(error).split())})"))
    return found


def joined(known: Companions, more: Companions) -> Companions:
    """What is known already stays; the rest comes from `more`."""
    fields = ("title", "description", "notes", "trigger_words", "negative", "weight", "base", "vae", "page")
    return replace(known, **{name: getattr(more, name) for name in fields if not getattr(known, name)})


def read(path: Path, name: str) -> Companions:
    """One companion. ValueError, OSError."""
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise ValueError("it is too large")
    content = raw.decode("utf-8-sig")
    if name == ".description.txt":
        return Companions(description=text(content))
    if name == ".txt":
        return Companions(trigger_words=tuple(line.strip() for line in text(content).splitlines() if line.strip()))
    table = json.loads(content)
    if not isinstance(table, dict):
        raise ValueError("it is no table")
    ours = of_webui(table)
    if {"trainedWords", "modelId", "modelVersions"} & set(table):  # perhaps with notes of a person's besides
        return joined(replace(ours, description=""), of_civitai(table))
    return ours


def write_notes(
    model: Path, *, description: str, notes: str, trigger_words: str, negative: str, weight: float | None
) -> Path:
    """Write what a person says of a model as AUTOMATIC1111's editor does; whatever else the file holds stays.

    FileError where the file that is there is no table.
    """
    path = model.with_name(stem_of(model) + ".json")
    table: object = {}
    if path.exists():
        try:
            table = json.loads(path.read_bytes()[:MAX_BYTES].decode("utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            raise FileError(f"{path.name} cannot be read: move it away, then write the notes") from error
    if not isinstance(table, dict):
        raise FileError(f"{path.name} is no table: move it away, then write the notes")
    told = {"description": description, "notes": notes, "activation text": trigger_words, "negative text": negative,
            "preferred weight": weight or 0}  # fmt: skip
    write_whole(path, (json.dumps({**table, **told}, ensure_ascii=False, indent=4) + "\n").encode())
    return path


def of_webui(table: dict[str, Any]) -> Companions:
    """What AUTOMATIC1111's editor of user metadata writes."""
    words = text(table.get("activation text"))
    return Companions(
        description=text(table.get("description")),
        notes=text(table.get("notes")),
        trigger_words=(words,) if words else (),
        negative=text(table.get("negative text")),
        weight=number(table.get("preferred weight")) or None,  # 0 is "not set"
        base=text(table.get("sd version")).replace("Unknown", ""),
        vae=text(table.get("vae")).replace("Automatic", ""),
    )


def of_civitai(table: dict[str, Any]) -> Companions:
    """A version of a model, or a model with its versions, of which the first counts."""
    versions = table.get("modelVersions")
    version = versions[0] if isinstance(versions, list) and versions and isinstance(versions[0], dict) else table
    model = table.get("model") if isinstance(table.get("model"), dict) else table if version is not table else {}
    assert isinstance(model, dict)
    number, words = version.get("modelId", model.get("id")), version.get("trainedWords")
    names = [text(part.get("name")) for part in (model, version)]
    return Companions(
        title=" - ".join(name for name in names if name),
        description=plain(text(version.get("description")) or text(model.get("description"))),
        trigger_words=tuple(strings(words)),
        base=text(version.get("baseModel")),
        page=f"https://civitai.com/models/{number}" if isinstance(number, int) else "",
    )


def strings(value: object) -> Iterator[str]:
    """The texts in a list."""
    for item in value if isinstance(value, list) else ():
        if text(item):
            yield text(item).rstrip(",").strip()


def number(value: object) -> float | None:
    """A number that a weight can be; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MAX_WEIGHT:
        return None
    return float(value)


def text(value: object) -> str:
    """A text that can be stored, without blanks around it, cut where it is very long; empty for anything else."""
    if not isinstance(value, str):
        return ""
    return value[:MAX_TEXT].replace("\0", "").encode("utf-8", "replace").decode("utf-8").strip()


def plain(html: str) -> str:
    """The words of a piece of HTML."""
    broken = re.sub(r"<(?:br|/p|/li|/h\d)\b[^<>]{0,200}>", "\n", html)
    lines = unescape(re.sub(r"<[^<>]{0,2000}>", "", broken)).splitlines()
    return "\n".join(line.strip() for line in lines if line.strip())
