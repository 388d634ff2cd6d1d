"""The emoji data set of the built-in model: pictures with transparency, and scenes drawn with them.

`tools/emoji_dataset.py` makes the folder that is read here. Everything random comes from a generator that the
caller keys by purpose and step, so training can stop anywhere and go on exactly.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fromnoise.errors import FileError

Language = Literal["en", "zh"]
Relation = Literal["left", "above"]  # of the first object to the second

BACKGROUNDS: dict[str, tuple[str, tuple[int, int, int]]] = {  # English name -> Chinese name, sRGB
    "white": ("白色", (255, 255, 255)),
    "black": ("黑色", (20, 20, 24)),
    "gray": ("灰色", (140, 144, 150)),
    "red": ("红色", (214, 40, 48)),
    "orange": ("橙色", (250, 140, 32)),
    "yellow": ("黄色", (252, 220, 60)),
    "green": ("绿色", (48, 160, 80)),
    "light green": ("浅绿色", (170, 230, 160)),
    "teal": ("青色", (24, 150, 150)),
    "light blue": ("浅蓝色", (160, 212, 248)),
    "blue": ("蓝色", (40, 96, 216)),
    "navy": ("深蓝色", (24, 36, 96)),
    "purple": ("紫色", (128, 64, 180)),
    "pink": ("粉色", (250, 176, 200)),
    "beige": ("米色", (240, 226, 196)),
    "brown": ("棕色", (112, 72, 44)),
}
STYLES: dict[str, tuple[str, str]] = {  # style -> English and Chinese words for it
    "noto": ("noto", "诺托"),
    "twemoji": ("twemoji", "推特"),
    "flat": ("flat", "扁平"),
    "fluent": ("fluent", "流畅"),
    "3d": ("3d", "立体"),
}
COLOURS = list(BACKGROUNDS)


def philox(seed: int, *key: int) -> np.random.Generator:
    """A generator for one purpose at one step: equal keys give equal numbers, whatever was drawn before."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, *key])))


@dataclass(frozen=True)
class Object:
    """A thing that can be drawn, with its names."""

    hexcode: str
    label: dict[str, str]  # by language
    tags: dict[str, list[str]]
    chosen: bool  # in the vocabulary of the model, not only of the autoencoder


@dataclass(frozen=True)
class Picture:
    object: int
    style: str
    held_out: bool  # never trained on


@dataclass(frozen=True)
class Scene:
    """What is to be seen: one object, or two and how they stand to each other, on a plain background."""

    pictures: tuple[int, ...]
    background: str
    relation: Relation | None = None


class EmojiSet:
    """The data set in `folder`: `images.npy` (n s s 4) uint8 and `index.json`."""

    def __init__(self, folder: Path) -> None:
        try:
            index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
            self.images: NDArray[np.uint8] = np.load(folder / "images.npy", mmap_mode="r")
        except (OSError, ValueError) as error:
            raise FileError(f"{folder}: no emoji data set ({error}); make it with tools/emoji_dataset.py") from error
        self.objects = [Object(o["hexcode"], o["label"], o["tags"], o["chosen"]) for o in index["objects"]]
        self.pictures = [Picture(**p) for p in index["pictures"]]
        self.size = int(index["size"])

    @cached_property
    def vocabulary(self) -> list[int]:
        """The objects the model learns to draw."""
        return [i for i, o in enumerate(self.objects) if o.chosen]

    def select(self, *, chosen: bool | None = None, held_out: bool | None = None) -> list[int]:
        """Indices of the pictures of these kinds."""
        return [
            i
            for i, p in enumerate(self.pictures)
            if (chosen is None or self.objects[p.object].chosen == chosen)
            and (held_out is None or p.held_out == held_out)
        ]

    def draw(self, scene: Scene) -> NDArray[np.uint8]:
        """The scene as (3 s s) uint8."""
        colour = np.array(BACKGROUNDS[scene.background][1], np.float32)
        if scene.relation is None:
            return blend(self.images[scene.pictures[0]], colour)
        half = [reduce_half(self.images[i]) for i in scene.pictures]
        canvas = np.zeros((self.size, self.size, 4), np.uint8)
        middle, quarter = self.size // 2, self.size // 4
        for place, small in enumerate(half):
            along, across = slice(place * middle, (place + 1) * middle), slice(quarter, quarter + middle)
            canvas[(across, along) if scene.relation == "left" else (along, across)] = small
        return blend(canvas, colour)

    def caption(self, scene: Scene, rng: np.random.Generator, language: Language, said: float = 0.7) -> str:
        """One of the ways to say what the scene shows; style and background are each named with probability `said`."""
        names = [self._name(i, rng, language) for i in scene.pictures]
        style = STYLES[self.pictures[scene.pictures[0]].style]
        ground = scene.background, BACKGROUNDS[scene.background][0]
        say_style, say_ground = rng.random(2) < said
        words = style[language == "zh"] if say_style else None, ground[language == "zh"] if say_ground else None
        if language == "zh":
            return chinese(names, *words, scene.relation, rng)
        return english(names, *words, scene.relation, rng)

    def _name(self, picture: int, rng: np.random.Generator, language: Language) -> str:
        thing = self.objects[self.pictures[picture].object]
        name, tags = thing.label[language], thing.tags[language]
        if tags and rng.random() < 0.15:
            more = rng.choice(tags, size=min(len(tags), int(rng.integers(1, 3))), replace=False)
            name = (", " if language == "en" else "，").join([name, *more])
        return name


