"""A font that has the characters of a sheet's labels; Pillow's own has no Chinese ones."""

import os
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from PIL import ImageFont

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

KNOWN_FONTS = (  # parts of file names in lower case, the best first
    "notosanscjk", "notosanssc", "notosanshans", "sourcehansans", "sourcehanserif", "notoserifcjk", "pingfang",
    "hiragino sans gb", "stheiti", "msyh", "deng", "simhei", "simsun", "wqy-microhei", "wqy-zenhei",
    "droidsansfallback", "lxgwwenkai", "smileysans", "uming", "ukai", "unifont", "arial unicode", "arialuni",
    "dejavusans.", "notosans-regular", "liberationsans-regular", "arial.", "helvetica",
)  # fmt: skip
SUFFIXES = (".ttf", ".ttc", ".otf")
MAX_TRIED = 8
MISSING = "\uffff"  # a character that no font has


def folders(environment: Mapping[str, str], platform: str) -> list[Path]:
    """Where fonts are kept on this system."""
    if platform == "win32":
        own = environment.get("LOCALAPPDATA")
        windows = Path(environment.get("WINDIR", "C:/Windows")) / "Fonts"
        return [windows, *([Path(own) / "Microsoft/Windows/Fonts"] if own else [])]
    own_folders = [Path.home() / ".fonts", Path.home() / ".local/share/fonts"]
    if platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), Path.home() / "Library/Fonts"]
    shared = environment.get("XDG_DATA_DIRS", "/usr/local/share:/usr/share").split(":")
    return [*own_folders, *(Path(folder) / "fonts" for folder in shared)]


def candidates(places: list[Path]) -> Iterator[Path]:
    """Fonts that are known to have Chinese characters, the best first, then those with many other letters."""
    files = sorted(p for place in places if place.is_dir() for p in place.rglob("*") if p.suffix.lower() in SUFFIXES)
    for part in KNOWN_FONTS:
        yield from (path for path in files if part in path.name.lower())


@cache
def system_fonts() -> tuple[Path, ...]:
    """The best fonts of this system for scripts that Pillow's own font lacks."""
    return tuple(islice(candidates(folders(os.environ, sys.platform)), MAX_TRIED))


def font_for(text: str, size: int, path: Path | None = None) -> Font:
    """A font of `size` pixels for `text`: the given file, or Pillow's own, or the system's that lacks the least."""
    if path is not None:
        return ImageFont.truetype(str(path), size)
    best: Font = ImageFont.load_default(size)
    lacking = len(unreadable(text, best))
    for other in system_fonts() if lacking else ():
        try:
            font = ImageFont.truetype(str(other), size)
        except OSError:
            continue
        if len(unreadable(text, font)) < lacking:
            best, lacking = font, len(unreadable(text, font))
    return best


def unreadable(text: str, font: Font) -> str:
    """The characters of `text` that `font` draws as it draws a missing one."""
    blank = drawn(MISSING, font)
    return "".join(dict.fromkeys(c for c in text if not c.isspace() and drawn(c, font) == blank))


def drawn(character: str, font: Font) -> tuple[tuple[int, int], bytes]:
    """Size and pixels of one character."""
    mask = font.getmask(character)
    return mask.size, bytes(mask)
