"""What the built-in model learns, and how fast: `python -m bench.train --data data/emoji [METHOD ...]`.

Each method runs the command of its script in `examples/`, on pictures of an object that the model does not know, and
what came out is measured. Prints a table and one JSON line.
learnt: of pictures of the new object, in all styles and on backgrounds that were and were not trained on, the share
whose nearest neighbour among all pictures of the vocabulary and of the new object, by `bench.features`, shows it.
kept: the share of the base vocabulary's pictures that come out right with what was learnt in place and the new word
not said, in relation to the same share before; lost and won are the pictures that are right only before, or only
afterwards. edges: of a ControlNet or a T2I-Adapter, how many edges of the hint are in the picture
(F1 within a pixel), with it and without.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.builtin import Case, Retrieval, one_each, sheet
from bench.features import describe
from fromnoise.engine import library
from fromnoise.engine.generate import generate
from fromnoise.engine.library import Model
from fromnoise.engine.memory import place
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.references import ImageRef
from fromnoise.settings import Settings
from fromnoise.train.emoji import BACKGROUNDS, COLOURS, STYLES, EmojiSet, Scene

OBJECT, WORD = "1F361", "dango"
Pixels = NDArray[np.uint8]
ROOT = Path(__file__).parents[1]
DATA = ROOT / "examples/data"


@dataclass(frozen=True)
class Lesson:
    """A method, its script, and how what came out of it is used."""

    script: str
    before: str = ""  # said before the prompt
    model: str = "builtin"
    target: str = ""


LESSONS = {
    "lora": Lesson("train_lora.sh", f"<lora:{WORD}:1> ", target="learnt >= 0.80, kept >= 0.95, < 300 s"),
    "dreambooth": Lesson("train_dreambooth.sh", model=WORD, target="learnt >= 0.80, kept >= 0.90"),
    "embedding": Lesson("train_embedding.sh", target="learnt above before"),
    "hypernetwork": Lesson("train_hypernetwork.sh", f"<hypernet:{WORD}:1> ", target="learnt above before"),
    "controlnet": Lesson("train_controlnet.sh", target="edges above without"),
    "t2i-adapter": Lesson("train_t2i_adapter.sh", target="edges above without"),
}
CONTROLS = ("controlnet", "t2i-adapter")


def drawn(model: Model, prompts: Sequence[str], seed: int, **more: object) -> list[Pixels]:
    """A picture for each prompt."""
    side, scale = library.BUILTIN_DEFAULTS.size, library.BUILTIN_DEFAULTS.guidance_scale
    recipes = [
        Recipe.make(prompt=prompt, seed=seed + i, width=side, height=side, steps=16, guidance_scale=scale, **more)
        for i, prompt in enumerate(prompts)
    ]
    pictures: dict[int, Pixels] = {}
    for start in range(0, len(recipes), 16):
        for made in generate(model, recipes[start : start + 16], max_batch=32):
            pictures[start + made.index] = np.asarray(made.image)
    return [pictures[i] for i in range(len(recipes))]


class Judge:
    """Nearest neighbours among the vocabulary's pictures and those of the new object."""

    def __init__(self, data: EmojiSet, base: int) -> None:
        self.data, self.retrieval = data, Retrieval(data)
        self.new = [i for i, p in enumerate(data.pictures) if data.objects[p.object].hexcode == OBJECT]
        own = [data.draw(Scene((p,), "white")).transpose(1, 2, 0) for p in self.new]
        self.objects = np.array([*self.retrieval.objects, *(data.pictures[p].object for p in self.new)])
        self.features = np.stack([*self.retrieval.features, *(describe(picture) for picture in own)])
        every = one_each(data)
        chosen = every[:: max(1, len(every) // base)][:base]
        self.cases = [Case(p, COLOURS[i % len(COLOURS)], "en", 1000 + i) for i, p in enumerate(chosen)]

    @cache  # noqa: B019
    def base(self, count: int) -> tuple[float, NDArray[np.bool_]]:
        """Of the model as it was: how often it draws the new object, and what of its vocabulary it draws right."""
        model = library.load("builtin", place())
        return self.learnt(model, "", count)[0], self.right(model, "")[0]

    def nearest(self, picture: Pixels) -> int:
        return int(self.objects[int(np.argmax(self.features @ describe(picture)))])

    def learnt(self, model: Model, before: str, count: int) -> tuple[float, list[Pixels]]:
        """The share of pictures of the new object that show it."""
        styles, grounds = list(STYLES), list(BACKGROUNDS)
        prompts = [
            f"{before}{WORD}, {STYLES[styles[i % len(styles)]][0]} style, {grounds[(5 * i) % len(grounds)]} background"
            for i in range(count)
        ]
        wanted = self.data.pictures[self.new[0]].object
        pictures = drawn(model, prompts, 5000)
        return float(np.mean([self.nearest(p) == wanted for p in pictures])), pictures

    def right(self, model: Model, before: str) -> tuple[NDArray[np.bool_], list[Pixels]]:
        """Which of the vocabulary's pictures show what was asked for."""
        pictures = drawn(model, [before + case.prompt(self.data) for case in self.cases], 1000)
        wanted = [self.data.pictures[case.picture].object for case in self.cases]
        return np.array([self.nearest(p) == w for p, w in zip(pictures, wanted, strict=True)]), pictures


def vocabulary(data: EmojiSet, folder: Path) -> Path:
    """A picture of every object of the vocabulary, with what is said of it, for control networks."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(one_each(data)):
        ground = COLOURS[number % len(COLOURS)]
        pixels = data.draw(Scene((picture,), ground)).transpose(1, 2, 0)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
        name = data.objects[data.pictures[picture].object].label["en"]
        (folder / f"{number:03d}.txt").write_text(f"{name}, {ground} background", encoding="utf-8")
    return folder


def trained(lesson: Lesson, data: EmojiSet, out: Path) -> tuple[float, float]:
    """Run the example in the folder `out`; seconds by the clock, and of processors."""
    out.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "FROMNOISE": f"{sys.executable} -m fromnoise", "DATA": str(DATA)}
    if lesson in (LESSONS[name] for name in CONTROLS):
        environment["PICTURES"] = str(vocabulary(data, out / "pictures"))
    began, used = time.monotonic(), os.times()
    subprocess.run(["bash", str(ROOT / "examples" / lesson.script)], cwd=out, env=environment, check=True)
    after = os.times()
    processor = (after.children_user + after.children_system) - (used.children_user + used.children_system)
    return time.monotonic() - began, processor


def placed(lesson: Lesson, out: Path) -> Model:
    """The model as it is used afterwards, with the shelves of `out`."""
    return library.load(lesson.model, place(), settings=Settings(models=(out / "models",)))


def edges(picture: Pixels) -> NDArray[np.bool_]:
    """Canny's edges, as the hints have them."""
    from fromnoise.preprocessors import PREPROCESSORS

    found = np.asarray(PREPROCESSORS["canny"](picture, resolution=picture.shape[0]))
    mask: NDArray[np.bool_] = (found if found.ndim == 2 else found[..., 0]) > 127
    return mask


def widened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """By a pixel on all sides."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    shifts = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    grown: NDArray[np.bool_] = np.any(shifts, axis=0)
    return grown


def agreement(hint: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    """F1 of two sets of edges, within a pixel."""
    precision = float((found & widened(hint)).sum() / max(1, found.sum()))
    recall = float((hint & widened(found)).sum() / max(1, hint.sum()))
    return 2 * precision * recall / max(1e-9, precision + recall)


def controlled(name: str, judge: Judge, out: Path, count: int) -> dict[str, float]:
    """How well a control network is followed: hints of pictures under prompts that do not name the object."""
    model, data = placed(LESSONS[name], out), judge.data
    chosen = data.select(chosen=True, held_out=True)[:count]
    hints = [edges(data.draw(Scene((p,), "white")).transpose(1, 2, 0)) for p in chosen]
    prompts = [f"{COLOURS[i % len(COLOURS)]} background" for i in range(len(chosen))]
    folder = out / "hints"
    folder.mkdir(exist_ok=True)
    followed = []
    for number, (hint, prompt) in enumerate(zip(hints, prompts, strict=True)):
        path = folder / f"{number}.png"
        Image.fromarray((np.repeat(hint[..., None], 3, 2) * 255).astype(np.uint8)).save(path)
        steered = {"model": "canny", "image": ImageRef.of(path).model_dump(), "preprocessor": "none"}
        followed += drawn(model, [prompt], 7000 + number, controls=[steered])
    free = [picture for n, prompt in enumerate(prompts) for picture in drawn(model, [prompt], 7000 + n)]
    sheet([np.repeat(h[..., None], 3, 2).astype(np.uint8) * 255 for h in hints] + followed + free, out / f"{name}.png")
    return {
        "edges_with": float(np.mean([agreement(h, edges(p)) for h, p in zip(hints, followed, strict=True)])),
        "edges_without": float(np.mean([agreement(h, edges(p)) for h, p in zip(hints, free, strict=True)])),
    }


def measure(name: str, judge: Judge, out: Path, count: int, *, train: bool) -> dict[str, float]:
    """All figures of a method."""
    lesson, figures = LESSONS[name], dict[str, float]()
    if train:
        figures["seconds"], figures["processor_seconds"] = trained(lesson, judge.data, out)
    if name in CONTROLS:
        return figures | controlled(name, judge, out, count)
    model = placed(lesson, out)
    figures["learnt_before"], was = judge.base(count)
    figures["learnt"], new = judge.learnt(model, lesson.before, count)
    now, old = judge.right(model, lesson.before)
    figures |= {"base_before": float(was.mean()), "base_after": float(now.mean()),
                "kept": float(now.mean() / max(was.mean(), 1e-9)), "lost": int((was & ~now).sum()),
                "won": int((now & ~was).sum())}  # fmt: skip
    sheet([*new, *old], out / f"{name}.png")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=", ".join(LESSONS))
    parser.add_argument("--data", type=Path, default=Path("data/emoji"))
    parser.add_argument("--out", type=Path, default=Path("outputs/bench-train"))
    parser.add_argument("--count", type=int, default=40, help="pictures of the new object")
    parser.add_argument("--base", type=int, default=10_000, help="at most so many objects of the vocabulary")
    parser.add_argument("--no-train", action="store_true", help="measure what is in --out")
    options = parser.parse_args()
    if unknown := [name for name in options.methods if name not in LESSONS]:
        parser.error(f"unknown method {unknown[0]}; there are {', '.join(LESSONS)}")
    judge = Judge(EmojiSet(options.data), options.base)
    for name in options.methods or list(LESSONS):
        out = options.out.resolve() / name
        figures = measure(name, judge, out, options.count, train=not options.no_train)
        print(f"{name}: {LESSONS[name].target}")
        for key, value in figures.items():
            print(f"  {key:<20}{value:>10.3f}")
        print(
            json.dumps({"bench": "train", "method": name, **{k: round(v, 4) for k, v in figures.items()}}), flush=True
        )


if __name__ == "__main__":
    main()
