"""What makes a hint of a picture: `PREPROCESSORS["canny"](image)`. Names are those of AUTOMATIC1111's extension.

A preprocessor is an annotated function of a picture as an array (h w 3) of RGB levels. Of the keywords, `resolution` is
the length of the picture's shorter side while it works, `seed` feeds what is random, and the others are its parameters,
each with its range: the extension's "Threshold A" and "Threshold B" are the first and the second of them.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_type_hints

from fromnoise.errors import UserError
from fromnoise.preprocessors.arrays import Picture
from fromnoise.registry import Registry

Role = Literal["hint", "inpaint", "reference"]
"""What a picture is for: a hint for a network, a hint with a mask, or something to look at without any network."""

ControlType = Literal["openpose", "depth", "softedge", "lineart", "normal", "segmentation", "tile", "inpaint"]
"""The types of hints that union ControlNets know, in their order."""

KEYWORDS = ("resolution", "seed", "folders", "name", "detector")  # that are no parameters
HOME = Path("models/preprocessors")  # where weights belong if nobody says otherwise
MIN_RESOLUTION, MAX_RESOLUTION = 64, 2048


class Limits(NamedTuple):
    """From where to where a parameter goes."""

    low: float
    high: float


@dataclass(frozen=True)
class Parameter:
    """One number that a person may choose."""

    name: str
    default: float
    limits: Limits


@dataclass(frozen=True)
class Preprocessor:
    """A registered preprocessor."""

    name: str
    run: Callable[..., Picture]
    good_for: str
    good_for_zh: str
    role: Role = "hint"
    control_type: ControlType | None = None  # what a union ControlNet is told
    aliases: tuple[str, ...] = ()
    needs: str = ""  # the package that must be installed besides OpenCV
    weights: tuple[str, ...] = ()  # files, or a folder that ends in /, that belong on the shelf of preprocessors

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """In the order of the function's signature."""
        written = self.run.func if isinstance(self.run, partial) else self.run
        hints = get_type_hints(written, include_extras=True)
        return tuple(
            Parameter(name, float(given.default), hints[name].__metadata__[0])
            for name, given in inspect.signature(self.run).parameters.items()
            if name not in KEYWORDS and given.kind is given.KEYWORD_ONLY
        )

    @property
    def resolution(self) -> int | None:
        """The default; None where the picture is taken as it is."""
        given = inspect.signature(self.run).parameters.get("resolution")
        return None if given is None else int(given.default)

    def __call__(
        self,
        image: Picture,
        *,
        resolution: int | None = None,
        parameters: Mapping[str, float] | None = None,
        seed: int = 0,
        folders: Sequence[Path] = (),
    ) -> Picture:
        """The hint. `folders`: where weights are.

        UserError where a parameter is not known or out of its range, or where something is missing.
        """
        options: dict[str, Any] = dict(self.checked(parameters or {}))
        accepted = inspect.signature(self.run).parameters
        if resolution is not None and "resolution" in accepted:
            options["resolution"] = self.checked_resolution(resolution)
        if "seed" in accepted:
            options["seed"] = seed
        if "folders" in accepted:
            options["folders"] = folders
        return self.run(image, **options)

    def checked(self, parameters: Mapping[str, float]) -> Mapping[str, float]:
        """`parameters`, or a UserError that names the first that this preprocessor does not take."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in parameters.items():
            if name not in known:
                there = ", ".join(known) or "none"
                raise UserError(f"preprocessor {self.name} has no parameter {name!r}; it has: {there}")
            low, high = known[name].limits
            if not low <= value <= high:
                raise UserError(f"preprocessor {self.name}: {name} goes from {low:g} to {high:g}, not {value:g}")
        return parameters

    def checked_resolution(self, resolution: int) -> int:
        if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
            raise UserError(f"the resolution of a preprocessor goes from {MIN_RESOLUTION} to {MAX_RESOLUTION}")
        return resolution


@dataclass(frozen=True)
class Announced(Preprocessor):
    """One that another process has, as it tells: enough to check what is asked of it."""

    told: tuple[Parameter, ...] = ()
    by_default: int | None = None  # the resolution

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.told

    @property
    def resolution(self) -> int | None:
        return self.by_default


def spelt_parameters(text: str) -> dict[str, float]:
    """A table of a text such as low=80 high=160. UserError where it is none."""
    try:
        return {name: float(value) for name, value in (word.split("=") for word in text.split())}
    except ValueError:
        raise UserError(f"parameters {text!r}: write NAME=VALUE NAME=VALUE, with numbers") from None


PREPROCESSORS: Registry[Preprocessor] = Registry("preprocessor", entry_points="fromnoise.preprocessors")

Run: TypeAlias = Callable[..., Picture]


def preprocessor(
    name: str,
    *,
    good_for: str,
    good_for_zh: str,
    role: Role = "hint",
    control_type: ControlType | None = None,
    aliases: tuple[str, ...] = (),
    needs: str = "",
    weights: tuple[str, ...] = (),
) -> Callable[[Run], Run]:
    """Register a function of a picture; what it can be told is read off its signature."""

    def register(run: Run) -> Run:
        item = Preprocessor(name, run, good_for, good_for_zh, role, control_type, aliases, needs, weights)
        PREPROCESSORS.add(name, item, aliases)
        return run

    return register
