"""Which layers a LoRA acts on, and what kohya's files call them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from fromnoise.checkpoints.adapter_files.layers import TEXT, UNET, layers_of
from fromnoise.checkpoints.names import diffusers_unet
from fromnoise.engine.library import Model
from fromnoise.nn.ops import Conv2d, Fetching, GroupNorm, LayerNorm, Linear
from fromnoise.nn.unet import UNet
from fromnoise.train.lora_options import LoRAOptions

IA3 = ("to_k", "to_v", "k_proj", "v_proj")  # layers whose answers (IA)^3's authors scale
IA3_INPUTS = (".ff.net.2", ".mlp.fc2")  # those whose inputs they scale


@dataclass(frozen=True)
class Site:
    """A layer that is trained."""

    network: str  # unet, text0 or text1
    layer: str  # our name
    name: str  # kohya's
    weight: Tensor
    bias: Tensor | None

    @property
    def on_input(self) -> bool:
        """Whether (IA)^3 scales what goes into it, where LyCORIS's preset is asked for."""
        return self.layer.endswith(IA3_INPUTS)


def sites(network: str, module: nn.Module, model: Model, options: LoRAOptions) -> Iterator[Site]:
    """The layers of a network that the options choose, in order."""
    if not (options.unet if network == UNET else options.text):
        return
    rename = kohya_names(network, module, model)
    for layer in layers_of(module):
        part = module.get_submodule(layer)
        chosen = in_unet(layer, part, options) if network == UNET else in_text(layer, part, options)
        if chosen and isinstance(part, Fetching):
            bias = cast(Tensor | None, getattr(part, "bias", None))
            yield Site(network, layer, rename(layer), cast(Tensor, part.weight), bias)


def in_unet(layer: str, part: nn.Module, options: LoRAOptions) -> bool:
    if isinstance(part, (GroupNorm, LayerNorm)):
        return options.norms
    names = layer.split(".")
    inside, project = "transformer_blocks" in names, names[-1] in ("proj_in", "proj_out")
    if options.layers in ("cross", "keys_values"):
        return "attn2" in names and (options.layers == "cross" or names[-1] in ("to_k", "to_v"))
    if options.layers == "ia3":
        return names[-1] in IA3 or layer.endswith(IA3_INPUTS)
    if options.layers == "convolutions":
        wide = not isinstance(part, Conv2d) or part.kernel_size == (1, 1) or bool(options.conv_rank)
        return wide and not (inside or project or layer.startswith(("time_embed", "label_emb")))
    if inside:
        return options.layers != "attention" or "attn1" in names or "attn2" in names
    if project:
        return options.layers != "attention"
    if options.layers == "all":
        return not isinstance(part, Conv2d) or part.kernel_size == (1, 1) or bool(options.conv_rank)
    residual = not layer.startswith(("time_embed", "label_emb", "input_blocks.0.", "out."))
    return bool(options.conv_rank) and residual


def in_text(layer: str, part: nn.Module, options: LoRAOptions) -> bool:
    if isinstance(part, LayerNorm):
        return options.norms
    if options.layers == "ia3":
        return layer.endswith((*IA3, *IA3_INPUTS)) and ".layers." in layer
    unet_alone = options.layers in ("cross", "keys_values", "convolutions")
    inside = ".layers." in layer and isinstance(part, Linear) and not unet_alone
    return inside and (options.layers != "attention" or ".self_attn." in layer)


def kohya_names(network: str, module: nn.Module, model: Model) -> Callable[[str], str]:
    """Our names of layers to kohya's: diffusers' for SD 1.x and 2.x, the original ones for SDXL."""
    sdxl = model.facts.family.startswith("sdxl")
    if network == UNET:
        rename = (lambda layer: layer) if sdxl else diffusers_unet(cast(UNet, module).config)
        prefix = "lora_unet_"
    else:
        rename = str
        second = network == TEXT[1] or model.facts.family == "sdxl_refiner"
        prefix = ("lora_te2_" if second else "lora_te1_") if sdxl else "lora_te_"
    return lambda layer: prefix + rename(layer).replace(".", "_")
