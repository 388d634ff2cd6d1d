"""Full fine-tuning: all weights of the U-Net, and of the text encoders if they are to learn as well."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from fromnoise.checkpoints.load import Checkpoint
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.engine.library import Model
from fromnoise.errors import UserError
from fromnoise.train.blocks import Layout, Strengths
from fromnoise.train.trainable import Trainable

DTYPES = {"float": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class FullOptions(BaseModel):
    """Options of full fine-tuning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unet: bool = Field(default=True, description="Train the U-Net.")
    text: bool = Field(default=False, description="Train the text encoders.")
    precision: Literal["float", "fp16", "bf16"] = Field(default="fp16", description="Numbers in the file.")
    block_lr: Strengths | None = Field(
        default=None, description="Learning rates of the U-Net's blocks, as kohya counts them; 0: it stays as it is."
    )


def rates_of_blocks(model: Model, options: FullOptions) -> dict[str, float]:
    """The learning rate of each parameter of the U-Net that is in a block. UserError where there are not as many."""
    layout, rates = Layout.of(model), options.block_lr or ()
    if not options.unet:
        raise UserError("block_lr gives the U-Net's blocks their rates, and the U-Net does not learn; leave it out")
    if len(rates) != layout.count:
        raise UserError(
            f"block_lr has {len(rates)} numbers, and there are {layout.count} blocks ({layout.said()}); "
            "give one for each"
        )
    parts = {part_of(name) for name, _ in model.unet.named_parameters()}
    blocks = {part: layout.block(f"{part}.") for part in parts}
    return {f"unet.{part}.": rates[block] for part, block in blocks.items() if block is not None}


def part_of(name: str) -> str:
    """The block that has a parameter, by the beginning of its name: "input_blocks.3", or "out"."""
    first, second, *_ = name.split(".")
    return f"{first}.{second}" if first.endswith(("_blocks", "_block")) else first


class FullTraining(Trainable):
    """The networks themselves learn: the model is another one afterwards."""

    def __init__(self, model: Model, options: FullOptions, seed: int) -> None:
        if not options.unet and not options.text:
            raise UserError("nothing would be trained: leave the U-Net or the text encoders in")
        self.model, self.options, self.trains_text = model, options, options.text
        chosen: dict[str, nn.Module] = {"unet": model.unet} if options.unet else {}
        chosen |= {f"text{i}": encoder for i, encoder in enumerate(model.text)} if options.text else {}
        for network in chosen.values():
            for name, parameter in list(network.named_parameters()):
                layer, _, own = name.rpartition(".")
                copied = nn.Parameter(parameter.detach().float().clone())  # not the file's memory map
                setattr(network.get_submodule(layer), own, copied)
        self.module = nn.ModuleDict(chosen)
        self.rates = rates_of_blocks(model, options) if options.block_lr is not None else {}

    def write(self, path: Path, told: Mapping[str, str]) -> Path:
        model = self.model
        whole = Checkpoint(path, model.facts, model.unet, model.vae, model.text, {}, model.vision, model.vision_stats)
        return save_checkpoint(path, whole, dtype=DTYPES[self.options.precision], metadata={**self.metadata(), **told})
