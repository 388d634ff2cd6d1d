"""The kernel for attention in bfloat16 computes what PyTorch's does, on AVX512 and on (emulated) AMX tiles."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fromnoise.nn import kernels, ops

needs_processor = pytest.mark.skipif(
    not torch.cpu._is_avx512_bf16_supported() or shutil.which("c++") is None,
    reason="needs a processor with AVX512-BF16 and a C++ compiler",
)
SHAPES = [  # batch, heads, queries, keys, numbers
    (2, 8, 256, 256, 40),
    (1, 2, 1024, 77, 80),
    (1, 3, 97, 333, 48),
    (1, 1, 400, 300, 160),
    (1, 1, 70, 600, 512),
    (3, 2, 1, 1, 64),
    (1, 2, 5, 64, 2),
]


@pytest.fixture(scope="module", params=["avx512", "tiles"])
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> kernels.Kernel:
    path = tmp_path_factory.mktemp("kernels") / f"{request.param}.so"
    emulated = ("-include", str(Path(__file__).with_name("amx_emulated.h")))
    kernels.compile_to(path, (*kernels.FLAGS, *(emulated if request.param == "tiles" else ())))
    return kernels.Kernel(path)


@pytest.fixture
def nowhere() -> Iterator[None]:
    """The process is left as it was found."""
    before = kernels._folder
    yield
    kernels.keep_in(before)
    kernels.found.cache_clear()


def made(shape: tuple[int, int, int, int, int], dtype: torch.dtype = torch.bfloat16) -> list[Tensor]:
    batch, heads, n, m, d = shape
    random = torch.Generator().manual_seed(n)
    return [
        torch.randn(batch, count, heads, d, generator=random).to(dtype).transpose(1, 2) for count in (n, m, m)
    ]  # as the networks give them: heads inside


@needs_processor
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_attention_in_float64(kernel: kernels.Kernel, shape: tuple[int, int, int, int, int]) -> None:
    q, k, v = made(shape)
    right = F.scaled_dot_product_attention(q.double(), k.double(), v.double())
    off = ((kernel(q, k, v) - right).norm() / right.norm()).item()
    theirs = ((F.scaled_dot_product_attention(q, k, v) - right).norm() / right.norm()).item()
    assert off < 3e-3  # a product's inputs and its answer have eight bits
    assert off < 1.2 * theirs + 1e-4


@needs_processor
def test_neither_threads_nor_company_change_a_bit(kernel: kernels.Kernel) -> None:
    q, k, v = made((2, 3, 200, 200, 40))
    both = kernel(q, k, v)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert torch.equal(kernel(q, k, v), both)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(kernel(q[1:], k[1:], v[1:]), both[1:])


@needs_processor
def test_great_scores_and_no_numbers(kernel: kernels.Kernel) -> None:
    q, k, v = made((1, 1, 64, 500, 64))
    q[..., 3, :] = 30 * k[..., 17, :]  # sees one key alone
    assert torch.equal(kernel(q, k, v)[..., 3, :], v[..., 17, :])
    q[..., 5, 0] = torch.nan
    out = kernel(q, k, v)
    assert out[..., 5, :].isnan().all()
    assert out[..., 4, :].isfinite().all()
    k[..., 499, 2] = torch.nan
    assert kernel(q, k, v).isnan().all()


@needs_processor
def test_layers_use_it_once_it_is_built_and_never_where_it_does_not_suit(tmp_path: Path, nowhere: None) -> None:
    x = torch.randn(1, 256, 80).bfloat16()
    kernels.keep_in(None)
    plain = ops.attention(x, x, x, heads=2)
    assert kernels.told() == "nothing is kept on this machine"
    kernels.keep_in(tmp_path / "deep" / "kernels")
    assert kernels.told() in ("yes", "PyTorch's kernel is as fast here")
    for marker in (tmp_path / "deep" / "kernels").glob("*.slower"):  # the machine was busy
        marker.unlink()
    kernels.found.cache_clear()
    assert kernels.told() == "yes"
    ours = ops.attention(x, x, x, heads=2)
    assert not torch.equal(ours, plain)
    torch.testing.assert_close(ours, plain, atol=2e-2, rtol=2e-2)
    for other in (x.float(), x[:, :64], x.clone().requires_grad_()):
        q = other.view(1, -1, 2, 40).transpose(1, 2)
        assert kernels.attention(q, q, q) is None
    assert [path.suffix for path in (tmp_path / "deep" / "kernels").iterdir()] == [".so"]  # nothing half-made


def test_says_why_there_is_none(tmp_path: Path, nowhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    kernels.keep_in(tmp_path)
    assert kernels.told() == "the processor does not multiply bfloat16"
    assert list(tmp_path.iterdir()) == []


@needs_processor
def test_a_compiler_that_is_missing_or_fails_is_told(
    tmp_path: Path, nowhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    kernels.keep_in(tmp_path / "none")
    assert "no C++ compiler" in kernels.told()
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\necho out of luck >&2\nexit 1\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(shutil, "which", lambda name: str(broken))
    kernels.keep_in(tmp_path / "failing")
    assert "out of luck" in kernels.told()
    assert list((tmp_path / "failing").iterdir()) == []


@needs_processor
def test_what_others_may_write_to_is_built_anew(tmp_path: Path, nowhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "faster", lambda kernel: True)
    kernels.built(tmp_path)
    (library,) = tmp_path.glob("*.so")
    assert stat.S_IMODE(library.stat().st_mode) == 0o755
    other = tmp_path / "other" / library.name
    other.parent.mkdir()
    other.write_bytes(b"no library, of somebody else")
    other.chmod(0o777)
    kernels.built(other.parent)
    assert stat.S_IMODE(other.stat().st_mode) == 0o755


@needs_processor
def test_what_is_damaged_or_wrong_or_slow_is_not_used(
    tmp_path: Path, nowhere: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kernels, "faster", lambda kernel: False)
    with pytest.raises(kernels.Unavailable, match="as fast here"):
        kernels.built(tmp_path)
    (marker,) = tmp_path.glob("*.slower")
    with pytest.raises(kernels.Unavailable, match="as fast here"):  # and is not tried again
        kernels.built(tmp_path)
    with monkeypatch.context() as quiet:
        quiet.setattr(kernels, "faster", lambda kernel: True)
        os.utime(marker, (0, 0))
        kernels.built(tmp_path)
    assert not marker.exists(), "but after a while, as the machine may have been busy"
    with monkeypatch.context() as wrong:
        wrong.setattr(kernels, "agrees", lambda kernel: False)
        with pytest.raises(kernels.Unavailable, match="disagrees"):
            kernels.built(tmp_path)
    assert "disagrees" in caplog.text
    (library,) = tmp_path.glob("*.so")
    other = tmp_path / "other" / library.name
    other.parent.mkdir()
    other.write_bytes(b"no library")
    with pytest.raises(kernels.Unavailable, match="does not load"):
        kernels.built(other.parent)


@needs_processor
def test_a_wrong_kernel_is_noticed(kernel: kernels.Kernel) -> None:
    assert kernels.agrees(kernel)
    assert not kernels.agrees(lambda q, k, v: kernel(q, k, 1.02 * v))  # type: ignore[arg-type]
    assert not kernels.agrees(lambda q, k, v: kernel(q, k, v) * torch.nan)  # type: ignore[arg-type]


def test_where_scores_are_written_out_queries_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = made((2, 3, 50, 7, 8), torch.float32)
    whole, whole_causal = ops.fused_attention(q, k, v, False), ops.fused_attention(q, q, q, True)
    attend, rows = F.scaled_dot_product_attention, []

    def seeing(query: Tensor, *others: Tensor, **more: bool) -> Tensor:
        rows.append(query.shape[2])
        return attend(query, *others, **more)

    monkeypatch.setattr(F, "scaled_dot_product_attention", seeing)
    monkeypatch.setattr(ops, "WRITTEN_OUT", {"cpu"})
    monkeypatch.setattr(ops, "SCORES", 2 * 3 * 7 * 20)
    torch.testing.assert_close(ops.fused_attention(q, k, v, False), whole, rtol=1e-6, atol=1e-6)
    assert rows == [20, 20, 10]
    assert torch.equal(ops.fused_attention(q, q, q, True), whole_causal)