def random_scene(data: EmojiSet, pictures: list[int], rng: np.random.Generator, pairs: float) -> Scene:
    """A scene of one of `pictures`, or with probability `pairs` of two in the same style."""
    first = int(rng.choice(pictures))
    background = COLOURS[rng.integers(len(COLOURS))]
    if rng.random() >= pairs:
        return Scene((first,), background)
    style = data.pictures[first].style
    second = first
    while second == first or data.pictures[second].style != style:
        second = int(rng.choice(pictures))
    return Scene((first, second), background, "left" if rng.random() < 0.5 else "above")


def english(
    names: list[str], style: str | None, ground: str | None, relation: Relation | None, rng: np.random.Generator
) -> str:
    def article(name: str) -> str:
        return ("an " if name[:1].lower() in "aeiou" else "a ") + name

    if relation:
        words = {"left": ("to the left of", "to the right of"), "above": ("above", "below")}[relation]
        names, word = (names, words[0]) if rng.random() < 0.7 else (names[::-1], words[1])
        text = f"{article(names[0])} {word} {article(names[1])}"
    else:
        text = article(names[0]) if rng.random() < 0.5 else names[0]
    if style and rng.random() < 0.5:
        text = f"{text} in {style} style" if rng.random() < 0.5 else f"{style} style, {text}"
    elif style:
        text += f", {style} style"
    if ground:
        text += (f" on {article(ground)} background", f", {ground} background")[int(rng.random() < 0.5)]
    return text


def chinese(
    names: list[str], style: str | None, ground: str | None, relation: Relation | None, rng: np.random.Generator
) -> str:
    if relation:
        words = {"left": ("左边", "右边"), "above": ("上面", "下面")}[relation]
        names, word = (names, words[0]) if rng.random() < 0.7 else (names[::-1], words[1])
        text = f"{names[0]}在{names[1]}的{word}"
    else:
        text = f"一个{names[0]}" if rng.random() < 0.3 else names[0]
    if style:
        text = f"{style}风格的{text}" if rng.random() < 0.5 else f"{text}，{style}风格"
    if ground:
        text = f"{ground}背景上的{text}" if rng.random() < 0.4 and not relation else f"{text}，{ground}背景"
    return text


def blend(rgba: NDArray[np.uint8], colour: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Straight-alpha (h w 4) over a colour (3) -> (3 h w)."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    mixed = rgba[..., :3] * alpha + colour * (1 - alpha)
    return np.ascontiguousarray((mixed + 0.5).astype(np.uint8).transpose(2, 0, 1))


def reduce_half(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h w 4) to half the size by averaging premultiplied 2x2 squares."""
    h, w = rgba.shape[:2]
    pixels = rgba.astype(np.float32)
    pixels[..., :3] *= pixels[..., 3:] / 255
    small = pixels.reshape(h // 2, 2, w // 2, 2, 4).mean(axis=(1, 3))
    small[..., :3] *= 255 / np.maximum(small[..., 3:], 1e-3)
    return np.asarray(small.clip(0, 255) + 0.5, np.uint8)
