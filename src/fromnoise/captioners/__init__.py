"""What is on a picture, in words: captioners by name, each from files on this machine.

caption = CAPTIONERS["wd14"].load(Path("models/captioners/wd-vit-tagger-v3"))
caption([picture])[0].text
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from PIL import Image

from fromnoise.registry import Registry


@dataclass(frozen=True)
class Caption:
    """What was found on a picture."""

    text: str  # as it goes into a caption's file
    tags: dict[str, float] = field(default_factory=dict)  # name to probability, highest first; of taggers
    rating: str | None = None  # general, sensitive, questionable or explicit; of taggers


class Captions(Protocol):
    """A captioner with its files loaded."""

    def __call__(self, pictures: Sequence[Image.Image]) -> list[Caption]: ...


class Captioner(Protocol):
    """Something that describes pictures."""

    label: str
    label_zh: str

    def load(self, folder: Path) -> Captions:
        """Read the files in `folder`; UserError or FileError say what is missing and where to get it."""
        ...


CAPTIONERS: Registry[Captioner] = Registry("captioner", entry_points="fromnoise.captioners")

from fromnoise.captioners import blip, wd14  # noqa: E402, F401  # built-ins come through the same door
