"""How pictures came about, kept in files: a folder for each job that was asked to tell. Needs no torch.

    traces/JOB/trace.json           the steps: noise level, words
    traces/JOB/00007-predicted.webp, -noisy.png, -noise.png, -channels.png, -attention.png

Channels and words lie below each other in one picture; `Traces.image` takes one out.
"""

import io
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from fromnoise.errors import FileError

Part = Literal["predicted", "noisy", "noise", "channels", "attention"]
SUFFIXES: dict[Part, str] = {"predicted": ".webp", "noisy": ".png", "noise": ".png", "channels": ".png",
                             "attention": ".png"}  # fmt: skip
QUALITY = 88
DAY = 86_400.0


@dataclass(frozen=True)
class TracedStep:
    """One evaluation of the model."""

    index: int
    sigma: float
    width: int  # of a channel
    height: int
    channels: int
    words: tuple[str, ...] = ()
    map_width: int = 0  # of a word's attention
    map_height: int = 0


@dataclass(frozen=True)
class Traces:
    """A folder of traces."""

    folder: Path

    def write(self, job: str, step: TracedStep, images: Mapping[Part, Sequence[Image.Image]]) -> None:
        """Keep a step, in place of one of the same number. OSError."""
        place = self.folder / job
        place.mkdir(parents=True, exist_ok=True)
        for part, stacked in images.items():
            if stacked:
                replaced(place / named(step.index, part), encoded(below(stacked), part))
        steps = {one.index: one for one in self.steps(job)} | {step.index: step}
        content = {"steps": [asdict(steps[index]) for index in sorted(steps)]}
        replaced(place / "trace.json", json.dumps(content, ensure_ascii=False).encode())

    def steps(self, job: str) -> list[TracedStep]:
        """What was kept of a job; nothing where nothing was."""
        try:
            content: dict[str, Any] = json.loads((self.folder / job / "trace.json").read_bytes())
        except (OSError, ValueError):
            return []
        return [TracedStep(**{**step, "words": tuple(step["words"])}) for step in content["steps"]]

    def image(self, job: str, index: int, part: Part, number: int = 0) -> tuple[str, bytes]:
        """Media type and bytes of a picture; of stacked ones, that number. FileError where there is none."""
        step = next((one for one in self.steps(job) if one.index == index), None)
        path = self.folder / job / named(index, part)
        if step is None or not path.is_file():
            raise FileError("nothing was kept of that step")
        if part in ("predicted", "noisy", "noise"):
            return f"image/{SUFFIXES[part][1:]}", path.read_bytes()
        tall, count = (step.height, step.channels) if part == "channels" else (step.map_height, len(step.words))
        if not 0 <= number < count:
            raise FileError(f"there are {count} of them, counted from 0")
        with Image.open(path) as image:
            one = image.crop((0, tall * number, image.width, tall * (number + 1)))
        return "image/png", encoded(one, part)

    def forget(self, job: str) -> None:
        shutil.rmtree(self.folder / job, ignore_errors=True)

    def tidy(self, days: float) -> None:
        """Forget what is older."""
        with suppress(OSError):
            for place in self.folder.iterdir():
                if place.stat().st_mtime < time.time() - days * DAY:
                    self.forget(place.name)


def named(index: int, part: Part) -> str:
    return f"{index:05}-{part}{SUFFIXES[part]}"


def below(images: Sequence[Image.Image]) -> Image.Image:
    """One below the other, all of the same size."""
    first = images[0]
    whole = Image.new(first.mode, (first.width, first.height * len(images)))
    for number, image in enumerate(images):
        whole.paste(image, (0, number * first.height))
    return whole


def encoded(image: Image.Image, part: Part) -> bytes:
    buffer = io.BytesIO()
    if SUFFIXES[part] == ".webp":
        image.save(buffer, "WEBP", quality=QUALITY)
    else:
        image.save(buffer, "PNG")
    return buffer.getvalue()


def replaced(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    os.replace(part, path)
