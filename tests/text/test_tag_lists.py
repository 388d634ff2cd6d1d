"""Lists of tags: the forms of their files, and what words become by them."""

import random
from pathlib import Path

import pytest

from fromnoise.errors import FileError
from fromnoise.text import tag_lists
from fromnoise.text.tag_lists import Line, TagList, complete, read, ready

BOORU = """1girl,0,6008644,"1girls,sole_female"
long_hair,0,4350743,"/lh,longhair,长发"
very_long_hair,0,952244,/vlh
red_hair,0,520146,"redhair,red_head"
fate_(series),3,324179,
hatsune_miku,4,106634,/hm
wlop,1,1200,
hair_long,0,12,
"""


def file(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / f"{name}.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture
def booru(tmp_path: Path) -> TagList:
    (made,) = ready([read(file(tmp_path, "danbooru", BOORU))])
    return made


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("long h", ["long_hair", "very_long_hair"]),  # what begins so, then a word that does
        ("LONG_H", ["long_hair", "very_long_hair"]),
        ("hair", ["hair_long", "long_hair", "very_long_hair", "red_hair"]),  # the first by its place, then by pictures
        ("sole f", ["1girl"]),
        ("/lh", ["long_hair"]),
        ("ukis", []),
        ("atsun", ["hatsune_miku"]),
        ("fate (s", ["fate_(series)"]),
        ("长", ["long_hair", "very_long_hair"]),
        ("红", ["red_hair"]),  # by what is known of common tags
        ("%", []),
        ("x\ny", []),
    ],
)
def test_tags_are_found(booru: TagList, typed: str, names: list[str]) -> None:
    assert [tag.name for tag in booru.found(typed, 10)] == names


def test_what_is_told_of_a_tag(booru: TagList) -> None:
    told = {tag.name: tag for typed in ("sole", "fate", "hats", "wlop", "redh") for tag in booru.found(typed, 1)}
    assert [(tag.category, tag.alias) for tag in told.values()] == [
        ("general", "sole female"), ("copyright", ""), ("character", ""), ("artist", ""), ("general", "redhair"),
    ]  # fmt: skip
    (girl,) = booru.found("1g", 5)
    assert (girl.pictures, girl.alias, girl.meaning) == (6008644, "", "一个女孩")
    long, _ = booru.found("长发", 5)
    assert (long.alias, long.meaning) == ("", "长发")


def test_at_most_so_many(booru: TagList) -> None:
    assert [tag.name for tag in booru.found("hair", 2)] == ["hair_long", "long_hair"]


@pytest.mark.parametrize(
    ("words", "typed", "first"),
    [
        ("long h", "long h", "long_hair"),
        ("a girl with very long h", "very long h", "very_long_hair"),
        ("a picture of hatsu", "hatsu", "hatsune_miku"),
        ("a picture of atsun", "", None),  # of a longer text only what begins so
        ("我要红", "", None),
        ("a 红", "红", "red_hair"),
        ("h", "", None),
        ("", "", None),
    ],
)
def test_the_last_words_count(booru: TagList, words: str, typed: str, first: str | None) -> None:
    found, tags = complete([booru], words, 5)
    assert (found, tags[0].name if tags else None) == (typed, first)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("solo\nmiku\n", [Line("solo"), Line("miku")]),
        ("solo,0\nhighres,5\r\n\n", [Line("solo"), Line("highres", 5)]),
        ("solo,0,7\n", [Line("solo", 0, 7)]),
        ("solo,0,7,a,b\n", [Line("solo", 0, 7, aliases=("a", "b"))]),
        ('edit,8,9,"manip, ""edit"""\n', [Line("edit", 8, 9, aliases=("manip", '"edit"'))]),
        ("masterpiece,5,Quality tag,\n", [Line("masterpiece", 5, note="Quality tag")]),
        ("name,category,post_count\nsolo,0,7\n", [Line("solo", 0, 7)]),
        ("tag_id,name,category,count\n9,solo,0,7\n", [Line("solo", 0, 7)]),
        ("\ufeffsolo,0,7\n", [Line("solo", 0, 7)]),
        ("solo,\n", [Line("solo")]),
        ("", []),
    ],
)
def test_forms_of_files(tmp_path: Path, text: str, lines: list[Line]) -> None:
    found = read(file(tmp_path, "mine", text))
    assert (found.lines, found.skipped, found.cut, found.translates) == (lines, 0, False, False)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("red_hair,赤发\nsolo,单人\n", True),
        ("red_hair,0,赤发\nsolo,0,单人\n1girl,0\n", False),
        ("name,translation\nred_hair,赤发\nsolo,单人\n", True),
        ("red_hair,赤发\nsolo,单人\n".encode("gb18030"), True),
    ],
)
def test_translations_tell_what_tags_of_others_mean(tmp_path: Path, text: str | bytes, pairs: bool) -> None:
    both = [read(file(tmp_path, "danbooru", BOORU)), read(file(tmp_path, "zh", text))]
    assert (both[1].translates, both[1].pairs) == (True, pairs)
    lists = ready(both)
    assert [one.name for one in lists] == (["danbooru"] if pairs else ["danbooru", "zh"])
    typed, (tag,) = complete(lists, "赤", 5)
    assert (typed, tag.name, tag.pictures, tag.meaning) == ("赤", "red_hair", 520146, "赤发")
    (alone,) = ready(both[1:])
    assert [one.name for one in alone.found("单", 5)] == ["solo"]


