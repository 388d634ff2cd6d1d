"""Chinese names of common tags, for captions and for people who read tags in Chinese."""

from fromnoise.assets.tags import names as names


def in_chinese(caption: str, separator: str = ", ") -> str:
    """The caption with every tag that is known in Chinese; the others stay as they are."""
    known = names()
    return separator.join(known.get(tag, tag) for tag in caption.split(separator))
