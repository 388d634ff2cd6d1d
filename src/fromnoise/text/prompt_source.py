"""What is taken out of a prompt before it is read: comments, and tags such as `<lora:name:0.8>`."""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

from fromnoise.text.prompt_weights import Dialect, PromptWarning


@dataclass(frozen=True)
class Network:
    """`<lora:name:text:unet:rank>` or `<hypernet:name:strength>`: a network to use while this picture is made.

    Strengths are 1 by default; the U-Net's is the text encoder's where it is not given. `rank` limits a LoRA's rank.
    """

    kind: Literal["lora", "hypernet"]
    name: str
    text_strength: float = 1.0
    unet_strength: float = 1.0
    rank: int | None = None


@dataclass
class Source:
    """A prompt's text without comments and tags, and where its parts were."""

    text: str
    networks: list[Network] = field(default_factory=list)
    warnings: list[PromptWarning] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])  # where the parts that were kept start in `text`
    origins: list[int] = field(default_factory=lambda: [0])  # and where they did in the prompt

    def origin(self, position: int) -> int:
        """The position in the prompt of a position in `text`."""
        index = bisect_right(self.starts, position) - 1
        return self.origins[index] + position - self.starts[index]


_TAKEN = {
    "native": re.compile(r"(?<!\\)#[^\n]*|<(?P<kind>\w+):(?P<args>[^<>]+)>"),
    "a1111": re.compile(r"#[^\n]*|<(?P<kind>\w+):(?P<args>[^<>#]+)>"),  # comments go first, even inside a tag
}
_KINDS: dict[str, Literal["lora", "hypernet"]] = {"lora": "lora", "lyco": "lora", "hypernet": "hypernet"}


def read_source(text: str, dialect: Dialect = "native") -> Source:
    """`text` without comments (`#` to the end of the line) and network tags; `comfyui` knows neither."""
    source = Source(text)
    if dialect == "comfyui":
        return source
    kept: list[str] = []
    length, position = 0, 0
    for match in _TAKEN[dialect].finditer(text):
        kept.append(text[position : match.start()])
        length += match.start() - position
        position = match.end()
        source.starts.append(length)
        source.origins.append(position)
        if match["kind"]:
            _read_tag(match, source)
    source.text = "".join([*kept, text[position:]])
    return source


def _read_tag(match: re.Match[str], source: Source) -> None:
    kind = _KINDS.get(match["kind"].lower())
    if kind is None:
        known = ", ".join(_KINDS)
        source.warnings.append(PromptWarning(match.start(), f"no kind of network is called {match['kind']!r}: {known}"))
        return
    name, *fields = match["args"].split(":")
    named = {key.strip(): value for key, equals, value in (f.partition("=") for f in fields) if equals}
    placed = dict(zip(("te", "unet", "dyn"), (f for f in fields if "=" not in f), strict=False))
    values = {key: _number(key, value, match.start(), source) for key, value in {**placed, **named}.items()}
    text_strength = values.get("te", 1.0)
    unet_strength = values.get("unet", text_strength) if kind == "lora" else text_strength
    rank = int(values["dyn"]) if "dyn" in values else None
    source.networks.append(Network(kind, name.strip(), text_strength, unet_strength, rank))


def _number(key: str, value: str, position: int, source: Source) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if isfinite(number):
        return number
    source.warnings.append(PromptWarning(position, f"{key} {value!r} is not a number: 1 is taken"))
    return 1.0
