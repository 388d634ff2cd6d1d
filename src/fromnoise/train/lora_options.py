"""What can be chosen of a LoRA, and what of it goes together."""

import logging
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fromnoise.errors import UserError
from fromnoise.train.blocks import BlockOptions

Kind = Literal["lora", "loha", "lokr", "ia3", "glora", "full", "oft", "boft", "dylora", "tlora"]
Layers = Literal["attention", "transformer", "all", "cross", "keys_values", "ia3", "convolutions"]

RANKED = ("lora", "loha", "lokr", "glora", "dylora", "tlora")  # kinds that have an inner size
PRODUCTS = ("lora", "loha", "lokr", "glora")  # whose strength may be learnt, or hang on the root of the inner size
WITH_CORE = ("lora", "loha", "lokr")  # whose convolutions may have a core, and whose rows lengths of their own
TURNING = ("oft", "boft")


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
        description="What it acts on: attention, transformer, all; of cross-attention all (cross), or keys_values; "
        "those of (IA)^3's authors (ia3); the residual blocks (convolutions).",
    )
    unet: bool = Field(default=True, description="Train the U-Net (not network_train_text_encoder_only).")
    text: bool = Field(default=True, description="Train the text encoders (not network_train_unet_only).")
    dora: bool = Field(default=False, description="Give rows a length of their own (dora_wd).")
    dora_columns: bool = Field(default=False, description="DoRA: columns have it, not rows (wd_on_output=False).")
    norms: bool = Field(default=False, description="Train the norms as well (train_norm).")
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Of what comes out of the inner size (network_dropout)."
    )
    rank_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Of the parts of the inner size, for each picture (rank_dropout)."
    )
    module_dropout: float = Field(default=0.0, ge=0, lt=1, description="Of whole layers (module_dropout).")
    factor: int = Field(default=-1, ge=-1, description="LoKr: how to split sides; -1 as square as can be.")
    block_size: int | None = Field(
        default=None,
        ge=1,
        description="OFT and BOFT: sides of the rotated blocks; DyLoRA: ranks that learn together; by default the "
        "inner size, and 1.",
    )
    block_count: int = Field(default=0, ge=0, description="OFT: how many blocks in place of their size (kohya's).")
    constraint: float = Field(default=0.0, ge=0, description="OFT and BOFT: the greatest rotation; 0 for any.")
    tucker: bool = Field(default=False, description="Convolutions have a core, which makes them small (use_tucker).")
    decompose_both: bool = Field(default=False, description="LoKr: the smaller matrix is a product, too.")
    full_matrix: bool = Field(default=False, description="LoKr: neither matrix is a product.")
    unbalanced: bool = Field(
        default=False, description="LoKr: the first matrix has the larger part of the rows (unbalanced_factorization)."
    )
    rs_lora: bool = Field(default=False, description="Divide strengths by the root of the inner size, not by it.")
    scalar: bool = Field(default=False, description="Strengths are learnt, from 0 (use_scalar).")
    bypass: bool = Field(default=False, description="LyCORIS's: changes nothing here (bypass_mode).")
    frozen_down: bool = Field(default=False, description="The first factor stays as it began (LoRA-FA).")
    rescaled: bool = Field(default=False, description="OFT and BOFT: rows learn a length of their own as well.")
    start: Path | None = Field(default=None, description="A LoRA of the same kind and size to go on from.")
    dim_from_weights: bool = Field(default=False, description="Take layers and inner sizes from that file.")
    scale_weight_norms: float = Field(
        default=0.0, ge=0, description="Layers' changes are brought back to this norm; 0: they may have any."
    )
    blocks: BlockOptions = Field(
        default=BlockOptions(), description="Inner sizes and learning rates by the U-Net's blocks (network_args)."
    )

    @property
    def unit(self) -> int:
        """Ranks of a DyLoRA that learn together; 0 for other kinds."""
        return (self.block_size or 1) if self.kind == "dylora" else 0


def fit(options: LoRAOptions) -> None:
    """UserError where something is chosen that the kind has not, or that does not go with something else."""
    kind = options.kind
    for chosen, name, kinds in (
        (options.tucker, "use_tucker", WITH_CORE), (options.decompose_both, "decompose_both", ("lokr",)),
        (options.full_matrix, "full_matrix", ("lokr",)), (options.unbalanced, "unbalanced_factorization", ("lokr",)),
        (options.rs_lora, "rs_lora", PRODUCTS), (options.scalar, "use_scalar", PRODUCTS),
        (options.rescaled, "rescaled", TURNING), (options.dora, "dora_wd", WITH_CORE),
        (options.block_count, "block_count", ("oft",)), (options.frozen_down, "frozen_down", ("lora",)),
    ):  # fmt: skip
        if chosen and kind not in kinds:
            raise UserError(f"{name} is for {', '.join(kinds)} alone, not for {kind}; leave it out")
    if options.dora_columns and not options.dora:
        raise UserError("wd_on_output tells which lengths DoRA learns: give dora_wd as well, or leave it out")
    if options.full_matrix and (options.decompose_both or options.tucker):
        raise UserError("full_matrix makes no products: leave decompose_both and use_tucker out, or full_matrix")
    for rank in {options.rank, options.conv_rank} if options.unit else ():
        if rank % options.unit:
            raise UserError(
                f"dylora: {rank} ranks are no multiple of block_size {options.unit}; choose another of them"
            )
    if kind == "tlora" and options.conv_rank:
        raise UserError("tlora has no form for 3x3 convolutions, in LyCORIS neither; leave conv_dim out")
    if options.scale_weight_norms and (kind != "lora" or options.dora or options.tucker or options.frozen_down):
        raise UserError("scale_weight_norms bounds plain LoRAs alone; leave it or --kind and --dora out")
    told_of(options)


def told_of(options: LoRAOptions) -> None:
    """Say of what was chosen that it does nothing. UserError for a bypass that would change what is learnt."""
    kind, say = options.kind, logging.getLogger(__name__).warning
    if options.bypass and (options.dora or kind not in PRODUCTS):
        raise UserError(
            "bypass_mode: LyCORIS leaves DoRA out with it, and with ia3, oft and boft acts on biases too, which no "
            "file tells; full, dylora and tlora can't be computed so: leave it out"
        )
    if options.bypass:
        say(
            "bypass_mode changes nothing: plain LoRAs add to what layers answer anyway, and other kinds make the "
            "weight that they mean, with the same result."
        )
    if options.dropout and (kind not in ("lora", "dylora") or options.dora or options.tucker):
        say("network_dropout acts on plain LoRAs alone; rank_dropout and module_dropout act on all kinds.")
