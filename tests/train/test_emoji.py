"""Scenes and captions: what is drawn is what is said, and what is held out is never seen."""

from pathlib import Path

import numpy as np
import pytest

from fromnoise.errors import FileError
from fromnoise.train.diffusion import scene_pool
from fromnoise.train.emoji import BACKGROUNDS, EmojiSet, Scene, philox, random_scene
from tests.train import tiny_emoji


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> EmojiSet:
    return tiny_emoji.make(tmp_path_factory.mktemp("emoji"))


def test_one_object_on_its_background(data: EmojiSet) -> None:
    drawn = data.draw(Scene((0,), "navy"))
    assert drawn.shape == (3, 32, 32)
    assert tuple(drawn[:, 0, 0]) == BACKGROUNDS["navy"][1]
    assert tuple(drawn[:, 16, 16]) == tuple(data.images[0, 16, 16, :3])


@pytest.mark.parametrize(("relation", "first", "second"), [("left", (16, 8), (16, 24)), ("above", (8, 16), (24, 16))])
def test_two_objects_stand_as_said(
    data: EmojiSet, relation: str, first: tuple[int, int], second: tuple[int, int]
) -> None:
    drawn = data.draw(Scene((0, 5), "white", relation))  # type: ignore[arg-type]
    assert np.abs(drawn[:, *first].astype(int) - data.images[0, 16, 16, :3]).max() <= 1
    assert np.abs(drawn[:, *second].astype(int) - data.images[5, 16, 16, :3]).max() <= 1


def test_captions_name_the_objects_and_nothing_false(data: EmojiSet) -> None:
    said = set()
    for i in range(300):
        rng = philox(0, i)
        scene = random_scene(data, data.select(chosen=True, held_out=False), rng, pairs=0.5)
        text = data.caption(scene, rng, "en" if i % 2 else "zh")
        for picture in scene.pictures:
            assert data.objects[data.pictures[picture].object].label["en" if i % 2 else "zh"] in text
        named = [name for name in BACKGROUNDS if f"{name} background" in text and f"light {name}" not in text]
        assert named in ([], [scene.background])
        said.add(bool(named))
    assert said == {True, False}


def test_reversed_relations_keep_the_meaning(data: EmojiSet) -> None:
    scene = Scene((0, 5), "white", "left")
    texts = {data.caption(scene, philox(1, i), "en") for i in range(60)}
    left = [t for t in texts if "square to the left of a tall bar" in t]
    right = [t for t in texts if "tall bar to the right of a square" in t]
    assert left
    assert right
    assert len(left) + len(right) >= len([t for t in texts if "shape" not in t])


def test_held_out_pairs_and_other_objects_are_in_no_scene(data: EmojiSet) -> None:
    pool = scene_pool(data, backgrounds=16, pairs=200, seed=0)
    seen = {p for scene in pool for p in scene.pictures}
    assert seen == set(data.select(chosen=True, held_out=False))
    assert 7 not in seen
    assert len(pool) == 14 * 16 + 200


def test_equal_keys_draw_equal_scenes(data: EmojiSet) -> None:
    assert scene_pool(data, backgrounds=3, pairs=9, seed=4) == scene_pool(data, backgrounds=3, pairs=9, seed=4)
    assert scene_pool(data, backgrounds=3, pairs=9, seed=4) != scene_pool(data, backgrounds=3, pairs=9, seed=5)


def test_a_missing_data_set_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"make it with tools/emoji_dataset\.py"):
        EmojiSet(tmp_path / "none")
