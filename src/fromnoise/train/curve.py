"""The loss of a run as a picture."""

import json
import math
from pathlib import Path

from PIL import Image, ImageDraw

WIDTH, HEIGHT, MARGIN = 960, 480, 56
INK, PAPER, RAW, SMOOTH, GRID = "#222222", "#ffffff", "#b9d4ee", "#1f6fb4", "#e6e6e6"


def read_losses(log: Path) -> list[tuple[int, float]]:
    """(step, loss) of every line of a log that has a loss."""
    lines = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines())
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def smoothed(values: list[float], weight: float = 0.9) -> list[float]:
    """Exponential moving average, corrected for its start (Kingma and Ba, 2015, section 3)."""
    out, mean = [], 0.0
    for i, value in enumerate(values, 1):
        mean = weight * mean + (1 - weight) * value
        out.append(mean / (1 - weight**i))
    return out


def draw_curve(log: Path, path: Path) -> None:
    """Write the losses in `log`, and their moving average, as a PNG; the loss axis is logarithmic."""
    points = read_losses(log)
    if len(points) < 2:
        return
    steps, losses = [step for step, _ in points], [max(loss, 1e-9) for _, loss in points]
    low, high = math.log(min(losses)), math.log(max(losses)) + 1e-9

    def place(step: float, loss: float) -> tuple[float, float]:
        x = MARGIN + (WIDTH - 2 * MARGIN) * (step - steps[0]) / (steps[-1] - steps[0])
        return x, HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (math.log(loss) - low) / (high - low)

    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    canvas = ImageDraw.Draw(image)
    for i in range(5):
        loss, step = math.exp(low + (high - low) * i / 4), steps[0] + (steps[-1] - steps[0]) * i / 4
        y, x = place(steps[0], loss)[1], place(step, losses[0])[0]
        canvas.line([(MARGIN, y), (WIDTH - MARGIN, y)], fill=GRID)
        canvas.text((6, y - 6), f"{loss:.3g}", fill=INK)
        canvas.text((x - 12, HEIGHT - MARGIN + 8), f"{step:,.0f}", fill=INK)
    canvas.line([place(s, v) for s, v in zip(steps, losses, strict=True)], fill=RAW)
    canvas.line([place(s, v) for s, v in zip(steps, smoothed(losses), strict=True)], fill=SMOOTH, width=2)
    canvas.text((WIDTH // 2 - 20, HEIGHT - 24), "step", fill=INK)
    canvas.text((6, 8), "loss", fill=INK)
    image.save(path)
