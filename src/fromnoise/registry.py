"""The one registry idiom: a decorator names a thing; packages outside add theirs by entry point.

    SAMPLERS: Registry[Sampler] = Registry("sampler", entry_points="fromnoise.samplers")

    @SAMPLERS.register("euler", aliases=("Euler",))
    def euler(...): ...

Built-ins are registered by importing their module; the entry points of other packages are loaded on the first look-up.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Generic, TypeVar

from fromnoise.errors import FromnoiseError, UnknownName

T = TypeVar("T")
U = TypeVar("U")

LOG = logging.getLogger(__name__)
FAULTS: list[str] = []  # of all registries in this process: what packages outside have that could not be loaded
LONGEST = 500  # characters


class Registry(Generic[T], Mapping[str, T]):
    """A mapping from names to things; look-ups ignore case and know aliases."""

    elsewhere: ClassVar[Callable[["Registry[Any]"], None] | None] = None
    """Set where no code of packages outside may run, before any look-up: it adds what is known of theirs instead."""

    def __init__(self, kind: str, entry_points: str | None = None) -> None:
        self.kind = kind
        self._group = entry_points
        self._items: dict[str, T] = {}
        self._aliases: dict[str, str] = {}
        self._faults: list[str] = []

    def add(self, name: str, item: T, aliases: tuple[str, ...] = ()) -> None:
        """Register `item`; a name or alias that is taken is a programming error."""
        for key in (name, *aliases):
            if self._aliases.get(key.lower(), name) != name or (key == name and name in self._items):
                raise FromnoiseError(f"{self.kind} {key!r} is registered twice")
            self._aliases[key.lower()] = name
        self._items[name] = item

    def register(self, name: str, *, aliases: tuple[str, ...] = ()) -> Callable[[U], U]:
        """Decorator form of `add`."""

        def register(item: U) -> U:
            self.add(name, item, aliases)  # type: ignore[arg-type]  # U is checked at the call site against T
            return item

        return register

    def canonical(self, name: str) -> str:
        """The registered name for `name` or one of its aliases; UnknownName lists what there is."""
        self._load_entry_points()
        found = self._aliases.get(name.lower())
        if found is None:
            raise UnknownName(self.kind, name, self._items)
        return found

    def __getitem__(self, name: str) -> T:
        return self._items[self.canonical(name)]

    def __contains__(self, name: object) -> bool:
        self._load_entry_points()
        return isinstance(name, str) and name.lower() in self._aliases

    def __iter__(self) -> Iterator[str]:
        self._load_entry_points()
        return iter(self._items)

    def __len__(self) -> int:
        self._load_entry_points()
        return len(self._items)

    @property
    def faults(self) -> tuple[str, ...]:
        """What packages outside name for it that could not be loaded, each a sentence."""
        self._load_entry_points()
        return tuple(self._faults)

    def _load_entry_points(self) -> None:
        """Importing a module registers what it has, as built-ins do. One that fails is named, and done without."""
        if Registry.elsewhere is not None:
            Registry.elsewhere(self)
            return
        group, self._group = self._group, None
        for point in entry_points(group=group) if group else ():
            try:
                point.load()
            except (Exception, SystemExit) as error:  # of a stranger's package
                fault = told(point, error)
                self._faults.append(fault)
                FAULTS.append(fault)
                LOG.warning(fault)


def told(point: EntryPoint, error: BaseException) -> str:
    """Which package is left out, and why."""
    package = point.dist.name if point.dist is not None else point.value
    return f"the extension {package} is left out of {point.group}: {type(error).__name__}: {error}"[:LONGEST]
