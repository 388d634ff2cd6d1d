"""`fromnoise merge`: from what is typed to what is mixed."""

from collections.abc import Sequence
from pathlib import Path

from fromnoise import settings
from fromnoise.adapters.adapter import Strengths
from fromnoise.checkpoints.convert import Layout, Written
from fromnoise.checkpoints.merge import Method
from fromnoise.checkpoints.merge import merge as merge_models
from fromnoise.checkpoints.save import Report
from fromnoise.cli.converting import located, tell
from fromnoise.engine.baking import baking
from fromnoise.engine.shelves import find
from fromnoise.errors import UserError


def merge(
    models: Sequence[str],
    out: Path,
    *,
    method: str,
    weights: Sequence[float],
    blocks: str | None,
    loras: Sequence[str],
    vae: str | None,
    to: str | None,
    dtype: str | None,
    ema: bool,
    allow_unmatched: bool,
    allow_nan: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Mix models and print where the result is."""
    here = settings.read()
    known: Method = method  # type: ignore[assignment]  # an unknown one is told by `merge_models`
    layout: Layout | None = to  # type: ignore[assignment]
    baked = baking([lora_of(text) for text in loras], allow_unmatched=allow_unmatched) if loras else None

    def work(report: Report) -> Written:
        return merge_models(
            [located(model) for model in models],
            out,
            method=known,
            weights=weights or None,
            blocks=None if blocks is None else numbers(blocks),
            vae=None if vae is None else find("vae", vae, here),
            bake=baked,
            ema=ema,
            to=layout,
            dtype=dtype,
            allow_unmatched=allow_unmatched,
            allow_non_finite=allow_nan,
            force=force,
            report=report,
            hashes_kept=here.hashes,
        )

    tell(work, quiet)


def lora_of(text: str) -> tuple[Path, Strengths]:
    """NAME, NAME:0.8, or NAME:0.8:0.5 for U-Net and text encoders. UserError, FileError."""
    name, *strengths = text.split(":")
    try:
        unet, text_encoders = ([float(number) for number in strengths] * 2 + [1.0, 1.0])[:2]
    except ValueError as error:
        raise UserError(f"--lora {text}: give a name and one or two strengths, such as mycat:0.8") from error
    if len(strengths) > 2:
        raise UserError(f"--lora {text}: give a name and one or two strengths, such as mycat:0.8")
    return find("loras", name, settings.read()), Strengths(unet=unet, text=text_encoders)


def numbers(text: str) -> list[float]:
    """Of a list with commas. UserError."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError as error:
        raise UserError(f"--blocks {text}: give numbers with commas between them") from error
