"""AUTOMATIC1111's text taken apart, without a look at what it means. Needs no torch."""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

NEGATIVE = "Negative prompt:"
TEMPLATES = ("template:", "negative template:")  # of dynamic prompts, after the fields
MAX_KEY = 100  # characters
MAX_FIELDS = 300
KEY = re.compile(r"\w[\w \-/]*")


class Parsed(NamedTuple):
    """An infotext taken apart; nothing is interpreted yet."""

    prompt: str
    negative: str
    fields: dict[str, str]


def parse(text: str) -> Parsed | None:
    """Take an infotext apart; None where it has no line of fields. Linear in the length of `text`."""
    lines = text.rstrip().split("\n")
    last = fields_line(lines)
    if last is None:
        return None
    fields = dict(read_fields(lines[last]))
    if rest := "\n".join(lines[last + 1 :]):
        fields["Template"] = rest
    split = next((i for i, line in enumerate(lines[:last]) if line.lstrip().startswith(NEGATIVE)), last)
    negative = "\n".join(lines[split:last]).lstrip().removeprefix(NEGATIVE).removeprefix(" ")
    return Parsed("\n".join(lines[:split]), negative, fields)


def fields_line(lines: list[str]) -> int | None:
    """The last line, where it has three fields or more, or the one before the templates of dynamic prompts."""
    last = len(lines) - 1
    templates = (i for i in range(last, 0, -1) if lines[i].lower().startswith(TEMPLATES))
    ends = [] if lines[last].lower().startswith(TEMPLATES) else [last]
    for index in (*ends, *(i - 1 for i in templates if lines[i - 1].startswith("Steps:"))):
        if sum(key != value for key, value in read_fields(lines[index])) >= 3:
            return index
    return None


def read_fields(line: str) -> Iterator[tuple[str, str]]:
    """Fields of `Key: value, Key: "quoted, value", Key: {"a": "JSON"}`; a bare word is its own value."""
    position, count = 0, 0
    while position < len(line) and count < MAX_FIELDS:
        comma = line.find(",", position)
        end = len(line) if comma < 0 else comma
        colon = line.find(":", position, min(end, position + MAX_KEY))
        key = line[position : colon if colon >= 0 else end].strip()
        value = key
        if colon >= 0 and KEY.fullmatch(key):
            value, end = read_value(line, colon + 1, end)
        elif colon >= 0:
            key = value = line[position:end].strip()
        if key:
            yield key, value
            count += 1
        position = end + 1


def read_value(line: str, start: int, comma: int) -> tuple[str, int]:
    """The value at `start` and the index of the comma after it; `comma` is the next one, quoted or not."""
    while start < comma and line[start] == " ":
        start += 1
    if line[start : start + 1] in ('"', "{", "["):
        try:
            value, end = json.JSONDecoder(strict=False).raw_decode(line, start)
        except (ValueError, RecursionError):
            return line[start:comma].strip(), comma
        if line[end : end + 64].lstrip()[:1] in ("", ","):
            end = line.find(",", end)
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            return text, len(line) if end < 0 else end
    return line[start:comma].strip(), comma
