"""How what was learnt is measured: edges of a picture beside those of its hint, and pictures lost and won."""

import numpy as np
import pytest

from bench.train import Judge, agreement, edges, measure
from fromnoise.engine.library import Model


def square(left: int, size: int = 64) -> np.ndarray:
    pixels = np.full((size, size, 3), 255, np.uint8)
    pixels[16:48, left : left + 24] = (200, 30, 30)
    return pixels


def test_edges_agree_with_themselves_and_within_a_pixel() -> None:
    hint = edges(square(16))
    assert 80 < hint.sum() < 260
    assert agreement(hint, hint) == 1
    assert agreement(hint, edges(square(17))) == 1
    assert agreement(hint, edges(square(26))) < 0.7
    assert agreement(hint, np.zeros_like(hint)) == 0
    assert agreement(hint, np.ones_like(hint)) < 0.5  # everything is no answer


class Counted(Judge):
    """Of four pictures the model drew three before, and three others after."""

    def __init__(self) -> None:
        pass

    def base(self, count: int) -> tuple[float, np.ndarray]:  # type: ignore[override]
        return 0.0, np.array([True, True, True, False])

    def learnt(self, model: Model, before: str, count: int) -> tuple[float, list[np.ndarray]]:
        return 0.75, [square(16)]

    def right(self, model: Model, before: str) -> tuple[np.ndarray, list[np.ndarray]]:
        return np.array([True, False, True, True]), [square(16)]


def test_what_is_kept_is_told_with_what_was_lost_and_won(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.train.placed", lambda *_: None)
    figures = measure("lora", Counted(), tmp_path, 1, train=False)  # type: ignore[arg-type]
    assert figures == {"learnt_before": 0.0, "learnt": 0.75, "base_before": 0.75, "base_after": 0.75, "kept": 1.0,
                       "lost": 1, "won": 1}  # fmt: skip
