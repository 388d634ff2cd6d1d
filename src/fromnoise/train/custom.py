"""Custom Diffusion: what keys and values make of the prompt is learnt, together with a new word.

Kumari et al. (2023), arXiv 2212.04488. The file is one that every reader of LyCORIS knows: differences of weights, and
the word's vectors beside them. A .bin is diffusers': whole weights of attention processors; the word lies beside it.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from fromnoise.checkpoints.adapter_files.layers import layers_of
from fromnoise.checkpoints.adapter_files.lora import BUNDLE
from fromnoise.checkpoints.names import diffusers_unet
from fromnoise.engine.images import write_whole
from fromnoise.engine.library import Model
from fromnoise.train.embedding import EmbeddingOptions, EmbeddingTraining
from fromnoise.train.lora import LoRATraining
from fromnoise.train.lora_options import Layers, LoRAOptions
from fromnoise.train.pickled import pickled
from fromnoise.train.trainable import SafetensorsFile


class CustomOptions(BaseModel):
    """Options of Custom Diffusion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: str = Field(default="", description="The new word; by default the name.")
    init_word: str = Field(default="", description="A word that means something like it, to begin with.")
    vectors: int = Field(default=1, ge=1, le=75, description="How many vectors the word is.")
    queries: bool = Field(default=False, description="Train all of cross-attention, not keys and values alone.")


class CustomTraining(SafetensorsFile):
    """Keys and values of cross-attention, and a word."""

    trains_text = True

    def __init__(self, model: Model, options: CustomOptions, seed: int) -> None:
        self.model = model
        layers: Layers = "cross" if options.queries else "keys_values"
        self.network = LoRATraining(model, LoRAOptions(kind="full", text=False, layers=layers), seed)
        self.word = EmbeddingTraining(
            model,
            EmbeddingOptions(token=options.token, init_word=options.init_word, vectors=options.vectors),
            seed,
        )
        self.module = nn.ModuleDict({"network": self.network.module, "word": self.word.module})

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(self.network.applied())
            for site in self.network.sites:
                if site.layer.endswith((".to_k", ".to_v")):
                    layer = self.model.unet.get_submodule(site.layer)
                    stack.callback(layer.register_forward_hook(first_fixed).remove)
            yield

    def embeddings(self) -> tuple[Mapping[str, Tensor], ...]:
        return self.word.embeddings()

    def said(self, caption: str, random: Random) -> str:
        return self.word.said(caption, random)

    def tensors(self) -> dict[str, Tensor]:
        single = len(self.model.text) == 1
        vectors = {
            f"{BUNDLE}{self.word.token}.{'string_to_param.*' if single else name}": tensor
            for name, tensor in self.word.tensors().items()
        }
        return {**self.network.tensors(), **vectors}

    def metadata(self) -> dict[str, str]:
        return self.network.metadata()

    def write(self, path: Path, told: Mapping[str, str]) -> Path:
        if path.suffix != ".bin":
            return super().write(path, told)
        write_whole(path, pickled(self.processors()))
        write_whole(path.with_name(f"{self.word.token}.bin"), pickled(self.words()))
        return path

    def processors(self) -> dict[object, object]:
        """What diffusers' `load_attn_procs` takes: an entry for each attention, which is empty for self-attention."""
        rename, found = diffusers_unet(self.model.unet.config), dict[object, object]()
        changed = {site.layer: site for site in self.network.sites}
        for layer in layers_of(self.model.unet):
            own = layer.rpartition(".attn2.")[2]
            if layer.endswith(".attn1.to_k"):
                found[f"{rename(layer).removesuffix('.to_k')}.processor"] = {}
            if layer not in changed:
                continue
            own, point, rest = own.partition(".")
            name = f"{rename(layer).partition('.attn2.')[0]}.attn2.processor.{own}_custom_diffusion{point}{rest}"
            part = self.model.unet.get_submodule(layer)
            for parameter, adapter in self.network.changes[changed[layer].name].items():
                found[f"{name}.{parameter}"] = adapter.merged(getattr(part, parameter).detach().float()).detach().cpu()
        return found

    def words(self) -> dict[object, object]:
        """The word alone, by its name: of SDXL clip_l and clip_g."""
        tensors: dict[object, object] = {n: tensor.float().cpu() for n, tensor in self.word.tensors().items()}
        return tensors if len(tensors) > 1 else {self.word.token: tensors["emb_params"]}


def first_fixed(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """The start token is in every prompt: what it answers does not learn."""
    return torch.cat((output[:, :1].detach(), output[:, 1:]), dim=1)
