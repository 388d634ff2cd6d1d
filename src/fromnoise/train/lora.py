"""Training LoRAs of every kind that can be read, through the classes that inference uses.

Plain LoRA trains by its own path, y = W x + s up (down x), which needs no gradient of W; all other kinds train through
the weight that they make. Files carry kohya's names, so that AUTOMATIC1111, ComfyUI and diffusers read them.
"""

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from fromnoise.adapters.lora import LoRA
from fromnoise.adapters.weight_adapter import WeightAdapter, read_slots
from fromnoise.checkpoints.adapter_files.layers import TEXT, UNET, layers_of
from fromnoise.checkpoints.adapter_files.lora import read_lora
from fromnoise.checkpoints.names import diffusers_unet
from fromnoise.engine.library import Model
from fromnoise.errors import FileError, UserError
from fromnoise.nn.ops import Conv2d, Fetching, GroupNorm, LayerNorm, Linear, patching
from fromnoise.nn.unet import UNet
from fromnoise.train.blocks import BlockOptions, Blocks, Layout, Size
from fromnoise.train.factors import RANKED, TURNING, WITH_CORE, Slots, begin, is_wide
from fromnoise.train.trainable import SafetensorsFile

Kind = Literal["lora", "loha", "lokr", "ia3", "glora", "full", "oft", "boft"]
Layers = Literal["attention", "transformer", "all", "cross", "keys_values"]


