"""Which of the addresses that extensions answer a call is for. Needs no torch, and none of the extensions."""

from collections.abc import Iterable

LARGEST = 8 << 20  # bytes of a call's body, and of an answer


def place(address: str, names: Iterable[str]) -> tuple[str, str] | None:
    """The route of an address, the longest of `names` that it begins with, and the rest; None where there is none.

    >>> place("shouting/loud/a/b", ["shouting/loud"])
    ('shouting/loud', 'a/b')
    """
    found = [name for name in names if address == name or address.startswith(f"{name}/")]
    name = max(found, key=len, default=None)
    return None if name is None else (name, address[len(name) + 1 :])
