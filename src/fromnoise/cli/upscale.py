"""`fromnoise upscale PICTURE...`: finished pictures, enlarged, with what they carry."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from fromnoise import settings
from fromnoise.cli.drafting import sides
from fromnoise.cli.elsewhere import stopped
from fromnoise.cli.failures import Stopped
from fromnoise.cli.messages import say
from fromnoise.cli.output import Destination
from fromnoise.cli.progress import Report, note, progress
from fromnoise.cli.redrawing import Painting, repainted
from fromnoise.engine.enlarge import check_upscaler, work
from fromnoise.engine.face_restoring import check_faces
from fromnoise.engine.images import open_image, save_png
from fromnoise.engine.memory import place
from fromnoise.engine.postprocess import carried, postprocessed
from fromnoise.engine.recipe import explain
from fromnoise.engine.recipe_upscale import FaceRestoration, Postprocess
from fromnoise.errors import FileError, UserError
from fromnoise.settings import Settings
from fromnoise.upscalers.work import Progress, Work

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
SCALE = 4.0  # if not said
PARTS = 100  # of each picture, in the bar


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the command line asked for, not yet checked."""

    pictures: Sequence[Path]
    upscaler: str
    scale: float | None
    max_side: int
    size: str | None
    crop: bool
    upscaler2: str | None
    visibility2: float
    tile: int
    overlap: int | None
    out: str | None
    quiet: bool
    device: str | None
    faces: Sequence[str] = ()
    face_weight: float = 0.5
    face_visibility: float = 1.0
    redraw: str | None = None  # settings; the others below go with it
    prompt: str | None = None
    model: str | None = None
    strength: float | None = None
    steps: int | None = None
    seed: int | None = None


def upscale_pictures(wanted: Wanted) -> None:
    """Enlarge what was asked for and print the paths, each on a line of its own on stdout.

    Whatever can be known to be wrong is, before the first picture. Ctrl-C keeps the pictures that are finished.
    """
    here, steps = settings.read(), postprocess(wanted)
    for name in filter(None, (steps.upscaler, steps.upscaler2)):
        check_upscaler(name, here, latent=False)
    for face in steps.faces:
        check_faces(face, here)
    pictures = found(wanted.pictures)
    destination = Destination.of(wanted.out)
    destination.check()
    placement = place(wanted.device)
    how = work(placement, tile=wanted.tile, overlap=wanted.overlap)
    paths = finished(pictures, steps, destination, here, how, wanted.quiet)
    if (painting := painted_anew(wanted)) is not None:
        paths = repainted(pictures, painting, destination, placement, wanted.quiet)
    written: list[Path] = []
    try:
        began = time.perf_counter()
        for path in paths:
            written.append(path)
        note(say("done in {seconds:.1f} s", seconds=time.perf_counter() - began), wanted.quiet)
    except KeyboardInterrupt:
        raise Stopped(stopped(len(written), len(pictures))) from None
    finally:
        print(*written, sep="\n", end="\n" if written else "", flush=True)


def painted_anew(wanted: Wanted) -> Painting | None:
    """How pictures are painted anew, if they are. UserError where options don't go together."""
    with_it = ("prompt", "model", "strength", "steps", "seed")
    if wanted.redraw is None and wanted.model is not None:
        if wanted.strength is not None or wanted.size or wanted.scale is not None:
            raise UserError(say("an upscaling model has its own scale and takes no strength; or add --redraw on"))
    elif wanted.redraw is None:
        if given := next((name for name in with_it if getattr(wanted, name) is not None), None):
            raise UserError(say("--{name} goes with --redraw on", name=given))
        return None
    if wanted.upscaler2 is not None or wanted.max_side:
        raise UserError(say("--upscaler2 and --max-side do not go with --redraw"))
    return Painting(
        settings=wanted.redraw, size=sides(wanted.size) if wanted.size else None, scale=wanted.scale,
        upscaler=wanted.upscaler, face=next(iter(faces(wanted)), None),
        prompt=wanted.prompt, model=wanted.model, strength=wanted.strength,
        steps=wanted.steps, seed=wanted.seed,
    )  # fmt: skip


def faces(wanted: Wanted) -> tuple[FaceRestoration, ...]:
    """How faces are made clear."""
    return tuple(
        FaceRestoration.model_validate({"by": by, "weight": wanted.face_weight, "visibility": wanted.face_visibility})
        for by in dict.fromkeys(wanted.faces)
    )


def postprocess(wanted: Wanted) -> Postprocess:
    """What is done with each picture. UserError where it makes no sense."""
    try:
        return Postprocess(
            upscaler=wanted.upscaler,
            scale=SCALE if wanted.scale is None else wanted.scale,
            max_side=wanted.max_side,
            size=sides(wanted.size) if wanted.size else None,
            crop=wanted.crop,
            upscaler2=wanted.upscaler2,
            visibility2=wanted.visibility2 if wanted.upscaler2 else 0.0,
            faces=faces(wanted),
        )
    except ValidationError as error:
        raise UserError(explain(error)) from error


def found(places: Sequence[Path]) -> list[Path]:
    """The pictures, and those in the folders, not in folders below, by name. FileError where there are none."""
    pictures: list[Path] = []
    for path in places:
        if not path.exists():
            raise FileError(say("{path}: no such file", path=path))
        if not path.is_dir():
            open_image(path)
            pictures.append(path)
            continue
        inside = sorted(inner for inner in path.iterdir() if inner.suffix.lower() in SUFFIXES and inner.is_file())
        if not inside:
            raise FileError(say("{path}: no pictures in this folder", path=path))
        pictures += inside
    return pictures


def finished(
    pictures: Sequence[Path], steps: Postprocess, destination: Destination, here: Settings, how: Work, quiet: bool
) -> Iterator[Path]:
    """The path of each picture as it is written."""
    with progress(quiet) as report:
        for index, path in enumerate(pictures):
            told = replace(how, progress=part(report, index, len(pictures)))
            image, info = postprocessed(open_image(path), steps, here, told)
            number = None if len(pictures) == 1 else index + 1
            with destination.claimed(destination.beside(f"{path.stem}-upscaled", number)) as target:
                save_png(image, target, carried(path, info))
            yield target


def part(report: Report, index: int, count: int) -> Progress:
    """Tells of one picture of several."""

    def tell(done: int, total: int) -> None:
        report(PARTS * index + PARTS * done // total, PARTS * count)

    return tell
