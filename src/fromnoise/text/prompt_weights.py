"""Weights in prompts: text with brackets to pieces of text with a weight each, in both dialects, in linear time.

`native` and `a1111`: `(x)` times 1.1, `[x]` divided by 1.1, `(x:1.3)` times 1.3; nested factors multiply; a bracket
that is not closed acts to the end; backslash makes `( ) [ ] \\` literal; the word BREAK ends a chunk of 75 tokens.
`comfyui`: `(x)` times 1.1, `(x:1.3)` sets 1.3 whatever is around it; `[x]` is text.

Nothing raises: what cannot be read is text, and a warning says where.
"""

import re
from itertools import groupby
from math import isfinite
from typing import Literal, NamedTuple

Dialect = Literal["native", "a1111", "comfyui"]
Emphasis = Literal["native", "comfyui", "no norm", "ignore"]
"""How weights act on a text encoder's states z, token by token:

native   z w, then the whole chunk is scaled to the mean it had before (AUTOMATIC1111's "Original")
comfyui  e + (z - e) w, where e are the states of an empty prompt
no norm  z w
ignore   z
"""

STEP = 1.1  # what one pair of brackets multiplies or divides by
MAX_WARNINGS = 50  # a text with more mistakes than this is not made of mistakes
LIMIT = 1e4  # weights are held within plus and minus this, so that thousands of brackets stay finite


class Piece(NamedTuple):
    """A run of text that has one weight; 1 is neutral."""

    text: str
    weight: float = 1.0


BREAK = Piece("BREAK", -1.0)  # not text: the rest of the chunk stays empty


class PromptWarning(NamedTuple):
    """Something in a prompt that was read as text; `position` counts characters from 0."""

    position: int
    message: str


class Weighted(NamedTuple):
    """What a text with brackets says."""

    pieces: list[Piece]
    warnings: list[PromptWarning]


def parse_weights(text: str, dialect: Dialect = "native") -> list[Piece]:
    """The weighted pieces of `text`, which holds no editing and no AND; `read_weights` tells what was odd, too.

    >>> parse_weights("a (red:1.3) [cat]")
    [Piece(text='a ', weight=1.0), Piece(text='red', weight=1.3), Piece(text=' ', weight=1.0), \
Piece(text='cat', weight=0.909090909091)]
    """
    return read_weights(text, dialect).pieces


def read_weights(text: str, dialect: Dialect = "native") -> Weighted:
    """The weighted pieces of `text`, never empty outside `comfyui`, and warnings."""
    return _ComfyWeights(text).read() if dialect == "comfyui" else _BracketWeights(text, dialect).read()


# --- native and a1111 -------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"[()\[\]]"
    r"|(?P<weight>:\s*(?P<number>[+-]?[.\d]+)\s*\))"
    r"|(?:[^\\()\[\]:]+|(?!:\s*[+-]?[.\d]+\s*\)):)+"
    r"|\\(?P<escaped>[()\[\]\\]?)"
)
_BREAK = re.compile(r"\s*\bBREAK\b\s*")


class _Bracket:
    """An opening bracket; its factor is known when it closes."""

    __slots__ = ("char", "factor", "position")

    def __init__(self, char: str, position: int) -> None:
        self.char, self.position = char, position
        self.factor = STEP if char == "(" else 1 / STEP


