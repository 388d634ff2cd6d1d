"""The other names of our layers: diffusers' and OpenCLIP's. Every foreign naming of the project is in this file.

rename = diffusers_unet(config)
rename("input_blocks.1.0.in_layers.2.weight")  # "down_blocks.0.resnets.0.conv1.weight"
rename.inverse("down_blocks.0.resnets.0.conv1")  # "input_blocks.1.0.in_layers.2"
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fromnoise.nn.unet import UNetConfig

State = Mapping[str, Tensor]

PARAMETERS = (".weight", ".bias")


@dataclass(frozen=True)
class Renaming:
    """Names of layers and of their parameters: `blocks` are what names begin with, `layers` what follows in a block."""

    blocks: Mapping[str, str]
    layers: Mapping[str, str]

    def __call__(self, name: str) -> str:
        """The other name. Raises KeyError where no block has this name."""
        parameter = next((end for end in PARAMETERS if name.endswith(end)), "")
        parts = name.removesuffix(parameter).split(".")
        for cut in range(len(parts), 0, -1):
            block = self.blocks.get(".".join(parts[:cut]))
            if block is not None:
                layer = ".".join(parts[cut:])
                return ".".join(filter(None, (block, self.layers.get(layer, layer)))) + parameter
        raise KeyError(name)

    @cached_property
    def inverse(self) -> "Renaming":
        return Renaming({b: a for a, b in self.blocks.items()}, {b: a for a, b in self.layers.items()})


RES_BLOCK = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
UNET_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "time_embed.cond_proj": "time_embedding.cond_proj",
    "label_emb": "class_embedding",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}


def diffusers_unet(config: UNetConfig) -> Renaming:
    """Our names of a U-Net's layers to those of diffusers' UNet2DConditionModel. Transformers have the same inside."""
    blocks = dict(UNET_ENDS)
    levels, per_level = len(config.channel_mult), config.res_blocks + 1
    for level in range(levels):
        for i in range(config.res_blocks):
            ours = f"input_blocks.{1 + level * per_level + i}"
            blocks[f"{ours}.0"] = f"down_blocks.{level}.resnets.{i}"
            blocks[f"{ours}.1"] = f"down_blocks.{level}.attentions.{i}"
        if level < levels - 1:
            blocks[f"input_blocks.{(level + 1) * per_level}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
    attention = config.middle_depth > 0
    blocks["middle_block.0"] = "mid_block.resnets.0"
    blocks["middle_block.1"] = "mid_block.attentions.0" if attention else "mid_block.resnets.1"
    if attention:
        blocks["middle_block.2"] = "mid_block.resnets.1"
    for up in range(levels):
        for i in range(per_level):
            ours = f"output_blocks.{up * per_level + i}"
            blocks[f"{ours}.0"] = f"up_blocks.{up}.resnets.{i}"
            blocks[f"{ours}.1"] = f"up_blocks.{up}.attentions.{i}"
        last = (up + 1) * per_level - 1
        if up < levels - 1:
            place = 2 if config.output_depths[last] else 1
            blocks[f"output_blocks.{last}.{place}.conv"] = f"up_blocks.{up}.upsamplers.0.conv"
    return Renaming(blocks, RES_BLOCK)


VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
OLD_VAE_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # diffusers before 0.18


def diffusers_vae(levels: int, res_blocks: int) -> Renaming:
    """Our names of an autoencoder's layers to those of AutoencoderKL, whose decoder counts levels from the middle."""
    blocks = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    for side, down_or_up, count, resample in (
        ("encoder", "down", res_blocks, "downsample"),
        ("decoder", "up", res_blocks + 1, "upsample"),
    ):
        for end, theirs in (("conv_in", "conv_in"), ("conv_out", "conv_out"), ("norm_out", "conv_norm_out")):
            blocks[f"{side}.{end}"] = f"{side}.{theirs}"
        for level in range(levels):
            place = level if side == "encoder" else levels - 1 - level
            ours, their = f"{side}.{down_or_up}.{level}", f"{side}.{down_or_up}_blocks.{place}"
            for i in range(count):
                blocks[f"{ours}.block.{i}"] = f"{their}.resnets.{i}"
            blocks[f"{ours}.{resample}.conv"] = f"{their}.{resample}rs.0.conv"
        for i in (1, 2):
            blocks[f"{side}.mid.block_{i}"] = f"{side}.mid_block.resnets.{i - 1}"
        for ours, their in VAE_ATTENTION.items():
            blocks[f"{side}.mid.attn_1.{ours}"] = f"{side}.mid_block.attentions.0.{their}"
    return Renaming(blocks, {"nin_shortcut": "conv_shortcut"})


