"""Lists of tags that prompts are completed with, in the CSV files of the extension a1111-sd-webui-tagcomplete.

A line is `name,category,count,"alias,alias"`, of which all but the name may be missing. What stands in place of the
count and is no number is a note or, in Chinese, what the tag means. A file of translations has `name,translation`, in
older ones with the category between. A first line may name the columns, as in the `selected_tags.csv` of taggers.

    lists = ready([read(Path("danbooru.csv")), read(Path("zh.csv"))])
    complete(lists, "long h", 10)  # ("long h", [Found("long_hair", "general", 4350743, ...), ...])
"""

import csv
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Literal, NamedTuple

from fromnoise.assets.tags import names
from fromnoise.errors import FileError

MAX_BYTES = 32 << 20  # of a file
MAX_TAGS = 300_000  # of a file; those that a booru has most pictures of come first in it
MAX_ALL = 600_000  # of all files together
MAX_LINE, MAX_NAME, MAX_ALIASES = 20_000, 200, 200  # characters, characters, and how many
SAMPLE = 200  # lines that tell what a file is
MOST_WORDS = 4  # before the cursor that may be one tag

Category = Literal["general", "artist", "copyright", "character", "meta", "species", "lore", "invalid", "other"]
DANBOORU: dict[int, Category] = {
    -1: "invalid", 0: "general", 1: "artist", 3: "copyright", 4: "character", 5: "meta",
}  # fmt: skip
BOORUS: dict[str, dict[int, Category]] = {  # by how the name of the file begins; the others are as Danbooru
    "e621": {**DANBOORU, 5: "species", 6: "invalid", 7: "meta", 8: "lore"},
    "derpibooru": {
        0: "general", 1: "copyright", 3: "species", 4: "character", 5: "meta", 7: "character", 8: "meta", 9: "meta",
        11: "copyright",
    },
}  # fmt: skip

COLUMNS = {
    "name": 0, "tag": 0, "category": 1, "type": 1, "count": 2, "post_count": 2, "postcount": 2, "aliases": 3,
    "alias": 3, "translation": 4,
}  # fmt: skip
WHOLE = re.compile(r"-?\d{1,15}")
QUOTED = re.compile(r'(?:^|,)\s*"')
UNFIT = re.compile("[\x00-\x1f\x7f\ufffd]")
CHINESE = re.compile("[\u3400-\u9fff]")
SPACES = re.compile(r"\s+")
BEFORE = ("\n", " ", "")  # what stands before a place: a term begins there, a word of it, neither


class Line(NamedTuple):
    """A tag as its file has it."""

    name: str
    category: int = 0
    pictures: int = 0  # that have it; 0 where that is not told
    note: str = ""  # in place of the count
    aliases: tuple[str, ...] = ()
    meaning: str = ""


@dataclass(frozen=True)
class TagFile:
    """What a file holds."""

    name: str  # of the file, without its suffix
    lines: list[Line]
    translates: bool = False  # it tells what tags of other files mean
    pairs: bool = False  # and nothing else
    skipped: int = 0  # lines that are no tags
    cut: bool = False  # there is more than is read


class Found(NamedTuple):
    """A tag that words may become."""

    name: str
    category: Category
    pictures: int
    note: str
    alias: str  # by which it was found, if not by its name
    meaning: str
    rank: int  # 0 where the words begin a name, 1 where they begin a word of it, 2 where they are inside a word


def read(path: Path, room: int = MAX_TAGS) -> TagFile:
    """The first `room` tags in the first MAX_BYTES of a file. FileError where there is none that can be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror}); check the name and its permissions") from error
    cut = len(data) > MAX_BYTES
    lines = [line.rstrip("\r") for line in decoded(data[: data.rfind(b"\n")] if cut else data).split("\n")]
    lines = [line for line in lines if line.strip()]
    order = columns(cells(lines[0])) if lines else None
    lines = lines[1:] if order else lines
    rows = [cells(line) for line in lines[:room]]
    sample = [row for row in rows[:SAMPLE] if len(row) > 1]
    pairs = sum(bool(row[1]) and not WHOLE.fullmatch(row[1]) for row in sample) * 2 > len(sample)
    if order:
        pairs = not {1, 2, 3} & set(order)
        tags = [by_columns(row, order) for row in rows]
    elif pairs:
        tags = [tag_of(row[0], meaning=",".join(row[1:])) if len(row) > 1 else None for row in rows]
    else:  # in files that have more than names, a name alone is half a line
        tags = [tag_of(*row[:3], aliases=row[3:]) if len(row) > 1 or (row and not sample) else None for row in rows]
    good = [tag for tag in tags if tag is not None]
    translates = any(tag.meaning for tag in good) and not any(tag.pictures for tag in good)
    return TagFile(path.stem, good, translates, pairs, len(rows) - len(good), cut or len(lines) > room)


def decoded(data: bytes) -> str:
    """UTF-8, or what Chinese spreadsheets write; what neither is leaves marks that no tag has."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", errors="replace")


def cells(line: str) -> list[str]:
    """Of a line of a CSV file; none where it is not one, so that a quote that nobody closes spoils no other line."""
    if len(line) > MAX_LINE or UNFIT.search(line):
        return []
    if not QUOTED.search(line):
        return [cell.strip() for cell in line.split(",")]
    if line.count('"') % 2:
        return []
    return [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True))]


def columns(first: Sequence[str]) -> list[int | None] | None:
    """What each column is, where the first line says so."""
    known = [COLUMNS.get(cell.lower()) for cell in first]
    return known if 0 in known and sum(one is not None for one in known) > 1 else None


