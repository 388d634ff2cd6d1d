"""Full-text search over prompts, in SQLite (FTS5) and PostgreSQL (tsvector) alike.

Chinese, Japanese and Korean are written without blanks: each of their characters is a word of its own here, and what
is searched for has to have them side by side. A query is words, all of which must be there, "several in quotes" side
by side, -without, and begin* for words that begin so. Nothing in it is an operator of the database.
"""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, text

from fromnoise.jobs.tables import PICTURES, WORDS

CJK = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff])")
TERM = re.compile(r'(-?)(?:"([^"]*)"|(\S+))')
MAX_TERMS = 32
MAX_WORDS = 100_000  # characters that are searched of one picture


def segmented(prose: str) -> list[str]:
    """The words of a text, in small letters.

    >>> segmented("A red apple (best:1.2), 一只猫")
    ['a', 'red', 'apple', 'best', '1', '2', '一', '只', '猫']
    """
    return re.findall(r"\w+", CJK.sub(r" \1 ", prose.lower()).replace("_", " "))


@dataclass(frozen=True)
class Term:
    """Words side by side that must be there, or must not."""

    words: tuple[str, ...]
    wanted: bool = True
    begins: bool = False  # the last word may go on


def terms(query: str) -> list[Term]:
    """What a query asks for.

    >>> terms('cat -dog "red apple" paint*')[1:3]
    [Term(words=('dog',), wanted=False, begins=False), Term(words=('red', 'apple'), wanted=True, begins=False)]
    """
    found = []
    for minus, quoted, plain in TERM.findall(query)[:MAX_TERMS]:
        words = tuple(segmented(quoted or plain))
        if words:
            found.append(Term(words, not minus, plain.endswith("*")))
    return found


def matching(query: str, *, sqlite: bool) -> ColumnElement[bool] | None:
    """A condition on pictures; None for a query without words."""
    asked = terms(query)
    if not asked:
        return None
    if sqlite:
        inside = f"SELECT rowid FROM {WORDS} WHERE {WORDS} MATCH :query"
        return PICTURES.c.number.in_(text(inside).bindparams(query=fts5(asked)))
    inside = f"SELECT picture FROM {WORDS} WHERE words @@ to_tsquery('simple', :query)"
    return PICTURES.c.number.in_(text(inside).bindparams(query=tsquery(asked)))


def fts5(asked: list[Term]) -> str:
    """In the language of FTS5, where NOT needs something before it."""

    def one(term: Term) -> str:
        return f'"{" ".join(term.words)}"' + ("*" if term.begins else "")

    wanted = " AND ".join(one(term) for term in asked if term.wanted) or f"{EVERY}"
    unwanted = "".join(f" NOT {one(term)}" for term in asked if not term.wanted)
    return f"({wanted}){unwanted}"


EVERY = "everypicture"  # a word that every picture has, for queries of nothing but -without


def tsquery(asked: list[Term]) -> str:
    """In the language of PostgreSQL."""

    def one(term: Term) -> str:
        words = [f"'{word}'" for word in term.words]
        words[-1] += ":*" if term.begins else ""
        return ("" if term.wanted else "!") + f"({' <-> '.join(words)})"

    return " & ".join(one(term) for term in asked)


def store(connection: Connection, number: int, prose: str, *, sqlite: bool) -> None:
    """Let a picture be found by the words of a text; those that it had are forgotten."""
    words = " ".join([EVERY, *segmented(prose[:MAX_WORDS])])
    forget(connection, [number], sqlite=sqlite)
    if sqlite:
        connection.execute(text(f"INSERT INTO {WORDS}(rowid, words) VALUES (:number, :words)"), row(number, words))
    else:
        into = f"INSERT INTO {WORDS}(picture, words) VALUES (:number, to_tsvector('simple', :words))"
        connection.execute(text(into), row(number, words))


def forget(connection: Connection, numbers: list[int], *, sqlite: bool) -> None:
    """Forget the words of pictures."""
    column = "rowid" if sqlite else "picture"
    for number in numbers:
        connection.execute(text(f"DELETE FROM {WORDS} WHERE {column} = :number"), {"number": number})


def row(number: int, words: str) -> dict[str, Any]:
    return {"number": number, "words": words}
