"""Whole networks under diffusers' and transformers' names, told from the names alone, and ours under theirs."""

from collections.abc import Iterable
from dataclasses import replace

from torch import Tensor

from fromnoise.checkpoints.names import State, diffusers_unet
from fromnoise.nn.unet import UNetConfig

CLASS_EMBEDDING, ADD_EMBEDDING = "class_embedding.", "add_embedding."  # both are our label_emb: unCLIP, SDXL
TEXT = "text_model."
TEXT_STEMS = ("embeddings.", "encoder.", "final_layer_norm.")  # transformers 5.6 and later leave TEXT out


def is_unet(names: Iterable[str]) -> bool:
    return {"conv_in.weight", "conv_out.weight", "down_blocks.0.resnets.0.conv1.weight"} <= set(names)


def unet_from_diffusers(state: State) -> dict[str, Tensor]:
    """A UNet2DConditionModel's weights under our names; what has none keeps its own, to be reported by the loader."""
    rename = diffusers_unet(outline(state)).inverse
    ours = {}
    for name, tensor in state.items():
        vector = name.startswith(CLASS_EMBEDDING) and name != f"{CLASS_EMBEDDING}weight"  # which is a table
        theirs = name.replace(CLASS_EMBEDDING, ADD_EMBEDDING) if vector else name
        try:
            ours[rename(theirs)] = tensor
        except KeyError:
            ours[name] = tensor
    return ours


def outline(names: Iterable[str]) -> UNetConfig:
    """As much of a configuration as the names of layers depend on."""
    known = set(names)
    levels = children(known, "down_blocks")
    per_level = children(known, "down_blocks.0.resnets") + 1
    upsampled = [f"up_blocks.{up}.attentions.{per_level - 1}.norm.weight" in known for up in range(levels)]
    return replace(
        UNetConfig(),
        channel_mult=(1,) * levels,
        res_blocks=per_level - 1,
        middle_depth=1 if "mid_block.attentions.0.norm.weight" in known else -1,
        output_depths=tuple(int(depth) for depth in upsampled for _ in range(per_level)),
    )


def children(names: Iterable[str], prefix: str) -> int:
    """How many numbered children `prefix` has."""
    numbers = {name.removeprefix(prefix + ".").split(".")[0] for name in names if name.startswith(prefix + ".")}
    return max((int(number) + 1 for number in numbers if number.isdecimal() and len(number) < 4), default=0)


def unet_to_diffusers(state: State, config: UNetConfig, *, class_embedding: bool = False) -> dict[str, Tensor]:
    """Our U-Net's weights under the names of UNet2DConditionModel; `class_embedding`: as unCLIP has its vector."""
    rename = diffusers_unet(config)
    theirs = {rename(name): tensor for name, tensor in state.items()}
    if class_embedding:
        return {name.replace(ADD_EMBEDDING, CLASS_EMBEDDING): tensor for name, tensor in theirs.items()}
    return theirs


def is_text_encoder(names: Iterable[str]) -> bool:
    known = set(names)
    return bool({f"{TEXT}embeddings.token_embedding.weight", "embeddings.token_embedding.weight"} & known)


def text_from_transformers(state: State) -> dict[str, Tensor]:
    """A CLIPTextModel's weights under our names, whether or not they begin with `text_model.`."""
    return {TEXT + name if name.startswith(TEXT_STEMS) else name: tensor for name, tensor in state.items()}
