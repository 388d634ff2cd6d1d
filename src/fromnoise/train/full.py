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
from fromnoise.train.trainable import Trainable

DTYPES = {"float": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class FullOptions(BaseModel):
    """Options of full fine-tuning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unet: bool = Field(default=True, description="Train the U-Net.")
    text: bool = Field(default=False, description="Train the text encoders.")
    precision: Literal["float", "fp16", "bf16"] = Field(default="fp16", description="Numbers in the file.")


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

    def write(self, path: Path, told: Mapping[str, str]) -> Path:
        model = self.model
        whole = Checkpoint(path, model.facts, model.unet, model.vae, model.text, {}, model.vision, model.vision_stats)
        return save_checkpoint(path, whole, dtype=DTYPES[self.options.precision], metadata={**self.metadata(), **told})
