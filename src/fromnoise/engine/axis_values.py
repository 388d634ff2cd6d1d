"""The values of an axis as AUTOMATIC1111's X/Y/Z plot writes them: a list, with ranges of numbers in it.

`1, 5, 9` · `1-5` is 1 2 3 4 5 · `1-5 (+2)` is 1 3 5 · `10-5 (-3)` is 10 7 · `1-10 [5]` is five from 1 to 10.
"""

import csv
import math
import re
import secrets
from typing import TypeVar

from fromnoise.errors import UserError

T = TypeVar("T")

MAX_VALUES = 1000  # of one axis

NUMBER = r"([+-]?\s*\d+(?:\.\d*)?|[+-]?\s*\.\d+)"
RANGE = re.compile(rf"\s*{NUMBER}\s*-\s*{NUMBER}\s*(?:\(\s*{NUMBER}\s*\)|\[\s*(\d{{1,6}})\s*\])?\s*")


def words(text: str) -> list[str]:
    """The parts between commas; quotes keep a comma, as in `"a, b", c`. Outer blanks go.

    >>> words('a, "b, c" , d')
    ['a', 'b, c', 'd']
    """
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return bounded([word.strip() for row in rows for word in row if word.strip()])


def numbers(text: str) -> list[float]:
    """Numbers and ranges of them; UserError names what is neither."""
    found: list[float] = []
    for word in words(text):
        if match := RANGE.fullmatch(word):
            start, end, step = (float(part.replace(" ", "")) if part else None for part in match.groups()[:3])
            found += span(start, end, step, match[4])
        else:
            try:
                found.append(finite(float(word)))
            except ValueError:
                raise UserError(f"{word!r} is neither a number nor a range such as 1-5, 1-5 (+2) or 1-10 [5]") from None
        bounded(found)
    return found


def integers(text: str) -> list[int]:
    """Whole numbers and ranges of them; the values of a counted range are cut to whole ones."""
    if all(re.fullmatch(r"[+-]?\d{1,20}", word) for word in words(text)):
        return [int(word) for word in words(text)]  # seeds have more digits than a float
    found = numbers(text)
    for value in found:
        if value != int(value) and "[" not in text:
            raise UserError(f"{value:g} is not a whole number")
    return [int(value) for value in found]


def seeds(text: str) -> list[int]:
    """Whole numbers; each -1 becomes a number that nobody chose."""
    return [any_seed() if seed == -1 else seed for seed in integers(text)]


def any_seed() -> int:
    """A seed that nobody chose, of those that AUTOMATIC1111 draws from."""
    return secrets.randbelow(2**32 - 2)


def span(start: float | None, end: float | None, step: float | None, count: str | None) -> list[float]:
    """From `start` to `end`, both ends included where the step meets them."""
    assert start is not None
    assert end is not None
    if count is not None:
        if not 1 <= int(count) <= MAX_VALUES:
            raise UserError(f"[{count}]: a range has 1 to {MAX_VALUES} values")
        gaps = max(1, int(count) - 1)
        return [neat(start + (end - start) * i / gaps) for i in range(int(count))]
    step = (1 if end >= start else -1) if step is None else step
    if step == 0 or (end - start) * step < 0:
        raise UserError(f"a step of {step:g} does not lead from {start:g} to {end:g}")
    length = math.floor((end - start) / step + 1e-9) + 1
    if length > MAX_VALUES:
        raise UserError(f"{start:g}-{end:g} has {length} values; at most {MAX_VALUES} are drawn")
    return [neat(start + step * i) for i in range(length)]


def neat(value: float) -> float:
    """Without the last digits of sums: 0.3, not 0.30000000000000004."""
    return round(value, 10)


def finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError
    return value


def bounded(found: list[T]) -> list[T]:
    if len(found) > MAX_VALUES:
        raise UserError(f"{len(found)} values; at most {MAX_VALUES} are drawn on an axis")
    return found
