"""Functions of tensors compiled ahead of time by PyTorch's AOTInductor, for processors, and kept as libraries.

The next process loads a library with neither dynamo nor inductor, in milliseconds. What `torch.compile` would look at
before each call (its guards) is in a library's name instead, a hash of all that it was compiled for: another source,
PyTorch, processor, dtype or shape is another name. A new library is checked against the function before it is kept.
"""

import atexit
import hashlib
import json
import logging
import math
import platform
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fromnoise.nn import kernels

LOG = logging.getLogger(__name__)
TRACED = tuple(Path(__file__).with_name(f"{name}.py") for name in ("ahead", "unet", "ops", "kernels", "quantized"))
LIBRARY, OPERATORS, CONTENTS = "block.so", "block.json", "contents.json"
ROWS = (2, 1, 3)  # that a new library is checked with: it is compiled for the first, and has to serve all
CLOSE = {torch.float32: 1e-4, torch.float64: 1e-4}  # of the norm
CLOSE_IN_HALF = 3e-2
STALE = 24 * 3600  # seconds after which nobody still compiles into a folder

Layout = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]  # shape, strides and dtype


class Unsound(Exception):
    """What is kept, or was compiled, can't be used."""


class Library(Protocol):
    def run(self, inputs: list[Tensor]) -> list[Tensor]: ...


@dataclass(frozen=True)
class Kind:
    """What a library computes: `outline`, given tensors of any number of rows, and weights in place of its own."""

    facts: str  # of the outline
    given: tuple[Layout, ...]  # but for the first dimension
    weights: tuple[tuple[str, Layout], ...]
    machine: str
    outline: nn.Module = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        return hashlib.sha256(repr((self, sources())).encode()).hexdigest()[:32]

    def sample_given(self, rows: int) -> tuple[Tensor, ...]:
        """What it may be given: always the same."""
        return tuple(sample((rows, *shape), (math.prod(shape), *strides), dtype, 1.0)
                     for shape, strides, dtype in self.given)  # fmt: skip

    def sample_weights(self) -> tuple[Tensor, ...]:
        """Weights that leave the size of what they meet."""
        return tuple(sample(shape, strides, dtype, math.prod(shape[1:]) ** -0.5)
                     for _, (shape, strides, dtype) in self.weights)  # fmt: skip


def answer(outline: nn.Module, facts: str, weights: dict[str, Tensor], given: Sequence[Tensor]) -> Tensor:
    """`run`'s answer, by a library: from memory, from the folder, or compiled now."""
    given = [tensor if is_dense(tensor) else tensor.contiguous() for tensor in given]
    kind = Kind(
        facts,
        tuple((tuple(tensor.shape[1:]), tensor.stride()[1:], tensor.dtype) for tensor in given),
        tuple((name, (tuple(one.shape), one.stride(), one.dtype)) for name, one in weights.items()),
        machine(torch.get_num_threads(), kernels.is_prepared()),
        outline,
    )
    library = LIBRARIES.get(kind)
    if library is None:
        with LOCK:
            library = LIBRARIES[kind] = LIBRARIES.get(kind) or library_of(kind, folder())
    return library.run([*given, *weights.values()])[0]


LIBRARIES: dict[Kind, Library] = {}
LOCK = Lock()


def run(outline: nn.Module, weights: dict[str, Tensor], *given: Tensor) -> Tensor:
    out: Tensor = functional_call(outline, weights, given)
    return out


def is_dense(tensor: Tensor) -> bool:
    """Whether row follows upon row."""
    return len(tensor) == 1 or tensor.stride(0) == math.prod(tensor.shape[1:])


@cache
def machine(threads: int, kernel: bool) -> str:
    """What code depends on beside what it computes."""
    processor = sorted(torch.cpu.get_capabilities().items())
    pytorch = (torch.__version__, torch.version.git_version, torch.get_float32_matmul_precision())
    return repr((*pytorch, sys.platform, platform.machine(), processor, threads, kernel))


@cache
def sources() -> str:
    """A hash of the code that is traced."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in TRACED)).hexdigest()


_kept: Path | None = None


def keep_in(path: Path | None) -> None:
    """Where libraries are kept; None, as at the beginning: each process has its own."""
    global _kept
    _kept = path


def folder() -> Path:
    """Where libraries are; the process's own where others may write to what was meant."""
    if _kept is None:
        return own_folder()
    _kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    if kernels.is_safe(_kept):
        return _kept
    tell_unsafe(_kept)
    return own_folder()


