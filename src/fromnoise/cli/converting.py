"""`fromnoise convert` and `fromnoise prune`: model files written anew."""

from collections.abc import Callable, Sequence
from pathlib import Path

from fromnoise import settings
from fromnoise.allocator import give_back
from fromnoise.checkpoints.convert import Layout, Written
from fromnoise.checkpoints.convert import convert as convert_model
from fromnoise.checkpoints.convert import prune as prune_model
from fromnoise.checkpoints.save import Report
from fromnoise.cli.messages import say
from fromnoise.cli.progress import note, transfer
from fromnoise.engine.shelves import find

SHOWN = 3  # names in a line
AVERAGES = "model_ema."


def convert(
    model: str,
    out: Path,
    *,
    to: str | None,
    dtype: str | None,
    unet: str | None,
    text_encoders: Sequence[str],
    vae: str | None,
    variant: str | None,
    ema: bool,
    allow_unmatched: bool,
    allow_nan: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Write a model in another layout and print where it is."""
    here = settings.read()
    layout: Layout | None = to  # type: ignore[assignment]  # an unknown one is told by `convert`

    def work(report: Report) -> Written:
        return convert_model(
            located(model),
            out,
            to=layout,
            dtype=dtype,
            unet=None if unet is None else find("diffusion_models", unet, here),
            text_encoders=[find("text_encoders", name, here) for name in text_encoders],
            vae=None if vae is None else find("vae", vae, here),
            variant=variant,
            ema=ema,
            allow_unmatched=allow_unmatched,
            allow_non_finite=allow_nan,
            force=force,
            report=report,
        )

    tell(work, quiet)


def prune(
    model: str,
    out: Path,
    *,
    ema: bool,
    dtype: str | None,
    allow_unmatched: bool,
    allow_nan: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Write a checkpoint without what no picture needs, and print where it is."""

    def work(report: Report) -> Written:
        return prune_model(
            located(model),
            out,
            ema=ema,
            dtype=dtype,
            allow_unmatched=allow_unmatched,
            allow_non_finite=allow_nan,
            force=force,
            report=report,
        )

    tell(work, quiet)


def located(name: str) -> Path:
    """A path as it was given, or the checkpoint of that name on the shelves."""
    return Path(name) if Path(name).exists() else find("checkpoints", name, settings.read())


def tell(work: Callable[[Report], Written], quiet: bool) -> None:
    give_back()  # one tensor after the other: none is worth keeping room for
    with transfer(quiet) as report:
        written = work(report)
    averages = [name for name in written.left_out if name.startswith(AVERAGES)]
    others = [name for name in written.left_out if not name.startswith(AVERAGES)]
    for names in (averages, others):
        if names:
            shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
            note(say("left out: {count:,} tensors ({names})", count=len(names), names=shown), quiet)
    before, after = (megabytes([*files]) for files in (written.source.source.files, files_in(written.path)))
    note(say("{before:,.1f} MB became {after:,.1f} MB", before=before, after=after), quiet)
    print(written.path)


def files_in(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


def megabytes(files: Sequence[Path]) -> float:
    return sum(file.stat().st_size for file in files) / 1e6