def test_categories_are_those_of_the_booru(tmp_path: Path) -> None:
    (made,) = ready([read(file(tmp_path, "e621_sfw", "wolf,5,9\nhi_res,7,8\nx,99,7\n"))])
    assert [tag.category for typed in ("wolf", "hi_r", "x") for tag in made.found(typed, 1)] == [
        "species",
        "meta",
        "other",
    ]


BAD = [
    'open,0,5,"nobody closes it',
    ",0,5,",
    "word,zero,5",
    "half",
    f"{'long' * 100},0,5",
    f'many,0,5,"{"a," * 20_000}"',
    "control\x07,0,5",
]


def test_lines_that_are_no_tags_are_counted_and_spoil_no_other(tmp_path: Path) -> None:
    found = read(file(tmp_path, "mixed", "\n".join(f"{line}\ntag_{i},0,{i + 1}" for i, line in enumerate(BAD))))
    assert found.skipped == len(BAD)
    assert [line.name for line in found.lines] == [f"tag_{i}" for i in range(len(BAD))]


@pytest.mark.parametrize("data", [bytes(range(256)) * 20, b"\xff\xfe" + "solo,0,5\n".encode("utf-16-le"), b"\0" * 999])
def test_a_file_of_something_else_has_no_tags(tmp_path: Path, data: bytes) -> None:
    assert [line for line in read(file(tmp_path, "odd", data)).lines if line.pictures] == []


def test_large_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(tmp_path, "large", "".join(f"tag_{i},0,{9999 - i}\n" for i in range(1000)))
    assert (len(read(path, 1000).lines), read(path, 1000).cut) == (1000, False)
    assert (len(read(path, 10).lines), read(path, 10).cut) == (10, True)
    monkeypatch.setattr(tag_lists, "MAX_BYTES", 100)
    few = read(path)
    assert few.cut
    assert few.lines == read(path, len(few.lines)).lines
    assert 5 < len(few.lines) < 10


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.csv cannot be read"):
        read(tmp_path / "none.csv")


def test_a_long_list_finds_what_looking_at_each_tag_would(tmp_path: Path) -> None:
    dice = random.Random(3)
    words = ["".join(dice.choices("abcdeh", k=dice.randint(2, 5))) for _ in range(300)]
    names = list(dict.fromkeys("_".join(dice.choices(words, k=dice.randint(1, 3))) for _ in range(20_000)))
    text = "".join(f"{name},0,{len(names) - i}\n" for i, name in enumerate(names))
    (made,) = ready([read(file(tmp_path, "danbooru", text))])
    for typed in ("ab", "a_b", "hed", "eh c", words[7]):
        plain = typed.replace("_", " ")
        spaced = [name.replace("_", " ") for name in names]
        first = [name for name in spaced if name.startswith(plain)]
        then = [name for name in spaced if f" {plain}" in name and name not in first]
        last = [name for name in spaced if plain in name and name not in first and name not in then]
        assert [tag.name.replace("_", " ") for tag in made.found(typed, 40)] == [*first, *then, *last][:40]
