"""Chinese names of common tags, for captions and for people who read tags in Chinese."""

from functools import cache
from importlib.resources import files


@cache
def names() -> dict[str, str]:
    """Tag, with blanks, to its Chinese name."""
    text = files("fromnoise.assets").joinpath("tags.zh.tsv").read_text(encoding="utf-8")
    return dict(line.split("\t") for line in text.splitlines() if line)


def in_chinese(caption: str, separator: str = ", ") -> str:
    """The caption with every tag that is known in Chinese; the others stay as they are."""
    known = names()
    return separator.join(known.get(tag, tag) for tag in caption.split(separator))
