"""Names of pictures, and the promise that nothing is overwritten."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fromnoise.cli.output import DEFAULT_FOLDER, Destination, slug
from fromnoise.errors import FileError

from .conftest import everything


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("A red apple", "a-red-apple"),
        ("(apple:1.3), [dog|cat]", "apple-1-3-dog-cat"),
        ("一只 可爱的猫，高清", "一只-可爱的猫-高清"),
        ("../..\\x:y*?", "x-y"),
        ("", "picture"),
        ("!!!", "picture"),
        ("word " * 50, "word-word-word-word-word-word-word-word"),
    ],
)
def test_a_slug_is_letters_and_digits(prompt: str, expected: str) -> None:
    assert slug(prompt) == expected


def test_out_is_a_folder_or_a_png(folder: Path) -> None:
    (folder / "there").mkdir()
    assert Destination.of(None) == Destination(DEFAULT_FOLDER)
    assert Destination.of("new/") == Destination(Path("new"))
    assert Destination.of("there") == Destination(Path("there"))
    assert Destination.of("a/cat.PNG") == Destination(Path("a"), "cat")
    assert Destination.of("cat") == Destination(Path(), "cat")
    assert Destination.of("~/cat.png") == Destination(Path.home(), "cat")
    with pytest.raises(FileError, match=r"use a/cat\.png"):
        Destination.of("a/cat.webp")


def test_checking_makes_nothing(folder: Path) -> None:
    Destination.of("a/b/c/").check()
    Destination.of("a/b/c.png").check()
    assert everything(folder) == []


def test_a_claim_is_given_up_where_the_picture_fails(folder: Path) -> None:
    def fail() -> None:
        with Destination(folder).claimed("cat") as path:
            assert everything(folder) == [path]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert everything(folder) == []


def test_many_at_once_claim_different_names(folder: Path) -> None:
    def claim(_: int) -> Path:
        with Destination(folder).claimed("cat") as path:
            path.write_text("picture")
        return path

    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(claim, range(40)))
    assert len(set(paths)) == 40
    assert {path.name for path in paths} == {"cat.png", *(f"cat-{n}.png" for n in range(2, 41))}
