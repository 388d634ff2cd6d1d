"""The methods of training by name: what each trains, what can be chosen for it, and where its file goes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from fromnoise.engine.library import Model
from fromnoise.engine.shelves import Kind
from fromnoise.registry import Registry
from fromnoise.train.control import ControlNetTraining, ControlOptions, T2IAdapterTraining
from fromnoise.train.custom import CustomOptions, CustomTraining
from fromnoise.train.distil import DistilOptions, DistilTask, DistilTraining
from fromnoise.train.embedding import EmbeddingOptions, EmbeddingTraining
from fromnoise.train.finetune import FineTuneTask
from fromnoise.train.full import FullOptions, FullTraining
from fromnoise.train.hypernetwork import HypernetworkOptions, HypernetworkTraining
from fromnoise.train.lora import LoRATraining
from fromnoise.train.lora_options import LoRAOptions
from fromnoise.train.trainable import Trainable


@dataclass(frozen=True)
class Method:
    """One way to teach a model."""

    begin: Callable[[Model, Any, int], Trainable]  # model, options, seed
    options: type[BaseModel]
    shelf: Kind  # where its file is found by name
    rate: float  # learning rate that suits it with AdamW
    steps: int
    ending: str = ".safetensors"
    task: type[FineTuneTask] = FineTuneTask
    keep: float = 0.0  # how much it counts that pictures without the trigger stay as they are
    whole: bool = False  # networks of the model learn, or begin as what does: all digits are needed
    chosen: dict[str, Any] = field(default_factory=dict)  # options that differ from the defaults


METHODS: Registry[Method] = Registry("training method", entry_points="fromnoise.methods")
METHODS.add("lora", Method(LoRATraining, LoRAOptions, "loras", 1e-4, 1000, keep=1.0))
METHODS.add("finetune", Method(FullTraining, FullOptions, "checkpoints", 1e-5, 2000, whole=True))
METHODS.add("dreambooth", Method(FullTraining, FullOptions, "checkpoints", 2e-6, 800, keep=1.0, whole=True))
METHODS.add("embedding", Method(EmbeddingTraining, EmbeddingOptions, "embeddings", 5e-3, 1000))
METHODS.add(
    "hypernetwork", Method(HypernetworkTraining, HypernetworkOptions, "hypernetworks", 1e-5, 2000, ".pt", keep=1.0)
)
METHODS.add("controlnet", Method(ControlNetTraining, ControlOptions, "controlnet", 1e-5, 5000, whole=True))
METHODS.add("t2i-adapter", Method(T2IAdapterTraining, ControlOptions, "t2i_adapter", 1e-5, 5000))
METHODS.add("custom", Method(CustomTraining, CustomOptions, "loras", 1e-5, 500, keep=1.0))
METHODS.add("lcm", Method(DistilTraining, DistilOptions, "loras", 1e-4, 1000, task=DistilTask))
