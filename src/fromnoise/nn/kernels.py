"""Attention in C++ for processors that multiply bfloat16: `attention.cpp`, built where there is a compiler.

PyTorch's kernel for CPUs multiplies no faster in bfloat16 than in float32 where there is no AMX; see
`python -m bench attention`. What is built is kept in a folder, checked against PyTorch's own kernel whenever it is
loaded, and not used where it was no faster on this machine.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

LOG = logging.getLogger(__name__)
SOURCE = Path(__file__).with_name("attention.cpp")
FLAGS = (
    "-O3",
    "-std=c++17",
    "-shared",
    "-fPIC",
    "-fopenmp",
    *(f"-mavx512{part}" for part in ("f", "bw", "vl", "bf16")),
)
TILES = ("-mamx-tile", "-mamx-bf16")
PATIENCE = 120  # seconds for the compiler
AGAIN = 7 * 24 * 3600  # seconds after which a kernel that was no faster, on a busy machine perhaps, is timed again
FEWEST = 1 << 15  # scores: with fewer PyTorch's kernel is as fast
CLOSE = 1e-2  # of the norm; both kernels round what they multiply to 8 bits
SHAPES = ((1, 2, 130, 70, 40), (2, 1, 64, 300, 64))  # batch, heads, queries, keys, numbers: to check
TIMED = (1, 8, 2048, 2048, 40)

Long, Pointer = ctypes.c_long, ctypes.c_void_p


class Unavailable(Exception):
    """Why PyTorch's kernel is used instead."""


class Kernel:
    """The built library. Raises OSError where it does not load."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        self.room: Callable[..., int] = library.attention_room
        self.run: Callable[..., None] = library.attention
        library.attention_room.argtypes, library.attention_room.restype = [Long] * 4, Long
        library.attention.argtypes = [Pointer] * 5 + [Long] * 5 + [Pointer, ctypes.c_float, ctypes.c_int]

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q (b heads n d), k and v (b heads m d) -> (b heads n d), with n outside of heads in memory."""
        (batch, heads, n, d), m = q.shape, k.shape[2]
        out = q.new_empty(batch, n, heads, d).transpose(1, 2)
        room = torch.empty(self.room(batch, heads, m, d), dtype=torch.int32)
        strides = (Long * 12)(*(step for tensor in (q, k, v, out) for step in tensor.stride()[:3]))
        pointers = (tensor.data_ptr() for tensor in (q, k, v, out, room))
        self.run(*pointers, batch, heads, n, m, d, strides, d**-0.5, torch.get_num_threads())
        return out


_folder: Path | None = None


def keep_in(folder: Path | None) -> None:
    """Where what is built is kept; None, as at the beginning: nothing is built."""
    global _folder
    _folder = folder


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor | None:
    """q (b heads n d), k and v (b heads m d) -> (b heads n d); None where PyTorch's kernel has to do it."""
    if not suits(q, k, v) or _folder is None:
        return None
    kernel = found(_folder)
    return None if isinstance(kernel, str) else kernel(q, k, v)


def suits(q: Tensor, k: Tensor, v: Tensor) -> bool:
    """Whether these are what the kernel is made for, and enough that it pays."""
    return (
        q.dtype == torch.bfloat16
        and q.device.type == "cpu"
        and not (torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad))
        and q.shape[2] * k.shape[2] >= FEWEST
        and q.shape[3] % 2 == 0
        and all(tensor.stride(3) == 1 for tensor in (q, k, v))
    )


_prepared = False


def prepare() -> None:
    """Look for the kernel now: what is compiled can't."""
    global _prepared
    _prepared = _folder is not None and not isinstance(found(_folder), str)


def is_prepared() -> bool:
    """Whether what is compiled now uses it."""
    return _prepared


def traced(q: Tensor, k: Tensor, v: Tensor) -> Tensor | None:
    """`attention` for code that is being compiled: it becomes one operator there."""
    if not _prepared or not suits(q, k, v):
        return None
    out: Tensor = operator(q, k, v)
    return out


OPERATOR = "fromnoise::attention"
torch.library.define(OPERATOR, "(Tensor q, Tensor k, Tensor v) -> Tensor", tags=torch.Tag.pt2_compliant_tag)
operator = torch.ops.fromnoise.attention.default


