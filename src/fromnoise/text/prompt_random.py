"""Dynamic prompts: choices written into a prompt, made from a seed before the prompt is read.

`{red|green|blue}` takes one, `{2::red|green}` red twice as often, `{2$$red|green|blue}` two of them joined by ", ",
`{1-3$$ and $$red|green|blue}` one to three joined by " and ", `__colour__` a line of the file `colour.txt` in the
folder of wildcards. All of it nests, and lines of files may hold more of it. A backslash makes `{ } |` literal.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fromnoise.text.prompt_weights import MAX_WARNINGS, PromptWarning

MAX_BYTES = 16 << 20  # of a file of wildcards
MAX_LENGTH = 100_000  # characters of an expanded prompt
MAX_CHOICES = 10_000  # choices made for one prompt
MAX_TAKEN = 100  # options that one choice takes
MAX_DEPTH = 20  # choices inside each other, and files that name files


@dataclass(frozen=True)
class Expanded:
    """The prompt after all choices, which is what should be recorded, and what could not be chosen."""

    text: str
    warnings: tuple[PromptWarning, ...] = ()


def expand(text: str, seed: int, wildcards: Sequence[Path] = ()) -> Expanded:
    """Make the choices in `text`; the same seed and files give the same text.

    `wildcards` are folders, the first one first, of UTF-8 text files, one option a line, empty lines and lines that
    start with `#` left out; folders inside them are written with a slash, `__people/jobs__`. Names never lead out of a
    folder. What is malformed or unknown stays as it is.
    """
    expander = _Expander(random.Random(seed), [folder.resolve() for folder in wildcards])
    expanded = expander.expand(_parse(text, expander.warnings), 0)
    return Expanded(expanded, tuple(sorted(expander.warnings)[:MAX_WARNINGS]))


class _Wildcard(NamedTuple):
    name: str
    position: int


@dataclass
class _Choice:
    """`{...}`: options of shares and nodes, how many to take at least and at most, what to join them with."""

    position: int
    options: list[list["_Node"]] = field(default_factory=lambda: [[]])
    shares: list[float] = field(default_factory=list)
    low: int = 1
    high: int = 1
    joint: str = ", "


_Node = str | _Wildcard | _Choice

_MARK = re.compile(r"\\[{}|]|[{}|]|__(?=[^_\s])(?P<name>[\w\-./ ]+?)__")
_COUNT = re.compile(r"\s*(?:(?P<only>\d{1,4})|(?P<low>\d{1,4})?-(?P<high>\d{1,4})?)\s*")
_SHARE = re.compile(r"\s*(?P<share>\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})::")


def _parse(text: str, warnings: list[PromptWarning]) -> list[_Node]:
    top: list[_Node] = []
    open_choices: list[_Choice] = []
    position = 0

    def nodes() -> list[_Node]:
        return open_choices[-1].options[-1] if open_choices else top

    for match in _MARK.finditer(text):
        nodes().append(text[position : match.start()])
        position = match.end()
        mark = match.group()
        if match["name"]:
            nodes().append(_Wildcard(match["name"], match.start()))
        elif mark == "{":
            open_choices.append(_Choice(match.start()))
        elif mark == "|" and open_choices:
            open_choices[-1].options.append([])
        elif mark == "}" and open_choices:
            choice = open_choices.pop()
            _read_head(choice)
            nodes().append(choice)
        else:
            nodes().append(mark[-1] if len(mark) == 2 else mark)
    nodes().append(text[position:])
    for choice in open_choices:  # never closed: text, with what was read inside
        warnings.append(PromptWarning(choice.position, "a curly bracket is not closed: read as text"))
        inside = [node for option in choice.options for node in ("|", *option)]
        top += ["{", *inside[1:]]
    return top


def _read_head(choice: _Choice) -> None:
    """Takes `2$$`, `1-3$$ and $$` and `0.5::` off the texts of the options."""
    first = choice.options[0][0]
    head, money, rest = first.partition("$$") if isinstance(first, str) else ("", "", "")
    count = _COUNT.fullmatch(head) if money else None
    if count:
        choice.low = int(count["only"] or count["low"] or 1)
        choice.high = int(count["only"] or count["high"] or len(choice.options))
        joint, money, tail = rest.partition("$$")
        choice.joint, rest = (joint, tail) if money else (choice.joint, rest)
        choice.options[0][0] = rest
    for option in choice.options:
        text = option[0] if option and isinstance(option[0], str) else ""
        share = _SHARE.match(text)
        choice.shares.append(float(share["share"]) if share else 1.0)
        if share:
            option[0] = text[share.end() :]


class _Expander:
    def __init__(self, rng: random.Random, folders: Sequence[Path]) -> None:
        self.rng, self.folders = rng, folders
        self.length, self.choices = 0, 0
        self.warnings: list[PromptWarning] = []
        self.lines: dict[str, list[str]] = {}

    def expand(self, nodes: list[_Node], depth: int, position: int | None = None) -> str:
        """`position`: where the wildcard stands whose line this is."""
        bits = []
        for node in nodes:
            if isinstance(node, str):
                self.length += len(node)
                bits.append(node)
                continue
            at = node.position if position is None else position
            self.choices += 1
            if depth >= MAX_DEPTH or self.length > MAX_LENGTH or self.choices > MAX_CHOICES:
                self._warn(at, "too many choices inside each other or too long: left out")
            elif isinstance(node, _Choice):
                bits.append(self._choose(node, depth, position))
            else:
                bits.append(self._line(node, depth, at))
        return "".join(bits)

    def _choose(self, choice: _Choice, depth: int, position: int | None) -> str:
        low, high = sorted(min(n, len(choice.options), MAX_TAKEN) for n in (choice.low, choice.high))
        left = list(zip(choice.shares, choice.options, strict=True))
        taken = []
        for _ in range(low + self._index(high - low + 1)):
            taken.append(self.expand(left.pop(self._weighted([share for share, _ in left]))[1], depth + 1, position))
        return choice.joint.join(taken)

    def _line(self, wildcard: _Wildcard, depth: int, position: int) -> str:
        lines = self._read(wildcard.name)
        if not lines:
            self._warn(position, f"no wildcard is called {wildcard.name!r}: read as text")
            return f"__{wildcard.name}__"
        return self.expand(_parse(lines[self._index(len(lines))], []), depth + 1, position)

    def _read(self, name: str) -> list[str]:
        """The options of a wildcard; none if it is unknown, unreadable or outside the folders."""
        if name not in self.lines:
            found = (_options(folder, name) for folder in self.folders)
            self.lines[name] = next((lines for lines in found if lines), [])
        return self.lines[name]

    def _index(self, count: int) -> int:
        return int(self.rng.random() * count)  # `random` is the one stream that Python promises not to change

    def _weighted(self, shares: list[float]) -> int:
        point = self.rng.random() * sum(shares)
        for index, share in enumerate(shares):
            point -= share
            if point < 0:
                return index
        return len(shares) - 1

    def _warn(self, position: int, message: str) -> None:
        warning = PromptWarning(position, message)
        if len(self.warnings) < MAX_WARNINGS and warning not in self.warnings:
            self.warnings.append(warning)


def _options(folder: Path, name: str) -> list[str]:
    path = folder.joinpath(f"{name}.txt").resolve()
    if not path.is_relative_to(folder):
        return []
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:  # reading a pipe would wait for its other end
            return []
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return [line for line in map(str.strip, lines) if line and not line.startswith("#")]


def may_choose(text: str) -> bool:
    """Whether there is anything in `text` that `expand` might read as a choice.

    >>> may_choose("a {red|blue} apple"), may_choose("a __colour__ apple"), may_choose("a|b AND c_d")
    (True, True, False)
    """
    return any(match.group() != "|" for match in _MARK.finditer(text))
