"""What a run tells on its way: one JSON line every so many steps, and TensorBoard's events where it is installed."""

import json
import logging
import math
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LOG = logging.getLogger(__name__)
DIGITS = 9  # significant ones: a float32 is known by them


class Log:
    """Means over the last steps; the steps a resumed run will repeat are cut off."""

    def __init__(self, path: Path, step: int, *, board: Path | None = None) -> None:
        self.path, self.board = path, events(board, step)
        self.sums: dict[str, float] = {}
        self.count, self.since = 0, time.monotonic()
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        path.write_text("".join(f"{line}\n" for line in lines if step_of(line) <= step), encoding="utf-8")

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1

    def write(self, step: int, **last: float) -> None:
        """The means since the last line, and `last` as they are."""
        seconds = time.monotonic() - self.since
        means = {name: value / self.count for name, value in self.sums.items()}
        self.note(step, {**means, **last, "steps_per_second": self.count / seconds})
        self.sums, self.count, self.since = {}, 0, time.monotonic()

    def note(self, step: int, figures: Mapping[str, float]) -> None:
        if not figures:
            return
        line = json.dumps({"step": step, **{name: shortened(value) for name, value in figures.items()}})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, flush=True)
        for name, value in figures.items() if self.board else ():
            self.board.add_scalar(name, value, step)

    def picture(self, step: int, name: str, path: Path) -> None:
        """A picture for TensorBoard."""
        if self.board:
            import numpy as np
            from PIL import Image

            with Image.open(path) as image:
                self.board.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        if self.board:
            self.board.close()


class Silent(Log):
    """Of the processes that are not the first."""

    def __init__(self) -> None:
        self.board, self.sums, self.count, self.since = None, {}, 0, time.monotonic()

    def write(self, step: int, **last: float) -> None:
        self.sums, self.count = {}, 0

    def note(self, step: int, figures: Mapping[str, float]) -> None:
        pass


def events(folder: Path | None, step: int) -> Any:
    """TensorBoard's writer, what was written after `step` being forgotten; None where it is not installed."""
    if folder is None:
        return None
    if find_spec("tensorboard") is None:
        LOG.warning("TensorBoard is not installed, so its events are not written: pip install tensorboard")
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1)


def step_of(line: str) -> float:
    """That of a line of a log; of one that was cut off by a power cut, after all others."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def shortened(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
