"""The text encoder's first lessons."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fromnoise.nn.clip import CLIPConfig
from fromnoise.train.diffusion import scene_pool
from fromnoise.train.emoji import Scene, philox
from fromnoise.train.loop import LoopConfig, train
from fromnoise.train.text import Meaning, Pool, Sketch, TextTask, needed, states_at
from tests.train import tiny_emoji


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """Scenes whose "latents" are the mean colours of 8x8 squares."""
    data = tiny_emoji.make(tmp_path_factory.mktemp("emoji"))
    scenes = scene_pool(data, backgrounds=4, pairs=40, seed=0)
    squares = [data.draw(scene).reshape(3, 8, 4, 8, 4).mean(axis=(2, 4)) / 127.5 - 1 for scene in scenes]
    return Pool(data, scenes, np.stack(squares).astype(np.float16), scale=1.0)


@pytest.fixture
def task(pool: Pool) -> TextTask:
    return TextTask(pool, CLIPConfig(dim=32, layers=2, heads=2), batch=24)


def test_meaning_is_what_the_caption_says(task: TextTask) -> None:
    scene = Scene((0, 5), "light blue", "above")  # a square and a tall bar, both in the first style
    full = task.meaning(scene, "a square above a tall bar, noto style, light blue background")
    assert full == Meaning(first=0, second=1, relation=2, style=0, background=9)
    assert task.meaning(scene, "方块在竖条的上面，诺托风格，浅蓝色背景") == full
    assert task.meaning(scene, "a square above a tall bar") == Meaning(0, 1, 2, 5, 16)


def test_the_pool_draws_as_many_pairs_as_asked(pool: Pool) -> None:
    drawn = [pool.draw(philox(0, i), 0.3, 0.0)[0] for i in range(400)]
    assert 0.2 < np.mean([pool.scenes[i].relation is not None for i in drawn]) < 0.4
    assert all(pool.scenes[pool.draw(philox(1, i), 0.0, 1.0)[0]].relation is None for i in range(50))


def test_captions_are_in_the_languages_and_as_full_as_asked(pool: Pool) -> None:
    captions = [pool.draw(philox(2, i), 0.0, 0.25, 0.9)[1] for i in range(400)]
    assert 0.2 < np.mean([any(ord(c) > 0x2E80 for c in caption) for caption in captions]) < 0.3
    assert 0.85 < np.mean(["background" in caption or "背景" in caption for caption in captions]) < 0.95


def test_left_out_padding_is_as_if_it_were_not_there(task: TextTask) -> None:
    tokens = torch.tensor([task.tokenizer.encode_window(caption) for caption in ("a square", "a tall bar on black")])
    places = needed(tokens)
    assert places.tolist() == [*range(int(tokens.argmax(dim=1).max()) + 2), *range(61, 77)]
    whole = states_at(task.reader.text, tokens, torch.arange(77))
    assert torch.equal(whole, task.reader.text(tokens).last)
    some = states_at(task.reader.text, tokens, places)
    assert torch.allclose(some[:, : len(places) - 16], whole[:, : len(places) - 16], atol=1e-6)
    assert not torch.allclose(some[:, -16:], whole[:, -16:], atol=1e-3)


def test_nothing_is_left_out_of_a_full_window() -> None:
    tokens = torch.arange(77)[None]
    assert torch.equal(needed(tokens), torch.arange(77))


def test_groups_of_like_length_have_the_loss_of_the_whole_batch(pool: Pool) -> None:
    one, three = (TextTask(pool, CLIPConfig(dim=32, layers=2, heads=2), batch=24, groups=g) for g in (1, 3))
    assert three.loss(0)[1]["sketch"] == pytest.approx(one.loss(0)[1]["sketch"], rel=1e-5)


def test_each_of_the_last_tokens_foretells_its_own_square() -> None:
    sketch = Sketch(dim=8, channels=4, side=16)
    with torch.no_grad():
        sketch.head.weight.fill_(1)
        sketch.head.bias.zero_()
    states = torch.zeros(1, 77, 8)
    states[0, 77 - 16 + 6, 0] = 1  # second row, third column
    drawn = sketch(states)
    assert drawn.shape == (1, 4, 16, 16)
    assert drawn[..., 4:8, 8:12].min() == 1
    assert drawn.sum() == 4 * 16


def test_it_learns_to_read_and_to_sketch(task: TextTask, tmp_path: Path) -> None:
    before = task.loss(10_000)[1]
    train(task, LoopConfig(steps=60, learning_rate=4e-3, warmup=5, average=0.8, report_every=60), tmp_path)
    after = task.loss(10_000)[1]
    assert after["read"] < 0.75 * before["read"]
    assert after["sketch"] < 0.75 * before["sketch"]
    assert set(task.report(60, task.module, tmp_path)) == {
        *("objects_en", "all_en", "sketch_en"),
        *("objects_zh", "all_zh", "sketch_zh"),
    }
