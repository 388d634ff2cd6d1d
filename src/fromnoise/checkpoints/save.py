"""Writing checkpoints: safetensors, in the layout of the original files, all at once or not at all."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from fromnoise.checkpoints.ckpt_writing import CkptFile
from fromnoise.checkpoints.deferred import computed
from fromnoise.checkpoints.detect import detect
from fromnoise.checkpoints.files import finite
from fromnoise.checkpoints.header import build_header
from fromnoise.checkpoints.layouts import original, telling
from fromnoise.checkpoints.load import Checkpoint
from fromnoise.checkpoints.names import State
from fromnoise.checkpoints.parts import MEAN, STD, Parts, TextPart, take_apart
from fromnoise.errors import FileError

NARROW = {torch.float16: "float16", torch.float8_e4m3fn: "float8_e4m3fn", torch.float8_e5m2: "float8_e5m2"}
SHOWN = 5  # names in a message

Report = Callable[[int, int], None]  # (bytes done, bytes in all)


def silent(done: int, total: int) -> None:
    """Reports nothing."""


def nothing() -> None:
    """Does nothing."""


class NonFinite(FileError):
    """Weights that are no numbers. `names` has all of them."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.names = tuple(names)
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        super().__init__(
            f"{path} was not written: {len(names):,} of its tensors hold NaN or infinity ({shown}); "
            "mend or replace the model, or write it all the same with --allow-nan"
        )


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
    text = tuple(TextPart(f"text{i}.", "clip", encoder.state_dict()) for i, encoder in enumerate(model.text))
    vae: State = model.vae.state_dict() if model.vae is not None else {}
    vision: State = model.vision.state_dict() if model.vision is not None else {}
    stats = dict(zip((MEAN, STD), model.vision_stats, strict=True)) if model.vision_stats is not None else {}
    return original(Parts(model.unet.state_dict(), vae, text, stats, vision), model.facts)


def told_by_metadata(model: Checkpoint, state: Mapping[str, Tensor]) -> dict[str, str]:
    """The metadata without which the file would not be recognised as what it is."""
    return telling(model.facts, detect(take_apart(state)))


def write(
    path: Path,
    state: Mapping[str, Tensor],
    dtype: torch.dtype | Mapping[str, torch.dtype] | None,
    metadata: Mapping[str, str],
    *,
    report: Report = silent,
    allow_non_finite: bool = True,
    before_it_counts: Callable[[], None] = nothing,
    pickled: bool = False,
) -> Path:
    """Write a safetensors file, or if `pickled` one like torch.save's. The largest elements come first, so that every
    tensor is aligned.

    `dtype` may say for each name what it is stored as. `report` is told the bytes written and those in all. Tensors may
    be deferred: each is computed when its turn comes. Raises FileError; NonFinite, which names all of them, where
    tensors hold NaN or infinity and `allow_non_finite` does not let them. `before_it_counts` may raise to undo it all.
    """
    dtypes = dict(dtype) if isinstance(dtype, Mapping) else {n: stored_dtype(t, dtype) for n, t in state.items()}
    order = sorted(state, key=lambda name: (-dtypes[name].itemsize, name))
    total = sum(state[name].numel() * dtypes[name].itemsize for name in order)
    done, broken = 0, []
    with whole_file(path) as file, ExitStack() as stack:
        check_space(path, total)
        table = {name: (dtypes[name], tuple(state[name].shape)) for name in order}
        ckpt = stack.enter_context(CkptFile(file, table, metadata)) if pickled else None
        if ckpt is None:
            file.write(build_header(table, metadata))
        for name in order:
            tensor = stored(name, computed(state[name].detach()), dtypes[name])
            if not allow_non_finite and tensor.is_floating_point() and not finite(tensor):
                broken.append(name)
            if not broken and ckpt is not None:
                ckpt.add(name, tensor)
            elif not broken:
                file.write(tensor.flatten().view(torch.uint8).numpy().data)
            done += tensor.nbytes
            report(done, total)
        if broken:
            raise NonFinite(path, broken)
        before_it_counts()
    return path


def stored(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A tensor as it is written. FileError where its numbers are too large for the dtype."""
    narrow = NARROW.get(dtype)
    converted = tensor.to("cpu", dtype).contiguous()
    if narrow and dtype != tensor.dtype and not finite(converted) and finite(tensor):
        raise FileError(f"{name} has numbers that are too large for {narrow}; choose bfloat16 as the dtype")
    return converted


def stored_dtype(tensor: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    """float8 weights and whole numbers stay what they are."""
    return dtype if dtype is not None and tensor.is_floating_point() and tensor.dtype.itemsize > 1 else tensor.dtype


def check_space(path: Path, size: int) -> None:
    """FileError where a disk has no room for `size` more bytes."""
    free = shutil.disk_usage(path.absolute().parent).free
    if free < size:
        raise FileError(f"{path} needs {size / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free; make room for it")


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once all of it is on the disk; after a failure nothing does."""
    with placed(path) as part, part.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def placed(path: Path) -> Iterator[Path]:
    """Where to write the file or folder that takes the place of `path` when it is whole; after a failure none does.

    A folder takes the place of another folder only where the caller has made sure that it may.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        yield part
        if part.is_dir() and path.exists():
            path.replace(old)
        try:
            part.replace(path)
        except OSError:
            if old.exists():
                old.replace(path)
            raise
    except OSError as error:
        raise FileError(f"{path} cannot be written ({error.strerror}); check the folder and the free space") from error
    finally:
        for left in (part, old):
            remove(left)


def remove(path: Path) -> None:
    """A file or a folder, or what there is of it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
