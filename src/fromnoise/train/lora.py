"""Training LoRAs of every kind that can be read, through the classes that inference uses.

Plain LoRA trains by its own path, y = W x + s up (down x), which needs no gradient of W; all other kinds train through
the weight that they make. Files carry kohya's names, so that AUTOMATIC1111, ComfyUI and diffusers read them.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from fromnoise.adapters.adapter import by_parameter
from fromnoise.adapters.lora import LoRA
from fromnoise.adapters.weight_adapter import WeightAdapter
from fromnoise.checkpoints.adapter_files.layers import TEXT, UNET
from fromnoise.checkpoints.adapter_files.lora import read_lora
from fromnoise.engine.library import Model
from fromnoise.errors import FileError, UserError
from fromnoise.nn.ops import Patch, patching
from fromnoise.train.blocks import Blocks, Layout, Size
from fromnoise.train.dropouts import Dropouts, Thinned, by_the_way
from fromnoise.train.factors import BASE, Slots, begin, folded, is_wide
from fromnoise.train.lora_options import RANKED, TURNING, LoRAOptions, fit
from fromnoise.train.sites import Site, sites
from fromnoise.train.trainable import SafetensorsFile

FIXED = ("alpha", "on_input", *BASE)  # slots that never learn
NAMES = {"oft": "diag-oft"}  # LyCORIS's of kinds
SWITCHES = {"use_tucker": "tucker", "decompose_both": "decompose_both", "full_matrix": "full_matrix",
            "unbalanced_factorization": "unbalanced", "rs_lora": "rs_lora", "use_scalar": "scalar",
            "rescaled": "rescaled", "train_norm": "norms"}  # fmt: skip
LATER = ("scalar", "diff_b")  # those that a file may lack: 1, and nothing


class LoRATraining(SafetensorsFile):
    """Every kind."""

    def __init__(self, model: Model, options: LoRAOptions, seed: int) -> None:
        fit(options)
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
        if not self.sites:
            raise UserError("nothing would be trained: leave the U-Net or the text encoders in")
        generator = torch.Generator().manual_seed(seed)
        self.factors = nn.ModuleDict()
        self.fixed: dict[str, Slots] = {}
        for site in self.sites:
            slots = begin(site, self.sized[site.name], generator)
            held = (*FIXED, "lora_down") if options.frozen_down and site.weight.ndim > 1 else FIXED
            self.fixed[site.name] = {k: slots.pop(k) for k in held if k in slots}
            self.factors[site.name] = nn.ParameterDict({k: nn.Parameter(v) for k, v in slots.items()})
        self.sites = [replace(site, weight=site.weight.to("meta")) for site in self.sites]  # it is the model's to keep
        if options.start:
            self._go_on(options.start)
        self.module: nn.Module = self.factors
        self.trains_text = any(site.network != UNET for site in self.sites)
        self.changes = {site.name: self.change(site.name) for site in self.sites}

    @torch.no_grad()
    def _go_on(self, path: Path) -> None:
        """Begin with the factors of a file. FileError where they are not those that train here."""
        layers = read_lora(path).layers
        for site in self.sites:
            slots = layers.get(site.name, {})
            for slot, parameter in cast(Mapping[str, Tensor], self.factors[site.name]).items():
                found = slots.get(slot)
                if found is None and slots and slot in LATER:
                    parameter.fill_(float(slot == "scalar"))
                    continue
                if found is None or found.numel() != parameter.numel():
                    raise FileError(
                        f"{path}: its {site.name} does not begin what is trained here; give its --kind, --rank, "
                        "--conv_rank and --layers, and --no-text where it has no text encoder"
                    )
                parameter.copy_(found.float().view_as(parameter))
            held = self.fixed[site.name]
            held |= {slot: slots[slot].to(held[slot].device) for slot in held if slot in slots}

    def slots(self, name: str) -> Slots:
        """What stands for a layer as files have it, and what it began with: differentiable."""
        return folded({**self.fixed[name], **cast(Mapping[str, Tensor], self.factors[name])})

    def change(self, name: str) -> Mapping[str, WeightAdapter]:
        """The classes that inference uses, on the parameters that train: for a layer's weight, and for its bias."""
        found, left = by_parameter(self.slots(name))
        assert not left, left
        return dict(found)

    def now(self, name: str, parameter: str) -> WeightAdapter:
        """What changes a parameter of a layer, as its factors are now."""
        return (self.change(name) if self.options.scalar else self.changes[name])[parameter]

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as stack:
            patches: dict[str, dict[str, tuple[Patch, ...]]] = {name: {} for name in self.networks}
            for site in self.sites:
                layer = self.networks[site.network].get_submodule(site.layer)
                thinned = Thinned(self.dropouts)
                for parameter, adapter in self.changes[site.name].items():
                    now = partial(self.now, site.name, parameter)
                    if isinstance(adapter, LoRA) and adapter.mid is None and adapter.magnitude is None:
                        hook = by_the_way(cast(Callable[[], LoRA], now), self.dropouts, lambda: self.on)
                        stack.callback(layer.register_forward_hook(hook).remove)
                    else:
                        change = partial(self.changed, now, thinned, parameter == "bias")
                        patches[site.network][f"{site.layer}.{parameter}"] = (change,)
            for name, network in self.networks.items():
                stack.enter_context(patching(network, patches[name]))
            yield

    def changed(self, now: Callable[[], WeightAdapter], thinned: Thinned, again: bool, tensor: Tensor) -> Tensor:
        """A weight, or after it a bias (`again`), with what has been learnt of it."""
        return thinned(now(), tensor, again=again) if self.dropouts.thins else now().merged(tensor)

    @torch.no_grad()
    def bound(self) -> Mapping[str, float]:
        """No change of a layer has a greater norm than is wanted; both factors are scaled alike."""
        most = self.options.scale_weight_norms
        if not most:
            return {}
        norms, scaled = [], 0
        for site in self.sites:
            adapter = self.now(site.name, "weight")
            if not isinstance(adapter, LoRA):  # a norm's
                continue
            norm = float(torch.linalg.matrix_norm(adapter.up.flatten(1) @ adapter.down.flatten(1)) * adapter.scale)
            if norm > most:
                scaled += 1
                for slot in ("lora_up", "lora_down"):
                    self.factors[site.name].get_parameter(slot).mul_(math.sqrt(most / norm))
            norms.append(min(norm, most))
        return {"keys_scaled": scaled, "average_key_norm": sum(norms) / len(norms), "max_key_norm": max(norms)}

    def tensors(self) -> dict[str, Tensor]:
        found = {}
        for site in self.sites:
            for slot, tensor in self.slots(site.name).items():
                if slot not in BASE:
                    found[f"{site.name}.{written(slot, site.weight)}"] = tensor.detach()
        return found

    def metadata(self) -> dict[str, str]:
        options, family = self.options, self.model.facts.family
        by_block = options.blocks.told()
        special = options.dora or options.tucker or options.rs_lora or options.scalar
        plain = options.kind == "lora" and not special and (bool(by_block) or not options.conv_rank)
        sizes = {"conv_dim": str(options.conv_rank), "conv_alpha": str(options.conv_alpha)}
        arguments = by_block | (sizes if by_block and options.conv_rank else {})
        if not plain:
            arguments |= {"algo": NAMES.get(options.kind, options.kind), **sizes, "dora_wd": str(options.dora)}
            arguments |= {name: "True" for name, field in SWITCHES.items() if getattr(options, field)}
            arguments |= {"wd_on_output": "False"} if options.dora_columns else {}
            arguments |= {"factor": str(options.factor)} if options.kind == "lokr" else {}
            arguments |= {"block_size": str(options.unit)} if options.unit else {}
            arguments |= {"constraint": str(options.constraint)} if options.kind in TURNING else {}
        version = {"sd1": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0"}.get(family, family)
        if family == "sd2" and self.model.facts.prediction == "v":
            version = "sd_v2_v"
        module = "networks.lora_fa" if options.frozen_down else "networks.lora"
        return {
            "ss_network_module": module if plain else "lycoris.kohya",
            "ss_network_dim": "Dynamic" if options.dim_from_weights else str(options.rank),
            "ss_network_alpha": "Dynamic" if options.dim_from_weights else str(options.alpha),
            "ss_network_dropout": str(options.dropout or None),
            "ss_network_args": json.dumps(arguments),
            "ss_base_model_version": version,
            "ss_v2": str(family == "sd2"),
        }


def written(slot: str, weight: Tensor) -> str:
    """A slot's ending in kohya's files."""
    if weight.ndim == 1:
        return {"diff": "w_norm", "diff_b": "b_norm"}[slot]
    if slot == "boft_blocks":
        return "oft_blocks"  # what has one dimension more
    weights = ("lora_up", "lora_down", "lora_mid", "a1", "a2", "b1", "b2", "q_layer", "p_layer")
    return f"{slot}.weight" if slot in weights else slot


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
    slot = {"lora": "lora_down", "loha": "hada_w1_b", "dylora": "lora_down", "tlora": "q_layer"}.get(options.kind)
    if options.start is None or slot is None:
        raise UserError("dim_from_weights takes sizes from a lora or loha: name it with --start, and its --kind")
    layers = {name: slots for name, slots in read_lora(options.start).layers.items() if slot in slots}
    return {
        name: options.model_copy(update={"rank": len(slots[slot]), "conv_rank": len(slots[slot])})
        for name, slots in layers.items()
    }
