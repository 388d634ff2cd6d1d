"""Names of layers: those of LoRA files, in every dialect, to ours.

    names = LayerNames.of(unet, text)
    names.find("lora_unet_down_blocks_0_attentions_0_proj_in")  # [Place("unet", "input_blocks.1.1.proj_in")]
    names.find("text_encoder_2.text_model.encoder.layers.0.mlp.fc1")  # [Place("text1", "text_model.encoder...")]

A network is looked up with points and underscores alike, by our names (the original files', which SDXL's LoRAs, ComfyUI
and many trainers use), diffusers', Hugging Face's and OpenCLIP's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from fromnoise.checkpoints.names import LAYERS, OPEN_CLIP_LAYER, PROJECTIONS, RESBLOCKS, diffusers_unet
from fromnoise.nn.clip import CLIPText
from fromnoise.nn.ops import Fetching
from fromnoise.nn.unet import UNet, UNetConfig

UNET = "unet"
TEXT = ("text0", "text1")
OLD_PROJECTIONS = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}
FIRST, SECOND = (TEXT[0],), (TEXT[1],)
EITHER = (UNET, *TEXT)
PREFIXES: tuple[
    tuple[str, tuple[str, ...]], ...
] = (  # what a file puts before a layer's name, and the networks it means
    ("base_model.model.", EITHER),  # a folder that peft saved
    ("lora_unet_", (UNET,)),
    ("oft_unet_", (UNET,)),  # kohya's networks/oft.py
    ("lora_te1_", FIRST),
    ("lora_te2_", SECOND),
    ("lora_te_", FIRST),
    ("lycoris_", EITHER),  # SimpleTuner
    ("model.diffusion_model.", (UNET,)),
    ("diffusion_model.", (UNET,)),
    ("unet.", (UNET,)),
    ("text_encoder.", FIRST),
    ("text_encoder_2.", SECOND),
    ("text_encoders.clip_l.transformer.", FIRST),  # ComfyUI
    ("text_encoders.clip_h.transformer.", FIRST),
    ("text_encoders.clip_g.transformer.", SECOND),
    ("clip_l.", FIRST),  # OneTrainer's exchange format
    ("clip_g.", SECOND),
    ("cond_stage_model.transformer.", FIRST),  # the original files
    ("cond_stage_model.model.", FIRST),
    ("conditioner.embedders.0.transformer.", FIRST),
    ("conditioner.embedders.0.model.", FIRST),
    ("conditioner.embedders.1.model.", SECOND),
    ("", EITHER),
)


class Place(NamedTuple):
    """A layer of a model, or the `part`-th of the layers that a file has as one of `parts`."""

    network: str  # unet, text0 or text1
    layer: str
    part: int = 0
    parts: int = 1


@dataclass(frozen=True)
class LayerNames:
    """The layers of a model's networks by every name that files give them."""

    tables: dict[str, dict[str, tuple[Place, ...]]]  # by network

    @classmethod
    def of(cls, unet: UNet, text: Sequence[CLIPText]) -> "LayerNames":
        tables = {UNET: unet_table(unet.config, layers_of(unet))}
        for network, encoder in zip(TEXT, text, strict=False):
            tables[network] = text_table(network, layers_of(encoder))
        return cls(tables)

    def find(self, name: str) -> tuple[Place, ...]:
        """Where the layer `name` of a file is; several where it joins several of ours; none where it is nowhere."""
        for prefix, networks in PREFIXES:
            if not name.startswith(prefix):
                continue
            rest = underscored(name.removeprefix(prefix))
            for network in networks:
                found = self.tables.get(self.held_by(network), {}).get(rest)
                if found:
                    return found
        return ()

    def held_by(self, network: str) -> str:
        """The refiner's only encoder is what SDXL's files call the second."""
        return TEXT[0] if network == TEXT[1] and TEXT[1] not in self.tables else network


def layers_of(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, Fetching)]


def underscored(name: str) -> str:
    """Points and underscores alike; diffusers' old files name the processor that a layer belonged to."""
    return name.replace(".", "_").replace("_processor_", "_")


def unet_table(config: UNetConfig, layers: Iterable[str]) -> dict[str, tuple[Place, ...]]:
    rename = diffusers_unet(config)
    table: dict[str, tuple[Place, ...]] = {}
    for layer in layers:
        for name in (layer, rename(layer)):
            place = (Place(UNET, layer),)
            table[underscored(name)] = place
            if name.endswith(".to_out.0"):
                table[underscored(name.removesuffix(".0"))] = place  # diffusers before 0.22
    return table


def text_table(network: str, layers: Iterable[str]) -> dict[str, tuple[Place, ...]]:
    table: dict[str, tuple[Place, ...]] = {}
    for layer in layers:
        for name in text_names(layer):
            for whole in (name, name.removeprefix("text_model."), f"model.{name}"):
                table[underscored(whole)] = (Place(network, layer),)
    for layer in layers:
        if layer.endswith(".self_attn.q_proj"):
            block = layer.removesuffix(".q_proj")
            joined = tuple(Place(network, f"{block}.{name}", part, 3) for part, name in enumerate(PROJECTIONS))
            number = layer.removeprefix(LAYERS).partition(".")[0]
            for prefix in ("", "model_"):
                table[f"{prefix}{underscored(RESBLOCKS)}{number}_attn_in_proj"] = joined
    return table


def text_names(layer: str) -> list[str]:
    """Hugging Face's, OpenCLIP's, and diffusers' before 0.22."""
    names = [layer]
    number, _, rest = layer.removeprefix(LAYERS).partition(".")
    if not layer.startswith(LAYERS):
        return [layer, "ln_final"] if layer == "text_model.final_layer_norm" else names
    names += [f"{RESBLOCKS}{number}.{theirs}" for theirs, ours in OPEN_CLIP_LAYER.items() if ours == rest]
    projection = rest.removeprefix("self_attn.")
    if projection in OLD_PROJECTIONS:
        names.append(f"{LAYERS}{number}.self_attn.{OLD_PROJECTIONS[projection]}")
    return names
