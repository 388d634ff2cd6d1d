"""`fromnoise upscale PICTURE... --redraw on`: pictures enlarged and painted anew, by what they say of themselves."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fromnoise.cli import compact
from fromnoise.cli.drafting import RANDOM_SEEDS
from fromnoise.cli.make import Observer
from fromnoise.cli.messages import say
from fromnoise.cli.models import Models
from fromnoise.cli.output import Destination
from fromnoise.cli.progress import note, progress
from fromnoise.engine.fitting import fitted
from fromnoise.engine.generate import generate
from fromnoise.engine.images import open_image, save_png
from fromnoise.engine.memory import Placement
from fromnoise.engine.metadata.own import texts
from fromnoise.engine.metadata.read import read_any
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_upscale import FaceRestoration, Redraw
from fromnoise.errors import FileError, UserError

STRENGTH = 0.3  # enough for new detail, not for a second subject in a tile
CARRIED = (  # fields that mean the same in a tile as in the picture
    "prompt", "negative", "model", "model_hash", "seed", "steps", "guidance_scale", "sampler", "schedule",
    "sampler_options", "schedule_options", "profile", "clip_skip", "emphasis", "networks",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Painting:
    """How pictures are painted anew; what is None is as in each picture's own recipe."""

    settings: str | None  # of `Redraw`; None: the model is one that upscales by itself
    size: tuple[int, int] | None
    scale: float | None
    upscaler: str
    prompt: str | None
    model: str | None
    strength: float | None
    steps: int | None
    seed: int | None
    face: FaceRestoration | None = None


def redraw_settings(painting: Painting) -> dict[str, object]:
    """The part of the recipe. UserError where it is mistyped."""
    assert painting.settings is not None
    given = compact.read_part("--redraw", painting.settings, Redraw)
    if given is None:
        raise UserError(say("--redraw off: leave the option out instead"))
    given |= {} if painting.scale is None else {"scale": painting.scale}
    return given | ({} if painting.size is None else {"size": painting.size})


def recipe_of(path: Path, painting: Painting) -> Recipe:
    """The recipe of a picture painted anew, but for the size of its tiles. FileError, UserError."""
    open_image(path)
    known: dict[str, object] = {}
    try:
        own = read_any(path).recipe
        known = {name: value for name, value in own.model_dump().items() if name in CARRIED}
    except FileError:  # it carries none
        known["seed"] = secrets.randbelow(RANDOM_SEEDS)
    said: dict[str, object] = {
        "prompt": painting.prompt, "model": painting.model, "steps": painting.steps,
        "seed": None if painting.seed == -1 else painting.seed,
    }  # fmt: skip
    known |= {name: value for name, value in said.items() if value is not None}
    if painting.model is not None:
        known["model_hash"] = None
    if painting.prompt is not None:
        known.pop("networks", None)
    if painting.seed == -1:
        known["seed"] = secrets.randbelow(RANDOM_SEEDS)
    image = ImageRef.of(path).model_dump()
    if painting.settings is None:
        face = None if painting.face is None else painting.face.model_dump()
        return Recipe.make(**known, enlarge={"image": image}, restore_faces=face)
    strength = STRENGTH if painting.strength is None else painting.strength
    return Recipe.make(
        **known,
        init=image,
        strength=strength,
        redraw=redraw_settings(painting),
        init_upscaler=painting.upscaler,
        restore_faces=None if painting.face is None else painting.face.model_dump(),
    )


def repainted(
    pictures: Sequence[Path], painting: Painting, destination: Destination, placement: Placement, quiet: bool
) -> Iterator[Path]:
    """The path of each picture as it is written."""
    drafts = [recipe_of(path, painting) for path in pictures]  # what is wrong shows before a model is loaded
    models = Models(placement, quiet)
    for draft in drafts:
        models.check(draft)
    with progress(quiet) as report:
        observer = Observer(report, len(drafts), keep=False)
        for index, (path, draft) in enumerate(zip(pictures, drafts, strict=True)):
            model, refiner = models.of(draft)
            recipe = fitted(draft.leaving(("width", "height")), model.defaults)
            (made,) = generate(model, [recipe], refiner=refiner, watch=observer)
            note(say("{path}: {width}x{height}", path=path, width=made.image.width, height=made.image.height), quiet)
            number = None if len(pictures) == 1 else index + 1
            with destination.claimed(destination.beside(f"{path.stem}-upscaled", number)) as target:
                save_png(made.image, target, texts(made.recipe, model.placement.device, made.company))
            yield target
