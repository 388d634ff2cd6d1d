"""Styles: named texts that are put around a prompt, kept in the CSV files that AUTOMATIC1111 keeps them in."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fromnoise.errors import FileError

PLACE = "{prompt}"  # where a style wants the prompt; without it the style follows after a comma


@dataclass(frozen=True)
class Style:
    """What a style adds to the prompt and to the negative prompt; either may be empty."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""


def add_styles(prompt: str, styles: Iterable[str]) -> str:
    """`prompt` with the texts of styles merged in, one after the other.

    >>> add_styles("a cat", ["photo of {prompt}, sharp", "film grain"])
    'photo of a cat, sharp, film grain'
    """
    for style in styles:
        if PLACE in style:
            prompt = style.replace(PLACE, prompt)
        else:
            prompt = ", ".join(part for part in (prompt.strip(), style.strip()) if part)
    return prompt


def remove_style(prompt: str, style: str) -> str | None:
    """`prompt` without the text of a style that was merged into it, or None where it is not there.

    >>> remove_style("masterpiece, 1girl, art by greg", "masterpiece, {prompt}")
    '1girl, art by greg'
    """
    prompt, style = prompt.strip(), style.strip()
    before, place, after = style.partition(PLACE)
    if place:
        fits = len(prompt) >= len(before) + len(after) and prompt.startswith(before) and prompt.endswith(after)
        return prompt[len(before) : len(prompt) - len(after)] if fits else None
    if not prompt.endswith(style):
        return None
    rest = prompt.removesuffix(style)
    return rest.removesuffix(", ") if not rest or rest.endswith(", ") else None


def read_styles(path: Path) -> list[Style]:
    """The styles of a CSV file with the columns name, prompt, negative_prompt (or the older name, text).

    Rows whose name starts with `#` are left out. FileError if the file cannot be read as that.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [_style(row) for row in csv.DictReader(file) if (row.get("name") or "#")[0] != "#"]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"cannot read the styles in {path}: {error}; it must be a CSV file in UTF-8") from error


def write_styles(path: Path, styles: Sequence[Style]) -> None:
    """Write `styles` as a CSV file that this package and AUTOMATIC1111 read."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "prompt", "negative_prompt"])
        writer.writerows([style.name, style.prompt, style.negative_prompt] for style in styles)


def _style(row: dict[str, str | None]) -> Style:
    return Style(row.get("name") or "", row.get("prompt") or row.get("text") or "", row.get("negative_prompt") or "")