def vae_from_diffusers(state: State) -> dict[str, Tensor]:
    """An AutoencoderKL's weights under our names; its attention's linear layers become 1x1 convolutions."""
    levels = 1 + max((int(name.split(".")[2]) for name in state if name.startswith("encoder.down_blocks.")), default=0)
    first = "encoder.down_blocks.0.resnets."
    res_blocks = 1 + max((int(name.split(".")[4]) for name in state if name.startswith(first)), default=0)
    rename = diffusers_vae(levels, res_blocks).inverse
    ours = {}
    for name, tensor in state.items():
        for old, new in OLD_VAE_ATTENTION.items():
            name = name.replace(f".attentions.0.{old}.", f".attentions.0.{new}.")
        try:
            ours[rename(name)] = tensor
        except KeyError:
            ours[name] = tensor  # whoever loads it reports it
    return square_convolutions(ours)


def square_convolutions(state: State) -> dict[str, Tensor]:
    """The same, with 1x1 convolutions (c c 1 1) where the attention was stored as linear layers (c c)."""
    return {
        name: tensor[:, :, None, None] if ".attn_1." in name and tensor.ndim == 2 else tensor
        for name, tensor in state.items()
    }


def vae_to_diffusers(state: State, levels: int, res_blocks: int) -> dict[str, Tensor]:
    """Our autoencoder's weights under the names and in the shapes of AutoencoderKL."""
    rename = diffusers_vae(levels, res_blocks)
    return {
        rename(name): tensor[:, :, 0, 0] if ".attn_1." in name and tensor.ndim == 4 else tensor
        for name, tensor in state.items()
    }


OPEN_CLIP_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
PROJECTIONS = ("q_proj", "k_proj", "v_proj")
RESBLOCKS, LAYERS = "transformer.resblocks.", "text_model.encoder.layers."


@dataclass(frozen=True)
class OpenCLIPNames:
    """OpenCLIP's names of one of CLIP's two encoders, and ours."""

    ends: Mapping[str, str]
    projection: tuple[str, str]  # stored the other way round
    layers: str  # how our names of what is in a layer begin

    def to_ours(self, state: State) -> dict[str, Tensor]:
        """Views of the weights, with the fused projection cut in three."""
        ours: dict[str, Tensor] = {}
        for name, tensor in state.items():
            number, _, rest = name.removeprefix(RESBLOCKS).partition(".")
            if name in self.ends:
                ours[self.ends[name]] = tensor
            elif name == self.projection[0]:
                ours[self.projection[1]] = tensor.T
            elif not name.startswith(RESBLOCKS):
                ours[name] = tensor
            elif rest in ("attn.in_proj_weight", "attn.in_proj_bias"):
                parameter = rest.removeprefix("attn.in_proj_")
                for projection, part in zip(PROJECTIONS, tensor.chunk(3), strict=False):
                    ours[f"{self.layers}{number}.self_attn.{projection}.{parameter}"] = part
            else:
                layer, _, parameter = rest.rpartition(".")
                ours[f"{self.layers}{number}.{OPEN_CLIP_LAYER.get(layer, layer)}.{parameter}"] = tensor
        return ours

    def to_theirs(self, state: State) -> dict[str, Tensor]:
        """The weights under OpenCLIP's names; the three projections are joined in a copy."""
        ends = {ours: theirs for theirs, ours in self.ends.items()}
        layers = {ours: theirs for theirs, ours in OPEN_CLIP_LAYER.items()}
        theirs: dict[str, Tensor] = {}
        for name, tensor in state.items():
            number, _, rest = name.removeprefix(self.layers).partition(".")
            layer, _, parameter = rest.rpartition(".")
            if name in ends:
                theirs[ends[name]] = tensor
            elif name == self.projection[1]:
                theirs[self.projection[0]] = tensor.T
            elif not name.startswith(self.layers):
                theirs[name] = tensor
            elif layer in layers:
                theirs[f"{RESBLOCKS}{number}.{layers[layer]}.{parameter}"] = tensor
            elif layer == "self_attn.q_proj":
                three = [
                    state[f"{self.layers}{number}.self_attn.{projection}.{parameter}"] for projection in PROJECTIONS
                ]
                theirs[f"{RESBLOCKS}{number}.attn.in_proj_{parameter}"] = torch.cat(three)
        return theirs


OPEN_CLIP_TEXT = OpenCLIPNames(
    {
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "ln_final.weight": "text_model.final_layer_norm.weight",
        "ln_final.bias": "text_model.final_layer_norm.bias",
    },
    ("text_projection", "text_projection.weight"),
    LAYERS,
)
OPEN_CLIP_VISION = OpenCLIPNames(
    {
        "class_embedding": "vision_model.embeddings.class_embedding",
        "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "ln_pre.weight": "vision_model.pre_layrnorm.weight",
        "ln_pre.bias": "vision_model.pre_layrnorm.bias",
        "ln_post.weight": "vision_model.post_layernorm.weight",
        "ln_post.bias": "vision_model.post_layernorm.bias",
    },
    ("proj", "visual_projection.weight"),
    "vision_model.encoder.layers.",
)


def ema_name(name: str) -> str:
    """Where a full LDM checkpoint keeps the running average of the U-Net's parameter `name` (CompVis's LitEma)."""
    return "model_ema." + f"diffusion_model.{name}".replace(".", "")
