"""Data sets are found where kohya finds them, and what is wrong with one is said."""

from pathlib import Path

import pytest
from PIL import Image

from fromnoise.errors import FileError, UserError
from fromnoise.train.data import source
from fromnoise.train.data.source import Subset


def picture(path: Path, caption: str | None = None, ending: str = ".txt") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)
    if caption is not None:
        path.with_suffix(ending).write_text(caption, encoding="utf-8")


def test_folders_named_after_kohyas_rule(tmp_path: Path) -> None:
    picture(tmp_path / "10_mycat cat/a.png", "mycat cat on a sofa")
    picture(tmp_path / "10_mycat cat/b.jpg")
    picture(tmp_path / "3_1girl_solo/c.webp", "one girl", ".caption")
    picture(tmp_path / "notes/d.png")
    subsets, warnings = source.kohya_subsets(tmp_path, Subset())
    assert [(s.num_repeats, s.class_tokens) for s in subsets] == [(10, "mycat cat"), (3, "1girl_solo")]
    assert "notes is left out" in warnings[0]
    said = [e.caption for s in subsets for e in source.examples(s).examples]
    assert said == ["mycat cat on a sofa", "mycat cat", "one girl"]


def test_a_plain_folder_is_a_data_set(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", "一只猫")
    picture(tmp_path / "b.png")
    (subset,), _ = source.kohya_subsets(tmp_path, Subset(num_repeats=5))
    found = source.examples(subset)
    assert [(e.caption, e.subset.num_repeats) for e in found.examples] == [("一只猫", 5), ("", 5)]
    assert "1 of 2 pictures have no caption" in found.warnings[0]


def test_an_empty_folder_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="put pictures there"):
        source.kohya_subsets(tmp_path, Subset())
    with pytest.raises(FileError, match="no such folder"):
        source.kohya_subsets(tmp_path / "none", Subset())


TOML = """
[general]
shuffle_caption = true
caption_extension = ".txt"
keep_tokens = 1
resolution = 768

[[datasets]]
batch_size = 4
keep_tokens = 2
enable_bucket = true

  [[datasets.subsets]]
  image_dir = "IMAGES"
  class_tokens = "mycat"
  keep_tokens = 3

  [[datasets.subsets]]
  image_dir = "IMAGES"
  is_reg = true
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "data.toml"
    path.write_text(text.replace("IMAGES", tmp_path.as_posix()), encoding="utf-8")
    return path


def test_what_stands_lower_in_a_data_set_file_wins(tmp_path: Path) -> None:
    (dataset,) = source.read_dataset_file(written(tmp_path, TOML), {"batch_size": 1, "flip_aug": True})
    first, second = dataset.subsets
    assert (dataset.size, dataset.batch_size, dataset.buckets.enabled) == ((768, 768), 4, True)
    assert (first.keep_tokens, second.keep_tokens) == (3, 2)
    assert first.shuffle_caption
    assert first.flip_aug
    assert second.is_reg


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[general]\n", "names no data set"),
        ("[generel]\n", "unknown part 'generel'"),
        ("[[datasets]]\nbatch_sise = 2\n", "did you mean 'batch_size'"),
        ("[[datasets]]\nbatch_size = 2\n", "no \\[\\[datasets.subsets\\]\\]"),
        ("[[datasets]]\n[[datasets.subsets]]\nimage_dir='x'\nnum_repeat=3\n", "did you mean 'num_repeats'"),
        ("[[datasets]]\nbatch_size = 0\n[[datasets.subsets]]\nimage_dir='x'\n", "batch_size: "),
        ("[[datasets]\n", "can't be read"),
        (
            "[[datasets]]\n[[datasets.subsets]]\nimage_dir='x'\n[[datasets.subsets]]\nmetadata_file='y.json'\n",
            "several methods",
        ),
    ],
)
def test_a_bad_data_set_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises((FileError, UserError), match=message):
        source.read_dataset_file(written(tmp_path, text))


def test_a_json_file_is_one_too(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text('{"datasets": [{"subsets": [{"image_dir": "x"}]}]}')
    assert source.read_dataset_file(path)[0].subsets[0].image_dir == Path("x")


def test_captions_and_tags_come_from_a_metadata_file(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.jpg")
    meta = tmp_path / "meta.json"
    meta.write_text('{"a": {"caption": "a cat", "tags": "fur, tail"}, "b.jpg": {"tags": "dog"}}')
    found = source.examples(Subset(image_dir=tmp_path, metadata_file=meta)).examples
    assert [(e.path.name, e.caption) for e in found] == [("a.png", "a cat, fur, tail"), ("b.jpg", "dog")]
    meta.write_text('{"c": {"caption": "?"}}')
    with pytest.raises(FileError, match="no picture 'c'"):
        source.examples(Subset(image_dir=tmp_path, metadata_file=meta))


def test_masks_and_steering_pictures_have_the_same_names(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png", "a")
    picture(tmp_path / "masks/a.jpg")
    picture(tmp_path / "edges/a.png")
    folders = {"mask_dir": tmp_path / "masks", "conditioning_data_dir": tmp_path / "edges"}
    (example,) = source.examples(Subset(image_dir=tmp_path / "images", **folders)).examples
    assert (example.mask, example.control) == (tmp_path / "masks/a.jpg", tmp_path / "edges/a.png")
    picture(tmp_path / "images/b.png", "b")
    with pytest.raises(FileError, match="no picture b there"):
        source.examples(Subset(image_dir=tmp_path / "images", **folders))


def test_regular_pictures_are_as_many_as_the_others(tmp_path: Path) -> None:
    for name in ("own/a.png", "own/b.png", "class/c.png", "class/d.png", "class/e.png"):
        picture(tmp_path / name, name)
    own = source.examples(Subset(image_dir=tmp_path / "own", num_repeats=4)).examples
    regular = source.examples(Subset(image_dir=tmp_path / "class", is_reg=True)).examples
    both = source.with_regular(own, regular)
    assert [e.path.stem for e in both] == list("aaaabbbb") + list("cdecdecd")
    assert source.with_regular(own, []) == both[:8]


def test_a_caption_that_is_no_text_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(FileError, match=r"a\.txt: not a caption"):
        source.examples(Subset(image_dir=tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [("face_crop_aug_range = [2.0, 1.0]", "face_crop_aug_range: two numbers above 0"),
     ("network_multiplier = 0.5", "networks train at full strength")],
)  # fmt: skip
def test_what_is_not_done_is_said(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "data.toml"
    path.write_text(f"[general]\n{text}\n[[datasets]]\n[[datasets.subsets]]\nimage_dir = 'x'\n")
    with pytest.raises(UserError, match=message):
        source.read_dataset_file(path)
