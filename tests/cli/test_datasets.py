"""`fromnoise caption`, `tags` and `clean` on folders of small pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.captioners import CAPTIONERS, Caption, Captions
from fromnoise.captioners.wd14 import Tagger, TagRules
from fromnoise.cli.app import run


class Colours:
    """Says which of red, green and blue a picture is."""

    label, label_zh = "colours", "颜色"

    def load(self, folder: Path) -> Captions:
        def caption(pictures: Sequence[Image.Image]) -> list[Caption]:
            names = [
                ("red hair", "green hair", "blue hair")[int(np.asarray(p).mean((0, 1)).argmax())] for p in pictures
            ]
            return [Caption(f"{name}, smile", {name: 1.0}) for name in names]

        return caption


CAPTIONERS.add("test colours", Colours())


def textured(seed: int, size: int = 300) -> Image.Image:
    pixels = np.random.default_rng(seed).random((9, 9, 3)) * 255
    return Image.fromarray(pixels.astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (300, 300), "red").save(tmp_path / "a.png")
    Image.new("RGB", (300, 300), "blue").save(tmp_path / "b.png")
    (tmp_path / "b.txt").write_text("known, smile")
    return tmp_path


def captions(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8").strip() for path in sorted(folder.glob("*.txt"))}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ([], {"a": "red hair, smile", "b": "known, smile"}),
        (["--existing", "append"], {"a": "red hair, smile", "b": "known, smile, blue hair"}),
        (["--existing", "replace", "--first", "sks"], {"a": "sks, red hair, smile", "b": "sks, blue hair, smile"}),
        (["--existing", "replace", "--zh"], {"a": "红发, 微笑", "b": "蓝发, 微笑"}),
    ],
)
def test_captions_are_written_beside_pictures(folder: Path, options: list[str], wanted: dict[str, str]) -> None:
    assert run(["caption", str(folder), "--by", "test colours", "--model", str(folder), *options]) == 0
    assert captions(folder) == wanted


def test_a_broken_picture_is_named_and_the_others_get_captions(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "c.png").write_bytes(b"none")
    assert run(["caption", str(folder), "--by", "test colours", "--model", str(folder)]) == 0
    assert "c.png" in capsys.readouterr().err
    assert set(captions(folder)) == {"a", "b"}


def test_tags_are_counted_and_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.txt").write_text("red hair, smile")
    assert run(["tags", str(folder)]) == 0
    assert capsys.readouterr().out.split("\n")[0] == "     2  smile"
    assert run(["tags", str(folder), "--replace", "smile=grin", "--replace", "known="]) == 0
    assert captions(folder) == {"a": "red hair, grin", "b": "grin"}
    assert run(["tags", str(folder), "--replace", "smile"]) == 2


def test_broken_small_and_doubled_pictures_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    textured(1).save(tmp_path / "a.png")
    textured(1).resize((280, 280)).save(tmp_path / "a-again.jpg", quality=80)
    textured(2).save(tmp_path / "b.png")
    textured(3, 100).save(tmp_path / "small.png")
    (tmp_path / "bad.png").write_bytes(b"none")
    (tmp_path / "a-again.txt").write_text("a caption")
    assert run(["clean", str(tmp_path), "--move"]) == 0
    out = capsys.readouterr().out
    assert "the same as a.png: a-again.jpg" in out
    assert "small: small.png (100x100)" in out
    assert "broken: bad.png" in out
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "b.png", "set-aside"}
    aside = {path.name for path in (tmp_path / "set-aside").iterdir()}
    assert aside == {"a-again.jpg", "a-again.txt", "small.png", "bad.png"}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["clean", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_a_tagger_is_told_what_was_typed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[TagRules] = []

    def load(self: Tagger, place: Path, rules: TagRules) -> Captions:
        seen.append(rules)
        return Colours().load(place)

    monkeypatch.setattr(Tagger, "load", load)
    options = ["--by-gap", "--character-first", "--rating", "last", "--underscores", "--always-first", "1girl, solo",
               "--undesired", "blurry", "--replace", "smile=grin", "--replace", "hat="]  # fmt: skip
    assert run(["caption", str(folder), "--model", str(folder), *options]) == 0
    assert seen == [
        TagRules(by_gap=True, undesired=frozenset({"blurry"}), always_first=("1girl", "solo"), character_first=True,
                 rating="last", underscores=True, replaced={"smile": "grin", "hat": ""})
    ]  # fmt: skip


def test_folders_in_a_folder_are_part_of_it_and_what_is_set_aside_keeps_its_name(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = folder / "10_mycat"
    inner.mkdir()
    (folder / "a.png").rename(inner / "b.png")
    assert run(["caption", str(folder), "--by", "test colours", "--model", str(folder)]) == 0
    assert (inner / "b.txt").read_text("utf-8").strip() == "red hair, smile"
    assert run(["tags", str(folder)]) == 0
    assert "2  smile" in capsys.readouterr().out
    assert run(["clean", str(folder), "--smallest", "400", "--move"]) == 0
    aside = sorted(path.name for path in (folder / "set-aside").iterdir())
    assert aside == ["b-2.png", "b-2.txt", "b.png", "b.txt"]


def test_a_folder_is_cut_into_a_new_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    textured(1).resize((100, 400)).save(folder / "long.png")
    (folder / "long.txt").write_text("a tower\n")
    options = ["--size", "64x64", "--split", "--overlap", "0", "--flip", "horizontal"]
    assert run(["cut", str(folder), str(out), *options]) == 0
    assert "8 pictures written" in capsys.readouterr().out
    expected = {
        f"long-{part}{flip}.{kind}" for part in range(1, 5) for flip in ("", "-horizontal") for kind in ("png", "txt")
    }
    assert {path.name for path in out.iterdir()} == expected
    assert run(["cut", str(folder), str(out), *options]) == 2
    assert "something is there already" in capsys.readouterr().err
    assert run(["cut", str(folder), str(tmp_path / "other"), "--shortest", "800"]) == 2
