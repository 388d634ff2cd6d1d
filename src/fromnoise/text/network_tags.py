"""Tags such as `<lora:ink:0.8>`: a network to use while a picture is made, in the words of AUTOMATIC1111 and two of its
extensions, LoRA Block Weight (lbw=, start=, stop=, step=) and loractl (0@0,1@0.5).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from fromnoise.errors import UserError
from fromnoise.text.block_weights import is_list, parse_blocks

Kind = Literal["lora", "hypernet"]
KINDS: dict[str, Kind] = {"lora": "lora", "lyco": "lora", "hypernet": "hypernet"}
NAMED = {"te": "te", "unet": "unet", "dyn": "dyn", "lbw": "lbw", "w": "lbw", "start": "start", "stop": "stop"}
STEPS = re.compile(r"([\d.]+)-([\d.]+)")
NUMBER = re.compile(r"\s*[-+.\d]|\s*\Z")
MAX_KEYFRAMES = 100
MAX_NAME = 1000
MAX_STRENGTH = 100.0
MAX_SHOWN = 60

Keyframe = tuple[float, float]  # strength, moment


@dataclass(frozen=True)
class Network:
    """`<lora:name:text:unet:rank>` or `<hypernet:name:strength>`: a network to use while this picture is made.

    Strengths are 1 by default; the U-Net's is the text encoder's where it is not given. `rank` limits a LoRA's rank,
    `blocks` is a list or a preset of block weights. A moment below 1 is a share of the steps, any other the number of a
    step, from 1: the U-Net's strength counts from `start` to the step before `stop`, and goes along `keyframes`, whose
    moments are steps from 0 where one of them is above 1.
    """

    kind: Kind
    name: str
    text_strength: float = 1.0
    unet_strength: float = 1.0
    rank: int | None = None
    blocks: str = ""
    start: float | None = None
    stop: float | None = None
    keyframes: tuple[Keyframe, ...] = ()


def read_tag(word: str, arguments: str, warn: Callable[[str], None]) -> Network | None:
    """The network of `<word:arguments>`; None, and a warning, where `word` is no kind of network."""
    kind = KINDS.get(word.lower())
    if kind is None:
        warn(f"no kind of network is called {word!r}: {', '.join(KINDS)}")
        return None
    name, *fields = split_fields(arguments)
    if not 0 < len(name) <= MAX_NAME:
        warn("a network without a name, or with one that is too long: left out")
        return None
    given = arranged(fields, warn)
    text, text_keys = strength(given.get("te", "1"), "te", warn)
    unet, unet_keys = strength(given["unet"], "unet", warn) if "unet" in given else (text, text_keys)
    if kind == "hypernet":
        return Network(kind, name, text, text)
    rank = number(given["dyn"], "dyn", warn) if "dyn" in given else None
    start, stop = (number(given[at], at, warn) if at in given else None for at in ("start", "stop"))
    limit = int(rank) if rank is not None and rank >= 1 else None
    return Network(kind, name, text, unet, limit, blocks(given.get("lbw", ""), warn), start, stop, unet_keys)


def blocks(text: str, warn: Callable[[str], None]) -> str:
    """Block weights that can be read, and none instead of others."""
    try:
        parse_blocks(text or "ALL")
    except UserError as error:
        warn(f"lbw {text[:MAX_SHOWN]} is left out: {error}")
        return ""
    return text


def split_fields(arguments: str) -> list[str]:
    """The name, and what follows it between colons; the colon of a Windows path is none."""
    name, *fields = (field.strip() for field in arguments.split(":"))
    if len(name) == 1 and fields and fields[0][:1] in ("\\", "/"):
        name, *fields = f"{name}:{fields[0]}", *fields[1:]
    return [name.strip('"'), *fields]


def arranged(fields: list[str], warn: Callable[[str], None]) -> dict[str, str]:
    """What a tag's fields are called: those without a name are te, unet and dyn, or block weights, in this order."""
    found: dict[str, str] = {}
    free = ["te", "unet", "dyn"]
    for field in fields:
        name, equals, value = field.partition("=")
        steps = STEPS.fullmatch(value.strip()) if equals and name.strip() == "step" else None
        if steps:
            found["start"], found["stop"] = steps[1], steps[2]
        elif equals and name.strip() in NAMED:
            found[NAMED[name.strip()]] = value.strip()
        elif equals and not is_list(field):
            warn(f"{name.strip()}= is not understood; a network knows {', '.join(NAMED)} and step=2-10")
        elif is_list(field) or (len(free) < 3 and not NUMBER.match(field)):
            found["lbw"] = field
        elif free:
            found[free.pop(0)] = field
    return found


def strength(text: str, name: str, warn: Callable[[str], None]) -> tuple[float, tuple[Keyframe, ...]]:
    """A strength; of keyframes such as 0@0,1@0.5 the first one's, and they."""
    if "@" not in text:
        return limited(number(text, name, warn), name, warn), ()
    keyframes = []
    for part in re.split("[,;]", text)[:MAX_KEYFRAMES]:
        value, _, moment = part.partition("@")
        keyframes.append((limited(number(value, name, warn), name, warn), number(moment or "1", name, warn)))
    keyframes.sort(key=lambda keyframe: keyframe[1])
    return keyframes[0][0], tuple(keyframes)


def limited(value: float, name: str, warn: Callable[[str], None]) -> float:
    """A strength within what a recipe takes."""
    if abs(value) > MAX_STRENGTH:
        warn(f"{name} {value:g} is limited to {MAX_STRENGTH:g}")
    return max(-MAX_STRENGTH, min(MAX_STRENGTH, value))


def number(text: str, name: str, warn: Callable[[str], None]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if isfinite(value):
        return value
    warn(f"{name} {text!r} is not a number: 1 is taken")
    return 1.0
