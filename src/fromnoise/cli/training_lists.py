"""Options that take several words on kohya's command lines, for a parser whose options take one each."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from fromnoise.errors import UserError

WEIGHTS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")


def is_setting(word: str) -> bool:
    return "=" in word and not word.startswith("-")


def is_weights(word: str) -> bool:
    return not word.startswith("-") and Path(word).suffix.lower() in WEIGHTS


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


MORE: dict[str, Callable[[str], bool]] = {  # what a further word of an option looks like; other words are DATA
    "network_args": is_setting, "optimizer_args": is_setting, "lr_scheduler_args": is_setting,
    "base_weights": is_weights, "base_weights_multiplier": is_number, "text_encoder_lr": is_number,
}  # fmt: skip
APART = {"text_encoder_lr": ("learning_rate_te1", "learning_rate_te2")}  # options for a first and a second word


class Listing(TyperCommand):
    """A command whose options may have several words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spread_out(args))


def spread_out(words: Sequence[str]) -> list[str]:
    """The words of a command line with the name of an option before each of its words. UserError.

    >>> spread_out(["--network_args", "algo=loha", "conv_dim=4", "data"])
    ['--network_args', 'algo=loha', '--network_args', 'conv_dim=4', 'data']
    """
    found, left = list[str](), list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            return [*found, word, *left]
        option, sign, first = word.partition("=")
        name = option.removeprefix("--").replace("-", "_")
        if not word.startswith("--") or name not in (*MORE, "resolution"):
            found.append(word)
            continue
        values = [first] if sign else [left.pop(0)] if left else []
        while name in MORE and left and MORE[name](left[0]):
            values.append(left.pop(0))
        if name == "resolution" and values:
            values = [square(values[0])]
        names = APART[name] if name in APART and len(values) > 1 else (name,) * max(1, len(values))
        if len(values) > len(names):
            raise UserError(f"{name}: {len(values)} rates for {len(names)} text encoders; leave some out")
        found += [text for pair in zip((f"--{one}" for one in names), values, strict=False) for text in pair]
        found += [] if values else [option]
    return found


def square(text: str) -> str:
    """kohya's "512,512" as a side; other text as it is. UserError for sides that differ."""
    width, comma, height = (part.strip() for part in text.partition(","))
    if comma and width != height:
        raise UserError(f"resolution {text}: give the sides in a data-set file")
    return width if comma else text
