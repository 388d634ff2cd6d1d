"""WD14 taggers: a tiny ONNX model that looks at colours proves layout, padding, thresholds and writing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.captioners import CAPTIONERS
from fromnoise.captioners.wd14 import LoadedTagger, Tagger, TagRules, prepared, read_tags, threshold, written
from fromnoise.errors import FileError
from tests.captioners.colours import write_tagger

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

CSV = """tag_id,name,category,count
1,general,9,10
2,explicit,9,10
3,red_theme,0,10
4,green_theme,0,10
5,blue_theme,0,10
6,^_^,0,10
7,hero_(story),4,10
"""
SIDE = 32
# logits from the mean (blue, green, red) in [0, 255]
WEIGHTS = np.array([[0, 0, 0], [0, 0, -1], [0, 0, 0.1], [0, 0.1, 0], [0.1, 0, 0], [0, 0, 0], [0, 0, 0.1]], np.float32)
BIAS = np.array([1, 0, -12, -12, -12, -9, -23], np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tagger(tmp_path, SIDE, WEIGHTS, BIAS, CSV)
    return tmp_path


def load(folder: Path, **rules: object) -> LoadedTagger:
    return Tagger().load(folder, TagRules(**rules))  # type: ignore[arg-type]


def test_colours_come_blue_first_and_rating_is_the_likeliest(folder: Path) -> None:
    caption = CAPTIONERS["wd14"].load(folder)([Image.new("RGB", (40, 40), (255, 0, 0))])[0]
    assert caption.text == "red theme, hero (story)"
    assert caption.rating == "general"
    assert caption.tags["red_theme"] > caption.tags["hero_(story)"] > 0.85


def test_pictures_are_made_square_with_white(folder: Path) -> None:
    tall = prepared(Image.new("RGB", (10, 40), (255, 0, 0)), SIDE)
    assert tall[16, 0].tolist() == [255, 255, 255]
    assert tall[16, 16].tolist() == [0, 0, 255]
    clear = prepared(Image.new("RGBA", (40, 40), (255, 0, 0, 0)), SIDE)
    assert clear.min() == 255


def test_a_batch_is_the_pictures_one_by_one(folder: Path) -> None:
    tagger = load(folder)
    pictures = [Image.new("RGB", (32, 32), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    together = [caption.text for caption in tagger(pictures)]
    assert together == ["red theme, hero (story)", "green theme", "blue theme"]
    assert together == [tagger([picture])[0].text for picture in pictures]


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ({"undesired": frozenset({"red theme"})}, "hero (story)"),
        ({"character_first": True}, "hero (story), red theme"),
        ({"always_first": ("hero (story)",)}, "hero (story), red theme"),
        ({"rating": "first"}, "general, red theme, hero (story)"),
        ({"rating": "last"}, "red theme, hero (story), general"),
        ({"underscores": True}, "red_theme, hero_(story)"),
        ({"separator": "; "}, "red theme; hero (story)"),
        ({"replaced": {"red theme": "crimson"}}, "crimson, hero (story)"),
        ({"character_threshold": 0.999}, "red theme"),
        ({"by_gap": True}, "red theme, hero (story)"),
    ],
)
def test_rules_of_writing(folder: Path, rules: dict[str, object], wanted: str) -> None:
    assert load(folder, **rules)([Image.new("RGB", (32, 32), (255, 0, 0))])[0].text == wanted


def test_faces_keep_their_underscores() -> None:
    assert written(["^_^", "long_hair"], None, TagRules()) == "^_^, long hair"


def test_the_largest_gap_is_the_threshold() -> None:
    assert threshold({"a": 0.9, "b": 0.8, "c": 0.3, "d": 0.1}, 0.35, by_gap=True) == pytest.approx(0.55)


def test_what_is_missing_or_wrong_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"has no model\.onnx"):
        Tagger().load(tmp_path / "nowhere")
    (folder / "selected_tags.csv").write_text("tag_id,name,category,count\n1,a,0,1\n")
    with pytest.raises(FileError, match="7 numbers for 1 tags"):
        load(folder)([Image.new("RGB", (32, 32))])
    (folder / "selected_tags.csv").write_text("no,table\n1,2\n")
    with pytest.raises(FileError, match="not a table"):
        read_tags(folder / "selected_tags.csv")
    (folder / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(FileError, match=r"model\.onnx: not a model"):
        load(folder)
