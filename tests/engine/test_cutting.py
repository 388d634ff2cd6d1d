"""Pictures cut to what a model learns from."""

import itertools

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pydantic import ValidationError

from fromnoise.engine.cutting import cut, suiting
from fromnoise.engine.recipe_cut import Cut


def names(image: Image.Image, wanted: Cut) -> list[tuple[str, tuple[int, int]]]:
    return [(name, part.size) for name, part in cut(image, wanted)]


@pytest.mark.parametrize("turned", [False, True])
def test_a_long_picture_becomes_parts_that_overlap_and_cover_it(turned: bool) -> None:
    values = np.tile(np.linspace(0, 255, 400)[:, None], (1, 64)).astype(np.uint8)
    long = Image.fromarray(np.ascontiguousarray(values.T) if turned else values)
    parts = [np.asarray(part).astype(int) for _, part in cut(long, Cut(width=128, height=128, split=True))]
    assert [part.shape for part in parts] == [(128, 128)] * 8  # (800 - 25.6) / 102.4 = 7.6 parts of 128
    lines = [part[0] if turned else part[:, 0] for part in parts]
    assert lines[0][0] <= 1
    assert lines[-1][-1] >= 254
    assert all(after[0] < before[-1] for before, after in itertools.pairwise(lines))


def test_a_picture_that_is_hardly_longer_is_left_whole() -> None:
    wanted = Cut(width=128, height=128, split=True)
    assert names(Image.new("RGB", (100, 190)), wanted) == [("", (100, 190))]
    assert len(names(Image.new("RGB", (100, 210)), wanted)) > 1
    assert len(names(Image.new("RGB", (100, 190)), wanted.model_copy(update={"threshold": 0.6}))) > 1


@pytest.mark.parametrize("at", [30, 270])
@pytest.mark.parametrize("size", [(400, 100), (100, 400)])
def test_what_draws_the_eye_is_in_what_is_cut_out(at: int, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "grey")
    corner = (at, 20) if size[0] > size[1] else (20, at)
    ImageDraw.Draw(image).rectangle((*corner, corner[0] + 60, corner[1] + 60), fill="white")
    ((_, part),) = cut(image, Cut(width=128, height=128, focal=True))
    assert part.size == (128, 128)
    white = (np.asarray(part)[..., 0] > 240).sum()
    assert white > 0.9 * (61 * 1.28) ** 2


def test_a_flat_picture_is_cut_in_the_middle() -> None:
    ((_, part),) = cut(Image.new("L", (300, 100), 7), Cut(width=64, height=64, focal=True))
    assert part.size == (64, 64)


@pytest.mark.parametrize(
    ("size", "more", "expected"),
    [
        ((1000, 1000), {}, (640, 640)),
        ((1600, 900), {}, (768, 448)),
        ((1600, 900), {"largest": 300_000, "prefer": "proportions"}, (704, 384)),
        ((900, 1600), {}, (448, 768)),
        ((4000, 300), {}, None),
    ],
)
def test_a_size_that_suits_the_proportions(size: tuple[int, int], more: dict[str, object], expected: object) -> None:
    assert suiting(size, Cut.model_validate({"fit": True, **more})) == expected


def test_what_suits_no_size_is_left_as_it_is() -> None:
    assert names(Image.new("RGB", (400, 30)), Cut(fit=True)) == [("", (400, 30))]


def test_mirrored_copies_stand_beside_each_part() -> None:
    image = Image.fromarray(np.array([[0, 50], [100, 150]], np.uint8))
    found = {
        name: np.asarray(part).tolist() for name, part in cut(image, Cut(flips=("horizontal", "vertical", "both")))
    }
    assert found == {
        "": [[0, 50], [100, 150]], "-horizontal": [[50, 0], [150, 100]],
        "-vertical": [[100, 150], [0, 50]], "-both": [[150, 100], [50, 0]],
    }  # fmt: skip


@pytest.mark.parametrize("wrong", [{"shortest": 800}, {"smallest": 500_000}, {"focal": True, "edges": 0, "entropy": 0}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Cut.model_validate(wrong)
