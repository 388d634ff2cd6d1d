"""`fromnoise preprocess PICTURE... --with canny`: the hint that a control network would see."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fromnoise import settings
from fromnoise.cli.drafting import sides
from fromnoise.cli.messages import say
from fromnoise.cli.output import Destination
from fromnoise.cli.progress import note
from fromnoise.cli.upscale import found
from fromnoise.engine.canvas import drawn_mask, resized
from fromnoise.engine.hints import weight_folders
from fromnoise.engine.images import opaque, open_image, save_png
from fromnoise.errors import UserError
from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.preprocessors.arrays import Picture
from fromnoise.preprocessors.registry import Preprocessor, spelt_parameters
from fromnoise.preprocessors.sizes import fitted


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the command line asked for, not yet checked."""

    pictures: Sequence[Path]
    names: Sequence[str]
    parameters: str
    resolution: int | None
    size: str | None
    resize: str
    mask: Path | None
    seed: int
    out: str | None
    quiet: bool


def preprocess_pictures(wanted: Wanted) -> None:
    """Make what was asked for and print the paths, each on a line of its own on stdout."""
    specs = [PREPROCESSORS[name] for name in wanted.names]
    for spec in specs:
        if spec.role == "reference":
            raise UserError(say("{name} makes no hint: the model looks at the picture itself", name=spec.name))
        spec.checked(spelt_parameters(wanted.parameters))
    size = sides(wanted.size) if wanted.size else None
    pictures = found(wanted.pictures)
    destination = Destination.of(wanted.out)
    destination.check()
    several = len(pictures) * len(specs) > 1
    written: list[Path] = []
    try:
        for number, (path, spec, hint) in enumerate(hints(pictures, specs, wanted, size), start=1):
            stem = destination.beside(f"{path.stem}-{spec.name}", number if several else None)
            with destination.claimed(stem) as target:
                save_png(as_image(hint), target, {})
            written.append(target)
            note(say("{path}: {width}x{height}", path=target, width=hint.shape[1], height=hint.shape[0]), wanted.quiet)
    finally:
        print(*written, sep="\n", end="\n" if written else "", flush=True)


def hints(
    pictures: Sequence[Path], specs: Sequence[Preprocessor], wanted: Wanted, size: tuple[int, int] | None
) -> Iterator[tuple[Path, Preprocessor, Picture]]:
    """Each picture with each preprocessor."""
    here, parameters = settings.read(), spelt_parameters(wanted.parameters)
    for path in pictures:
        image = np.asarray(opaque(open_image(path)))
        for spec in specs:
            shown = image
            if spec.role == "inpaint":
                shown = np.concatenate((image, mask_levels(wanted.mask, image)), axis=2)
            hint = spec(
                shown,
                resolution=wanted.resolution,
                parameters=parameters,
                seed=wanted.seed,
                folders=weight_folders(here),
            )
            yield path, spec, hint if size is None else fitted(hint, *size, wanted.resize)


def mask_levels(path: Path | None, image: Picture) -> Picture:
    """(h w 1) for a picture; zeros without a mask."""
    height, width = image.shape[:2]
    mask = Image.new("L", (width, height)) if path is None else drawn_mask(open_image(path), opaque=False)
    return np.asarray(resized(mask, width, height, "stretch"))[..., None]


def as_image(hint: Picture) -> Image.Image:
    """What is to be painted anew is transparent, as editors and ComfyUI show masks."""
    if hint.shape[2] == 3:
        return Image.fromarray(hint)
    return Image.fromarray(np.concatenate((hint[..., :3], 255 - hint[..., 3:]), axis=2))
