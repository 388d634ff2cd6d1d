"""What each field of a recipe means, in a sentence of both languages, for the catalogue and the forms made from it."""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from fromnoise.engine.catalogue import Told
from fromnoise.engine.fields_chinese import CHINESE
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.references import ImageRef
from fromnoise.errors import FromnoiseError


def explained() -> list[Told]:
    """All fields, those of parts after the part. FromnoiseError where one lacks its sentence in a language."""
    told = [Told(path=path, explanation=words, explanation_zh=CHINESE.get(path, "")) for path, words in fields(Recipe)]
    lacking = [one.path for one in told if not (one.explanation and one.explanation_zh)]
    gone = CHINESE.keys() - {one.path for one in told}
    if lacking or gone:
        raise FromnoiseError(
            f"without a description or its Chinese in engine/fields_chinese.py: {', '.join(lacking) or 'none'}; "
            f"there without a field: {', '.join(sorted(gone)) or 'none'}"
        )
    return told


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Path and description of every field; `[]` marks lists."""
    for name, field in model.model_fields.items():
        yield prefix + name, field.description or ""
        for part, listed in parts(field.annotation):
            yield from fields(part, f"{prefix}{name}{'[]' if listed else ''}.")


def parts(annotation: Any, listed: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    """The models that a type is made of, and whether there may be several; pictures have no fields to fill in."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation is not ImageRef:
            yield annotation, listed
        return
    for inner in get_args(annotation):
        yield from parts(inner, listed or get_origin(annotation) in (tuple, list))
