"""The text encoder's first lessons."""

from pathlib import Path

import pytest

from fromnoise.nn.clip import CLIPConfig
from fromnoise.train.emoji import EmojiSet, Scene
from fromnoise.train.loop import LoopConfig, train
from fromnoise.train.text import Meaning, TextTask
from tests.train import tiny_emoji


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> TextTask:
    data: EmojiSet = tiny_emoji.make(tmp_path_factory.mktemp("emoji"))
    return TextTask(data, CLIPConfig(dim=32, layers=2, heads=2), batch=24)


def test_meaning_is_what_the_caption_says(task: TextTask) -> None:
    scene = Scene((0, 5), "light blue", "above")  # a square and a tall bar, both in the first style
    full = task.meaning(scene, "a square above a tall bar, noto style, light blue background")
    assert full == Meaning(first=0, second=1, relation=2, style=0, background=9)
    assert task.meaning(scene, "方块在竖条的上面，诺托风格，浅蓝色背景") == full
    assert task.meaning(scene, "a square above a tall bar") == Meaning(0, 1, 2, 5, 16)


def test_it_learns_in_both_languages(task: TextTask, tmp_path: Path) -> None:
    before = float(task.loss(0)[0].detach())
    train(task, LoopConfig(steps=40, learning_rate=4e-3, warmup=5, average=0.8, report_every=100), tmp_path)
    assert float(task.loss(10_000)[0].detach()) < 0.75 * before
    assert set(task.report(40, task.module, tmp_path)) == {"objects_en", "all_en", "objects_zh", "all_zh"}
