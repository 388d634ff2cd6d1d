"""How good the built-in model is, in numbers: `python -m bench.builtin --data data/emoji`.

Fixed prompts and seeds. Prints a table and one JSON line, and draws a contact sheet to look at.
(a) retrieval: the share of pictures whose nearest neighbour among all pictures of all objects of the model's
vocabulary, by `bench.features`, shows the object that was asked for; (b) the background in the colour that was asked
for; (c) reconstruction by the autoencoder on pictures that were held out; (d) seconds a picture; (e) (a) in Chinese;
(f) the PSNR of pictures with step reuse, of every second and third step, against those without.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bench.features import background, describe, lab
from fromnoise.engine import library
from fromnoise.engine.generate import generate
from fromnoise.engine.library import Model
from fromnoise.engine.memory import place
from fromnoise.engine.recipe import Recipe
from fromnoise.train.autoencoder import held_out_images, psnr
from fromnoise.train.emoji import BACKGROUNDS, COLOURS, STYLES, EmojiSet, Language, Scene

LAB_DISTANCE = 15.0  # CIE 1976; neighbouring colours of the palette are further apart
TWINS = {"fluent", "3d"}  # two styles with nearly the same drawings


@dataclass(frozen=True)
class Case:
    """One picture to ask for."""

    picture: int  # the picture of the data set that it is about
    background: str
    language: Language
    seed: int

    def prompt(self, data: EmojiSet) -> str:
        picture = data.pictures[self.picture]
        name, words = data.objects[picture.object].label[self.language], STYLES[picture.style]
        if self.language == "zh":
            return f"{name}，{words[1]}风格，{BACKGROUNDS[self.background][0]}背景"
        return f"{name}, {words[0]} style, {self.background} background"


def cases(data: EmojiSet, pictures: Sequence[int], language: Language) -> list[Case]:
    """One case for each picture, with backgrounds and seeds in turn."""
    return [Case(p, COLOURS[i % len(COLOURS)], language, 1000 + i) for i, p in enumerate(pictures)]


def one_each(data: EmojiSet) -> list[int]:
    """One picture of every object of the vocabulary, styles in turn, none of them held out."""
    by_object: dict[int, list[int]] = {}
    for i in data.select(chosen=True, held_out=False):
        by_object.setdefault(data.pictures[i].object, []).append(i)
    return [pictures[i % len(pictures)] for i, pictures in enumerate(by_object.values())]


def draw(model: Model, data: EmojiSet, asked: Sequence[Case], steps: int, guidance: float) -> list[NDArray[np.uint8]]:
    """The model's answers (h w 3)."""
    recipes = [
        Recipe.make(
            prompt=case.prompt(data),
            seed=case.seed,
            width=data.size,
            height=data.size,
            steps=steps,
            guidance_scale=guidance,
        )
        for case in asked
    ]
    pictures: dict[int, NDArray[np.uint8]] = {}
    for start in range(0, len(recipes), 16):
        for made in generate(model, recipes[start : start + 16], max_batch=32):
            pictures[start + made.index] = np.asarray(made.image)
    return [pictures[i] for i in range(len(recipes))]


class Retrieval:
    """Nearest neighbours among all pictures of the vocabulary."""

    def __init__(self, data: EmojiSet) -> None:
        self.pictures = data.select(chosen=True)
        self.objects = np.array([data.pictures[p].object for p in self.pictures])
        drawn = [data.draw(Scene((p,), "white")).transpose(1, 2, 0) for p in self.pictures]
        self.features = np.stack([describe(picture) for picture in drawn])

    def ranks(self, data: EmojiSet, asked: Sequence[Case], pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.int64]:
        """For each picture the place of the asked object among all objects, from 0."""
        out = []
        for case, picture in zip(asked, pictures, strict=True):
            order = self.objects[np.argsort(-(self.features @ describe(picture)))]
            distinct = list(dict.fromkeys(order.tolist()))
            out.append(distinct.index(data.pictures[case.picture].object))
        return np.array(out)


def background_right(asked: Sequence[Case], pictures: Sequence[NDArray[np.uint8]]) -> float:
    """Share of pictures whose border is within LAB_DISTANCE of the colour that was asked for."""
    wanted = [lab(np.array([[BACKGROUNDS[case.background][1]]], np.uint8))[0, 0] for case in asked]
    distances = [np.linalg.norm(background(p) - w) for p, w in zip(pictures, wanted, strict=True)]
    return float(np.mean(np.array(distances) <= LAB_DISTANCE))


