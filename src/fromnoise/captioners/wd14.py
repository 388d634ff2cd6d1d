"""The WD14 taggers (SmilingWolf's wd-*-tagger models): Danbooru tags with probabilities, through ONNX Runtime.

Two files: `model.onnx`, which takes float32 pictures (n h w 3), blue first, in [0, 255], and answers probabilities; and
`selected_tags.csv` with tag_id, name, category, count. Category 9 is the rating, 0 what is to be seen, 4 characters.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fromnoise.captioners import CAPTIONERS, Caption
from fromnoise.errors import FileError, UserError

MODEL, TAGS = "model.onnx", "selected_tags.csv"
Category = Literal["general", "character", "rating"]
CATEGORIES: dict[str, Category] = {"0": "general", "4": "character", "9": "rating"}
SHORT = 3  # names up to this long are faces such as >_< and keep their underscores
LEAST_CHARACTER = 0.15  # of the threshold that finds itself


@dataclass(frozen=True)
class Tag:
    name: str
    category: Category


Rating = Literal["none", "first", "last"]


@dataclass(frozen=True)
class TagRules:
    """Which tags make a caption, and how it is written; the names follow kohya's tagger."""

    threshold: float = 0.35  # of what is to be seen, in [0, 1]
    character_threshold: float = 0.85
    by_gap: bool = False  # find the thresholds at the largest gap between probabilities (MCut)
    undesired: frozenset[str] = frozenset()
    always_first: tuple[str, ...] = ()
    character_first: bool = False
    rating: Rating = "none"
    separator: str = ", "
    underscores: bool = False  # keep those in names
    replaced: dict[str, str] = field(default_factory=dict)


DEFAULT_RULES = TagRules()


@dataclass(frozen=True)
class Tagger:
    """`wd14` in the registry."""

    label = "WD14 tags"
    label_zh = "WD14 标签"

    def load(self, folder: Path, rules: TagRules = DEFAULT_RULES) -> "LoadedTagger":
        for name in (MODEL, TAGS):
            if not (folder / name).is_file():
                raise FileError(
                    f"{folder} has no {name}: put {MODEL} and {TAGS} of a WD14 tagger there, "
                    "such as SmilingWolf/wd-vit-tagger-v3"
                )
        return LoadedTagger(session(folder / MODEL), read_tags(folder / TAGS), rules)


def session(path: Path) -> Any:
    """The model, ready to run on the CPU. UserError without ONNX Runtime, FileError for a file it can't read."""
    try:
        import onnxruntime
    except ImportError:
        raise UserError("the WD14 taggers need ONNX Runtime: pip install fromnoise[caption]") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own types derive from nothing in common
        raise FileError(f"{path}: not a model that ONNX Runtime can read ({first_line(error)})") from error


def first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def read_tags(path: Path) -> list[Tag]:
    """The tags of a model, in the order of its answers. FileError where the table is not one."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [Tag(row["name"], CATEGORIES.get(row["category"], "general")) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError) as error:
        raise FileError(f"{path}: not a table with name and category ({error})") from error


class LoadedTagger:
    """A tagger with its model: pictures to captions."""

    def __init__(self, model: Any, tags: Sequence[Tag], rules: TagRules) -> None:
        self.model, self.tags, self.rules = model, tags, rules
        (given,) = model.get_inputs()
        self.input_name = given.name
        self.channels_first = given.shape[1] == 3
        self.side = int(given.shape[2])

    def __call__(self, pictures: Sequence[Image.Image]) -> list[Caption]:
        batch = np.stack([prepared(picture, self.side) for picture in pictures])
        if self.channels_first:
            batch = batch.transpose(0, 3, 1, 2)
        (answers,) = self.model.run(None, {self.input_name: np.ascontiguousarray(batch)})[:1]
        if answers.shape[-1] != len(self.tags):
            raise FileError(f"the model answers {answers.shape[-1]} numbers for {len(self.tags)} tags: other files")
        return [self.caption(row) for row in answers]

    def caption(self, probabilities: NDArray[np.float32]) -> Caption:
        """The caption of a picture from its tags' probabilities."""
        rules = self.rules
        by_category: dict[Category, dict[str, float]] = {"general": {}, "character": {}, "rating": {}}
        for tag, probability in zip(self.tags, probabilities.tolist(), strict=True):
            by_category[tag.category][tag.name] = probability
        ratings = by_category["rating"]
        rating = max(ratings, key=lambda name: ratings[name]) if ratings else None
        seen = above(by_category["general"], threshold(by_category["general"], rules.threshold, rules.by_gap))
        who = by_category["character"]
        least = threshold(who, rules.character_threshold, rules.by_gap)
        characters = above(who, max(least, LEAST_CHARACTER) if rules.by_gap else least)
        names = [*characters, *seen] if rules.character_first else [*seen, *characters]
        return Caption(written(names, rating, rules), {**seen, **characters}, rating)


def prepared(picture: Image.Image, side: int) -> NDArray[np.float32]:
    """(side side 3), blue first, in [0, 255]: on white, made square with white, then resized."""
    rgba = picture.convert("RGBA")
    length = max(rgba.size)
    square = Image.new("RGBA", (length, length), "white")
    square.alpha_composite(rgba, ((length - rgba.width) // 2, (length - rgba.height) // 2))
    resized = square.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(resized, np.float32)[..., ::-1]


def threshold(probabilities: dict[str, float], given: float, by_gap: bool) -> float:
    """The given threshold, or the middle of the largest gap: Largeron et al. (2012), "MCut"."""
    if not by_gap or len(probabilities) < 2:
        return given
    ordered = sorted(probabilities.values(), reverse=True)
    gaps = [a - b for a, b in pairwise(ordered)]
    place = gaps.index(max(gaps))
    return (ordered[place] + ordered[place + 1]) / 2


def above(probabilities: dict[str, float], least: float) -> dict[str, float]:
    found = {name: value for name, value in probabilities.items() if value >= least}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def written(names: Sequence[str], rating: str | None, rules: TagRules) -> str:
    """The tags as a caption."""
    spoken = [spelled(name, rules) for name in names]
    kept = [name for name in spoken if name not in rules.undesired and name not in rules.always_first]
    first = [name for name in rules.always_first if name in spoken]
    words = [*first, *kept]
    if rating is not None and rules.rating != "none":
        words = [rating, *words] if rules.rating == "first" else [*words, rating]
    return rules.separator.join(words)


def spelled(name: str, rules: TagRules) -> str:
    text = name if rules.underscores or len(name) <= SHORT else name.replace("_", " ")
    return rules.replaced.get(text, text)


CAPTIONERS.add("wd14", Tagger(), aliases=("wd-tagger", "tags"))
