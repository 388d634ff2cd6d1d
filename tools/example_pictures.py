"""Make the pictures that the examples of training learn from: `python tools/example_pictures.py --data data/emoji`.

Twenty pictures of an object that the built-in model has not learnt, in five styles on four backgrounds, with captions,
from a data set that tools/emoji_dataset.py has made. NOTICE names the authors of the drawings.
"""

import argparse
import sys
from pathlib import Path

from PIL import Image

from fromnoise.train.emoji import STYLES, EmojiSet, Scene

OBJECT, WORD = "1F361", "dango"
BACKGROUNDS = ("white", "light blue", "green", "beige")


def write(data: EmojiSet, folder: Path, hexcode: str = OBJECT, word: str = WORD) -> int:
    """The pictures of an object in `folder`; how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    found = [i for i, p in enumerate(data.pictures) if data.objects[p.object].hexcode == hexcode]
    for index in found:
        style = data.pictures[index].style
        for ground in BACKGROUNDS:
            stem = f"{style}-{ground.replace(' ', '-')}"
            pixels = data.draw(Scene((index,), ground)).transpose(1, 2, 0)
            Image.fromarray(pixels).save(folder / f"{stem}.png", optimize=True)
            caption = f"{word}, {STYLES[style][0]} style, {ground} background"
            (folder / f"{stem}.txt").write_text(f"{caption}\n", encoding="utf-8")
    return len(found) * len(BACKGROUNDS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/emoji"))
    parser.add_argument("--out", type=Path, default=Path("examples/data/dango"))
    options = parser.parse_args()
    print(f"{write(EmojiSet(options.data), options.out)} pictures in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
