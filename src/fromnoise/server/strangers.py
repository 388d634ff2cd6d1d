"""What packages outside add, in the server's process: as data that workers tell, never as code."""

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Any

from fromnoise.engine.catalogue import Choice
from fromnoise.errors import FromnoiseError
from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.preprocessors.arrays import Picture
from fromnoise.preprocessors.registry import Announced, Limits, Parameter
from fromnoise.registry import Registry
from fromnoise.server.context import Context

EVERY = 1.0  # seconds between two looks at what workers tell


def keep_out(context: Context) -> None:
    """From now on registries of this process load no package; they know what the workers of `context` know."""
    Registry.elsewhere = told_by(context)


def told_by(context: Context) -> Callable[[Registry[Any]], None]:
    """Adds preprocessors; all else of theirs is looked up in the catalogue."""
    lock, looked, known = Lock(), -EVERY, {choice.name for choice in context.shipped.others["preprocessors"]}

    def tell(registry: Registry[Any]) -> None:
        nonlocal looked
        if registry is not PREPROCESSORS or time.monotonic() - looked < EVERY:
            return
        with lock:
            looked = time.monotonic()
            for choice in context.catalogue.others["preprocessors"]:
                if choice.name not in known:
                    known.add(choice.name)
                    with suppress(KeyError, TypeError, FromnoiseError):  # a worker of another version
                        registry.add(choice.name, announced(choice), choice.aliases)

    return tell


def announced(choice: Choice) -> Announced:
    """Of its entry in the catalogue."""
    more = choice.model_extra or {}
    return Announced(
        choice.name, not_here, choice.good_for, choice.good_for_zh, more["role"], more["control_type"], choice.aliases,
        told=tuple(Parameter(p["name"], p["default"], Limits(p["low"], p["high"])) for p in more["parameters"]),
        by_default=more["resolution"],
    )  # fmt: skip


def not_here(image: Picture) -> Picture:
    raise FromnoiseError("a preprocessor of a package outside runs in workers alone")
