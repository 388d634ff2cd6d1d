"""Preprocessors on drawn pictures: what each must see there, and what OpenCV itself says."""

import cv2
import numpy as np
import pytest

from fromnoise.errors import UserError
from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.preprocessors.registry import Picture, Preprocessor

SIZE = 64  # the working resolution of most tests
FREE = [one.name for one in PREPROCESSORS.values() if not one.needs]


def drawing() -> Picture:
    """A dark square with a bright disc in it on light ground, 96 wide and 64 high."""
    image = np.full((64, 96, 3), 220, np.uint8)
    image[12:52, 12:52] = (40, 60, 90)
    cv2.circle(image, (32, 32), 9, (250, 200, 30), -1)
    image[30:34, 70:90] = 0
    return image


def photo(height: int = 64, width: int = 96, channels: int = 3) -> Picture:
    smooth = np.random.RandomState(0).uniform(0, 255, (height // 8, width // 8, channels))
    return cv2.resize(smooth, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", FREE)
def test_every_one_gives_a_picture_and_leaves_its_own_alone(name: str) -> None:
    one = PREPROCESSORS[name]
    image = photo(channels=4 if one.role == "inpaint" else 3)
    before = image.copy()
    hint = one(image, resolution=SIZE)
    assert hint.dtype == np.uint8
    assert hint.ndim == 3
    assert hint.shape[2] in (3, image.shape[2])
    assert np.array_equal(image, before)
    assert np.array_equal(hint, one(image, resolution=SIZE))


@pytest.mark.parametrize(
    "name", [name for name in FREE if PREPROCESSORS[name].resolution and name != "t2ia_color_grid"]
)
def test_they_work_at_their_resolution(name: str) -> None:
    for size in ((48, 96), (96, 48), (130, 70)):
        height, width = PREPROCESSORS[name](photo(*size), resolution=SIZE).shape[:2]
        assert min(height, width) == SIZE
        assert abs(width / height - size[1] / size[0]) < 0.03


def test_canny_is_opencvs() -> None:
    image = drawing()
    hint = PREPROCESSORS["canny"](image, resolution=64, parameters={"low": 50, "high": 120})
    padded = np.pad(image, ((0, 0), (0, 32), (0, 0)), mode="edge")
    assert np.array_equal(hint, np.repeat(cv2.Canny(padded, 50, 120)[:, :96, None], 3, axis=2))
    assert hint[12:52, 11:13].any()
    assert not hint[20:44, 2:8].any()


def test_line_drawings_become_white_lines() -> None:
    """What is drawn in black stands out of nothing."""
    paper = np.full((64, 64, 3), 245, np.uint8)
    cv2.line(paper, (5, 8), (58, 50), (10, 10, 10), 2)
    for name in ("lineart_standard", "lineart_classic", "scribble_xdog"):
        hint = PREPROCESSORS[name](paper, resolution=64)[..., 0].astype(int)
        line = np.asarray([hint[round(8 + (x - 5) * 42 / 53), x] for x in range(10, 54)])
        assert np.median(line) > 100, name
        assert hint[50:, :20].max() < 12, name


def test_soft_edges_are_where_shapes_end() -> None:
    hint = PREPROCESSORS["softedge_classic"](drawing(), resolution=64)[..., 0].astype(int)
    assert hint[20:44, 11:13].mean() > 3 * max(hint[15:20, 20:44].mean(), hint[2:8, 60:].mean())
    drawn = PREPROCESSORS["scribble_classic"](drawing(), resolution=64)
    assert set(np.unique(drawn)) == {0, 255}
    assert drawn[30, 10:14].any()


def test_straight_lines_are_found() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    cv2.rectangle(picture, (8, 8), (56, 40), (255, 255, 255), 2)
    hint = PREPROCESSORS["lines_classic"](picture, resolution=64)[..., 0]
    assert hint[6:11, 12:50].any(axis=0).mean() > 0.9
    assert not hint[15:35, 20:45].any()


def test_plain_changes_of_colour() -> None:
    image = photo()
    assert np.array_equal(PREPROCESSORS["invert"](image), 255 - image)
    assert np.array_equal(PREPROCESSORS["invert (from white bg & black line)"](image), 255 - image)
    white = PREPROCESSORS["threshold"](image, resolution=64, parameters={"level": 90})
    assert np.array_equal(white[..., 0] == 255, image.min(axis=2) > 90)
    assert np.array_equal(
        PREPROCESSORS["blur_gaussian"](image, resolution=64, parameters={"deviation": 3}),
        cv2.GaussianBlur(image, (0, 0), 3.0),
    )
    lightness = PREPROCESSORS["recolor_luminance"](image)
    assert abs(lightness[..., 0].astype(int) - cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[..., 0]).max() <= 1
    brightest = PREPROCESSORS["recolor_intensity"](image, parameters={"gamma": 2.0})[..., 0]
    assert abs(brightest - (image.max(axis=2) / 255.0) ** 2 * 255).max() <= 1


def test_smaller_and_in_squares() -> None:
    image = photo()
    assert PREPROCESSORS["tile_resample"](image).shape == image.shape
    half = PREPROCESSORS["tile_resample"](image, parameters={"down": 2})
    assert np.array_equal(half, cv2.resize(image, (48, 32), interpolation=cv2.INTER_AREA))
    grid = PREPROCESSORS["color"](image, resolution=256)
    assert grid.shape == (256, 256, 3)
    assert np.array_equal(grid, np.repeat(np.repeat(grid[::64, ::64], 64, axis=0), 64, axis=1))


def test_shuffling_obeys_its_seed_and_keeps_colours() -> None:
    image = photo()
    one, again, other = (PREPROCESSORS["shuffle"](image, resolution=64, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert image.min() <= one.min() <= one.max() <= image.max()
    np.random.seed(5)  # the published definition, on NumPy's own generator
    flow = []
    for side in (95, 63):
        noise = np.random.uniform(low=0, high=1, size=(64 // 256 + 2, 96 // 256 + 2, 1))
        noise = cv2.resize(noise, (96 + 512, 64 + 512), interpolation=cv2.INTER_CUBIC)[256:320, 256:352]
        noise -= noise.min()
        flow.append(noise / noise.max() * side)
    expected = cv2.remap(image, np.dstack(flow).astype(np.float32), None, cv2.INTER_LINEAR)
    assert np.array_equal(PREPROCESSORS["shuffle"](image, resolution=64, seed=5), expected)


def test_masks_stay_with_their_picture() -> None:
    image = photo(channels=4)
    for name in ("inpaint_only", "inpaint", "inpaint_global_harmonious"):
        assert PREPROCESSORS[name](image) is image
    image[..., 3] = 0
    image[10:20, 10:20, 3] = 255
    black = PREPROCESSORS["inpaint_promax"](image)
    assert black.shape == (64, 96, 3)
    assert not black[10:20, 10:20].any()
    assert np.array_equal(black[30:], image[30:, :, :3])


def test_parameters_are_checked() -> None:
    canny = PREPROCESSORS["canny"]
    with pytest.raises(UserError, match="canny has no parameter 'threshold'; it has: low, high"):
        canny(drawing(), parameters={"threshold": 3})
    with pytest.raises(UserError, match="low goes from 0 to 256, not 300"):
        canny(drawing(), parameters={"low": 300})
    with pytest.raises(UserError, match="resolution of a preprocessor goes from 64 to 2048"):
        canny(drawing(), resolution=10)
    with pytest.raises(UserError, match="did you mean 'canny'"):
        PREPROCESSORS["cany"]


def test_names_of_the_extension_are_known() -> None:
    """Those that its users have in their pictures: by name, by label, and by what it called them before."""
    for name in (
        "canny", "depth", "depth_midas", "depth_zoe", "hed", "hed_safe", "mlsd", "normal_map", "normal_bae", "openpose",
        "openpose_hand", "openpose_face", "openpose_faceonly", "openpose_full", "color", "pidinet", "pidinet_safe",
        "pidinet_sketch", "pidinet_scribble", "scribble_xdog", "scribble_hed", "segmentation", "threshold",
        "oneformer_ade20k", "lineart", "lineart_coarse", "lineart_anime", "lineart_standard", "shuffle",
        "tile_resample", "invert", "reference_only", "reference_adain", "reference_adain+attn", "inpaint",
        "inpaint_only", "inpaint_only+lama", "tile_colorfix", "tile_colorfix+sharp", "recolor_luminance",
        "recolor_intensity", "blur_gaussian", "softedge_hed", "softedge_pidinet", "seg_ufade20k", "lineart_realistic",
        "inpaint_global_harmonious", "t2ia_color_grid", "scribble_pidinet", "te_hed", "depth_anything",
    ):  # fmt: skip
        assert isinstance(PREPROCESSORS[name], Preprocessor)


def test_both_languages_say_what_each_is_for() -> None:
    for one in PREPROCESSORS.values():
        assert one.good_for.endswith(".")
        assert one.good_for_zh.endswith("。")
        assert not one.good_for_zh.isascii()
