"""`fromnoise samplers`, `schedules`, `upscalers` and `preprocessors`."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from fromnoise import settings
from fromnoise.cli.messages import language, say
from fromnoise.engine import shelves
from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.upscalers import LATENT_UPSCALERS, UPSCALERS, LatentUpscaler, UpscalerSpec

if TYPE_CHECKING:
    from fromnoise.sampling.samplers import SamplerSpec
    from fromnoise.sampling.schedules import Schedule


def print_samplers() -> None:
    from fromnoise.sampling.samplers import SAMPLERS  # which needs torch

    print_things(say("sampler"), SAMPLERS.values())


def print_schedules() -> None:
    from fromnoise.sampling.schedules import SCHEDULES  # which needs torch

    print_things(say("schedule"), SCHEDULES.values())


def print_upscalers() -> None:
    """Those of pictures, of latents, and the files on the shelves."""
    known: Mapping[str, UpscalerSpec | LatentUpscaler] = {**UPSCALERS, **LATENT_UPSCALERS}
    rows = [(name, spec.good_for_zh if language() == "zh" else spec.good_for) for name, spec in known.items()]
    rows += [(item.stem, str(item.path)) for item in shelves.items("upscale_models", settings.read())]
    print_table((say("upscaler"), say("good for")), rows)


def print_preprocessors() -> None:
    """What each needs besides OpenCV is said."""
    rows = [
        (name, ", ".join((spec.needs, *spec.weights)) if spec.needs else "",
         spec.good_for_zh if language() == "zh" else spec.good_for)
        for name, spec in PREPROCESSORS.items()
    ]  # fmt: skip
    print_table((say("preprocessor"), say("needs"), say("good for")), rows)


def print_things(kind: str, things: "Iterable[SamplerSpec | Schedule]") -> None:
    rows = [(thing.name, thing.label, thing.good_for_zh if language() == "zh" else thing.good_for) for thing in things]
    print_table((kind, say("label"), say("good for")), rows)


def print_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal, elsewhere tab-separated lines without a heading, for scripts."""
    if not sys.stdout.isatty():
        print("\n".join("\t".join(row) for row in rows))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*heading, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
