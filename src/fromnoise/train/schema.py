"""What can be set of a training, as data: for forms, and for programs that must not load torch, such as the server.

`assets/training.json` is what `tools/training_table.py` makes of the options of `fromnoise train`; a test fails where
it is not.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fromnoise.engine.shelves import Kind
from fromnoise.errors import UnknownName, UserError

ASSET = "training.json"
MOST_TEXTS, LONGEST_TEXT = 100, 10_000

FieldKind = Literal["whole", "number", "switch", "text", "list", "dataset", "model"]


class Setting(BaseModel):
    """One thing that can be set."""

    model_config = ConfigDict(frozen=True)

    name: str = Field(description="Its own name.")
    names: tuple[str, ...] = Field(description="By which it is known, kohya's among them.")
    title_zh: str = Field(description="What it is called in Chinese.")
    text: str
    text_zh: str
    panel: str = Field(description="The group that it belongs to.")
    panel_zh: str
    kind: FieldKind = Field(description="whole, number, switch, text, list (of texts), dataset or model (by name).")
    least: float | None = None
    most: float | None = None
    methods: tuple[str, ...] = Field(default=(), description="That have it; empty: all.")
    choices: tuple[str, ...] = Field(default=(), description="Values that there are, where they are few.")


class TrainingMethod(BaseModel):
    """A way to teach a model."""

    model_config = ConfigDict(frozen=True)

    name: str
    text: str
    text_zh: str
    shelf: Kind = Field(description="Where its file goes.")
    ending: str = Field(description="Of its file.")
    steps: int = Field(description="Where nothing is said of them.")
    rate: float = Field(description="The learning rate that suits it with AdamW.")


class TrainingSchema(BaseModel):
    """All methods and settings."""

    model_config = ConfigDict(frozen=True)

    methods: tuple[TrainingMethod, ...]
    settings: tuple[Setting, ...]

    @classmethod
    @cache
    def shipped(cls) -> "TrainingSchema":
        """What comes with the package."""
        return cls.model_validate_json(files("fromnoise.assets").joinpath(ASSET).read_text(encoding="utf-8"))

    def method(self, name: str) -> TrainingMethod:
        """UnknownName lists what there is."""
        for method in self.methods:
            if method.name == name:
                return method
        raise UnknownName("training method", name, [method.name for method in self.methods])

    def of(self, method: str) -> Iterator[Setting]:
        """The settings of a method."""
        return (one for one in self.settings if not one.methods or method in one.methods)

    def checked(self, method: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Settings by their own names. UnknownName for one that there is not, UserError for a value that can't be."""
        known = {name.replace("-", "_"): one for one in self.of(method) for name in one.names}
        found = {}
        for name, value in given.items():
            setting = known.get(name.replace("-", "_"))
            if setting is None:
                raise UnknownName(f"setting of {method}", name, list(known))
            if value is not None:
                found[setting.name] = fitting(setting, value)
        return found


def fitting(setting: Setting, value: Any) -> Any:
    """The value as the setting takes it. UserError."""
    kinds: dict[FieldKind, tuple[tuple[type, ...], str]] = {
        "whole": ((int,), "a whole number"), "number": ((int, float), "a number"), "switch": ((bool,), "true or false"),
        "list": ((list, str), "a list of texts"),
    }  # fmt: skip
    types, noun = kinds.get(setting.kind, ((str,), "a text"))
    if not isinstance(value, types) or (isinstance(value, bool) and setting.kind != "switch"):
        raise UserError(f"{setting.name}: {value!r} is not {noun}"[:300])
    if setting.kind == "list":
        return texts_of(setting.name, value)
    if isinstance(value, (int, float)) and not within(value, setting):
        least = "any" if setting.least is None else f"{setting.least:g}"
        most = "any" if setting.most is None else f"{setting.most:g}"
        raise UserError(f"{setting.name}: {value} lies outside of {least} to {most}")
    if isinstance(value, str):
        (value,) = texts_of(setting.name, value)
        if setting.choices and value.lower() not in {choice.lower() for choice in setting.choices}:
            raise UnknownName(setting.name, value, setting.choices)
    return value


def within(value: float, setting: Setting) -> bool:
    low = setting.least is None or value >= setting.least
    return low and (setting.most is None or value <= setting.most) and value == value


def texts_of(name: str, value: Any) -> list[str]:
    """UserError for what is no list of texts, or too much of it."""
    found = value if isinstance(value, list) else [value]
    for text in found:
        if not isinstance(text, str) or len(text) > LONGEST_TEXT or "\0" in text:
            raise UserError(f"{name}: texts of at most {LONGEST_TEXT:,} characters are taken")
    if len(found) > MOST_TEXTS:
        raise UserError(f"{name}: at most {MOST_TEXTS} texts are taken")
    return found


def as_toml(settings: Mapping[str, Any]) -> str:
    """A configuration file for `fromnoise train --config`."""
    return "".join(f"{name.replace('-', '_')} = {written(value)}\n" for name, value in settings.items())


def written(value: Any) -> str:
    """As TOML writes it: its strings are those of JSON, but for the character DEL."""
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
