"""Prompts of samples: those that were typed, and those of kohya's three kinds of files."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fromnoise.errors import FileError, UserError

LETTERS = {  # kohya's fields of a prompt in TOML and JSON, as its lines have them
    "negative_prompt": "n", "width": "w", "height": "h", "seed": "d", "scale": "l", "sample_steps": "s",
    "sample_sampler": "ss", "controlnet_image": "cn", "guidance_scale": "g",
}  # fmt: skip


def prompts(words: Mapping[str, Any]) -> tuple[str, ...]:
    """Each as a line with kohya's --n, --w and so on. FileError and UserError."""
    lines = list(words.get("sample", []))
    path = words.get("sample_prompts")
    return tuple(lines if path is None else lines + lines_of(Path(path)))


def lines_of(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        kind = path.suffix.lower()
        if kind not in (".toml", ".json"):
            return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        tree = tomllib.loads(text) if kind == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:  # both parsers' errors, and text that is not UTF-8
        raise FileError(f"{path}: not a text that can be read ({error})") from error
    return [line_of(path, one) for one in tables(path, tree)]


def tables(path: Path, tree: Any) -> list[Mapping[str, Any]]:
    """The prompts of a file: a list, or [prompt] with what all have and a [[prompt.subset]] for each."""
    plain: Mapping[str, Any] = {}
    if isinstance(tree, dict) and isinstance(tree.get("prompt"), dict):
        plain = {name: value for name, value in tree["prompt"].items() if name != "subset"}
        tree = tree["prompt"].get("subset", [])
    if not isinstance(tree, list) or not all(isinstance(one, dict) for one in tree):
        raise FileError(f"{path}: no list of prompts; a file of lines, or [[prompt.subset]] is wanted")
    return [{**plain, **one} for one in tree]


def line_of(path: Path, fields: Mapping[str, Any]) -> str:
    if unknown := fields.keys() - {*LETTERS, "prompt", "enum"}:
        raise UserError(f"{path}: unknown field {sorted(unknown)[0]!r}; there are prompt, {', '.join(LETTERS)}")
    told = [f" --{letter} {fields[name]}" for name, letter in LETTERS.items() if name in fields]
    return f"{fields.get('prompt', '')}{''.join(told)}"
