"""Pictures are cut, mirrored and masked together with what belongs to them."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise.errors import FileError, UserError
from fromnoise.train.data.buckets import BucketRules, Fit
from fromnoise.train.data.pictures import Cut, chosen_cut, in_bucket, seen, size_of, turned
from fromnoise.train.data.source import Example, Subset

FIT = Fit((64, 64), (96, 64))


def ramp(width: int = 96, height: int = 64) -> Image.Image:
    """Red tells the column, green the row."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(width)[None], np.arange(height)[:, None]
    return Image.fromarray(pixels)


def example(path: Path, **rules: object) -> Example:
    ramp().save(path)
    return Example(path, "", Subset(**rules))  # type: ignore[arg-type]


def columns(pixels: torch.Tensor) -> list[int]:
    return ((pixels[0, 0] + 1) * 127.5).round().int().tolist()


def test_the_middle_is_cut(tmp_path: Path) -> None:
    found = seen(example(tmp_path / "a.png"), FIT, Random(0))
    assert columns(found.pixels) == list(range(16, 80))
    assert found.cut == Cut((96, 64), (16, 0), False)


def test_cut_anywhere_and_mirrored(tmp_path: Path) -> None:
    one = example(tmp_path / "a.png", random_crop=True, flip_aug=True)
    cuts = [seen(one, FIT, Random(seed)).cut for seed in range(40)]
    assert {cut.mirrored for cut in cuts} == {True, False}
    assert len({cut.corner for cut in cuts}) > 15
    for seed, cut in enumerate(cuts):
        wanted = list(range(cut.corner[0], cut.corner[0] + 64))
        assert columns(seen(one, FIT, Random(seed)).pixels) == (wanted[::-1] if cut.mirrored else wanted)


def test_masks_and_steering_pictures_are_cut_alike(tmp_path: Path) -> None:
    ramp().getchannel("R").save(tmp_path / "mask.png")
    ramp().save(tmp_path / "control.png")
    base = example(tmp_path / "a.png", random_crop=True, flip_aug=True)
    one = Example(base.path, "", base.subset, tmp_path / "mask.png", tmp_path / "control.png")
    for seed in range(10):
        found = seen(one, FIT, Random(seed))
        assert found.mask is not None
        assert found.control is not None
        assert (found.mask[0, 0] * 255).round().int().tolist() == columns(found.pixels)
        assert (found.control[0, 0] * 255).round().int().tolist() == columns(found.pixels)


def test_transparency_masks_where_that_is_wanted(tmp_path: Path) -> None:
    picture = ramp().convert("RGBA")
    picture.putalpha(ramp().getchannel("R"))
    picture.save(tmp_path / "a.png")
    found = seen(Example(tmp_path / "a.png", "", Subset(alpha_mask=True)), FIT, Random(0))
    assert found.mask is not None
    assert (found.mask[0, 0] * 255).round().int().tolist() == list(range(16, 80))
    assert seen(Example(tmp_path / "a.png", "", Subset()), FIT, Random(0)).mask is None


def test_a_picture_turned_by_its_camera_has_its_upright_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    ramp().save(tmp_path / "a.jpg", exif=exif)
    assert size_of(tmp_path / "a.jpg") == (64, 96)
    fit = BucketRules((64, 64), smallest=64, largest=64).fit((64, 96))
    assert seen(Example(tmp_path / "a.jpg", "", Subset()), fit, Random(0)).cut.original == (64, 96)


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(FileError, match=r"a\.png: not a readable picture"):
        size_of(tmp_path / "a.png")


def test_an_unknown_filter_is_named() -> None:
    with pytest.raises(UserError, match="unknown resize_interpolation 'lancsoz'"):
        in_bucket(ramp(), Fit((32, 32), (48, 32)), Cut((96, 64), (0, 0), False), "lancsoz")


def test_turning_hue_keeps_grey_and_turns_back() -> None:
    grey = torch.full((3, 2, 2), 0.3)
    torch.testing.assert_close(turned(grey, 120), grey)
    colour = torch.tensor([0.5, 0.1, -0.2]).view(3, 1, 1)
    torch.testing.assert_close(turned(colour, 120), colour.roll(1, 0))
    torch.testing.assert_close(turned(turned(colour, 20), -20), colour)


def test_the_same_key_cuts_the_same() -> None:
    assert chosen_cut((96, 64), FIT, Random("k"), anywhere=True) == chosen_cut(
        (96, 64), FIT, Random("k"), anywhere=True
    )
