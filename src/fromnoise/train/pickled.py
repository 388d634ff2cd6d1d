"""What torch.save writes, as bytes: for files of tools that know nothing else."""

import io
from collections.abc import Mapping

import torch


def pickled(tree: Mapping[object, object]) -> bytes:
    """The bytes of a .pt file."""
    buffer = io.BytesIO()
    torch.save(dict(tree), buffer)
    return buffer.getvalue()
