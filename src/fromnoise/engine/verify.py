"""A picture checked against its own metadata: made again, and compared value by value.

Sums in another order have other last bits, so that a picture depends, by about 1e-5 of its latents, on the number of
threads and on the batches that it shared with others. Both are noted in the picture and are the same when it is made
again: on the same processor or device, and with the same PyTorch, not one value differs.

Elsewhere a few values that lie between two grey levels turn to the other side. So each stored value is then compared
with the real number that was rounded, give or take the rounding error, which is measured by a second run on other
batches. What is left is not rounding: somebody changed the picture.

A file that loses something cannot be the picture that was made. It is compared with that picture after the same losses;
where they can't be done exactly again, block by block with what such losses take at most.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fromnoise.engine.company import MAX_SIZE, Round
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Generated, Job
from fromnoise.engine.images import open_image
from fromnoise.engine.library import Model
from fromnoise.engine.losses import Losses, beyond, psnr
from fromnoise.engine.metadata.album import Album
from fromnoise.engine.metadata.carrier import POSTPROCESSING_KEY, read_texts
from fromnoise.engine.metadata.draft import Imported
from fromnoise.engine.metadata.own import OURS, MadeBy, made_by
from fromnoise.engine.metadata.read import read_any
from fromnoise.engine.named_files import Missing, missing_networks, with_files
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_files import OWN
from fromnoise.errors import FileError, FromnoiseError
from fromnoise.settings import Settings

Load = Callable[[Recipe], Model]  # the model of a recipe, in its dtype; FileError where there is none
Levels: TypeAlias = NDArray[np.float64]  # (h w 3) in [0, 255]
Verdict = Literal["identical", "equal within rounding", "alike", "edited", "different", "not checked"]
AGREES: tuple[Verdict, ...] = ("identical", "equal within rounding", "alike")

LEAST_ROUNDING = {"float32": 0.005, "float16": 0.5, "bfloat16": 4.0}  # levels, where the second run happens to agree
LOSSY_ROUNDING = 4.0  # levels: one coefficient on the other side moves a whole block
SAFETY = 4  # times the difference of two runs is the most that rounding explains
EDITED_SHARE = 0.5  # of the pixels: where more differ, the whole picture is another


@dataclass(frozen=True)
class Verification:
    """What came of the check. Differences are in levels of 0 to 255."""

    imported: Imported
    verdict: Verdict
    reason: str = ""  # why it was not checked
    model_hash: str | None = None  # of the model that was found, all of its SHA-256
    model_matches: bool | None = None  # None where the picture names no hash, or no model was found
    missing: tuple[Missing, ...] = ()
    largest: float | None = None  # difference of a value beyond rounding
    mean: float | None = None
    lossy: str = ""  # JPEG or WebP, where the file loses something of the picture
    psnr: float | None = None  # dB between such a file and what the recipe makes, losses and all; None if the same
    made_by: str = ""  # PyTorch and the processor or device, as the picture says
    rounded: int = 0  # values that rounding turned to the next level
    changed: int = 0  # pixels beyond rounding
    box: tuple[int, int, int, int] | None = None  # left, upper, right and lower edge of what was changed
    again: Image.Image | None = None  # the picture as it was made again


def again(
    path: Path,
    load: Load,
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    settings: Settings | None = None,
    album: Album | None = None,
) -> Generated:
    """Make a picture of any tool again from its metadata, with the recipe changed by `change`.

    `settings` say where pictures are looked for besides the picture's own folder, `album` where those are that another
    tool names.

    FileError where the picture carries no recipe, or where its model or start picture is not there; UserError where a
    change is no legal value.
    """
    recipe = change(read_any(path, album).recipe)
    recipe, missing = with_files(recipe, path.parent, *sent_to_servers(settings))
    if missing:
        raise FileError(f"{missing[0].path}: {missing[0].reason}; it was the {missing[0].field} of {path}")
    model = load(recipe)
    if matches(recipe, model) is False:
        raise FileError(
            f"{path}: made with another model than {recipe.model} here: its hash is {recipe.model_hash}, "
            f"not {model.sha256[:10]}; choose one with --model"
        )
    return made_again(model, refiner_of(recipe, load), without_hash(recipe), max_batch=8)[0]


def sent_to_servers(settings: Settings | None) -> tuple[Path, ...]:
    """The folder of pictures that clients sent to a server of this machine."""
    return () if settings is None or settings.uploads is None else (settings.uploads,)


def verify(
    path: Path,
    load: Load,
    settings: Settings | None = None,
    known: Mapping[str, Path] = MappingProxyType({}),
    album: Album | None = None,
    losses: Losses | None = None,
) -> Verification:
    """Make a picture again from its own metadata and compare. FileError where it is unreadable or carries none.

    `losses` are those of the file that the picture came in, where its pixels alone were kept.

    `settings` say where files are looked for besides the model's own, `known` where pictures are by their SHA-256, and
    `album` where those are that another tool names; all that are missing are told.
    """
    imported, texts = read_any(path, album), read_texts(path)
    if POSTPROCESSING_KEY in texts:
        return Verification(imported, "not checked", "it was enlarged or retouched after it was made")
    recipe, missing = with_files(imported.recipe, path.parent, *sent_to_servers(settings), known=known)
    if settings is not None:
        missing += missing_networks(recipe, settings)
    made = made_by(texts) if imported.source == OURS else MadeBy()
    found = Verification(imported, "not checked", missing=missing, made_by=made.environment)
    try:
        model = load(recipe)
    except FromnoiseError as error:
        return replace(found, reason=str(error))
    found = replace(found, model_hash=model.sha256, model_matches=matches(recipe, model))
    if found.model_matches is False:
        return replace(found, reason=f"{recipe.model} is another model: the picture needs {recipe.model_hash}")
    if missing:
        return replace(found, reason=f"{missing[0].path}: {missing[0].reason}")
    try:
        with threads(made.threads):
            models = model, refiner_of(recipe, load)
            return compared(found, models, without_hash(recipe), path, losses or Losses.of(path), made.company)
    except FromnoiseError as error:
        return replace(found, reason=str(error))


def without_hash(recipe: Recipe) -> Recipe:
    """The recipe for any model; what it is made of is still not looked for anew."""
    own = {"vae": {"name": OWN}} if recipe.model_hash and recipe.vae is None else {}
    return recipe.but(model_hash=None, **own)


def refiner_of(recipe: Recipe, load: Load) -> Model | None:
    """The model that takes over, if the recipe names one; `generate` checks its hash."""
    if recipe.hires is not None and recipe.hires.model is not None:
        hires, vae = recipe.hires, None if recipe.vae is None else recipe.vae.model_dump()
        return load(Recipe.make(model=hires.model, model_hash=hires.model_hash, vae=vae, dtype=recipe.dtype))
    if recipe.refiner is None:
        return None
    refiner = recipe.refiner
    return load(Recipe.make(model=refiner.model, model_hash=refiner.model_hash, dtype=recipe.dtype))


def matches(recipe: Recipe, model: Model) -> bool | None:
    """Whether the model is the recipe's, whose hash may be the beginning of one; None where it has none."""
    return model.known_as(recipe.model_hash) if recipe.model_hash else None


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Compute on so many threads, if it is said how many."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.inference_mode()
def made_again(
    model: Model, refiner: Model | None, recipe: Recipe, max_batch: int, company: Sequence[Round] = ()
) -> tuple[Generated, Levels]:
    """The picture, and the real numbers that were rounded to it (less a half where the profile rounds down).

    In the batches of `company` as far as it goes.
    """
    job, rounds = Job(model, recipe, refiner), iter(company)
    alone, together = (Executor[int](model, most, refiner) for most in (max_batch, MAX_SIZE))
    picture = job.picture(None, None)
    try:
        calls = next(picture)
        while True:
            seats = next(rounds, ())
            fits = len(seats) == len(calls)
            calls = picture.send(together.seated(calls, seats) if fits else alone.answer(calls))
    except StopIteration as stop:
        latents: Tensor = stop.value
    image = job.finish(latents)
    levels = as_levels(image)
    if job.redrawn is not None:  # of many pictures, which were rounded on the way
        return Generated(0, job.recipe, image), levels
    real = ((model.decode(latents)[0].float().clamp(-1, 1) + 1) * 127.5).permute(1, 2, 0).cpu().double().numpy()
    real -= 0.0 if PROFILES[recipe.profile].round_pixels else 0.5
    rounded = np.abs(real - levels) <= 0.5 + 1e-4  # elsewhere the start picture's own pixels came back
    return Generated(0, job.recipe, image), np.where(rounded, real, levels)


