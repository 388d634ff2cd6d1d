"""Gradient checkpointing: what blocks have in between is computed anew in the backward pass instead of being kept.

Chen et al. (2016), "Training Deep Nets with Sublinear Memory Cost".
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from fromnoise.nn.clip import Layer
from fromnoise.nn.unet import ResBlock, TransformerBlock

BLOCKS = (ResBlock, TransformerBlock, Layer)


@contextmanager
def recomputing(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Inside, the blocks of `networks` keep their inputs alone. What is done to their layers must outlast backward."""
    blocks = [module for network in networks for module in network.modules() if isinstance(module, BLOCKS)]
    for block in blocks:
        block.__dict__["forward"] = partial(checkpoint, block.forward, use_reentrant=False)
    try:
        yield
    finally:
        for block in blocks:
            del block.__dict__["forward"]  # the class's own is seen again
