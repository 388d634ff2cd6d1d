"""The registry of upscalers, and what one is. It needs no torch, so that servers can list them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from fromnoise.registry import Registry

if TYPE_CHECKING:
    from fromnoise.upscalers.work import Work


class Upscaler(Protocol):
    """Makes pictures larger."""

    @property
    def scale(self) -> int:
        """By how much it does so by itself, along each side; 0: by any factor."""
        ...

    def __call__(self, image: Image.Image, width: int, height: int, work: "Work") -> Image.Image:
        """`image`, RGB or L, in that size."""
        ...


@dataclass(frozen=True)
class UpscalerSpec:
    """A registered upscaler and what a person should know to choose it."""

    name: str
    make: Callable[[], Upscaler]
    good_for: str
    good_for_zh: str


@dataclass(frozen=True)
class LatentUpscaler:
    """An interpolation of latents, so that a second pass never sees the pixels between."""

    name: str
    mode: str  # of torch.nn.functional.interpolate
    antialias: bool
    good_for: str
    good_for_zh: str


UPSCALERS: Registry[UpscalerSpec] = Registry("upscaler", entry_points="fromnoise.upscalers")
LATENT_UPSCALERS: Registry[LatentUpscaler] = Registry("latent upscaler", entry_points="fromnoise.latent_upscalers")


def upscaler(
    name: str, *, good_for: str, good_for_zh: str, aliases: tuple[str, ...] = ()
) -> Callable[[Callable[[], Upscaler]], Callable[[], Upscaler]]:
    """Register a function or class that makes an upscaler."""

    def register(make: Callable[[], Upscaler]) -> Callable[[], Upscaler]:
        UPSCALERS.add(name, UpscalerSpec(name, make, good_for, good_for_zh), aliases)
        return make

    return register
