"""Work on finished pictures: enlarged, described, made into hints, and checked against what is written in them."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from fromnoise.captioners import CAPTIONERS, Captions
from fromnoise.engine import library, shelves
from fromnoise.engine.cutting import cut
from fromnoise.engine.enlarge import check_upscaler, work
from fromnoise.engine.images import open_image, save_png
from fromnoise.engine.library import Model
from fromnoise.engine.losses import Losses
from fromnoise.engine.memory import place
from fromnoise.engine.metadata.read import read_any
from fromnoise.engine.postprocess import carried, postprocessed
from fromnoise.engine.recipe import ImageRef, Recipe, checked
from fromnoise.engine.recipe_cut import Cut
from fromnoise.engine.recipe_files import Weights
from fromnoise.engine.recipe_upscale import Postprocess
from fromnoise.engine.verify import Verification, verify
from fromnoise.errors import FileError, UserError
from fromnoise.jobs.job import Result
from fromnoise.jobs.worker.stepping import Progress, in_steps
from fromnoise.jobs.worker.tasks import Desk, Task, task
from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.preprocessors.sizes import fitted

CUT = "Cut to"  # as it is told in the file, beside AUTOMATIC1111's words
EXTRAS, HINTS = "extras", "hints"  # folders below the outputs
TABLE = "application/json"


@task("upscale")
def upscale(body: Mapping[str, Any], desk: Desk) -> Task:
    """`{"picture": reference, "settings": Postprocess}`: a larger picture, which carries what the first one did."""
    source, settings = picture(body), checked(Postprocess, **body.get("settings", {}))
    for name in filter(None, (settings.upscaler, settings.upscaler2)):
        if name.lower() != "none":
            check_upscaler(name, desk.settings, latent=False)

    def run(tell: Progress) -> tuple[Image.Image, dict[str, str]]:
        return postprocessed(open_image(source), settings, desk.settings, work(desk.placement, tell))

    image, info = yield from in_steps(run)
    file = desk.outputs / folder(desk, EXTRAS) / f"{source.stem[:80]}-upscaled-{desk.job.id[-8:]}.png"
    image = desk.marks.on(image)
    save_png(image, file, carried(source, info))
    desk.marks.sign(file)
    more = {"recipe": written(file), "parent": body["picture"]["sha256"], "info": info}
    return [result_of(image, file, desk, more)]


@task("cut")
def cut_picture(body: Mapping[str, Any], desk: Desk) -> Task:
    """`{"picture": reference, "settings": Cut}`: its parts and mirrored copies, which carry what it carries."""
    source, wanted = picture(body), checked(Cut, **body.get("settings", {}))

    def run(tell: Progress) -> list[tuple[str, Image.Image]]:
        tell(0, 1)
        return list(cut(open_image(source), wanted))

    results = []
    for ending, part in (yield from in_steps(run)):
        image = desk.marks.on(part)
        file = desk.outputs / folder(desk, EXTRAS) / f"{source.stem[:80]}-cut{ending}-{desk.job.id[-8:]}.png"
        save_png(image, file, carried(source, {CUT: f"{image.width}x{image.height}{ending}"}))
        desk.marks.sign(file)
        more = {"recipe": written(file), "parent": body["picture"]["sha256"]}
        results.append(result_of(image, file, desk, more))
    return results


@task("preprocess")
def preprocess(body: Mapping[str, Any], desk: Desk) -> Task:
    """`{"picture": reference, "preprocessor": NAME, "resolution": 512, "parameters": {...}}`: a hint.

    With `"size": [512, 768], "resize": "crop"` in the size in which a control network would see it.
    """
    spec = PREPROCESSORS[str(body["preprocessor"])]
    pixels = np.asarray(open_image(picture(body)).convert("RGB"))
    if spec.role == "inpaint":  # nothing is to be painted anew
        pixels = np.concatenate((pixels, np.zeros_like(pixels[..., :1])), axis=2)

    def run(tell: Progress) -> Image.Image:
        tell(0, 1)
        hint = spec(
            pixels, resolution=body.get("resolution"), parameters=body.get("parameters") or {},
            folders=[shelf.folder for shelf in shelves.shelves("preprocessors", desk.settings)],
        )  # fmt: skip
        if body.get("size"):
            width, height = (int(side) for side in body["size"])
            hint = fitted(hint, width, height, str(body.get("resize") or "crop"))
        return Image.fromarray(hint[..., :3])

    image = yield from in_steps(run)
    file = desk.outputs / folder(desk, HINTS) / f"{spec.name}-{desk.job.id}.png"
    save_png(image, file, {})
    return [result_of(image, file, desk, {"hint": spec.name})]


def captioning(by: str, model: str | None, desk: Desk) -> Callable[[], Captions]:
    """What loads a captioner from its shelf, where `model` is its own name by default. UserError: it has no files."""
    captioner = CAPTIONERS[by]
    found = shelves.find("captioners", str(model or by), desk.settings)
    return lambda: captioner.load(found if found.is_dir() else found.parent)


@task("caption")
def caption(body: Mapping[str, Any], desk: Desk) -> Task:
    """`{"picture": reference, "by": "wd14", "model": NAME}`: what is on the picture, in words."""
    load = captioning(str(body["by"]), body.get("model"), desk)

    def run(tell: Progress) -> dict[str, Any]:
        tell(0, 2)
        say = load()
        tell(1, 2)
        (told,) = say([open_image(picture(body)).convert("RGB")])
        return {"text": told.text, "tags": told.tags, "rating": told.rating}

    told = yield from in_steps(run)
    return [Result(media=TABLE, data=told)]


@task("verify")
def check(body: Mapping[str, Any], desk: Desk) -> Task:
    """`{"picture": reference, "files": [reference, ...]}`: whether a picture is what the recipe in it makes.

    The files are pictures that it may have been made from, for it carries no more than their names and hashes. With
    `"texts": {...}` the picture is taken with these written in it: those of a file of which only pixels were kept. With
    `"losses": {...}` that file lost something of the picture so.
    """
    files = [ImageRef.model_validate(one) for one in body.get("files") or ()]
    known = {one.sha256: Path(one.path) for one in files}
    losses = Losses.told(body["losses"]) if body.get("losses") else None

    def load(recipe: Recipe) -> Model:
        where = place(str(desk.placement.device), recipe.dtype)
        return library.load(Weights.of(recipe), where, settings=desk.settings, budget=desk.memory)

    def run(tell: Progress) -> Verification:
        tell(0, 1)
        with with_texts(picture(body), body.get("texts") or {}) as path:
            return verify(path, load, desk.settings, known, losses=losses)

    desk.make_room()
    found = yield from in_steps(run)
    told = {key: value for key, value in asdict(found).items() if key not in ("again", "imported", "missing")}
    told |= {
        "missing": [{"field": one.field, "sha256": one.sha256, "reason": one.reason} for one in found.missing],
        "source": found.imported.source, "warnings": list(found.imported.warnings),
        "not_understood": dict(found.imported.not_understood),
    }  # fmt: skip
    return [Result(media=TABLE, data=told)]


@contextmanager
def with_texts(path: Path, texts: Mapping[str, str]) -> Iterator[Path]:
    """The same pixels with texts written beside them, as far as a PNG can; the file itself where there are none."""
    if not texts:
        yield path
        return
    with TemporaryDirectory() as folder:
        written = Path(folder) / "picture.png"
        save_png(
            open_image(path), written, {key: text for key, text in texts.items() if key.isascii() and len(key) < 80}
        )
        yield written


def picture(body: Mapping[str, Any]) -> Path:
    """The file of a job's picture. UserError where it is gone, or another one by now."""
    try:
        reference = ImageRef.model_validate(body["picture"])
    except (KeyError, ValueError) as error:
        raise UserError("the job names no picture") from error
    path = Path(reference.path)
    try:
        same = hashlib.sha256(path.read_bytes()).hexdigest() == reference.sha256
    except OSError as error:
        raise FileError(f"{path.name} is not there any more") from error
    if not same:
        raise FileError(f"{path.name} has changed since the job was asked for")
    return path


def folder(desk: Desk, own: str) -> str:
    return "/".join(part for part in (desk.job.work.folder, own) if part)


def written(file: Path) -> Mapping[str, Any] | None:
    """The recipe in a picture, if there is one."""
    try:
        return read_any(file).recipe.model_dump(mode="json", exclude_none=True)
    except FileError:
        return None


def result_of(image: Image.Image, file: Path, desk: Desk, more: Mapping[str, Any]) -> Result:
    data = {"width": image.width, "height": image.height, **more}
    place = file.relative_to(desk.outputs).as_posix()
    return Result(place, hashlib.sha256(file.read_bytes()).hexdigest(), "image/png", data)
