"""Which batches a picture's calls were answered in, and the same batches again.

A network's answer to a call depends, in its last bits, on how many calls share its batch and on its place among them:
matrix products and convolutions take other kernels for other sizes. It does not depend on what the others are. So a
picture made among others can be made again bit for bit, alone, with copies of its own calls in the places of theirs.
"""

import re
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

MAX_WRITTEN = 2000  # characters of a record
MAX_SIZE = 256  # calls of a batch
MAX_ROUNDS = 100_000

ROUND = re.compile(r"(\d{1,3}/\d{1,3}(?:\+\d{1,3}/\d{1,3}){0,255})(?:\*(\d{1,5}))?")


class Seat(NamedTuple):
    """Where a call was in its batch."""

    place: int  # from 0
    size: int


Round = tuple[Seat, ...]  # of all calls that a picture made at once


def written(rounds: Sequence[Round]) -> str:
    """As text: `0/2+1/2*20` is the first and the second place of a batch of two, twenty times; empty if it is long."""
    runs = [("+".join(f"{place}/{size}" for place, size in one), len(list(run))) for one, run in groupby(rounds)]
    text = ",".join(name if count == 1 else f"{name}*{count}" for name, count in runs if name)
    return text if len(text) <= MAX_WRITTEN else ""


def read(text: str) -> tuple[Round, ...]:
    """The rounds of a text; none where it is not such a text."""
    rounds: list[Round] = []
    for part in text[: MAX_WRITTEN + 1].split(",") if len(text) <= MAX_WRITTEN else ():
        found = ROUND.fullmatch(part)
        if found is None:
            return ()
        seats = tuple(Seat(*map(int, seat.split("/"))) for seat in found[1].split("+"))
        count = int(found[2] or 1)
        if len(rounds) + count > MAX_ROUNDS or not all(0 <= place < size <= MAX_SIZE for place, size in seats):
            return ()
        rounds += [seats] * count
    return tuple(rounds)
