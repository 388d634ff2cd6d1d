"""Pictures that a picture was made from: they are not in its file, but often lie where its tool keeps them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from PIL import Image

from fromnoise.engine.references import ImageRef

INPUT = "input"  # ComfyUI's folder of what is loaded; results are in `output` beside it, or in folders there
ABOVE = 3  # folders
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff", ".latent")
PLACE = re.compile(r"\s*\[(input|output|temp)\]\s*\Z")  # ComfyUI says so behind a name
MAX_BYTES = 256 << 20
MAX_NAME = 500


@dataclass(frozen=True)
class Album:
    """Looks for pictures by name in a few folders, never outside them: names come from strangers."""

    folders: tuple[Path, ...] = ()

    @classmethod
    def around(cls, picture: Path) -> Self:
        """Its own folder, and ComfyUI's folder of inputs near it."""
        here = picture.absolute().parent
        inputs = (folder / INPUT for folder in (here, *list(here.parents)[: ABOVE - 1]))
        return cls((here, *(folder for folder in inputs if folder.is_dir())))

    def find(self, name: object) -> ImageRef | None:
        """The picture, or saved latents; None where there is none of that name or it is too large."""
        for path in self._candidates(name):
            try:
                if path.is_file() and path.stat().st_size <= MAX_BYTES:
                    return ImageRef.of(path)
            except OSError:
                continue
        return None

    def _candidates(self, name: object) -> Iterator[Path]:
        if not isinstance(name, str) or len(name) > MAX_NAME or not name.isprintable():
            return
        parts = re.split(r"[/\\]", PLACE.sub("", name))
        if not parts[-1].lower().endswith(ENDINGS) or any(part in ("", ".", "..") or ":" in part for part in parts):
            return
        for folder in self.folders:
            for path in dict.fromkeys((folder.joinpath(*parts), folder / parts[-1])):
                if path.resolve().is_relative_to(folder.resolve()):
                    yield path


def size_of(picture: ImageRef) -> tuple[int, int] | None:
    """Width and height in pixels as the file says; None where it is no picture."""
    try:
        with Image.open(picture.path) as image:
            upright = image.getexif().get(0x0112, 1) < 5  # else it lies on its side
            return image.size if upright else (image.height, image.width)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