def as_levels(image: Image.Image) -> Levels:
    return np.asarray(image.convert("RGB"), dtype=np.float64)


def compared(
    found: Verification,
    models: tuple[Model, Model | None],
    recipe: Recipe,
    path: Path,
    losses: Losses | None,
    company: Sequence[Round] = (),
) -> Verification:
    """The verdict on the picture in `path`, which was made in the batches of `company`."""
    made, real = made_again(*models, recipe, max_batch=8, company=company)
    stored = as_levels(open_image(path))
    if stored.shape != real.shape:
        sides = [f"{s.shape[1]}x{s.shape[0]}" for s in (stored, real)]
        return replace(found, verdict="different", reason=f"it has {sides[0]} pixels, and {sides[1]} when made again")
    if losses is not None:
        return compared_with_losses(found, stored, made.image, losses)
    raw, rounding = np.abs(stored - as_levels(made.image)), 0.0
    if raw.any():
        other = made_again(*models, recipe, max_batch=1)[1]
        rounding = max(LEAST_ROUNDING.get(recipe.dtype, 0.0), SAFETY * float(np.abs(other - real).max()))
    return replace(judged(found, stored, real, raw, rounding), again=made.image)


def compared_with_losses(found: Verification, stored: Levels, made: Image.Image, losses: Losses) -> Verification:
    """The verdict on a picture of which something was lost in its file."""
    levels, lossy = as_levels(made), as_levels(losses.done_to(made))
    ratio = psnr(stored, levels)
    found = replace(found, lossy=losses.kind, psnr=ratio if np.isfinite(ratio) else None, again=made)
    raw = np.abs(stored - lossy)
    if losses.tables or raw.max() <= LOSSY_ROUNDING:
        return judged(found, stored, lossy, raw, LOSSY_ROUNDING)
    changed = beyond(stored, levels, lossy)
    verdict: Verdict = "alike" if not changed.any() else "edited" if changed.mean() <= EDITED_SHARE else "different"
    off = np.abs(stored - levels)
    return replace(
        found, verdict=verdict, largest=float(off.max()), mean=float(off.mean()), changed=int(changed.sum()),
        box=around(changed),
    )  # fmt: skip


def judged(found: Verification, stored: Levels, real: Levels, raw: Levels, rounding: float) -> Verification:
    """Call a difference of `raw` levels rounding where `real` lies within `rounding` of the value's own interval."""
    beyond = np.where(np.abs(stored - real) <= 0.5 + rounding, 0.0, raw)
    changed = beyond.max(axis=2) > 0
    verdict: Verdict = "equal within rounding" if raw.any() else "identical"
    if changed.any():
        verdict = "edited" if changed.mean() <= EDITED_SHARE else "different"
    return replace(
        found,
        verdict=verdict,
        largest=float(beyond.max()),
        mean=float(beyond.mean()),
        rounded=int(np.count_nonzero(raw) - np.count_nonzero(beyond)),
        changed=int(changed.sum()),
        box=around(changed),
    )


def around(changed: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """The smallest box (left, upper, right, lower) about the true ones of (h w); None where there are none."""
    rows, columns = (np.nonzero(changed.any(axis=axis))[0] for axis in (1, 0))
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1) if len(rows) else None
