"""Cuts around faces whose place the name of a picture tells."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from fromnoise.train.data.batches import Item
from fromnoise.train.data.buckets import Fit
from fromnoise.train.data.faces import Face, around, face_of
from fromnoise.train.data.openers import varies
from fromnoise.train.data.pictures import seen
from fromnoise.train.data.source import Example, Subset


def test_names_tell_of_faces() -> None:
    assert face_of(Path("a/girl_01_512_300_180_200.png")) == Face((512, 300), (180, 200))
    for name in ("girl.png", "girl_01.png", "1_2_3_4.png", "girl_512_300_180_x.png", "girl_512_300_0_0.png"):
        assert face_of(Path(name)) is None, name


@pytest.mark.parametrize("seed", range(20))
def test_the_face_is_in_the_middle_and_as_large_as_asked(seed: int) -> None:
    face = Face((400, 300), (100, 80))
    (width, height), (left, top) = around(face, (800, 800), (128, 128), (2.0, 2.0), Random(seed))
    scale = width / 800
    assert 128 / (100 * scale) == pytest.approx(2, rel=0.01)
    assert height == width
    assert left + 64 == pytest.approx(400 * scale, abs=1)
    assert top + 64 == pytest.approx(300 * scale, abs=1)


def test_it_is_varied_within_bounds_and_never_leaves_the_picture() -> None:
    face, scales, places = Face((780, 20), (100, 80)), set(), set()
    for seed in range(50):
        resized, corner = around(face, (800, 600), (128, 96), (1.5, 4.0), Random(seed), anywhere=True)
        assert 1.5 - 0.05 <= 96 / (100 * resized[0] / 800) <= 4.05
        assert all(0 <= c <= r - b for c, r, b in zip(corner, resized, (128, 96), strict=True))
        scales.add(resized)
        places.add(corner)
    assert min(len(scales), len(places)) > 25


def test_a_picture_is_not_enlarged_for_a_small_face_but_covers_its_bucket() -> None:
    tiny = Face((50, 50), (4, 4))
    assert around(tiny, (200, 200), (64, 64), (1.0, 1.0), Random(0))[0] == (200, 200)
    assert around(tiny, (32, 32), (64, 64), (1.0, 1.0), Random(0))[0] == (64, 64)


def test_a_picture_is_seen_around_its_face(tmp_path: Path) -> None:
    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[130:170, 230:270] = 255  # the face
    path = tmp_path / "girl_1_250_150_40_40.png"
    Image.fromarray(pixels).save(path)
    fit = Fit((64, 64), (96, 64))
    plain = seen(Example(path, "", Subset()), fit, Random(0))
    rules = Subset(face_crop_aug_range="1.6,1.6")  # type: ignore[arg-type]
    found = seen(Example(path, "", rules), fit, Random(0))
    assert found.pixels.shape == (3, 64, 64)
    bright = (found.pixels[0] > 0).nonzero()
    assert len(bright) == pytest.approx(40 * 40, rel=0.1)
    assert bright.float().mean(0).tolist() == pytest.approx([31.5, 31.5], abs=1)
    assert (plain.pixels[0] > 0).sum() < 300
    assert found.cut.original == (300, 200)
    assert varies(Item(Example(path, "", rules), fit))
