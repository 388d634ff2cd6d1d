"""The loss curve is drawn from the log and falls where the loss falls."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.train.curve import draw_curve, read_losses, smoothed


def test_curve_of_a_falling_loss_falls(tmp_path: Path) -> None:
    log, path = tmp_path / "log.jsonl", tmp_path / "loss.png"
    lines = [{"step": 20 * i, "loss": 2.0 * 0.9**i} for i in range(1, 40)] + [{"step": 780, "held_out_psnr": 20.0}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    draw_curve(log, path)
    blue = np.all(np.asarray(Image.open(path)) == (0x1F, 0x6F, 0xB4), axis=-1)
    heights = [np.nonzero(blue[:, x])[0].mean() for x in range(100, 860, 40)]
    assert heights == sorted(heights)
    assert len(read_losses(log)) == 39


def test_smoothing_starts_without_bias() -> None:
    assert smoothed([3.0, 3.0, 3.0]) == pytest.approx([3.0, 3.0, 3.0])


def test_a_log_of_one_line_draws_nothing(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 1.0}\n')
    draw_curve(tmp_path / "log.jsonl", tmp_path / "loss.png")
    assert not (tmp_path / "loss.png").exists()