class LoRAOptions(BaseModel):
    """Options of a LoRA; kohya's names stand in brackets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = Field(default="lora", description="Which kind (algo).")
    rank: int = Field(default=16, ge=1, le=1024, description="Inner size (network_dim).")
    alpha: float = Field(default=16.0, gt=0, description="Strength times the rank (network_alpha).")
    conv_rank: int = Field(default=0, ge=0, description="Inner size in 3x3 convolutions; 0 leaves them out (conv_dim).")
    conv_alpha: float = Field(default=1.0, gt=0, description="Strength there, times the rank (conv_alpha).")
    layers: Layers = Field(
        default="transformer",
        description="What it acts on: attention, transformer, all; or of cross-attention all, or keys_values.",
    )
    unet: bool = Field(default=True, description="Train the U-Net (not network_train_text_encoder_only).")
    text: bool = Field(default=True, description="Train the text encoders (not network_train_unet_only).")
    dora: bool = Field(default=False, description="Give rows a length of their own (dora_wd).")
    norms: bool = Field(default=False, description="Train the norms as well (train_norm).")
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Of what comes out of the inner size (network_dropout)."
    )
    rank_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Of the parts of the inner size, for each picture (rank_dropout)."
    )
    module_dropout: float = Field(default=0.0, ge=0, lt=1, description="Of whole layers (module_dropout).")
    factor: int = Field(default=-1, ge=-1, description="LoKr: how to split sides; -1 as square as can be.")
    block_size: int = Field(default=4, ge=2, description="OFT and BOFT: sides of the rotated blocks.")
    constraint: float = Field(default=0.0, ge=0, description="OFT and BOFT: the greatest rotation; 0 for any.")
    tucker: bool = Field(default=False, description="Convolutions have a core, which makes them small (use_tucker).")
    decompose_both: bool = Field(default=False, description="LoKr: the smaller matrix is a product, too.")
    rs_lora: bool = Field(default=False, description="Divide strengths by the root of the inner size, not by it.")
    rescaled: bool = Field(default=False, description="OFT and BOFT: rows learn a length of their own as well.")
    start: Path | None = Field(default=None, description="A LoRA of the same kind and size to go on from.")
    dim_from_weights: bool = Field(default=False, description="Take layers and inner sizes from that file.")
    scale_weight_norms: float = Field(
        default=0.0, ge=0, description="Layers' changes are brought back to this norm; 0: they may have any."
    )
    blocks: BlockOptions = Field(
        default=BlockOptions(), description="Inner sizes and learning rates by the U-Net's blocks (network_args)."
    )


@dataclass(frozen=True)
class Site:
    """A layer that is trained."""

    network: str  # unet, text0 or text1
    layer: str  # our name
    name: str  # kohya's
    weight: Tensor


class LoRATraining(SafetensorsFile):
    """Every kind."""

    def __init__(self, model: Model, options: LoRAOptions, seed: int) -> None:
        self.model, self.options, self.on = model, options, True
        self.dropouts = Dropouts.of(options)
        self.blocks = blocks_of(model, options)
        reached = options
        if options.dim_from_weights:
            reached = options.model_copy(update={"layers": "all", "conv_rank": 1})
        elif self.blocks.convolutions:
            reached = options.model_copy(update={"conv_rank": 1})
        self.networks: dict[str, nn.Module] = {UNET: model.unet, **dict(zip(TEXT, model.text, strict=False))}
        self.sites = [site for name, network in self.networks.items() for site in sites(name, network, model, reached)]
        self.sized = sizes_of(options) if options.dim_from_weights else sizes_in(self.blocks, self.sites, options)
        self.sites = [site for site in self.sites if site.name in self.sized]
        factors = {site.name: self.blocks.factor(site.layer) for site in self.sites if site.network == UNET}
        self.slower = {f"{name}.": factor for name, factor in factors.items() if factor != 1}
        fit(options)
        if options.scale_weight_norms and (options.kind != "lora" or options.dora or options.tucker):
            raise UserError("scale_weight_norms bounds plain LoRAs alone; leave it or --kind and --dora out")
        if not self.sites:
            raise UserError("nothing would be trained: leave the U-Net or the text encoders in")
        generator = torch.Generator().manual_seed(seed)
        self.factors = nn.ModuleDict()
        self.fixed: dict[str, Slots] = {}
        for site in self.sites:
            slots = begin(site.weight.float(), self.sized[site.name], generator)
            self.fixed[site.name] = {k: slots.pop(k) for k in ("alpha", "on_input") if k in slots}
            self.factors[site.name] = nn.ParameterDict({k: nn.Parameter(v) for k, v in slots.items()})
        if options.start:
            self._go_on(options.start)
        self.module: nn.Module = self.factors
        self.trains_text = any(site.network != UNET for site in self.sites)
        self.adapters = {site.name: self.adapter(site.name) for site in self.sites}

    @torch.no_grad()
    def _go_on(self, path: Path) -> None:
        """Begin with the factors of a file. FileError where they are not those that train here."""
        layers = read_lora(path).layers
        for site in self.sites:
            slots = layers.get(site.name, {})
            for slot, parameter in cast(Mapping[str, Tensor], self.factors[site.name]).items():
                found = slots.get(slot)
                if found is None or found.numel() != parameter.numel():
                    raise FileError(
                        f"{path}: its {site.name} does not begin what is trained here; give its --kind, --rank, "
                        "--conv_rank and --layers, and --no-text where it has no text encoder"
                    )
                parameter.copy_(found.float().view_as(parameter))
            self.fixed[site.name] |= {slot: slots[slot] for slot in self.fixed[site.name] if slot in slots}

    def adapter(self, name: str) -> WeightAdapter:
        """The class that inference uses, on the parameters that train."""
        slots = {**self.fixed[name], **cast(Mapping[str, Tensor], self.factors[name])}
        (adapter,), left = read_slots(slots)
        assert not left, left
        return adapter

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as stack:
            patches: dict[str, dict[str, tuple[partial[Tensor], ...]]] = {name: {} for name in self.networks}
            for site in self.sites:
                adapter = self.adapters[site.name]
                layer = self.networks[site.network].get_submodule(site.layer)
                if isinstance(adapter, LoRA) and adapter.mid is None and adapter.magnitude is None:
                    hook = by_the_way(adapter, self.dropouts, lambda: self.on)
                    stack.callback(layer.register_forward_hook(hook).remove)
                else:
                    change = partial(thinned, adapter, self.dropouts) if self.dropouts.thins else adapter.merged
                    patches[site.network][f"{site.layer}.weight"] = (partial(change, strength=1.0),)
            for name, network in self.networks.items():
                stack.enter_context(patching(network, patches[name]))
            yield

    @torch.no_grad()
    def bound(self) -> Mapping[str, float]:
        """No change of a layer has a greater norm than is wanted; both factors are scaled alike."""
        most = self.options.scale_weight_norms
        if not most:
            return {}
        norms, scaled = [], 0
        for name, adapter in self.adapters.items():
            assert isinstance(adapter, LoRA)
            norm = float(torch.linalg.matrix_norm(adapter.up.flatten(1) @ adapter.down.flatten(1)) * adapter.scale)
            if norm > most:
                scaled += 1
                for factor in self.factors[name].parameters():
                    factor.mul_(math.sqrt(most / norm))
            norms.append(min(norm, most))
        return {"keys_scaled": scaled, "average_key_norm": sum(norms) / len(norms), "max_key_norm": max(norms)}

    def tensors(self) -> dict[str, Tensor]:
        found = {}
        for site in self.sites:
            slots = {**cast(Mapping[str, Tensor], self.factors[site.name]), **self.fixed[site.name]}
            for slot, tensor in slots.items():
                found[f"{site.name}.{written(slot, site.weight)}"] = tensor.detach()
        return found

    def metadata(self) -> dict[str, str]:
        options, family = self.options, self.model.facts.family
        by_block = options.blocks.told()
        special = options.dora or options.tucker or options.rs_lora
        plain = options.kind == "lora" and not special and (bool(by_block) or not options.conv_rank)
        sizes = {"conv_dim": str(options.conv_rank), "conv_alpha": str(options.conv_alpha)}
        arguments = by_block | (sizes if by_block and options.conv_rank else {})
        if not plain:
            kind = {"oft": "diag-oft"}.get(options.kind, options.kind)
            shape = {"use_tucker": options.tucker, "decompose_both": options.decompose_both,
                     "rs_lora": options.rs_lora, "rescaled": options.rescaled}  # fmt: skip
            arguments |= {"algo": kind, **sizes, "dora_wd": str(options.dora)}
            arguments |= {name: "True" for name, chosen in shape.items() if chosen}
        version = {"sd1": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0"}.get(family, family)
        if family == "sd2" and self.model.facts.prediction == "v":
            version = "sd_v2_v"
        return {
            "ss_network_module": "networks.lora" if plain else "lycoris.kohya",
            "ss_network_dim": "Dynamic" if options.dim_from_weights else str(options.rank),
            "ss_network_alpha": "Dynamic" if options.dim_from_weights else str(options.alpha),
            "ss_network_dropout": str(options.dropout or None),
            "ss_network_args": json.dumps(arguments),
            "ss_base_model_version": version,
            "ss_v2": str(family == "sd2"),
        }


@dataclass(frozen=True)
class Dropouts:
    """What is left out by chance while it trains: shares."""

    outputs: float = 0.0  # of what comes out of the inner size
    ranks: float = 0.0  # of the parts of the inner size, for each picture
    modules: float = 0.0  # of layers

    @classmethod
    def of(cls, options: LoRAOptions) -> "Dropouts":
        return cls(options.dropout, options.rank_dropout, options.module_dropout)

    @property
    def thins(self) -> bool:
        """Whether weights that are made anew for each step are other ones by chance."""
        return bool(self.ranks or self.modules)

    def skips(self) -> bool:
        """Whether the layer is left out this time."""
        return self.modules > 0 and torch.is_grad_enabled() and float(torch.rand(())) < self.modules

    def applied(self, inner: Tensor, axis: int) -> Tensor:
        """To what comes out of the inner size, whose parts lie along `axis`; what is left is made larger for it."""
        if not torch.is_grad_enabled():
            return inner
        if self.outputs:
            inner = F.dropout(inner, self.outputs)
        if self.ranks:
            shape = [1] * inner.ndim
            shape[0], shape[axis] = len(inner), inner.shape[axis]
            inner = inner * F.dropout(inner.new_ones(shape), self.ranks)
        return inner


def thinned(adapter: WeightAdapter, dropouts: Dropouts, weight: Tensor, strength: float) -> Tensor:
    """What an adapter makes of a weight, without some layers, and in some rows: as LyCORIS, which leaves out rows."""
    if not torch.is_grad_enabled():
        return adapter.merged(weight, strength)
    if dropouts.skips():
        return weight
    changed = adapter.merged(weight, strength)
    stay = torch.rand(len(weight), *(1,) * (weight.ndim - 1), device=weight.device) >= dropouts.ranks
    return torch.where(stay, changed, weight)


def by_the_way(
    adapter: LoRA, dropouts: Dropouts, on: Callable[[], bool]
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    """A hook that adds s up (down x) to what a layer answers: Hu et al. (2021), equation 3."""

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not on() or dropouts.skips():
            return output
        x = inputs[0]
        if isinstance(layer, Conv2d):
            down, up = adapter.down.to(x.dtype), adapter.up.to(x.dtype)
            inner = F.conv2d(x, down.view(len(down), *layer.weight.shape[1:]), None, layer.stride, layer.padding)
            return output + F.conv2d(dropouts.applied(inner, 1), up.view(*up.shape[:2], 1, 1)) * adapter.scale
        inner = F.linear(x, adapter.down.to(x.dtype).flatten(1))
        return output + F.linear(dropouts.applied(inner, -1), adapter.up.to(x.dtype).flatten(1)) * adapter.scale

    return hook


def written(slot: str, weight: Tensor) -> str:
    """A slot's ending in kohya's files."""
    if weight.ndim == 1:
        return "w_norm"
    if slot == "boft_blocks":
        return "oft_blocks"  # what has one dimension more
    weights = ("lora_up", "lora_down", "lora_mid", "a1", "a2", "b1", "b2")
    return f"{slot}.weight" if slot in weights else slot


def sites(network: str, module: nn.Module, model: Model, options: LoRAOptions) -> Iterator[Site]:
    """The layers of a network that the options choose, in order."""
    if not (options.unet if network == UNET else options.text):
        return
    rename = kohya_names(network, module, model)
    for layer in layers_of(module):
        part = module.get_submodule(layer)
        chosen = in_unet(layer, part, options) if network == UNET else in_text(layer, part, options)
        if chosen and isinstance(part, Fetching):
            yield Site(network, layer, rename(layer), cast(Tensor, part.weight))


def in_unet(layer: str, part: nn.Module, options: LoRAOptions) -> bool:
    if isinstance(part, (GroupNorm, LayerNorm)):
        return options.norms
    names = layer.split(".")
    if options.layers in ("cross", "keys_values"):
        return "attn2" in names and (options.layers == "cross" or names[-1] in ("to_k", "to_v"))
    if "transformer_blocks" in names:
        return options.layers != "attention" or "attn1" in names or "attn2" in names
    if names[-1] in ("proj_in", "proj_out"):
        return options.layers != "attention"
    if options.layers == "all":
        return not isinstance(part, Conv2d) or part.kernel_size == (1, 1) or bool(options.conv_rank)
    residual = not layer.startswith(("time_embed", "label_emb", "input_blocks.0.", "out."))
    return bool(options.conv_rank) and residual


def in_text(layer: str, part: nn.Module, options: LoRAOptions) -> bool:
    if isinstance(part, LayerNorm):
        return options.norms
    inside = ".layers." in layer and isinstance(part, Linear) and options.layers not in ("cross", "keys_values")
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


def fit(options: LoRAOptions) -> None:
    """UserError where something is chosen that the kind has not."""
    for chosen, name, kinds in (
        (options.tucker, "use_tucker", WITH_CORE), (options.decompose_both, "decompose_both", ("lokr",)),
        (options.rs_lora, "rs_lora", RANKED), (options.rescaled, "rescaled", TURNING),
        (options.dora, "dora_wd", WITH_CORE),
    ):  # fmt: skip
        if chosen and options.kind not in kinds:
            raise UserError(f"{name} is for {', '.join(kinds)} alone, not for {options.kind}; leave it out")
    if options.dropout and (options.kind != "lora" or options.dora or options.tucker):
        logging.getLogger(__name__).warning(
            "network_dropout acts on plain LoRAs alone; rank_dropout and module_dropout act on all kinds."
        )


def blocks_of(model: Model, options: LoRAOptions) -> Blocks:
    """What is asked of the U-Net's blocks. UserError where it can't be."""
    if options.blocks.sized and options.dim_from_weights:
        raise UserError("dim_from_weights takes inner sizes from the file; leave block_dims and block_alphas out")
    if options.blocks.sized and options.kind not in RANKED:
        raise UserError(f"block_dims: {options.kind} has no inner size; take one of {', '.join(RANKED)}")
    plain = Size(options.rank, options.alpha, options.conv_rank, options.conv_alpha)
    return Blocks(options.blocks, Layout.of(model), plain)


def sizes_in(blocks: Blocks, sites: Sequence[Site], options: LoRAOptions) -> dict[str, LoRAOptions]:
    """The layers that are not left out, each with its inner size."""
    found = {}
    for site in sites:
        if site.network != UNET:
            found[site.name] = options
        elif size := blocks.size(site.layer, wide=is_wide(site.weight)):
            found[site.name] = options.model_copy(update=asdict(size))
    return found


def sizes_of(options: LoRAOptions) -> dict[str, LoRAOptions]:
    """The layers of the file that is gone on from, each with its inner size. UserError where it tells none."""
    slot = {"lora": "lora_down", "loha": "hada_w1_b"}.get(options.kind)
    if options.start is None or slot is None:
        raise UserError("dim_from_weights takes sizes from a lora or loha: name it with --start, and its --kind")
    layers = {name: slots for name, slots in read_lora(options.start).layers.items() if slot in slots}
    return {
        name: options.model_copy(update={"rank": len(slots[slot]), "conv_rank": len(slots[slot])})
        for name, slots in layers.items()
    }
