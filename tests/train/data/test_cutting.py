"""A data set cut into another folder."""

from pathlib import Path

import pytest
from PIL import Image

from fromnoise.engine.recipe_cut import Cut
from fromnoise.errors import FileError
from fromnoise.train.data.cutting import cut_into
from fromnoise.train.data.source import picture_files


def written(folder: Path, out: Path, wanted: Cut, tell_of: list[FileError]) -> tuple[list[str], int]:
    told = list(cut_into(folder, list(picture_files(folder)), out, wanted, tell_of.append))
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))
    return files, told[-1][1]


def test_parts_stand_where_their_pictures_stood_with_their_captions(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "10_cat").mkdir(parents=True)
    Image.new("RGB", (64, 64), "red").save(folder / "10_cat" / "a.png")
    Image.new("RGB", (64, 64), "blue").save(folder / "10_cat" / "a.jpg")
    (folder / "10_cat" / "a.txt").write_text("a red cat\n")
    Image.new("RGB", (64, 64)).save(folder / "b.png")
    (folder / "c.png").write_bytes(b"no picture")
    wrong: list[FileError] = []
    files, count = written(folder, out, Cut(flips=("horizontal",)), wrong)
    cats = [f"10_cat/{name}{end}" for name in ("a", "a-png") for end in ("-horizontal", "")]
    assert files == sorted([f"{one}.{kind}" for one in cats for kind in ("png", "txt")] + ["b-horizontal.png", "b.png"])
    assert (count, len(wrong), "c.png" in str(wrong[0])) == (6, 1, True)
    assert (out / "10_cat" / "a-horizontal.txt").read_text() == "a red cat\n"


def test_what_was_broken_off_goes_on(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in "ab":
        Image.new("RGB", (64, 64), "red").save(folder / f"{name}.png")
    (folder / "a.txt").write_text("a cat")
    steps = cut_into(folder, list(picture_files(folder)), out, Cut(), pytest.fail)
    assert [next(steps), next(steps)] == [(0, 0), (1, 1)]
    (out / "a.txt").write_text("changed since")
    assert written(folder, out, Cut(), [])[0] == ["a.png", "a.txt", "b.png"]
    assert (out / "a.txt").read_text() == "changed since"
