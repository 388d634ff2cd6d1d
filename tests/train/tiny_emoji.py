"""A data set of coloured shapes in the layout of the emoji data set, for tests."""

import json
from pathlib import Path

import numpy as np

from fromnoise.train.emoji import STYLES, EmojiSet

NAMES = {"square": "方块", "tall bar": "竖条", "wide bar": "横条", "frame": "方框"}


def make(folder: Path, size: int = 32) -> EmojiSet:
    """Four objects in five styles; one pair is held out, and the last object is not in the vocabulary."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    shapes = [
        (abs(x) < 0.3) & (abs(y) < 0.3),
        (abs(x) < 0.15) & (abs(y) < 0.4),
        (abs(x) < 0.4) & (abs(y) < 0.15),
        np.maximum(abs(x), abs(y)) % 0.35 > 0.2,
    ]
    images, pictures = [], []
    for thing, shape in enumerate(shapes):
        for number, style in enumerate(STYLES):
            colour = [60 + 45 * number, 255 - 60 * thing, 40 * thing + 20, 255]
            images.append((shape[..., None] * np.array(colour)).astype(np.uint8))
            pictures.append({"object": thing, "style": style, "held_out": (thing, number) == (1, 2)})
    objects = [
        {
            "hexcode": f"{i:X}",
            "label": {"en": en, "zh": zh},
            "tags": {"en": ["shape"], "zh": ["形状"]},
            "chosen": i < 3,
        }
        for i, (en, zh) in enumerate(NAMES.items())
    ]
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", np.stack(images))
    index = {"version": 1, "size": size, "styles": list(STYLES), "objects": objects, "pictures": pictures}
    (folder / "index.json").write_text(json.dumps(index))
    return EmojiSet(folder)
