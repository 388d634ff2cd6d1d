"""Parts of a recipe in one option: "on", "off", "2", "scale=2, strength=0.5", "1.3, 1.4, s1=0.9".

Values without a name are those of the part's fields in order. A value with a comma or a quote in it stands in double
quotes, as in JSON. Numbers that belong together are written 512x768, other lists with blanks.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from fromnoise.cli.messages import say
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.errors import UnknownName, UserError

ON, OFF = "on", "off"
SETTING = re.compile(r'\s*(?:(\w+)\s*=\s*)?("(?:[^"\\]|\\.)*"|[^,"]*)\s*(?:,|$)')
PLAIN = re.compile(r'[^,"=\\\s](?:[^,"=\\\n\r]*[^,"=\\\s])?')
SIZE = re.compile(r"(-?\d+)\s*[x×]\s*(-?\d+)")
NAME = re.compile(r"[\w.]+")
NUMBER = re.compile(r"-?\d+")


def part_type(path: str) -> type[BaseModel] | None:
    """The part of a recipe that the field `path` holds, or holds a list of; None where it holds plain values."""
    annotation: Any = Recipe
    for name in path.split("."):
        holder = model_in(annotation)
        if holder is None or name not in holder.model_fields:
            return None
        annotation = holder.model_fields[name].annotation
    return model_in(annotation)


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The pydantic model in an annotation such as `Hires | None` or `tuple[Region, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := model_in(inner))), None)


def holds_table(path: str) -> bool:
    """Whether the field holds names and values of any kind, such as the options of a sampler."""
    field = Recipe.model_fields.get(path)
    return field is not None and get_origin(field.annotation) is dict


def read_part(flag: str, text: str, part: type[BaseModel]) -> dict[str, Any] | None:
    """The fields of a part that `text` names, not yet checked; None for "off". UserError where `flag` is mistyped."""
    if text.strip().lower() == OFF:
        return None
    found: dict[str, Any] = {}
    names = list(part.model_fields)
    for position, (name, value) in enumerate(settings(flag, text)):
        if not name and position >= len(names):
            raise UserError(say("{flag}: too many values; it has {names}", flag=flag, names=", ".join(names)))
        name = name or names[position]
        if name not in part.model_fields:
            raise UnknownName(f"setting of {flag}", name, names)
        found[name] = several(value) if holds_list(part.model_fields[name].annotation) else value
    return found


def read_table(flag: str, text: str) -> dict[str, Any]:
    """Names and values, numbers where they are numbers."""
    pairs = settings(flag, text)
    if any(not name for name, _ in pairs):
        raise UserError(say("{flag}: write NAME=VALUE, NAME=VALUE", flag=flag))
    return {name: number_or_word(value) for name, value in pairs}


def settings(flag: str, text: str) -> list[tuple[str, str]]:
    """Names, empty where there is none, and values; nothing for "on"."""
    if text.strip().lower() == ON:
        return []
    pairs: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        found = SETTING.match(text, position)
        if found is None or found.end() == position:
            raise UserError(say("{flag}: {rest} is not understood; write NAME=VALUE, NAME=VALUE",
                                flag=flag, rest=text[position:].strip()))  # fmt: skip
        value = found[2].strip()
        pairs.append((found[1] or "", json.loads(value) if value.startswith('"') else value))
        position = found.end()
    return pairs


def holds_list(annotation: Any) -> bool:
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return any(get_origin(kind) in (tuple, list) for kind in kinds)


def several(value: str) -> list[str]:
    """Two numbers of a size, words between blanks, or a list in JSON."""
    if found := SIZE.fullmatch(value):
        return list(found.groups())
    if value.startswith("["):
        with suppress(ValueError):
            return [str(one) for one in json.loads(value)]
    return value.split()


def number_or_word(value: str) -> int | float | bool | str:
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        return int(value) if NUMBER.fullmatch(value) else float(value)
    except ValueError:
        return value


def written(value: Mapping[str, Any]) -> str:
    """What `read_part` and `read_table` read as these fields; "on" where there are none."""
    return ", ".join(f"{name}={word(inner)}" for name, inner in value.items()) or ON


def word(value: object) -> str:
    if isinstance(value, ImageRef):
        return word(value.path)
    if isinstance(value, Mapping):
        return word(" ".join(f"{name}={inner}" for name, inner in value.items()))
    if isinstance(value, (list, tuple)):
        if len(value) == 2 and all(isinstance(inner, int) for inner in value):
            return f"{value[0]}x{value[1]}"
        simple = value and all(isinstance(inner, str) and NAME.fullmatch(inner) for inner in value)
        return word(" ".join(value) if simple else json.dumps(value, ensure_ascii=False))
    text = str(value)
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
