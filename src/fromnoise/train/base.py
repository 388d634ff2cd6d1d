"""The model that learns: what is put into it before, and how it computes meanwhile."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from fromnoise.adapters.adapter import Strengths, load_adapter
from fromnoise.adapters.patched import changed
from fromnoise.checkpoints.adapter_files.layers import TEXT, UNET
from fromnoise.engine import library
from fromnoise.engine.library import SCALINGS, Model
from fromnoise.engine.memory import Placement
from fromnoise.engine.recipe_files import Weights
from fromnoise.errors import UserError
from fromnoise.sampling.schedules import NoiseTable
from fromnoise.settings import Settings
from fromnoise.train.methods import METHODS
from fromnoise.train.tightness import keep_in_bfloat16, keep_in_eight_bits

if TYPE_CHECKING:
    from fromnoise.train.run import Run

BASES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "fp8": torch.bfloat16}


def loaded(run: "Run", device: torch.device, settings: Settings) -> Model:
    """The model as it is to learn, with no gradients of its own."""
    wanted = Weights(run.model, vae=run.vae or None)
    whole = METHODS[run.method].whole
    model = library.load(
        wanted,
        Placement(device, torch.float32 if whole else BASES[run.base]),
        settings=settings,
        prediction=run.prediction,
    )
    for network in (model.unet, model.vae, *model.text):
        network.requires_grad_(False)
    merge(model, run.base_weights, run.base_weights_multiplier)
    run.objective.check(model.facts.prediction)
    if run.objective.zero_terminal_snr and not model.facts.zero_snr:
        model = replace(model, table=NoiseTable.ldm(zero_snr=True), facts=replace(model.facts, zero_snr=True))
    if not whole:
        narrowed(model, run.base)
    return replace(model, scalings=SCALINGS[model.facts.prediction])


def narrowed(model: Model, base: str) -> None:
    """Keep the U-Net's weights that do not learn in the numbers of --base."""
    if base == "fp8":
        keep_in_eight_bits(model)
    elif base == "bfloat16":
        keep_in_bfloat16(model)


@torch.no_grad()
def merge(model: Model, files: Sequence[Path], strengths: Sequence[float]) -> None:
    """Make LoRAs part of the weights, one after the other; those without a strength count whole. FileError."""
    if len(strengths) > len(files):
        raise UserError(f"base_weights_multiplier: {len(strengths)} strengths for {len(files)} files of base_weights")
    networks: dict[str, nn.Module] = {UNET: model.unet, **dict(zip(TEXT, model.text, strict=False))}
    for path, strength in zip_longest(files, strengths, fillvalue=1.0):
        adapter = load_adapter(cast(Path, path), networks)
        for name, network in networks.items():
            for parameter, tensor in changed(network, adapter.patches(name, Strengths(strength, strength))).items():
                layer, _, own = parameter.rpartition(".")
                setattr(network.get_submodule(layer), own, nn.Parameter(tensor, requires_grad=False))


def compiled(model: Model, backend: str) -> None:
    """Have the U-Net compiled by a backend of torch.compile. UserError for one that there is not."""
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise UserError(f"unknown dynamo_backend {backend!r}; there are {', '.join(known)}")
    model.unet.compile(backend=backend)
