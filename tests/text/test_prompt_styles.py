"""Styles: merging, taking out again, and the CSV files of AUTOMATIC1111."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromnoise.errors import FileError
from fromnoise.text.prompt_styles import Style, add_styles, read_styles, remove_style, write_styles


@pytest.mark.parametrize(
    ("prompt", "styles", "expected"),
    [
        ("a cat", [], "a cat"),
        ("a cat ", [" film "], "a cat, film"),
        ("", ["film"], "film"),
        ("a cat", ["", "film"], "a cat, film"),
        ("a cat", ["photo of {prompt}, sharp", "film"], "photo of a cat, sharp, film"),
        ("a cat", ["film", "photo of {prompt}"], "photo of a cat, film"),
        ("a cat", ["{prompt} and {prompt}"], "a cat and a cat"),
    ],
)
def test_styles_are_merged_in_order(prompt: str, styles: list[str], expected: str) -> None:
    assert add_styles(prompt, styles) == expected


@pytest.mark.parametrize(
    ("style", "prompt", "expected"),
    [
        ("masterpiece", "1girl, art by greg, masterpiece", "1girl, art by greg"),
        ("masterpiece, {prompt}", "masterpiece, 1girl, art by greg", "1girl, art by greg"),
        ("masterpiece, {prompt}", "exquisite, 1girl, art by greg, masterpiece", None),
        ("film", "microfilm", None),
        ("film", "film", ""),
    ],
)
def test_styles_come_out_again(style: str, prompt: str, expected: str | None) -> None:
    assert remove_style(prompt, style) == expected


WORDS = st.text("abc ,", min_size=1, max_size=12).map(str.strip).filter(bool)


@given(WORDS, WORDS, st.sampled_from(["{s}", "{s} {{prompt}}", "{{prompt}} {s}"]))
@settings(max_examples=100, deadline=None)
def test_what_was_added_comes_out(prompt: str, word: str, form: str) -> None:
    style = form.format(s=word)
    assert remove_style(add_styles(prompt, [style]), style) == prompt


def test_files_round_trip(tmp_path: Path) -> None:
    styles = [Style("Film", "film, {prompt}", "cartoon"), Style("水墨", 'ink, "wash"\nline two')]
    write_styles(tmp_path / "styles.csv", styles)
    assert read_styles(tmp_path / "styles.csv") == styles


def test_old_columns_comments_and_short_rows(tmp_path: Path) -> None:
    path = tmp_path / "styles.csv"
    path.write_text("\ufeffname,text\nFilm,grain\n#Section,x\nEmpty\n\n,unnamed\n", "utf-8")
    assert read_styles(path) == [Style("Film", "grain"), Style("Empty")]


@pytest.mark.parametrize("content", [None, b"name,prompt\n\xff\xfe,x\n"])
def test_unreadable_files_are_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "styles.csv"
    if content:
        path.write_bytes(content)
    with pytest.raises(FileError, match=r"styles\.csv"):
        read_styles(path)
