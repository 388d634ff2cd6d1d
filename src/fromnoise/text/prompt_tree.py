"""Prompt editing: `[from:to:when]`, `[to:when]`, `[from::when]` and `[a|b|c]`, nested at will, to a frozen tree.

The tree gives the text of a step; weights are read from that text. One scan pairs the brackets, one cuts the text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from fromnoise.text.prompt_weights import Dialect, PromptWarning

MAX_DEPTH = 50  # edits inside edits; deeper ones are text


@dataclass(frozen=True)
class Timing:
    """What a `when` is measured against.

    `first_pass`: the steps of the first pass if this is the second (hires) pass, whose fractions then run from 1 to 2
    and whose whole steps count from the first pass on. `old_rule`: AUTOMATIC1111's before 1.6, where a number below 1
    is a fraction in either pass and any other a step.
    """

    steps: int
    first_pass: int | None = None
    old_rule: bool = False


@dataclass(frozen=True)
class When:
    """A moment: a fraction of all steps (written with a point) or a number of steps."""

    value: float
    fraction: bool

    def step(self, timing: Timing) -> int:
        """How many steps lie before it, 0 to all."""
        value = self.value
        if timing.old_rule:
            value *= timing.steps if value < 1 else 1
        elif self.fraction:
            value = (value - (timing.first_pass is not None)) * timing.steps
        else:
            value -= timing.first_pass or 0
        return int(max(0, min(timing.steps, value)))


@dataclass(frozen=True)
class Edit:
    """`before` until `when`, then `after`."""

    before: "Tree"
    after: "Tree"
    when: When


@dataclass(frozen=True)
class Alternate:
    """One option after the other, a step each, over and over."""

    options: tuple["Tree", ...]


Tree = tuple[str | Edit | Alternate, ...]


def flatten(tree: Tree, step: int, timing: Timing) -> str:
    """The text at `step`, which counts from 1."""
    return "".join(_flatten(tree, step, timing))


def _flatten(tree: Tree, step: int, timing: Timing) -> Iterator[str]:
    for node in tree:
        if isinstance(node, str):
            yield node
        elif isinstance(node, Edit):
            yield from _flatten(node.before if step <= node.when.step(timing) else node.after, step, timing)
        else:
            yield from _flatten(node.options[(step - 1) % len(node.options)], step, timing)


def changes(tree: Tree, timing: Timing) -> set[int]:
    """The steps, counted from 1, after which the text may be another."""
    steps: set[int] = set()
    for node in tree:
        if isinstance(node, Edit):
            steps |= {node.when.step(timing)} | changes(node.before, timing) | changes(node.after, timing)
        elif isinstance(node, Alternate):
            steps |= set(range(1, timing.steps))
    return steps


def parse_tree(text: str, dialect: Dialect = "native") -> tuple[Tree, list[PromptWarning]]:
    """The tree of `text`, which holds no AND. What is no edit stays text, brackets and all."""
    scan = Scan(text, dialect)
    if stray := scan.unreadable():
        return (text,), [PromptWarning(stray - 1, "a stray '|' or '\\' turns all editing off")]
    return _build(text, scan, 0, len(text)), scan.warnings


def _build(text: str, scan: "Scan", start: int, end: int) -> Tree:
    nodes: list[str | Edit | Alternate] = []
    position = start
    while position < end:
        opener = scan.next_special(position)
        if opener >= end:
            break
        bracket = scan.special[opener]
        nodes += [text[position:opener]] if opener > position else []
        cuts = [opener, *bracket.separators, bracket.close]
        fields = [_build(text, scan, a + 1, b) for a, b in pairwise(cuts if bracket.bars else cuts[:-1])]
        nodes.append(Alternate(tuple(fields)) if bracket.bars else _edit(fields, text[cuts[-2] + 1 : cuts[-1]]))
        position = bracket.close + 1
    return (*nodes, text[position:end]) if position < end else tuple(nodes)


def _edit(fields: list[Tree], when: str) -> Edit:
    before: Tree = fields[0] if len(fields) == 2 else ()
    return Edit(before, fields[-1], When(float(when), "." in when))


_MARK = re.compile(r"\\.|[()\[\]:|]", re.DOTALL)
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_DANGLING = re.compile(r"(?<!\\)(?:\\\\)*\\(?=\n|\Z)")


class _Bracket:
    """A bracket and what lies directly in it."""

    __slots__ = ("bars", "broken", "char", "close", "colons", "depth", "opener", "separators")

    def __init__(self, char: str, opener: int) -> None:
        self.char, self.opener, self.close = char, opener, opener
        self.separators: list[int] = []
        self.bars, self.colons, self.depth = 0, 0, 0
        self.broken = False  # a1111: holds something that its grammar does not know


class Scan:
    """Brackets of a text in pairs (`pairs`: opening to closing position), and those that are edits (`special`)."""

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text, self.strict = text, dialect == "a1111"
        self.pairs: dict[int, int] = {}
        self.special: dict[int, _Bracket] = {}
        self.bars: list[int] = []  # positions of `|`
        self.warnings: list[PromptWarning] = []
        self._open: list[_Bracket] = []
        for match in _MARK.finditer(text):
            self._mark(match.group(), match.start())
        self._order = sorted(self.special)
        self._index = 0

    def next_special(self, position: int) -> int:
        """Where the first edit at or after `position` opens. Positions must not go down from call to call."""
        while self._index < len(self._order) and self._order[self._index] < position:
            self._index += 1
        return self._order[self._index] if self._index < len(self._order) else len(self.text)

    def unreadable(self) -> int | None:
        """In `a1111` a `|` outside an alternation, or a backslash before nothing, leaves the prompt as it is.

        The position after the first such mark.
        """
        if not self.strict:
            return None
        used = {at for bracket in self.special.values() for at in bracket.separators}
        stray = [at + 1 for at in self.bars if at not in used]
        dangling = _DANGLING.search(self.text)
        return stray[0] if stray else dangling.end() if dangling else None

    def _mark(self, mark: str, at: int) -> None:
        if mark in ("(", "["):
            self._open.append(_Bracket(mark, at))
        elif mark in (")", "]"):
            self._close("(" if mark == ")" else "[", at)
        elif mark in (":", "|"):
            self.bars += [at] if mark == "|" else []
            if self._open:
                bracket = self._open[-1]
                bracket.separators.append(at)
                bracket.bars += mark == "|"
                bracket.colons += mark == ":"

    def _close(self, char: str, at: int) -> None:
        if not self._open or self._open[-1].char != char:
            self._open.clear()  # crossing brackets pair with nothing
            return
        bracket = self._open.pop()
        bracket.close = at
        self.pairs[bracket.opener] = at
        readable = self._read(bracket)
        if self._open:
            parent = self._open[-1]
            parent.depth = max(parent.depth, bracket.depth)
            parent.broken |= not readable

    def _read(self, bracket: _Bracket) -> bool:
        """Notes `bracket` if it is an edit; whether AUTOMATIC1111's grammar knows it at all."""
        if bracket.char == "(":
            return not (bracket.broken or bracket.bars or bracket.colons > 1)
        if not bracket.separators:
            return not bracket.broken
        if not self._is_edit(bracket):
            return False
        if bracket.depth >= MAX_DEPTH:
            self.warnings.append(
                PromptWarning(bracket.opener, f"more than {MAX_DEPTH} edits inside each other: read as text")
            )
            return False
        bracket.depth += 1
        self.special[bracket.opener] = bracket
        return True

    def _is_edit(self, bracket: _Bracket) -> bool:
        if self.strict and (bracket.broken or (bracket.bars and bracket.colons)):
            return False
        if bracket.bars:
            bracket.separators = [at for at in bracket.separators if self.text[at] == "|"]
            return True
        when = self.text[bracket.separators[-1] + 1 : bracket.close]
        if _NUMBER.fullmatch(when) and len(bracket.separators) <= 2:
            return True
        message = "[from:to:when] needs a number as its last part and three parts at most: read as text"
        self.warnings.append(PromptWarning(bracket.opener, message))
        return False
