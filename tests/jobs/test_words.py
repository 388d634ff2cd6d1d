"""Full-text search finds what is there, in every script, and takes nothing for an operator."""

import doctest

import pytest

from fromnoise.jobs import words
from fromnoise.jobs.database import Database
from fromnoise.jobs.gallery import Gallery
from fromnoise.jobs.picture import New, Search


@pytest.fixture
def gallery(database: Database, tmp_path: object) -> Gallery:
    gallery = Gallery(database, tmp_path)  # type: ignore[arg-type]
    prompts = {
        "apple": "A red apple, masterpiece (best quality:1.2)",
        "cat": "一只红色的猫坐在苹果树下 <lora:ink_style:0.7>",
        "odd": 'quotes " and NOT or AND * ( ) : ^ - near',
        "none": "",
    }
    gallery.add(
        New(f"{name}.png", name * 8, 1, 1, 8, 8, recipe={"prompt": prompt, "model": "dream_v8"})
        for name, prompt in prompts.items()
    )
    return gallery


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("red apple", "apple"),
        ("RED", "apple"),
        ('"red apple"', "apple"),
        ('"apple red"', ""),
        ("apple -red", ""),
        ("-red", "cat none odd"),
        ("mast*", "apple"),
        ("mast", ""),
        ("猫", "cat"),
        ("苹果", "cat"),
        ("果苹", ""),
        ("红色的猫 -狗", "cat"),
        ("苹果*", "cat"),
        ("ink_style", "cat"),
        ("dream v8", "apple cat none odd"),
        ("cat", "cat"),
        ("NOT", "odd"),
        ("AND OR", "odd"),
        ('near "(" * - : ^', "odd"),
        ('""', "apple cat none odd"),
        ("", "apple cat none odd"),
        ("zebra", ""),
        ("'; DROP TABLE pictures; --", ""),
        ('best"quality', "apple"),
    ],
)
def test_queries(gallery: Gallery, query: str, expected: str) -> None:
    found = sorted(picture.path.removesuffix(".png") for picture in gallery.search(Search(words=query)))
    assert " ".join(found) == expected
    assert gallery.count(Search(words=query)) == len(found)


def test_long_and_strange_texts(gallery: Gallery) -> None:
    gallery.search(Search(words="x " * 10_000))
    gallery.search(Search(words="\0\ud7ff\u202e" * 100))
    gallery.add([New("long.png", "l" * 64, 1, 1, 8, 8, recipe={"prompt": "word " * 100_000})])
    assert [picture.path for picture in gallery.search(Search(words="word"))] == ["long.png"]


def test_examples() -> None:
    assert doctest.testmod(words).failed == 0
