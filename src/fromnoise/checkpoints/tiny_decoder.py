"""TAESD's decoder from its file: the author's own, ComfyUI's with a prefix, or diffusers' AutoencoderTiny."""

import re
from functools import partial
from pathlib import Path

from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.folders import weights_in
from fromnoise.checkpoints.load import Faults
from fromnoise.errors import FileError
from fromnoise.nn.taesd import TAESDDecoder

PREFIX = "taesd_decoder."
DIFFUSERS = re.compile(r"decoder\.layers\.(\d+)\.(.+)")  # which counts without the first layer: it has no weights
FIRST = "1.weight"


def load_tiny_decoder(path: Path | str) -> TAESDDecoder:
    """The decoder in `path`, a file or diffusers' folder. FileError where there is none, or where it is damaged."""
    path = Path(path)
    state = {}
    for name, tensor in (weights_in(path, None).state if path.is_dir() else read(path)).items():
        if found := DIFFUSERS.fullmatch(name):
            name = f"{int(found[1]) + 1}.{found[2]}"
        elif name.startswith("encoder."):
            continue
        state[name.removeprefix(PREFIX)] = tensor
    if FIRST not in state or state[FIRST].ndim != 4:
        raise FileError(f"{path} holds no decoder of TAESD; give a file such as taesd_decoder.safetensors")
    width, channels = state[FIRST].shape[:2]
    faults = Faults()
    decoder = faults.filled(partial(TAESDDecoder, channels, width), state, "")
    faults.check(path, False)
    return decoder
