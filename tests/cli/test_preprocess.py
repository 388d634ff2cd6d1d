"""`fromnoise preprocess`, `fromnoise preprocessors`, and controls that name a preprocessor."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.cli.drafting import with_preprocessor
from fromnoise.preprocessors import PREPROCESSORS
from tests import tiny, tiny_control
from tests.tiny_control import written
from tests.upscalers.test_tiles import picture

from .conftest import Run


@pytest.fixture
def photo(folder: Path) -> Path:
    picture(96, 64).save("photo.png")
    return Path("photo.png")


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_a_hint_is_what_the_preprocessor_makes(run: Run, photo: Path) -> None:
    ran = run("preprocess", photo, "--with", "canny", "--resolution", 64, "--parameters", "low=40 high=90")
    assert (ran.status, ran.out) == (0, "outputs/photo-canny.png\n")
    made = pixels(ran.paths[0])
    assert np.array_equal(
        made, PREPROCESSORS["canny"](pixels(photo), resolution=64, parameters={"low": 40, "high": 90})
    )
    assert made.max() == 255


def test_sizes_several_and_folders(run: Run, photo: Path, folder: Path) -> None:
    (folder / "many").mkdir()
    for name in ("a", "b"):
        picture(32, 32).save(f"many/{name}.png")
    ran = run("preprocess", "many", photo, "--with", "canny", "--with", "color", "--size", "48x64", "--out", "hints/")
    assert [path.name for path in ran.paths] == [
        f"{stem}-{name}.png" for stem in ("a", "b", "photo") for name in ("canny", "t2ia_color_grid")
    ]
    assert {Image.open(path).size for path in ran.paths} == {(48, 64)}


def test_masks_become_transparent(run: Run, photo: Path, folder: Path) -> None:
    mask = Image.new("L", (96, 64))
    mask.paste(255, (10, 10, 40, 40))
    mask.save("mask.png")
    [path] = run("preprocess", photo, "--with", "inpaint", "--mask", "mask.png").paths
    assert np.array_equal(pixels(path)[..., :3], pixels(photo))
    assert np.array_equal(255 - pixels(path)[..., 3], np.asarray(mask))


def test_what_is_missing_is_said(run: Run, photo: Path) -> None:
    for words, message in (
        (("--with", "cany"), "unknown preprocessor 'cany'; did you mean 'canny'"),
        (("--with", "canny", "--parameters", "lo=3"), "canny has no parameter 'lo'; it has: low, high"),
        (("--with", "canny", "--parameters", "low"), "write NAME=VALUE NAME=VALUE, with numbers"),
        (("--with", "reference_only"), "reference_only makes no hint"),
        (("--with", "depth_midas"), "depth_midas needs a model in models/preprocessors/depth_midas"),
    ):
        ran = run("preprocess", photo, *words)
        assert ran.status != 0
        assert message in ran.err


@pytest.mark.parametrize("name", sorted(spec.name for spec in PREPROCESSORS.values() if spec.needs))
def test_every_detector_says_what_to_install_or_where_its_weights_go(run: Run, photo: Path, name: str) -> None:
    ran = run("preprocess", photo, "--with", name)
    assert ran.status != 0
    assert any(one.rstrip("/") in ran.last for one in (name, *PREPROCESSORS[name].weights))
    assert "pip install" in ran.last or "models/preprocessors" in ran.last


def test_the_list(run: Run) -> None:
    rows = [line.split("\t") for line in run("preprocessors").out.splitlines()]
    assert [row[0] for row in rows] == list(PREPROCESSORS)
    assert ["openpose", "controlnet-aux, body_pose_model.pth, hand_pose_model.pth, facenet.pth"] in [
        row[:2] for row in rows
    ]


def test_a_control_names_its_preprocessor(run: Run, photo: Path, folder: Path) -> None:
    assert with_preprocessor("canny:a b.png, model=x") == "a b.png, model=x, preprocessor=canny"
    assert with_preprocessor("hed:C:\\a.png, model=x") == "C:\\a.png, model=x, preprocessor=softedge_hed"
    for text in ("C:\\a.png, model=x", "image=canny.png", "photo.png, model=x", 'image="canny:a.png"'):
        assert with_preprocessor(text) == text
    written(folder / "net.safetensors", tiny_control.controlnet(tiny.model().unet))
    tiny.checkpoint(folder / "tiny.safetensors")
    words = ("a cat", "--model", "tiny.safetensors", "--size", 64, "--steps", 1, "--seed", 1, "--out", "new.png")
    short = run(*words, "--control", "canny:photo.png, model=net.safetensors").paths[0].read_bytes()
    long = run(*words, "--control", "photo.png, model=net.safetensors, preprocessor=canny").paths[0].read_bytes()
    assert short == long
