"""IP-Adapters: a picture's tokens, and keys and values of them for every cross-attention of a U-Net.

Module names are those of the original files. Ye et al. (2023), "IP-Adapter: Text Compatible Image Prompt Adapter for
Text-to-Image Diffusion Models".
"""

from dataclasses import dataclass
from typing import Literal, cast

from torch import Tensor, nn

from fromnoise.nn.image_projection import PROJECTIONS, Projection, ProjectionConfig
from fromnoise.nn.ops import Linear
from fromnoise.nn.unet import SpatialTransformer, TransformerBlock, UNet

LAYERS = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0"}  # that a face adapter's LoRA changes


@dataclass(frozen=True)
class IPAdapterConfig:
    """Everything that fixes an adapter."""

    projection: ProjectionConfig
    dims: tuple[int, ...]  # widths of the cross-attentions, in the order of `sites`
    rank: int = 0  # of the LoRA that face adapters bring; 0: there is none
    structured: bool = False  # version 2 of face_plus: what was seen is added to the identity


class IPAdapter(nn.Module):
    """`image_proj` makes tokens; `ip_adapter` has a member for each attention of a U-Net that it changes."""

    def __init__(self, config: IPAdapterConfig) -> None:
        super().__init__()
        self.config = config
        self.image_proj: Projection = PROJECTIONS[config.projection.kind](config.projection)
        self.ip_adapter = nn.ModuleDict()
        for i, dim in enumerate(config.dims):  # even numbers are self-attentions, odd ones cross-attentions
            if config.rank:
                self.ip_adapter[str(2 * i)] = AttentionLora(dim, dim, config.rank)
            self.ip_adapter[str(2 * i + 1)] = KeysAndValues(config.projection.out_dim, dim, config.rank)

    def keys_and_values(self, site: int, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Of tokens (b n d), for the cross-attention of `sites`: each (b n dim)."""
        layer = cast(KeysAndValues, self.ip_adapter[str(2 * site + 1)])
        return layer.to_k_ip(tokens), layer.to_v_ip(tokens)

    def lora(self, site: int) -> dict[str, tuple[Tensor, Tensor]]:
        """Changes up @ down of the site's weights, by their names within its block: (up (m r), down (r n))."""
        if not self.config.rank:
            return {}
        found = {}
        for attention, number in (("attn1", 2 * site), ("attn2", 2 * site + 1)):
            for theirs, ours in LAYERS.items():
                change = cast(LowRank, getattr(self.ip_adapter[str(number)], f"{theirs}_lora"))
                found[f"{attention}.{ours}.weight"] = (change.up.weight, change.down.weight)
        return found


class LowRank(nn.Module):
    def __init__(self, dim_in: int, dim_out: int, rank: int) -> None:
        super().__init__()
        self.down, self.up = Linear(dim_in, rank, bias=False), Linear(rank, dim_out, bias=False)


class AttentionLora(nn.Module):
    def __init__(self, context_dim: int, dim: int, rank: int) -> None:
        super().__init__()
        self.to_q_lora, self.to_out_lora = LowRank(dim, dim, rank), LowRank(dim, dim, rank)
        self.to_k_lora, self.to_v_lora = LowRank(context_dim, dim, rank), LowRank(context_dim, dim, rank)


class KeysAndValues(nn.Module):
    """Of one cross-attention, with its LoRA where there is one."""

    def __init__(self, token_dim: int, dim: int, rank: int = 0) -> None:
        super().__init__()
        self.to_k_ip = Linear(token_dim, dim, bias=False)
        self.to_v_ip = Linear(token_dim, dim, bias=False)
        if rank:
            for name, layer in AttentionLora(token_dim, dim, rank).named_children():
                self.add_module(name, layer)


Part = Literal["input", "middle", "output"]
ORDER: tuple[Part, ...] = ("input", "output", "middle")  # of the parts of a U-Net in files


@dataclass(frozen=True)
class Site:
    """A transformer block of a U-Net, and where it is."""

    part: Part
    number: int  # of its spatial transformer, in the order in which they run; tools count layers so
    name: str  # of the block, in the U-Net
    transformer: SpatialTransformer
    block: TransformerBlock

    @property
    def dim(self) -> int:
        return self.block.attn2.to_q.out_features


def sites(unet: UNet) -> list[Site]:
    """The transformer blocks in the order of IP-Adapter's files: going down, going up, in the middle."""
    found = [
        (cast(Part, name.partition("_")[0]), name, module)
        for name, module in unet.named_modules()
        if isinstance(module, SpatialTransformer)
    ]
    numbered = sorted(enumerate(found), key=lambda item: ORDER.index(item[1][0]))
    return [
        Site(part, number, f"{name}.transformer_blocks.{i}", transformer, cast(TransformerBlock, block))
        for number, (part, name, transformer) in numbered
        for i, block in enumerate(transformer.transformer_blocks)
    ]
