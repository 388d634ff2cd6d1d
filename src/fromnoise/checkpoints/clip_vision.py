"""Picture encoders from the files in people's clip_vision folders, or out of a checkpoint that brings its own.

encoder = load_clip_vision("clip_vision_h.safetensors")
"""

from functools import partial
from pathlib import Path

import torch

from fromnoise.checkpoints.detect import NotDetected, overridden, vision_config
from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.load import Faults, convert
from fromnoise.checkpoints.parts import picture_encoder
from fromnoise.nn.clip_vision import CLIPVision


def load_clip_vision(
    path: Path | str,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    allow_unmatched: bool = False,
) -> CLIPVision:
    """The picture encoder in a file with Hugging Face's names or with OpenCLIP's.

    Weights stay in the file's memory map unless `dtype` or `device` asks for copies. Raises FileError for a bad file,
    NotDetected and UnmatchedKeys for weights that make no picture encoder.
    """
    weights = read(path)
    state, unknown = picture_encoder(weights)
    if not state:
        raise NotDetected(f"{path} holds no picture encoder of CLIP; give one such as clip_vision_h.safetensors")
    try:
        config = overridden(vision_config(state), "vision", weights.metadata)
    except NotDetected as error:
        raise NotDetected(f"{path} cannot be used: {error}") from error
    faults = Faults()
    faults.unknown += unknown
    encoder = faults.filled(partial(CLIPVision, config), state, "")
    faults.check(weights.path, allow_unmatched)
    return convert(encoder, dtype=dtype, device=device)