def by_columns(row: Sequence[str], order: Sequence[int | None]) -> Line | None:
    given = dict(zip(order, row, strict=False))
    aliases = [given[3]] if 3 in given else []
    return tag_of(given.get(0, ""), given.get(1, ""), given.get(2, ""), aliases=aliases, meaning=given.get(4, ""))


def tag_of(
    name: str, category: str = "", count: str = "", *, aliases: Iterable[str] = (), meaning: str = ""
) -> Line | None:
    """What a line says; None where it is no tag."""
    if not name or len(name) > MAX_NAME or (category and not WHOLE.fullmatch(category)):
        return None
    note = "" if WHOLE.fullmatch(count) else count[:MAX_NAME]
    if not meaning and CHINESE.search(note):
        meaning, note = note, ""
    others = tuple(alias for cell in aliases for alias in map(str.strip, cell.split(",")) if alias)
    number = 0 if note or not WHOLE.fullmatch(count) else max(0, int(count))
    return Line(name, int(category or 0), number, note, others[:MAX_ALIASES], meaning[:MAX_NAME])


def folded(text: str) -> str:
    """As it is compared: underscores and spaces, capitals and small letters are the same."""
    return text.replace("_", " ").lower()


class TagList:
    """The tags of a file, those of most pictures first, ready to be looked through.

    All names, aliases and meanings are lines of one text, which `str.find` goes through in a few milliseconds.
    """

    def __init__(self, file: TagFile, meanings: Mapping[str, str]) -> None:
        lines = sorted(file.lines, key=lambda line: -line.pictures)
        self.name = file.name
        self.categories = next(
            (known for name, known in BOORUS.items() if file.name.lower().startswith(name)), DANBOORU
        )
        self.lines = [line._replace(aliases=(), meaning=meaning_of(line, meanings)) for line in lines]
        terms: list[str] = []
        self.owners = array("I")  # of each term the tag that it stands for
        self.firsts = array("I", [0])  # of each tag the first of its terms, and of the one after the last
        for number, (line, plain) in enumerate(zip(lines, self.lines, strict=True)):
            own = [line.name, *line.aliases, *filter(None, [plain.meaning])]
            terms += map(folded, own)
            self.owners.extend([number] * len(own))
            self.firsts.append(len(terms))
        self.text = "\n".join(["", *terms, ""])
        self.starts = array("I", accumulate((len(term) + 1 for term in terms), initial=1))

    def found(self, words: str, most: int, *, begins: bool = False) -> list[Found]:
        """At most so many tags that have the words in a name, an alias or a meaning; with `begins` at its beginning."""
        wanted = SPACES.sub(" ", folded(words)).lstrip()
        places: dict[int, tuple[int, int]] = {}  # tag: rank, term
        for rank, before in enumerate(BEFORE[:1] if begins else BEFORE):
            at = self.text.find(before + wanted) if wanted else -1
            while at >= 0 and len(places) < most:
                term = bisect_right(self.starts, at + len(before)) - 1
                tag = self.owners[term]
                places.setdefault(tag, (rank, term))
                at = self.text.find(before + wanted, self.starts[self.firsts[tag + 1]] - 1)
        return [self._told(tag, rank, term, wanted) for tag, (rank, term) in places.items()]

    def _told(self, tag: int, rank: int, term: int, wanted: str) -> Found:
        line = self.lines[tag]
        by = self.text[self.starts[term] : self.starts[term + 1] - 1]
        alias = "" if wanted in folded(line.name) or by == folded(line.meaning) else by
        category = self.categories.get(line.category, "other")
        return Found(line.name, category, line.pictures, line.note, alias, line.meaning, rank)


def meaning_of(line: Line, meanings: Mapping[str, str]) -> str:
    """What a tag is called in Chinese: as the translations say of its name or of an alias, else a Chinese alias."""
    keys = [folded(name) for name in (line.name, *line.aliases)]
    said = next((meanings[key] for key in keys if key in meanings), line.meaning)
    return said or next(filter(CHINESE.search, line.aliases), "")


def ready(files: Sequence[TagFile]) -> list[TagList]:
    """The lists of some files, with what translations among them say; where there is nothing else, those are lists."""
    meanings = dict(names())
    for file in reversed([file for file in files if file.translates]):
        meanings |= {folded(line.name): line.meaning for line in file.lines if line.meaning}
    return [TagList(file, meanings) for file in [file for file in files if not file.pairs] or files]


def complete(lists: Sequence[TagList], words: str, most: int) -> tuple[str, list[Found]]:
    """What the words before a cursor may become, and which of them that is: as many of the last as are found.

    All of them are looked for anywhere in tags; the last ones of a longer text only where tags begin.
    """
    for typed, begins in endings(words):
        found: dict[str, Found] = {}
        for tag in sorted((tag for one in lists for tag in one.found(typed, most, begins=begins)), key=urgency):
            found.setdefault(folded(tag.name), tag)
        if found:
            return typed, list(found.values())[:most]
    return "", []


def urgency(tag: Found) -> tuple[int, int]:
    """What begins with the words, then what has most pictures."""
    return tag.rank, -tag.pictures


def endings(words: str) -> Iterator[tuple[str, bool]]:
    """All of the words, then ever fewer of the last, and whether they are only a part; a letter alone is too little."""
    starts = [space.end() for space in SPACES.finditer(words)]
    for start in sorted({0, *starts[1 - MOST_WORDS :]}):
        typed = words[start:]
        if len(typed.strip()) > 1 or CHINESE.search(typed):
            yield typed, start > 0
