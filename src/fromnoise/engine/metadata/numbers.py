"""Numbers in texts."""


def number(value: float) -> str:
    """Without loss, and without .0.

    >>> number(7.0), number(7.25), number(0.1 + 0.2)
    ('7', '7.25', '0.30000000000000004')
    """
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