@torch.library.impl(OPERATOR, "cpu")  # not by `custom_op`, which loads dynamo when it is first called
def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q (b heads n d), k and v (b heads m d) -> (b heads n d), with n outside of heads in memory."""
    out = attention(q, k, v)
    if out is None:
        out = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).contiguous().transpose(1, 2)
    return out


@torch.library.register_fake(OPERATOR)  # type: ignore[untyped-decorator]
def _(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    batch, heads, n, d = q.shape
    return q.new_empty(batch, n, heads, d).transpose(1, 2)


def told() -> str:
    """Whether this process computes attention with it, for people: "yes", or why not."""
    if _folder is None:
        return "nothing is kept on this machine"
    kernel = found(_folder)
    return kernel if isinstance(kernel, str) else "yes"


@cache
def found(folder: Path) -> Kernel | str:
    """The kernel, built if it is not there yet; or why there is none."""
    try:
        return built(folder)
    except Unavailable as reason:
        LOG.debug("attention by PyTorch: %s", reason)
        return str(reason)


def built(folder: Path) -> Kernel:
    """From `folder`, where one was built before, or else new. Raises Unavailable."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or not torch.cpu._is_avx512_bf16_supported():
        raise Unavailable("the processor does not multiply bfloat16")
    tiles = torch.cpu._is_amx_tile_supported() and torch.cpu._init_amx()
    flags = (*FLAGS, *(TILES if tiles else ()))
    name = hashlib.sha256(SOURCE.read_bytes() + repr((flags, torch.__version__)).encode()).hexdigest()[:16]
    path = folder / f"attention-{name}.so"
    slower = path.with_suffix(".slower")
    if slower.exists() and time.time() - slower.stat().st_mtime < AGAIN:
        raise Unavailable("PyTorch's kernel is as fast here")
    new = not path.exists() or not is_safe(path)
    if new:
        compile_to(path, flags)
    try:
        kernel = Kernel(path)
    except OSError as error:
        raise Unavailable(f"{path} does not load ({error}); delete it, and it is built again") from error
    if not agrees(kernel):
        LOG.warning("the attention kernel %s disagrees with PyTorch's, which is used instead", path)
        raise Unavailable("the kernel disagrees with PyTorch's")
    if new or slower.exists():
        if not faster(kernel):
            slower.touch()
            raise Unavailable("PyTorch's kernel is as fast here")
        slower.unlink(missing_ok=True)
    return kernel


def is_safe(path: Path) -> bool:
    """Whether it is ours, or the system's, and nobody else may change it; code from elsewhere is not run."""
    if not hasattr(os, "getuid"):
        return True
    told = path.stat()
    return told.st_uid in (os.getuid(), 0) and not told.st_mode & 0o022


def compile_to(path: Path, flags: tuple[str, ...]) -> None:
    """`path`, whole or not at all. Raises Unavailable."""
    compiler = shutil.which(os.environ.get("CXX") or "c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise Unavailable("there is no C++ compiler; on Debian: apt install g++")
    partial = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [compiler, *flags, "-o", str(partial), str(SOURCE)], check=True, capture_output=True, timeout=PATIENCE
        )
        partial.chmod(0o755)  # nobody else may change it, whatever the mask
        partial.replace(path)
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"{compiler} failed: {error.stderr.decode(errors='replace')[:200]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"nothing could be built: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def samples(shape: tuple[int, int, int, int, int]) -> list[Tensor]:
    """q, k and v in bfloat16, always the same."""
    batch, heads, n, m, d = shape
    random = torch.Generator().manual_seed(0)
    return [torch.randn(batch, heads, count, d, generator=random).bfloat16() for count in (n, m, m)]


@torch.no_grad()
def agrees(kernel: Kernel) -> bool:
    """Whether it computes what it should."""
    for shape in SHAPES:
        q, k, v = samples(shape)
        right = F.scaled_dot_product_attention(q.float(), k.float(), v.float())
        if not bool((kernel(q, k, v) - right).norm() < CLOSE * right.norm()):
            return False
    return True


@torch.no_grad()
def faster(kernel: Kernel) -> bool:
    """Whether it takes less time than PyTorch's, each at its best of some."""
    tensors = samples(TIMED)
    taken: dict[Callable[..., Tensor], float] = {run: float("inf") for run in (kernel, F.scaled_dot_product_attention)}
    for _ in range(5):
        for run in taken:
            began = time.perf_counter()
            run(*tensors)
            taken[run] = min(taken[run], time.perf_counter() - began)
    return taken[kernel] < 0.9 * taken[F.scaled_dot_product_attention]
