"""Chinese names of common tags. Needs no torch."""

from functools import cache
from importlib.resources import files


@cache
def names() -> dict[str, str]:
    """Tag, with blanks, to its Chinese name."""
    text = files("fromnoise.assets").joinpath("tags.zh.tsv").read_text(encoding="utf-8")
    return dict(line.split("\t") for line in text.splitlines() if line)
