"""Hints in the size of the picture: lines stay lines, areas areas, and masks come along."""

import cv2
import numpy as np
import pytest

from fromnoise.preprocessors.registry import Picture
from fromnoise.preprocessors.sizes import at_resolution, fitted, in_blocks, one_pixel_wide, pixel_perfect, thinned


def lines(size: int = 64) -> Picture:
    canvas = np.zeros((size, size, 3), np.uint8)
    cv2.line(canvas, (4, 8), (size - 6, size - 12), (255, 255, 255), 1)
    cv2.circle(canvas, (size // 2, size // 2), size // 4, (255, 255, 255), 1)
    return canvas


def test_the_working_size() -> None:
    image = np.zeros((50, 100, 3), np.uint8)
    assert at_resolution(image, 64).shape == (64, 128, 3)
    assert in_blocks(np.zeros((65, 128, 3), np.uint8)).shape == (128, 128, 3)
    edge = in_blocks(np.arange(3 * 3 * 3, dtype=np.uint8).reshape(3, 3, 3))
    assert np.array_equal(edge[2, 2], edge[63, 63])


def test_pixel_perfect() -> None:
    assert pixel_perfect(1000, 500, (512, 512), whole=False) == 512
    assert pixel_perfect(1000, 500, (512, 512), whole=True) == 256
    assert pixel_perfect(640, 480, (768, 512), whole=False) == 576


@pytest.mark.parametrize("size", [(96, 96), (128, 128), (200, 152)])
def test_thin_lines_stay_thin(size: tuple[int, int]) -> None:
    grown = fitted(lines(), *size, mode="stretch")
    assert grown.shape == (size[1], size[0], 3)
    assert set(np.unique(grown)) == {0, 255}
    assert one_pixel_wide(grown)
    ratio = (grown[..., 0] > 0).sum() / (lines()[..., 0] > 0).sum() / (size[0] / 64)
    assert 0.7 < ratio < 1.6


def test_black_and_white_stays_so_and_bold() -> None:
    bold = np.zeros((64, 64, 3), np.uint8)
    bold[16:48, 16:48] = 255
    grown = fitted(bold, 150, 100, mode="stretch")
    assert set(np.unique(grown)) == {0, 255}
    assert abs((grown > 0).mean() - (bold > 0).mean()) < 0.02


def test_areas_keep_their_colours() -> None:
    colours = np.random.RandomState(0).randint(0, 255, (5, 3)).astype(np.uint8)
    areas = colours[np.random.RandomState(1).randint(0, 5, (32, 32))]
    for size in ((100, 60), (20, 20)):
        known = {tuple(colour) for colour in colours}
        assert {tuple(pixel) for pixel in fitted(areas, *size, mode="stretch").reshape(-1, 3)} <= known


def test_photos_are_averaged_or_interpolated() -> None:
    photo = np.random.RandomState(0).randint(0, 255, (40, 40, 3)).astype(np.uint8)
    assert np.array_equal(fitted(photo, 20, 20, "stretch"), cv2.resize(photo, (20, 20), interpolation=cv2.INTER_AREA))
    assert np.array_equal(fitted(photo, 80, 80, "stretch"), cv2.resize(photo, (80, 80), interpolation=cv2.INTER_CUBIC))
    assert np.array_equal(fitted(photo, 40, 40, "stretch"), photo)


@pytest.mark.parametrize("mode", ["stretch", "crop", "fill"])
@pytest.mark.parametrize("size", [(48, 80), (80, 48), (64, 64), (33, 97)])
def test_every_mode_gives_the_size(mode: str, size: tuple[int, int]) -> None:
    image = np.random.RandomState(0).randint(0, 255, (50, 90, 4)).astype(np.uint8)
    assert fitted(image, *size, mode=mode).shape == (size[1], size[0], 4)


def test_cut_and_filled() -> None:
    image = np.zeros((60, 120, 3), np.uint8)
    image[:, 40:80] = (200, 10, 10)
    assert (fitted(image, 40, 60, "crop") == (200, 10, 10)).all()
    image[0], image[-1], image[:, 0], image[:, -1] = [(9, 8, 7)] * 4
    filled = fitted(image, 120, 120, "fill")
    assert np.array_equal(filled[30:90], image)
    assert (filled[:30] == (9, 8, 7)).all()
    assert (filled[90:] == (9, 8, 7)).all()


def test_masks_have_two_levels_and_cover_what_is_added() -> None:
    image = np.random.RandomState(0).randint(0, 255, (60, 120, 4)).astype(np.uint8)
    image[..., 3] = 0
    image[20:40, 20:40, 3] = 255
    filled = fitted(image, 120, 120, "fill")
    assert set(np.unique(filled[..., 3])) == {0, 255}
    assert (filled[:30, :, 3] == 255).all()
    assert not filled[31:49, :, 3].any()


def test_thinning_wears_lines_down_to_one_pixel() -> None:
    bar = np.zeros((32, 32), np.uint8)
    bar[12:18, 4:28] = 255
    thin = thinned(bar.copy(), prune=False)
    assert (thin[:, 10:22] > 0).sum(axis=0).max() == 1
    assert (thin > 0).any()
