"""What was read and computed for a model, kept so that the next picture has it at once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from fromnoise.adapters.patched import Copies
from fromnoise.engine.graphs import Graphs
from fromnoise.errors import FileError

MAX_FILES = 32
MAX_ANSWERS = 64

T = TypeVar("T")


class Recent:
    """The last few things that were made, by key."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.made: OrderedDict[Hashable, object] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` made for this key the last time, or makes now."""
        if key not in self.made:
            self.made[key] = make()
        self.made.move_to_end(key)
        while len(self.made) > self.limit:
            self.made.popitem(last=False)
        return cast(T, self.made[key])

    def of_file(self, what: Hashable, path: Path, make: Callable[[], T]) -> T:
        """What `make` makes of a file; anew where the file has changed. FileError where it is gone."""
        try:
            status = path.stat()
        except OSError as error:
            raise FileError(f"{path}: can't be read ({error.strerror})") from error
        return self.get((what, path.resolve(), status.st_size, status.st_mtime_ns), make)


@dataclass
class Kept:
    """Of one model and all copies of it."""

    files: Recent = field(default_factory=lambda: Recent(MAX_FILES))
    answers: Recent = field(default_factory=lambda: Recent(MAX_ANSWERS))  # what encoders tell of pictures
    copies: Copies = field(default_factory=Copies)
    graphs: Graphs | None = None  # of the U-Net's calls, where the device records
    moves: int = 0  # of the U-Net's weights, when the graphs were recorded, which read them where they were
    wide: bool = False  # the autoencoder overflows in float16
    remarked: bool = False

    def remark(self) -> bool:
        """Whether this is the first time that it is asked."""
        first, self.remarked = not self.remarked, True
        return first
