"""The one registry idiom: a decorator names a thing; packages outside add theirs by entry point.

    SAMPLERS: Registry[Sampler] = Registry("sampler", entry_points="fromnoise.samplers")

    @SAMPLERS.register("euler", aliases=("Euler",))
    def euler(...): ...

Built-ins are registered by importing their module; the entry points of other packages are loaded on the first look-up.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from fromnoise.errors import FromnoiseError, UnknownName

T = TypeVar("T")
U = TypeVar("U")


class Registry(Generic[T], Mapping[str, T]):
    """A mapping from names to things; look-ups ignore case and know aliases."""

    def __init__(self, kind: str, entry_points: str | None = None) -> None:
        self.kind = kind
        self._group = entry_points
        self._items: dict[str, T] = {}
        self._aliases: dict[str, str] = {}

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

    def _load_entry_points(self) -> None:
        group, self._group = self._group, None
        for point in entry_points(group=group) if group else ():
            point.load()  # importing it registers it, as built-ins do