@cache
def own_folder() -> Path:
    made = Path(tempfile.mkdtemp(prefix="fromnoise-compiled-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@cache
def tell_unsafe(path: Path) -> None:
    LOG.warning("%s belongs to others, or others may write to it: what is compiled is not kept", path)


def library_of(kind: Kind, parent: Path) -> Library:
    """What is kept in `parent`, or is compiled and kept there. Raises what a compiler raises."""
    path = parent / kind.name
    try:
        if path.exists():
            return found(path)
    except (Unsound, OSError, RuntimeError, ValueError) as error:
        LOG.debug("not loaded: %s", error)
        LOG.warning("%s is broken, or others may write to it: it is compiled anew", path)
    return made(kind, path)


def found(path: Path) -> Library:
    """The library in a folder. Raises Unsound, OSError, RuntimeError or ValueError where it is not what was kept."""
    if not all(kernels.is_safe(one) for one in (path, *path.iterdir())):
        raise Unsound(f"{path} belongs to others")
    if json.loads((path / CONTENTS).read_bytes()) != contents(path):
        raise Unsound(f"{path} is not whole")
    return loaded(path / LIBRARY)


def contents(path: Path) -> dict[str, str]:
    return {name: hashlib.sha256((path / name).read_bytes()).hexdigest()
            for name in (LIBRARY, OPERATORS) if (path / name).exists()}  # fmt: skip


def loaded(path: Path) -> Library:
    """Raises RuntimeError where it does not load. PyTorch finds `OPERATORS` beside it by its name."""
    return torch._C._aoti.AOTIModelContainerRunnerCpu(str(path), 1)


@torch.inference_mode(False)
@torch.no_grad()
def made(kind: Kind, path: Path) -> Library:
    """Compiled, checked, and put into `path`, whole or not at all. Raises Unsound, and what a compiler raises."""
    tell_once()
    sweep(path.parent)
    room = Path(tempfile.mkdtemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent))
    try:
        whole = room / "whole"
        whole.mkdir(mode=0o700)
        weights = kind.sample_weights()
        built = compiled_in(room / "built", kind, weights)
        built.with_suffix(".so").replace(whole / LIBRARY)
        if built.with_suffix(".json").exists():
            built.with_suffix(".json").replace(whole / OPERATORS)
        (whole / CONTENTS).write_text(json.dumps(contents(whole)))
        for one in whole.iterdir():
            one.chmod(0o600)
        library = loaded(whole / LIBRARY)
        check(kind, library, weights)
        shutil.rmtree(path, ignore_errors=True)
        try:
            whole.rename(path)
        except OSError as error:  # another process was faster, or there is no more room
            LOG.debug("not kept: %s", error)
        return library
    finally:
        shutil.rmtree(room, ignore_errors=True)


@cache
def tell_once() -> None:
    """What a person waits for."""
    LOG.warning("the network is compiled first, which takes minutes; it is kept for the next time")


def sweep(parent: Path) -> None:
    """Away with what processes left that were killed while they compiled."""
    for left in parent.glob("*.part"):
        if left.stat().st_mtime < time.time() - STALE:
            shutil.rmtree(left, ignore_errors=True)


class Function(nn.Module):
    """A kind as a module without weights."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, given: tuple[Tensor, ...], weights: tuple[Tensor, ...]) -> Tensor:
        names = (name for name, _ in self.kind.weights)
        return run(self.kind.outline, dict(zip(names, weights, strict=True)), *given)


def exported(kind: Kind, weights: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    """As a graph, for any number of rows."""
    given, rows = kind.sample_given(ROWS[0]), torch.export.Dim("rows")
    shapes = (tuple({0: rows} for _ in given), tuple(None for _ in weights))
    return torch.export.export(Function(kind), (given, weights), dynamic_shapes=shapes, strict=False)


def compiled_in(room: Path, kind: Kind, weights: tuple[Tensor, ...]) -> Path:
    """The path of a library that is built in an empty folder; a .json with its name tells which operators it calls."""
    import torch._inductor

    openssl = shutil.which("openssl") is not None  # by which inductor knows precompiled headers again
    options = {
        "aot_inductor.output_path": str(room),
        "aot_inductor.precompile_headers": openssl,
        "aot_inductor.enable_line_tables": False,
    }
    with warnings.catch_warnings(category=FutureWarning, action="ignore"):  # of what PyTorch itself calls
        graph = exported(kind, weights).module(check_guards=False)
        given = (kind.sample_given(ROWS[0]), weights)
        return Path(str(torch._inductor.aot_compile(graph, given, options=options)))


def check(kind: Kind, library: Library, weights: tuple[Tensor, ...]) -> None:
    """Raises Unsound where a library's answers are not the function's."""
    for rows in ROWS:
        given = kind.sample_given(rows)
        wanted = Function(kind)(given, weights).double()
        out = library.run([*given, *weights])[0].double()
        close = CLOSE.get(given[0].dtype, CLOSE_IN_HALF)
        if out.shape != wanted.shape or not bool((out - wanted).norm() <= close * wanted.norm()):
            raise Unsound("its answers differ")


def sample(shape: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype, size: float) -> Tensor:
    """Normal numbers of a standard deviation, in a layout."""
    random = torch.Generator().manual_seed(math.prod(shape))
    return torch.empty_strided(shape, strides, dtype=dtype).normal_(0, size, generator=random)