def seconds_per_picture(model: Model, data: EmojiSet, steps: int) -> float:
    """The median of five, one at a time."""
    recipe = Recipe.make(prompt="a red apple", width=data.size, height=data.size, steps=steps)
    times = []
    for _ in range(6):
        start = time.perf_counter()
        list(generate(model, [recipe]))
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


def reconstruction(model: Model, data: EmojiSet) -> float:
    """Mean PSNR in dB over the held-out pictures of the vocabulary."""
    images = held_out_images(data, data.select(chosen=True, held_out=True))
    with torch.inference_mode():
        restored = torch.cat([model.decode(model.encode(image[None])).float().cpu() for image in images])
    return psnr(restored, images)


def near_with_reuse(model: Model, data: EmojiSet, steps: int, guidance: float, every: int) -> float:
    """How near pictures with step reuse are to those without: mean PSNR in dB over 16 pictures."""
    recipes = [
        Recipe.make(
            prompt=case.prompt(data), seed=case.seed, width=data.size, height=data.size, steps=steps,
            guidance_scale=guidance,
        )
        for case in cases(data, one_each(data)[:16], "en")
    ]  # fmt: skip
    reused = [recipe.but(step_reuse={"every": every}) for recipe in recipes]
    made = [np.stack([np.asarray(one.image) for one in sorted(generate(model, asked, max_batch=32),
            key=lambda one: one.index)]) for asked in (recipes, reused)]  # fmt: skip
    exact, near = (torch.from_numpy(pictures).float() / 127.5 - 1 for pictures in made)
    return psnr(near, exact)


def sheet(pictures: Sequence[NDArray[np.uint8]], path: Path, columns: int = 16) -> None:
    """A contact sheet of the pictures, row by row."""
    size = pictures[0].shape[0]
    canvas = np.full((-(-len(pictures) // columns) * size, columns * size, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = divmod(i, columns)
        canvas[y * size : (y + 1) * size, x * size : (x + 1) * size] = picture
    Image.fromarray(canvas).save(path)


def measure(model: Model, data: EmojiSet, *, steps: int, guidance: float, limit: int, out: Path) -> dict[str, float]:
    """All figures; shares are in [0, 1]."""
    retrieval = Retrieval(data)
    held_out = data.select(chosen=True, held_out=True)
    alone = [p for p in held_out if data.pictures[p].style not in TWINS]
    out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, float] = {}
    for name, asked in (
        ("training", cases(data, one_each(data)[:limit], "en")),
        ("chinese", cases(data, one_each(data)[:limit], "zh")),
        ("held_out", cases(data, held_out[:limit], "en")),
        ("held_out_no_twin", cases(data, alone[:limit], "en")),
    ):
        pictures = draw(model, data, asked, steps, guidance)
        ranks = retrieval.ranks(data, asked, pictures)
        figures |= {f"{name}_top1": float(np.mean(ranks < 1)), f"{name}_top5": float(np.mean(ranks < 5))}
        if name == "training":
            figures["background"] = background_right(asked, pictures)
        sheet(pictures, out / f"{name}.png")
    figures["psnr"] = reconstruction(model, data)
    figures |= {f"reuse_{every}_psnr": near_with_reuse(model, data, steps, guidance, every) for every in (2, 3)}
    figures["seconds"] = seconds_per_picture(model, data, steps)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/emoji"))
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=library.BUILTIN_DEFAULTS.guidance_scale)
    parser.add_argument("--limit", type=int, default=10_000, help="at most so many pictures of each kind")
    parser.add_argument("--out", type=Path, default=Path("outputs/bench-builtin"))
    options = parser.parse_args()
    data, model = EmojiSet(options.data), library.load(options.model, place())
    figures = measure(model, data, steps=options.steps, guidance=options.guidance, limit=options.limit, out=options.out)
    targets = {
        "training_top1": ">= 0.70", "held_out_top1": ">= 0.40", "chinese_top1": "within 0.10 of training_top1",
        "background": ">= 0.85", "psnr": ">= 24", "seconds": "<= 2",
    }  # fmt: skip
    print(f"{'figure':<24}{'measured':>10}  target")
    for name, value in figures.items():
        print(f"{name:<24}{value:>10.3f}  {targets.get(name, '')}")
    print(json.dumps({"bench": "builtin", "objects": len(data.vocabulary), "steps": options.steps, **figures}))


if __name__ == "__main__":
    main()
