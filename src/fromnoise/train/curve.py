"""The loss of a run, and below it the learning rate, as a picture."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

WIDTH, HEIGHT, LOWER, MARGIN = 960, 480, 200, 56
INK, PAPER, RAW, SMOOTH, GRID, HELD_OUT = "#222222", "#ffffff", "#b9d4ee", "#1f6fb4", "#e6e6e6", "#d1495b"

Points = list[tuple[int, float]]


def read_figures(log: Path, name: str) -> Points:
    """(step, figure) of every line of a log that has it."""
    lines = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines())
    return [(line["step"], line[name]) for line in lines if name in line]


def read_losses(log: Path) -> Points:
    return read_figures(log, "loss")


def smoothed(values: list[float], weight: float = 0.9) -> list[float]:
    """Exponential moving average, corrected for its start (Kingma and Ba, 2015, section 3)."""
    out, mean = [], 0.0
    for i, value in enumerate(values, 1):
        mean = weight * mean + (1 - weight) * value
        out.append(mean / (1 - weight**i))
    return out


def draw_curve(log: Path, path: Path) -> None:
    """Write a PNG: the losses in `log` with their moving average, and the loss on what is held out as red points;
    the axis is logarithmic. Below it the learning rate, where the log has it."""
    losses, rates = read_losses(log), read_figures(log, "lr")
    if len(losses) < 2:
        return
    held_out = read_figures(log, "held_out_loss")
    image = Image.new("RGB", (WIDTH, HEIGHT + (LOWER if len(rates) > 1 else 0)), PAPER)
    canvas = ImageDraw.Draw(image)
    means = list(zip([s for s, _ in losses], smoothed([v for _, v in losses]), strict=True))
    panel(canvas, 0, HEIGHT, "loss", [(losses, RAW), (means, SMOOTH)], held_out, logarithmic=True)
    if len(rates) > 1:
        panel(canvas, HEIGHT, LOWER, "learning rate", [(rates, SMOOTH)])
    image.save(path)


def panel(
    canvas: ImageDraw.ImageDraw, top: int, height: int, name: str, lines: Sequence[tuple[Points, str]],
    dots: Points = [], *, logarithmic: bool = False,  # noqa: B006
) -> None:  # fmt: skip
    """One pair of axes with some lines in it."""

    def scaled(value: float) -> float:
        return math.log(max(value, 1e-9)) if logarithmic else value

    points = [*lines[0][0], *dots]
    steps = [step for step, _ in points]
    heights = [scaled(value) for _, value in points]
    first, last, low, high = min(steps), max(steps), min(heights), max(heights) + 1e-9

    def place(step: float, value: float) -> tuple[float, float]:
        x = MARGIN + (WIDTH - 2 * MARGIN) * (step - first) / max(1, last - first)
        y = top + height - MARGIN - (height - 2 * MARGIN) * (scaled(value) - low) / (high - low)
        return x, y

    for i in range(5):
        level, step = low + (high - low) * i / 4, first + (last - first) * i / 4
        value = math.exp(level) if logarithmic else level
        y, x = top + height - MARGIN - (height - 2 * MARGIN) * i / 4, place(step, 1)[0]
        canvas.line([(MARGIN, y), (WIDTH - MARGIN, y)], fill=GRID)
        canvas.text((6, y - 6), f"{value:.3g}", fill=INK)
        canvas.text((x - 12, top + height - MARGIN + 8), f"{step:,.0f}", fill=INK)
    for index, (line, colour) in enumerate(lines):
        canvas.line([place(*point) for point in line], fill=colour, width=1 + (index > 0 or len(lines) == 1))
    for x, y in (place(*point) for point in dots):
        canvas.ellipse((x - 3, y - 3, x + 3, y + 3), fill=HELD_OUT)
    canvas.text((WIDTH // 2 - 20, top + height - 24), "step", fill=INK)
    canvas.text((6, top + 8), name, fill=INK)
