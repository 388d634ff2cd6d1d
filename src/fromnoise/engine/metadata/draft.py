"""A recipe under way from another tool's words to ours."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from fromnoise.engine.metadata.album import Album
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.references import ImageRef
from fromnoise.errors import FileError, UnknownName, UserError
from fromnoise.sampling.samplers import SAMPLERS, resolve
from fromnoise.sampling.schedules import SCHEDULES

MAX_SHOWN = 500  # characters of a value that is not understood
MAX_NOTES = 300  # not understood fields that are kept, and warnings
MAX_NAME = 255  # characters of a model's name

HASH = re.compile(r"[0-9a-fA-F]{8,64}")
SIZE = re.compile(r"\s*\(?'?(\d{1,6})'?\s*[x×*,]\s*'?(\d{1,6})'?\)?\s*")


@dataclass(frozen=True)
class Imported:
    """What a picture says about how it was made."""

    recipe: Recipe
    source: str  # the tool that wrote it
    not_understood: Mapping[str, str] = field(default_factory=dict)  # the tool's names for what has no place in ours
    warnings: tuple[str, ...] = ()


@dataclass
class Draft:
    """Fields of a recipe, each checked when it is set; what can't be one is kept under the other tool's name."""

    fields: dict[str, object] = field(default_factory=dict)
    not_understood: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    album: Album = field(default_factory=Album)  # where pictures are looked for

    def warn(self, warning: str) -> None:
        if len(self.warnings) < MAX_NOTES and warning not in self.warnings:
            self.warnings.append(warning)

    def keep(self, key: str, value: object) -> None:
        """Note something that has no place in a recipe."""
        if len(self.not_understood) < MAX_NOTES:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            self.not_understood[key[:MAX_SHOWN]] = text[:MAX_SHOWN]

    def set(self, name: str, value: object, key: str) -> bool:
        """Set a field of the recipe from what the tool calls `key`; where it is no legal value, it is kept instead."""
        try:
            checked = Recipe.model_validate({name: value})
        except ValueError:
            self.keep(key, value)
            return False
        self.fields[name] = getattr(checked, name)
        return True

    def part(self, path: str, inner: str, value: object, key: str) -> bool:
        """Set a field of a part of the recipe: `part("hires", "steps", "12", "Hires steps")`.

        A part of a part is named by its path: "inpaint.soft".
        """
        name, *steps = path.split(".")
        known = self.fields.get(name)
        fields = known.model_dump(exclude_unset=True) if isinstance(known, BaseModel) else dict[str, Any]()
        fields |= known if isinstance(known, dict) else {}
        holder = fields
        for step in steps:
            holder[step] = holder.get(step) or {}
            holder = holder[step]
        holder[inner] = value
        return self.set(name, fields, key)

    def place(self, path: str, inner: str, value: object, key: str) -> bool:
        """`part`, or `set` where the path is empty."""
        return self.part(path, inner, value, key) if path else self.set(inner, value, key)

    def option(self, name: str, value: object, key: str) -> bool:
        """Set an option of the sampler, a number or a word, where the sampler has it."""
        sampler = str(self.fields.get("sampler", Recipe.model_fields["sampler"].default))
        options = SAMPLERS[sampler].options
        if name not in options:
            self.keep(key, value)
            return False
        try:
            wanted = type(options[name])
            given = wanted(str(value)) if wanted is not bool else str(value).lower() == "true"
        except ValueError:
            self.keep(key, value)
            return False
        known = self.fields.get("sampler_options", {})
        assert isinstance(known, dict)
        return self.set("sampler_options", {**known, name: given}, key)

    def sampler(self, name: str, key: str, renamed: Mapping[str, str] | None = None) -> bool:
        """Set the sampler, and the schedule where the name carries it (DPM++ 2M Karras)."""
        name = name.strip()[:MAX_NAME]
        try:
            sampler, schedule = resolve((renamed or {}).get(name.lower(), name))
        except UnknownName as error:
            self.keep(key, f"{name}{nearest(name, error.known)}")
            self.warn(f"sampler {name!r} is not known here; the recipe has another")
            return False
        self.fields["sampler"] = sampler
        if schedule:
            self.fields["schedule"] = schedule
        return True

    def schedule(self, name: str, key: str, renamed: Mapping[str, str | None] | None = None) -> bool:
        """Set the schedule; a name that is renamed to None means the sampler's own."""
        name = name.strip()[:MAX_NAME]
        ours = (renamed or {}).get(name.lower(), name)
        if ours is None:
            self.fields["schedule"] = None
            return True
        if ours not in SCHEDULES:
            self.keep(key, f"{name}{nearest(name, SCHEDULES)}")
            self.warn(f"schedule {name!r} is not known here; the recipe has the sampler's own")
            return False
        self.fields["schedule"] = SCHEDULES.canonical(ours)
        return True

    def size(self, text: str, key: str) -> bool:
        """Set width and height of "512x768" or "(512, 768)"; latents have an eighth of it, so eights are cut off."""
        found = SIZE.fullmatch(text)
        if found is None:
            self.keep(key, text)
            return False
        return self.sides(int(found[1]), int(found[2]), key)

    def sides(self, width: int, height: int, key: str) -> bool:
        """Set width and height, cut to eights."""
        if width % 8 or height % 8:
            self.warn(f"{width}x{height} is not in eights; the recipe has {width // 8 * 8}x{height // 8 * 8}")
        kept = self.set("width", width // 8 * 8, key)
        return self.set("height", height // 8 * 8, key) and kept

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height so far."""
        usual = Recipe.model_fields
        width, height = (self.fields.get(name, usual[name].default) for name in ("width", "height"))
        assert isinstance(width, int)
        assert isinstance(height, int)
        return width, height

    def model(self, name: str, key: str) -> bool:
        """Set the model by the name of its file alone: a stranger's picture doesn't choose folders of this machine."""
        last = re.split(r"[/\\]", name.strip())[-1]
        stem = re.sub(r"\.(safetensors|sft|ckpt|pt|pth|bin|gguf)$", "", last, flags=re.IGNORECASE)
        if not stem or len(stem) > MAX_NAME or stem in (".", ".."):
            self.keep(key, name)
            return False
        return self.set("model", stem, key)

    def hash(self, value: str, key: str) -> bool:
        """Set the model's hash: the beginning of a SHA-256, or eight digits, which may be of the older kind."""
        if HASH.fullmatch(value):
            return self.set("model_hash", value.lower(), key)
        self.keep(key, value)
        self.warn(f"model hash {value[:MAX_NAME]} is none that is known; the model can't be checked")
        return False

    def strength(self, value: object, key: str) -> bool:
        """Set how much of a start picture was replaced; the picture itself is not in the file."""
        return self.start(value, key, None)

    def start(self, strength: object, key: str, image: ImageRef | None) -> bool:
        """Set the start picture, where it was found, and how much of it was replaced."""
        if image is None:
            self.warn("made from a start picture, which is not in the file: give it with --init")
        else:
            self.fields["init"] = image
        return self.set("strength", strength, key)

    def profile(self, name: str) -> None:
        """Follow the numerics of a tool."""
        self.set("profile", name, "profile")

    def build(self, source: str) -> Imported:
        """The import; FileError where the fields contradict each other."""
        try:
            recipe = Recipe.make(**self.fields)
        except UserError as error:
            raise FileError(f"its recipe contradicts itself: {error}") from error
        return Imported(recipe, source, self.not_understood, tuple(self.warnings))


def nearest(name: str, known: Any) -> str:
    """A hint to names like `name`, or nothing; samplers and schedules are known by their labels, too."""
    labels = {spec.label.lower(): key for registry in (SAMPLERS, SCHEDULES) for key, spec in registry.items()}
    labels = {label: key for label, key in labels.items() if key in known} | {key: key for key in known}
    close = get_close_matches(name.lower(), sorted(labels), n=4, cutoff=0.4)
    names = list(dict.fromkeys(labels[label] for label in close))[:2]
    return f" (nearest here: {', '.join(names)})" if names else ""


def json_object(text: str, what: str) -> dict[str, Any]:
    """The JSON object in `text`; FileError where there is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"its {what} is not readable JSON") from error
    if not isinstance(value, dict):
        raise FileError(f"its {what} is not a JSON object")
    return value
