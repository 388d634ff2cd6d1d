"""Sizes in bytes as people write them. Needs no torch."""

import re
from contextlib import suppress

from fromnoise.errors import UserError

UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
SIZE = re.compile(r"([\d.]+)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


def parsed(size: str) -> int:
    """Bytes of "4GB", "3.5 GiB", "800M"; UserError where it is no size."""
    found = SIZE.fullmatch(size.strip())
    with suppress(ValueError):
        if found:
            number, unit, binary = float(found[1]), found[2].lower(), found[3]
            return int(number * (UNITS[unit] if not binary else 1 << 10 * " kmgt".index(unit or " ")))
    raise UserError(f"--memory {size}: give a size such as 4GB or 800MB")
