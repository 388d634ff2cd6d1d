"""Strengths of a LoRA block by block, as the extension "LoRA Block Weight" of AUTOMATIC1111 writes them.

    parse_blocks("OUTALL")["OUT05"]                       # 1.0
    parse_blocks("1,0,0,0,0,0,0,0,1,1,1,1,0,0,0,0,0")     # the 17 blocks of SD 1.x and 2.x that have attention
    parse_blocks("BASE=1 OUT04-OUT08=0.5")                # by name; the other blocks are 0

A list has 12 numbers (SDXL, attention), 17 (SD, attention), 20 (SDXL, all blocks) or 26 (SD, all blocks). Blocks that
it doesn't have are 0. BASE is the text encoders; what lies in no block (time_embed, out) always counts in full.
"""

import re
from collections.abc import Mapping
from math import isfinite

from fromnoise.errors import UnknownName, UserError


def _named(base: str, ins: tuple[int, ...], outs: tuple[int, ...]) -> tuple[str, ...]:
    return (base, *(f"IN{i:02}" for i in ins), "M00", *(f"OUT{i:02}" for i in outs))


ALL = _named("BASE", tuple(range(12)), tuple(range(12)))
LISTS: Mapping[int, tuple[str, ...]] = {  # by their length
    12: _named("BASE", (4, 5, 7, 8), tuple(range(6))),
    17: _named("BASE", (1, 2, 4, 5, 7, 8), tuple(range(3, 12))),
    20: _named("BASE", tuple(range(9)), tuple(range(9))),
    26: ALL,
}


def _preset(blocks: str) -> tuple[float, ...]:
    return tuple(float(digit) for digit in blocks)


PRESETS: Mapping[str, tuple[float, ...]] = {  # those that come with the extension; of 17 blocks
    "NONE": _preset("00000000000000000"),
    "ALL": _preset("11111111111111111"),
    "INS": _preset("11110000000000000"),
    "IND": _preset("10001110000000000"),
    "INALL": _preset("11111110000000000"),
    "MIDD": _preset("10001111111100000"),
    "OUTD": _preset("10000000111100000"),
    "OUTS": _preset("10000000000011111"),
    "OUTALL": _preset("10000000111111111"),
    "ALL0.5": (0.5,) * 17,
}
MIDDLE = {"MID": "M00", "NMID": "NM00"}
LIMIT = 100.0
RANGE = re.compile(r"([A-Z]+\d*)(?:-([A-Z]+\d*))?=(\S+)")


def parse_blocks(text: str) -> dict[str, float]:
    """Factors of all 26 blocks, from a list, the name of a preset, or blocks by name. UserError for anything else."""
    text = text.strip()
    preset = _preset_of(MIDDLE.get(text.upper(), text.upper()))
    if preset is not None:
        return preset
    if "=" in text:
        return _whole(_by_name(text))
    if "," not in text:
        raise UnknownName("preset of block weights", text, PRESETS)
    numbers = [_number(part) for part in text.split(",")]
    blocks = LISTS.get(len(numbers))
    if blocks is None:
        raise UserError(f"block weights: {len(numbers)} numbers; give {', '.join(map(str, LISTS))}, or a preset's name")
    return _whole(dict(zip(blocks, numbers, strict=True)))


def is_list(text: str) -> bool:
    """Whether `text` is a list of block weights: numbers with commas, and no keyframes."""
    return "," in text and "@" not in text


def _preset_of(name: str) -> dict[str, float] | None:
    """A preset; the name of a block is that block alone, with an N before it all but that block."""
    if name in PRESETS:
        return _whole(dict(zip(LISTS[17], PRESETS[name], strict=True)))
    if name in ALL:
        return _whole({name: 1.0})
    return {**dict.fromkeys(ALL, 1.0), name[1:]: 0.0} if name[:1] == "N" and name[1:] in ALL else None


def _whole(some: Mapping[str, float]) -> dict[str, float]:
    return {block: some.get(block, 0.0) for block in ALL}


def _by_name(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for word in text.upper().split():
        match = RANGE.fullmatch(word)
        first, last = (match[1], match[2] or match[1]) if match else ("", "")
        for name in (first, last):
            if name not in ALL:
                raise UnknownName("block", name or word, ALL)
        start, end = sorted((ALL.index(first), ALL.index(last)))
        found |= dict.fromkeys(ALL[start : end + 1], _number(match[3] if match else ""))
    return found


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not isfinite(number) or abs(number) > LIMIT:
        hint = (
            " (random weights, R and U, would make a picture that can't be made again)" if text.strip() in "RU" else ""
        )
        raise UserError(f"block weights: {text.strip()!r} is no number{hint}")
    return number
