"""How pictures enter the gallery: within the transaction that says that they are there. Needs no torch."""

import re
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from fromnoise.jobs import words
from fromnoise.jobs.job import new_id
from fromnoise.jobs.picture import MAX_TAG, Mark, New
from fromnoise.jobs.tables import MARKS, PICTURES

IN_PROMPT = re.compile(r"<(?:lora|lyco):([^:<>]+)")


def enter(connection: Connection, new: New, *, sqlite: bool) -> bool:
    """Take a picture in, within a transaction; whether it was not known."""
    recipe = new.recipe or {}
    start = recipe.get("init") or {}
    parent = new.parent
    if parent is None and start.get("sha256"):
        above = select(PICTURES.c.id).where(PICTURES.c.sha256 == start["sha256"]).order_by(PICTURES.c.number).limit(1)
        parent = connection.execute(above).scalar()
    values: dict[str, Any] = {
        name: getattr(new, name)
        for name in ("owner", "job", "size", "changed", "sha256", "media", "width", "height", "source", "recipe")
    }
    values |= {
        "created": new.created or time.time(),
        "model": str(recipe.get("model") or ""),
        "model_hash": str(recipe.get("model_hash") or ""),
        "sampler": str(recipe.get("sampler") or ""),
        "seed": str(recipe.get("seed", "")),
        "parent": parent,
    }
    known = connection.execute(
        select(PICTURES.c.number).where(PICTURES.c.root == new.root, PICTURES.c.path == new.path)
    ).scalar()
    if known is None:
        fresh = {"id": new_id(), "root": new.root, "path": new.path, "favourite": False, "album": ""}
        query = insert(PICTURES).values(**fresh, **values).returning(PICTURES.c.number)
        number: int = connection.execute(query).scalar_one()
    else:
        number = known
        connection.execute(update(PICTURES).where(PICTURES.c.number == number).values(**values, deleted=None))
    connection.execute(delete(MARKS).where(MARKS.c.picture == number, MARKS.c.kind == "lora"))
    mark(connection, number, "lora", loras_of(recipe))
    tags = select(MARKS.c.name).where(MARKS.c.picture == number, MARKS.c.kind == "tag")
    told = prose(recipe, new.path, connection.execute(tags).scalars().all(), new.more)
    words.store(connection, number, told, sqlite=sqlite)
    return known is None


def mark(connection: Connection, number: int, kind: Mark, names: Collection[str]) -> None:
    rows = [{"picture": number, "kind": kind, "name": name} for name in sorted(names)]
    if rows:
        connection.execute(insert(MARKS), rows)


def loras_of(recipe: Mapping[str, Any]) -> set[str]:
    """The names of a recipe's LoRAs."""
    listed = [one for one in recipe.get("networks") or () if isinstance(one, Mapping)]
    names = {str(one.get("name") or "") for one in listed if one.get("kind", "lora") == "lora"}
    names |= set(IN_PROMPT.findall(str(recipe.get("prompt") or "")))
    return {name[:MAX_TAG] for name in names if name}


def prose(recipe: Mapping[str, Any] | None, path: str, tags: Sequence[str], more: str = "") -> str:
    """What a picture is found by: its prompts, the names of its models, its own name and its tags."""
    recipe = recipe or {}
    said = [str(recipe.get(name) or "") for name in ("prompt", "negative", "model", "sampler", "seed")]
    return " \n ".join([*said, *sorted(loras_of(recipe)), PurePosixPath(path).stem, *tags, more])
