"""Writing checkpoints: safetensors, in the layout of the original files, all at once or not at all."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from fromnoise.checkpoints.detect import Family, detect, differences
from fromnoise.checkpoints.header import build_header
from fromnoise.checkpoints.load import Checkpoint
from fromnoise.checkpoints.names import OPEN_CLIP_TEXT, OPEN_CLIP_VISION
from fromnoise.checkpoints.parts import MEAN, OPEN_CLIP_PICTURES, STD, UNET, VAE, VISION, take_apart
from fromnoise.errors import FileError

TEXT: dict[Family, tuple[str, ...]] = {
    "sd1": ("cond_stage_model.transformer.",),
    "sd2": ("cond_stage_model.model.",),
    "sdxl": ("conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."),
    "sdxl_refiner": ("conditioner.embedders.0.model.",),
}


def save_checkpoint(
    path: Path | str,
    model: Checkpoint | Mapping[str, Tensor],
    *,
    dtype: torch.dtype | None = torch.float16,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a model, or a table of names and tensors, so that every program that reads such files can read it.

    `dtype`: what floating-point weights are stored as; None keeps each one's own. Tensors are converted and written one
    by one, so this needs little memory. The file appears under its name only when it is whole. Raises FileError.
    """
    state = layout(model) if isinstance(model, Checkpoint) else model
    told = told_by_metadata(model, state) if isinstance(model, Checkpoint) else {}
    return write(Path(path), state, dtype, {**told, **(metadata or {})})


def layout(model: Checkpoint) -> dict[str, Tensor]:
    """Every weight under its name in the original files, with the markers of v-prediction and zero terminal SNR."""
    state = {UNET + name: weight for name, weight in model.unet.state_dict().items()}
    if model.vae is not None:
        state |= {VAE + name: weight for name, weight in model.vae.state_dict().items()}
    for prefix, encoder in zip(TEXT[model.family], model.text, strict=True):
        weights: Mapping[str, Tensor] = encoder.state_dict()
        weights = weights if prefix.endswith(".transformer.") else OPEN_CLIP_TEXT.to_theirs(weights)
        state |= {prefix + name: weight for name, weight in weights.items()}
    if model.vision is not None:
        state |= {
            f"{VISION}{OPEN_CLIP_PICTURES}{name}": weight
            for name, weight in OPEN_CLIP_VISION.to_theirs(model.vision.state_dict()).items()
        }
    if model.vision_stats is not None:
        state |= dict(zip((MEAN, STD), model.vision_stats, strict=True))
    if model.facts.prediction == "v":
        state["v_pred"] = torch.empty(0)
    if model.facts.zero_snr:
        state["ztsnr"] = torch.empty(0)
    return state


def told_by_metadata(model: Checkpoint, state: Mapping[str, Tensor]) -> dict[str, str]:
    """The metadata without which the file would not be recognised as what it is."""
    detected = detect(take_apart(state))
    told = {"modelspec.prediction_type": "v" if model.facts.prediction == "v" else "epsilon"}
    told |= differences(model.unet.config, detected.unet, "unet")
    if model.vae is not None and detected.vae is not None:
        told |= differences(model.vae.config, detected.vae, "vae")
    for i, (encoder, config) in enumerate(zip(model.text, detected.text, strict=True)):
        told |= differences(encoder.config, config, f"text{i}")
    if model.vision is not None and detected.vision is not None:
        told |= differences(model.vision.config, detected.vision, "vision")
    return told


def write(path: Path, state: Mapping[str, Tensor], dtype: torch.dtype | None, metadata: Mapping[str, str]) -> Path:
    """Write a safetensors file. The largest elements come first, so that every tensor is aligned."""
    dtypes = {name: stored_dtype(tensor, dtype) for name, tensor in state.items()}
    order = sorted(state, key=lambda name: (-dtypes[name].itemsize, name))
    with whole_file(path) as file:
        file.write(build_header({name: (dtypes[name], tuple(state[name].shape)) for name in order}, metadata))
        for name in order:
            tensor = state[name].detach().to("cpu", dtypes[name]).contiguous()
            if dtypes[name] == torch.float16 != state[name].dtype and not torch.isfinite(tensor).all():
                raise FileError(f"{name} does not fit into float16; write {path} with dtype=torch.bfloat16")
            file.write(tensor.flatten().view(torch.uint8).numpy().data)
    return path


def stored_dtype(tensor: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    """float8 weights and whole numbers stay what they are."""
    return dtype if dtype is not None and tensor.is_floating_point() and tensor.dtype.itemsize > 1 else tensor.dtype


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once all of it is on the disk; after a failure nothing does."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise FileError(f"{path} cannot be written ({error.strerror}); check the folder and the free space") from error
    finally:
        part.unlink(missing_ok=True)
