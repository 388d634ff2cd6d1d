"""Start pictures and masks: sizes, edges, what is under a mask, and how results go back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from fromnoise.engine.canvas import (
    Margins,
    blurred,
    drawn_mask,
    extended,
    filled,
    masked_box,
    new_part,
    resized,
    with_colours_of,
)
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job, generate
from fromnoise.engine.library import Model
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.errors import FileError
from fromnoise.sampling.schedules import NoiseTable
from tests.engine.models import tiny_model

TABLE = NoiseTable.ldm()


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


def saved(path: Path, pixels: NDArray[np.uint8]) -> ImageRef:
    Image.fromarray(pixels).save(path)
    return ImageRef.of(path)


def noise_pixels(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def square_mask(height: int, width: int, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    mask = np.zeros((height, width), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 255
    return mask


def recipe(**changes: object) -> Recipe:
    return Recipe.make(
        **{"prompt": "a red apple", "width": 64, "height": 64, "steps": 4, "sampler": "euler", **changes}
    )


def latents(model: Model, one: Recipe) -> Tensor:
    executor = Executor[int](model)
    executor.add(0, Job(model, one).picture(None, None))
    ((_, done),) = executor.run()
    return done


# --- canvas -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["crop", "stretch", "fill"])
@pytest.mark.parametrize("size", [(96, 32), (32, 96), (64, 64)])
def test_pictures_become_as_large_as_asked(mode: str, size: tuple[int, int]) -> None:
    assert resized(Image.fromarray(noise_pixels(48, 80)), *size, mode).size == size
    assert resized(Image.fromarray(noise_pixels(48, 80)[..., 0]), *size, mode).mode == "L"


def test_fill_stretches_the_edges() -> None:
    half = np.zeros((32, 32, 3), np.uint8)
    half[:, :16] = 200
    made = np.asarray(resized(Image.fromarray(half), 64, 32, "fill"))
    assert (made[:, :17] == made[:, :1]).all()
    assert (made[:, -17:] == 0).all()


def test_crop_cuts_what_stretch_keeps() -> None:
    edges = np.full((32, 64, 3), 100, np.uint8)
    edges[:, :8] = 255
    assert np.asarray(resized(Image.fromarray(edges), 32, 32, "crop")).max() < 110
    assert np.asarray(resized(Image.fromarray(edges), 32, 32, "stretch")).max() > 200


def test_masks_may_be_drawn_in_transparency() -> None:
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:, 4:, 3] = 255
    image = Image.fromarray(rgba)
    assert np.asarray(drawn_mask(image, opaque=True))[0].tolist() == [0] * 4 + [255] * 4
    assert np.asarray(drawn_mask(image, opaque=False))[0].tolist() == [255] * 4 + [0] * 4
    grey = Image.fromarray(np.full((8, 8), 77, np.uint8))
    assert np.asarray(drawn_mask(grey, opaque=True)).max() == 77


@pytest.mark.parametrize("deviation", [1.0, 4.0, 30.0])
def test_blur_is_a_gaussian(deviation: float) -> None:
    mask = Image.fromarray(square_mask(64, 96, (48, 0, 96, 64)))
    row = np.asarray(blurred(mask, deviation)).astype(float)[32]
    assert (np.diff(row) >= 0).all()
    assert abs(row[47] + row[48] - 255) <= 1  # symmetric about the edge
    if deviation < 5:
        density = np.diff(row) / 255
        assert np.sqrt((density * (np.arange(95) - 47) ** 2).sum()) == pytest.approx(deviation, rel=0.1)
    assert blurred(mask, 0) is mask
    assert np.asarray(blurred(Image.new("L", (5, 3), 255), deviation)).min() == 255


@pytest.mark.parametrize(("width", "height"), [(64, 64), (128, 64), (64, 192)])
@pytest.mark.parametrize("box", [(40, 40, 60, 50), (0, 0, 5, 5), (95, 120, 100, 128), (0, 0, 100, 128)])
def test_the_part_around_a_mask(box: tuple[int, int, int, int], width: int, height: int) -> None:
    mask = Image.fromarray(square_mask(128, 100, box))
    found = masked_box(mask, 4, width, height)
    assert found is not None
    assert found.left <= max(0, box[0] - 4)
    assert found.right >= min(100, box[2] + 4)
    assert 0 <= found.top < found.bottom <= 128
    assert 0 <= found.left < found.right <= 100
    if found.size[0] < 100 and found.size[1] < 128:
        assert found.size[0] / found.size[1] == pytest.approx(width / height, rel=0.1)
    assert masked_box(Image.new("L", (64, 64)), 4, 64, 64) is None


def test_fill_takes_colours_from_around() -> None:
    pixels = np.full((64, 64, 3), (200, 30, 30), np.uint8)
    pixels[20:40, 20:40] = (0, 255, 0)
    made = np.asarray(filled(Image.fromarray(pixels), Image.fromarray(square_mask(64, 64, (20, 20, 40, 40)))))
    assert np.abs(made[20:40, 20:40].astype(int) - (200, 30, 30)).max() < 12
    assert (made[:10] == pixels[:10]).all()


def test_a_larger_canvas() -> None:
    pixels = noise_pixels(32, 32)
    grown = np.asarray(extended(Image.fromarray(pixels), Margins(left=16, bottom=8), "edge"))
    assert grown.shape == (40, 48, 3)
    assert (grown[:32, 16:] == pixels).all()
    assert (grown[:32, :16] == pixels[:, :1]).all()
    assert (grown[32:, 16:] == pixels[-1:]).all()
    gray = np.asarray(extended(Image.fromarray(pixels), Margins(right=3), "gray"))
    assert (gray[:, 32:] == 127).all()


def test_the_new_part_fades_into_the_picture() -> None:
    """Pixel by pixel, by the distance to the nearest side that grows."""
    width, height, feather, by = 60, 50, 10, Margins(left=7, bottom=9)
    mask = np.asarray(new_part((width, height), by, feather))
    assert mask.shape == (59, 67)
    for y in range(59):
        for x in range(67):
            inside = x >= 7 and y < 50
            near = min(x - 7, height - y)
            expected = max(0.0, 1 - near / feather) ** 2 if inside else 1.0
            assert mask[y, x] == round(255 * expected), (x, y)
    assert (np.asarray(new_part((20, 20), by, 10))[:20, 7:] == 0).all()  # no room to fade


def test_colours_of_another_picture() -> None:
    red = Image.fromarray((noise_pixels(32, 32) * [0.9, 0.3, 0.2]).astype(np.uint8))
    blue = Image.fromarray((noise_pixels(32, 32, 1) * [0.2, 0.3, 0.9]).astype(np.uint8))
    made = np.asarray(with_colours_of(red, blue)).astype(float)
    assert made[..., 2].mean() > 1.5 * made[..., 0].mean()  # red was thrice as strong as blue or more
    luma = [0.3, 0.59, 0.11]
    assert np.abs(made @ luma - np.asarray(red).astype(float) @ luma).max() < 2  # its own light
    assert np.abs(np.asarray(with_colours_of(red, red)).astype(int) - np.asarray(red)).max() <= 2


# --- masks in pictures ------------------------------------------------------------------------------------------------


@pytest.fixture
def masked(tmp_path: Path) -> dict[str, object]:
    return {
        "init": saved(tmp_path / "photo.png", noise_pixels(64, 64)),
        "mask": saved(tmp_path / "mask.png", square_mask(64, 64, (32, 0, 64, 64))),
    }


@pytest.mark.parametrize("profile", ["native", "a1111"])
def test_an_inverted_mask_repaints_the_rest(model: Model, masked: dict[str, object], profile: str) -> None:
    one = recipe(**masked, profile=profile, inpaint={"invert": True})
    (made,) = generate(model, [one])
    before, after = noise_pixels(64, 64), np.asarray(made.image)
    assert (before[:, 32:] == after[:, 32:]).all()
    assert (before[:, :32] != after[:, :32]).mean() > 0.5


@pytest.mark.parametrize("profile", ["native", "a1111", "comfyui"])
@pytest.mark.parametrize("content", ["fill", "noise", "nothing"])
def test_what_is_under_the_mask_at_first(
    model: Model, masked: dict[str, object], profile: str, content: str
) -> None:  # fmt: skip
    original, surroundings, other = (
        Job(model, recipe(**masked, profile=profile, inpaint={"content": name})).latents
        for name in ("original", "fill", content)
    )
    assert original is not None
    assert surroundings is not None
    assert other is not None
    assert not torch.allclose(original[..., 4:], other[..., 4:])
    assert other[..., 4:].any() != (content == "nothing")
    assert torch.equal(surroundings[..., :4], other[..., :4])  # always filled first, which the encoder sees everywhere


def test_only_masked_works_on_the_surroundings_at_full_size(model: Model, tmp_path: Path) -> None:
    pixels = noise_pixels(200, 160)
    mask = square_mask(200, 160, (60, 80, 90, 110))
    one = recipe(
        init=saved(tmp_path / "photo.png", pixels),
        mask=saved(tmp_path / "mask.png", mask),
        inpaint={"only_masked": True, "padding": 8},
    )
    job = Job(model, one)
    assert job.start is not None
    assert job.start.box == (52, 72, 98, 118)
    (made,) = generate(model, [one])
    after = np.asarray(made.image)
    assert after.shape == pixels.shape
    assert (after[mask == 0] == pixels[mask == 0]).all()
    assert (after[mask == 255] != pixels[mask == 255]).mean() > 0.5


def test_a_black_mask_with_only_masked_is_the_whole_picture(model: Model, tmp_path: Path) -> None:
    one = recipe(
        init=saved(tmp_path / "photo.png", noise_pixels(64, 64)),
        mask=saved(tmp_path / "mask.png", np.zeros((64, 64), np.uint8)),
        inpaint={"only_masked": True},
    )
    (made,) = generate(model, [one])
    assert (np.asarray(made.image) == noise_pixels(64, 64)).all()


def test_blur_lets_the_mask_reach_further(model: Model, masked: dict[str, object]) -> None:
    sharp = Job(model, recipe(**masked)).start
    soft = Job(model, recipe(**masked, inpaint={"blur": 8})).start
    assert sharp is not None
    assert soft is not None
    assert sharp.mask is not None
    assert soft.mask is not None
    assert set(sharp.mask.unique().tolist()) == {0.0, 1.0}
    assert 0 < float(soft.mask[0, 0, 4, 3]) < 0.5 < float(soft.mask[0, 0, 4, 4]) < 1


@pytest.mark.parametrize("resize", ["crop", "stretch", "fill", "latent"])
def test_start_pictures_of_any_size(model: Model, tmp_path: Path, resize: str) -> None:
    init = saved(tmp_path / "photo.png", noise_pixels(100, 150))
    (made,) = generate(model, [recipe(init=init, strength=0.5, resize=resize)])
    assert made.image.size == (64, 64)


def test_ways_to_resize_differ(model: Model, tmp_path: Path) -> None:
    init = saved(tmp_path / "photo.png", noise_pixels(100, 150))
    made = [Job(model, recipe(init=init, resize=mode)).latents for mode in ("crop", "stretch", "fill", "latent")]
    for i, one in enumerate(made):
        assert one is not None
        for other in made[:i]:
            assert other is not None
            assert not torch.allclose(one, other, atol=1e-2)


def test_matched_colours(model: Model, tmp_path: Path) -> None:
    blue = (noise_pixels(64, 64) * [0.1, 0.2, 1.0]).astype(np.uint8)
    one = recipe(init=saved(tmp_path / "photo.png", blue), strength=1.0)
    plain, matched = (
        np.asarray(made.image).reshape(-1, 3).mean(0).astype(float)
        for made in generate(model, [one, one.but(match_colours=True)])
    )
    assert matched[2] - matched[0] > plain[2] - plain[0] + 20


def test_more_and_less_noise_on_a_start_picture(model: Model, masked: dict[str, object]) -> None:
    base = recipe(init=masked["init"], strength=0.5)
    made = [latents(model, base.but(noise=noise)) for noise in (None, {"multiplier": 0.5}, {"extra": 0.3})]
    assert not torch.allclose(made[0], made[1])
    assert not torch.allclose(made[0], made[2])


# --- grey masks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inpaint", [{"gradual": True}, {"soft": {}}])
@pytest.mark.parametrize("profile", ["native", "a1111", "comfyui"])
def test_soft_masks_make_pictures(
    model: Model, masked: dict[str, object], inpaint: dict[str, object], profile: str
) -> None:  # fmt: skip
    hard, soft = (latents(model, recipe(**masked, profile=profile, inpaint={"blur": 6, **i})) for i in ({}, inpaint))
    assert soft.isfinite().all()
    assert not torch.allclose(hard, soft, rtol=1e-2)


# --- latents ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [False, True])
def test_latents_saved_by_comfyui(model: Model, tmp_path: Path, old: bool) -> None:
    wanted = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    scale = model.vae.config.scale_factor
    tensors = {"latent_tensor": wanted if old else wanted / scale}
    save_file(tensors if old else {**tensors, "latent_format_version_0": torch.zeros(0)}, tmp_path / "a.latent")
    found = Job(model, recipe(init=ImageRef.of(tmp_path / "a.latent"), strength=0.5)).latents
    assert found is not None
    assert torch.allclose(found, wanted, atol=1e-6)


def test_latents_that_do_not_fit_are_named(model: Model, tmp_path: Path) -> None:
    save_file({"latent_tensor": torch.zeros(1, 4, 4, 8)}, tmp_path / "a.latent")
    save_file({"x": torch.zeros(1)}, tmp_path / "b.latent")
    for name, found in (("a.latent", "1x4x4x8"), ("b.latent", "none")):
        with pytest.raises(FileError, match=rf"{name}: holds no latents of the recipe's size .*, but {found}"):
            Job(model, recipe(init=ImageRef.of(tmp_path / name)))