class _BracketWeights:
    """Two passes: pair the brackets of each kind, then walk the text with a running product for each kind."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text, self.dialect = text, dialect
        self.open: dict[str, list[_Bracket]] = {"(": [], "[": []}
        self.events: list[tuple[str, str | _Bracket]] = []
        self.warnings: list[PromptWarning] = []

    def read(self) -> Weighted:
        add, opened = self.events.append, self.open
        for match in _TOKEN.finditer(self.text):
            token = match[0]
            char = token[0]
            if token == "(" or token == "[":
                bracket = _Bracket(token, match.start())
                opened[token].append(bracket)
                add(("open", bracket))
            elif token == ")" or token == "]":
                self._close(token, match.start())
            elif char == "\\":
                add(("escaped", match["escaped"]))
            elif char == ":" and opened["("] and match["weight"]:
                self._weighted_close(match)
            else:
                add(("text", token))
        for bracket in (*opened["("][:MAX_WARNINGS], *opened["["][:MAX_WARNINGS]):
            self._warn(bracket.position, f"'{bracket.char}' is not closed: it acts to the end of the prompt")
        return Weighted(_merge(self._walk()), sorted(self.warnings)[:MAX_WARNINGS])

    def _weighted_close(self, match: re.Match[str]) -> None:
        try:
            factor = float(match["number"])
        except ValueError:
            self._warn(match.start("number"), f"'{match['number']}' is not a number: read as text")
            self.events.append(("text", match.group()[:-1]))
            self._close(")", match.end() - 1)
            return
        if abs(factor) > LIMIT:
            self._warn(match.start("number"), f"weight {match['number']} is limited to {LIMIT:g}")
        self.open["("][-1].factor = max(-LIMIT, min(LIMIT, factor))
        self._close(")", match.end() - 1)

    def _close(self, char: str, at: int) -> None:
        opener = "(" if char == ")" else "["
        if self.open[opener]:
            self.open[opener].pop()
            self.events.append(("close", opener))
        else:
            self._warn(at, f"'{char}' closes nothing: read as text")
            self.events.append(("text", char))

    def _walk(self) -> list[Piece]:
        pieces: list[Piece] = []
        product: dict[str, list[float]] = {"(": [1.0], "[": [1.0]}
        weight: float | None = 1.0
        for kind, value in self.events:
            if isinstance(value, _Bracket):
                stack = product[value.char]
                stack.append(max(-LIMIT, min(LIMIT, stack[-1] * value.factor)))
                weight = None
            elif kind == "close":
                product[value].pop()
                weight = None
            else:
                if weight is None:
                    weight = float(f"{product['('][-1] * product['['][-1]:.12g}")  # one value however it was reached
                pieces += [Piece(value, weight)] if kind == "escaped" else self._split(value, weight)
        return pieces

    def _split(self, text: str, weight: float) -> list[Piece]:
        """`text` cut at the word BREAK; `a1111` takes a BREAK whose weight was changed for an ordinary word."""
        if "BREAK" not in text:
            return [Piece(text, weight)]
        divider = Piece("BREAK", -weight) if self.dialect == "a1111" and weight != 1 else BREAK
        first, *rest = (Piece(part, weight) for part in _BREAK.split(text))
        return [first, *(piece for part in rest for piece in (divider, part))]

    def _warn(self, position: int, message: str) -> None:
        if len(self.warnings) < 2 * MAX_WARNINGS:
            self.warnings.append(PromptWarning(position, message))


def _merge(pieces: list[Piece]) -> list[Piece]:
    """Neighbours of equal weight become one piece, empty ones none; BREAK stays by itself."""
    merged: list[Piece] = []
    for (weight, is_break), run in groupby(pieces, key=lambda p: (p.weight, p == BREAK)):
        texts = [piece.text for piece in run]
        if is_break:
            merged += [BREAK] * len(texts)
        elif any(texts):
            merged.append(Piece("".join(texts), weight))
    return merged or [Piece("")]


# --- comfyui ----------------------------------------------------------------------------------------------------------

_PAREN = re.compile(r"\\[()]|[()]")


class _Group(NamedTuple):
    """A stretch of text inside one pair of parentheses: where it ends, its weight, where reading goes on after it."""

    end: int
    weight: float
    resume: int


class _ComfyWeights:
    """A group opens where the depth rises to 1 and closes where it falls back to 0.

    A stray `)` makes the depth negative, so that a later `(` only repairs it. A group that never closes but whose text
    ends in `)` loses its first and last character like a closed one; otherwise it is text to its end.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.parens = [m.start() for m in _PAREN.finditer(text) if m.group() in ("(", ")")]
        self.before = dict(zip(self.parens, [-1, *self.parens], strict=False))  # the parenthesis before each one
        self.openers: list[int] = []
        self.match: dict[int, int] = {}
        self.pieces: list[Piece] = []
        self.warnings: list[PromptWarning] = []

    def read(self) -> Weighted:
        self._pair()
        self._walk()
        return Weighted([p for p in self.pieces if p.text], sorted(self.warnings)[:MAX_WARNINGS])

    def _pair(self) -> None:
        stack: list[int] = []
        deficit = 0
        for at in self.parens:
            if self.text[at] == ")":
                if stack:
                    self.match[stack.pop()] = at
                else:
                    deficit += 1
                    self._warn(at, "')' closes nothing: read as text, and so is a later '('")
            elif deficit and not stack:
                deficit -= 1
            else:
                self.openers.append(at)
                stack.append(at)
        for at in stack[:MAX_WARNINGS]:
            self._warn(at, "'(' is not closed")

    def _walk(self) -> None:
        position, index = 0, 0
        groups = [_Group(len(self.text), 1.0, len(self.text))]
        while groups:
            group = groups[-1]
            while index < len(self.openers) and self.openers[index] < position:
                index += 1
            opener = self.openers[index] if index < len(self.openers) else len(self.text)
            if opener >= group.end:
                self._emit(position, group.end, group.weight)
                position = groups.pop().resume
                continue
            self._emit(position, opener, group.weight)
            inner = self._group(opener, group)
            if inner:
                groups.append(inner)
                position = opener + 1
            else:
                self._emit(opener, group.end, group.weight)
                position = group.end

    def _group(self, opener: int, outer: _Group) -> _Group | None:
        """The group that opens at `opener`, or None if the rest of `outer` is text."""
        close = self.match.get(opener, outer.end)
        if close >= outer.end:
            close = outer.end - 1
            if close not in self.before or self.text[close] != ")":
                return None
        colon = self.text.rfind(":", max(opener, self.before[close]) + 1, close)
        if colon > opener + 1:
            try:
                weight = float(self.text[colon + 1 : close])
            except ValueError:
                pass
            else:
                if isfinite(weight):
                    return _Group(colon, weight, close + 1)
        return _Group(close, min(LIMIT, outer.weight * STEP), close + 1)

    def _emit(self, start: int, end: int, weight: float) -> None:
        self.pieces.append(Piece(self.text[start:end].replace("\\)", ")").replace("\\(", "("), weight))

    def _warn(self, position: int, message: str) -> None:
        if len(self.warnings) < 2 * MAX_WARNINGS:
            self.warnings.append(PromptWarning(position, message))
