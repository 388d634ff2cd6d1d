"""A LoRA file on a model: what it does to each weight of each network.

    adapter = load_adapter("ink.safetensors", {"unet": unet, "text0": clip})
    adapter.patches("unet", Strengths(unet=0.8))  # {"input_blocks.1.1.proj_in.weight": (patch,), ...}

The patches are pure functions: `nn.ops.patching` applies them as they are used, `nn.ops.merged` bakes them in.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from fromnoise.adapters.weight_adapter import Change, WeightAdapter, fits, read_slots
from fromnoise.checkpoints.adapter_files.embedding import EmbeddingFile
from fromnoise.checkpoints.adapter_files.family import CONTEXTS, LABELS, base_family
from fromnoise.checkpoints.adapter_files.layers import TEXT, UNET, LayerNames, Place
from fromnoise.checkpoints.adapter_files.lora import LoRAFile, read_lora
from fromnoise.checkpoints.load import remark_unmatched
from fromnoise.errors import FileError
from fromnoise.nn.clip import CLIPText
from fromnoise.nn.ops import Patch
from fromnoise.nn.unet import UNet
from fromnoise.text.block_weights import ALL

LOG = logging.getLogger(__name__)
SHOWN = 3  # names in a message
BIAS = {"diff_b": "diff", "set_bias": "set_weight"}  # factors of a layer's bias, and what they are of a weight
PARTS = {"input_blocks": "IN", "output_blocks": "OUT"}

Networks = Mapping[str, nn.Module]  # by unet, text0, text1
Changes = Mapping[str, tuple[WeightAdapter, ...]]  # by parameter: "out.2.weight"


class UnmatchedLoRA(FileError):
    """Keys of a LoRA that match nothing in a model: `unknown` are found nowhere, `misshapen` have another shape."""

    def __init__(self, file: LoRAFile, unknown: Sequence[str], misshapen: Sequence[str], remedy: str) -> None:
        self.unknown, self.misshapen = tuple(unknown), tuple(misshapen)
        names = [*unknown, *misshapen]
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        super().__init__(f"{file.path}: {len(names):,} of its keys match nothing in this model ({shown}); {remedy}")


@dataclass(frozen=True)
class Strengths:
    """How strongly a LoRA acts; equal where the change is equal."""

    unet: float = 1.0
    text: float = 1.0
    blocks: tuple[float, ...] | None = None  # factors of the blocks `block_weights.ALL`
    rank: int | None = None  # the most that is used of it

    def of(self, network: str, parameter: str) -> float:
        """That of one parameter."""
        whole = self.unet if network == UNET else self.text
        block = block_of(network, parameter)
        return whole if self.blocks is None or block is None else whole * self.blocks[ALL.index(block)]


def block_of(network: str, parameter: str) -> str | None:
    """The name that block weights give to a parameter's block; None where it is in none."""
    if network != UNET:
        return "BASE"
    part, _, rest = parameter.partition(".")
    if part == "middle_block":
        return "M00"
    name = f"{PARTS.get(part, '')}{rest.partition('.')[0].zfill(2)}"
    return name if name in ALL else None


@dataclass(frozen=True, eq=False)
class Adapter:
    """What a file does to the networks of one model."""

    path: Path
    changes: Mapping[str, Changes]  # by network
    embeddings: Mapping[str, EmbeddingFile] = field(default_factory=dict)
    unmatched: tuple[str, ...] = ()  # keys that were passed over because the caller allowed it

    def patches(self, network: str, strengths: Strengths) -> dict[str, tuple[Patch, ...]]:
        """What it does to the parameters of a network; those of strength 0 are left out."""
        found: dict[str, tuple[Patch, ...]] = {}
        for parameter, adapters in self.changes.get(network, {}).items():
            strength = strengths.of(network, parameter)
            if strength:
                found[parameter] = tuple(patch(adapter, strength, strengths.rank) for adapter in adapters)
        return found


def patch(adapter: WeightAdapter, strength: float, rank: int | None = None) -> Patch:
    """An adapter as a function of the weight alone."""
    limited = adapter if rank is None else adapter.limited(rank)
    return Change(limited, strength)


def load_adapter(path: Path | str, networks: Networks, *, allow_unmatched: bool = False) -> Adapter:
    """Read a LoRA file for the networks of a model. Raises FileError; UnmatchedLoRA where keys match nothing in it."""
    return fitted(read_lora(path), networks, allow_unmatched=allow_unmatched)


def fitted(file: LoRAFile, networks: Networks, *, allow_unmatched: bool = False) -> Adapter:
    """A file that was read, on the networks of a model."""
    unet, text = cast(UNet, networks[UNET]), [cast(CLIPText, networks[name]) for name in TEXT if name in networks]
    names = LayerNames.of(unet, text)
    changes: dict[str, dict[str, tuple[WeightAdapter, ...]]] = {}
    unknown, misshapen = list(file.unknown), []
    for layer, factors in file.layers.items():
        places = names.find(layer)
        adapters, left = by_parameter(factors)
        unknown += [file.keys.get((layer, name), layer) for name in (left if places else factors) if name != "scale"]
        for parameter, adapter in adapters if places else ():
            try:
                for place, part in shared_out(adapter, places, parameter, networks):
                    there = changes.setdefault(place.network, {})
                    name = f"{place.layer}.{parameter}"
                    there[name] = (*there.get(name, ()), part)
            except DoesNotFit:
                misshapen.append(f"{layer} ({parameter})")
    if (unknown or misshapen) and not (allow_unmatched and changes):
        raise UnmatchedLoRA(file, unknown, misshapen, remedy(file, unet))
    remark_unmatched(LOG, file.path, [*unknown, *misshapen])
    return Adapter(file.path, changes, file.embeddings, (*unknown, *misshapen))


def by_parameter(factors: Mapping[str, Tensor]) -> tuple[list[tuple[str, WeightAdapter]], list[str]]:
    """The adapters of a layer's weight and bias, and the factors that none of them understands."""
    ours, left = read_slots({name: tensor for name, tensor in factors.items() if name not in BIAS})
    found = [("weight", adapter) for adapter in ours]
    for name, of_weight in BIAS.items():
        if name in factors:
            found += [("bias", adapter) for adapter in read_slots({of_weight: factors[name]})[0]]
    return found, left


class DoesNotFit(ValueError):
    """An adapter has the shape of another weight."""


def shared_out(
    adapter: WeightAdapter, places: Sequence[Place], parameter: str, networks: Networks
) -> Iterator[tuple[Place, WeightAdapter]]:
    """What each of `places` gets of an adapter; DoesNotFit."""
    for place in places:
        weight = getattr(networks[place.network].get_submodule(place.layer), parameter)
        try:
            part = adapter if place.parts == 1 else adapter.rows(place.part, place.parts)
        except NotImplementedError:
            raise DoesNotFit from None
        if weight is None or not fits(part, weight.shape):
            raise DoesNotFit
        yield place, part


def remedy(file: LoRAFile, unet: UNet) -> str:
    """What to do about a file that doesn't match."""
    made_for, here = base_family(file), CONTEXTS.get(unet.config.context_dim)
    if made_for and here and made_for != here:
        return f"it was made for {LABELS[made_for]}, and this model is {LABELS[here]}: take another LoRA or model"
    return "--allow-unmatched does without them"
