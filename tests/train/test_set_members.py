"""The pictures of a data set by their names, which whoever put them there has chosen."""

import os
from pathlib import Path

import pytest
from PIL import Image

from fromnoise.errors import FileError
from fromnoise.train.data.sets import member

NAMES = ["plain.png", "10_cat/it's {one} & 100%.png", *(["<b>: 1.webp"] if os.name == "posix" else [])]


def test_a_picture_is_found_by_any_name_and_none_outside(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for name in (*NAMES, ".hidden.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / name)
    Image.new("RGB", (8, 8)).save(tmp_path / "outside.png")
    for name in NAMES:
        assert member(folder, name) == folder / name
    for name in (
        "../outside.png",
        "..",
        "",
        "/plain.png",
        "./plain.png",
        "10_cat/../plain.png",
        ".hidden.png",
        "a\0.png",
        "none.png",
    ):
        with pytest.raises(FileError):
            member(folder, name)
