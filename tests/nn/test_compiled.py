"""Compiled blocks answer as the network does: one compilation a kind, LoRAs as arguments, nothing passed by."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fromnoise.adapters.patched import changed
from fromnoise.nn import ahead, compiled, kernels
from fromnoise.nn.ahead import Kind
from fromnoise.nn.compiled import Compiled, blocks_of
from fromnoise.nn.ops import Linear, patching, replacing
from fromnoise.nn.unet import TransformerBlock, UNet
from tests.nn.test_int8 import random
from tests.tiny import filled, unet_config


class Counting:
    """A compiler that leaves everything as it is, and counts."""

    def __init__(self) -> None:
        self.compilations = 0
        self.runs = 0

    def __call__(self, graph: torch.fx.GraphModule, _: object) -> Callable[..., Any]:
        self.compilations += 1

        def run(*given: Any) -> Any:
            self.runs += 1
            return graph.forward(*given)

        return run


def by(backend: Any, patch: pytest.MonkeyPatch) -> None:
    """This compiles, for both ways of compiling."""
    made = torch.compile(ahead.run, backend=backend, dynamic=False, fullgraph=True)
    patch.setattr(compiled, "run_compiled", lambda: made)
    patch.setattr(ahead, "library_of", lambda kind, _: Graph(kind, backend))


class Graph:
    """A library that is a graph."""

    def __init__(self, kind: Kind, backend: Any) -> None:
        self.given = len(kind.given)
        self.answer = backend(graph_of(kind), None)

    def run(self, inputs: list[Tensor]) -> list[Tensor]:
        return [self.answer(tuple(inputs[: self.given]), tuple(inputs[self.given :]))]


@cache
def graph_of(kind: Kind) -> torch.nn.Module:
    with torch.inference_mode(False), torch.no_grad():
        return ahead.exported(kind, kind.sample_weights()).module(check_guards=False)


@pytest.fixture
def counting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    """Compiles ahead of time, or by `torch.compile` where a test asks for that."""
    torch._dynamo.reset()
    monkeypatch.setattr(compiled, "_failed", False)
    monkeypatch.setattr(compiled, "is_ahead", lambda device: getattr(request, "param", True))
    monkeypatch.setattr(ahead, "LIBRARIES", {})
    monkeypatch.setattr(Linear, "_has_few", lambda self, x: False)  # what is compiled multiplies rows together
    counter = Counting()
    by(counter, monkeypatch)
    yield counter
    torch._dynamo.reset()


@pytest.fixture(scope="module")
def unet() -> UNet:
    return filled(UNet(unet_config("sd1")), torch.Generator().manual_seed(0))


def answer(unet: UNet, count: int = 2) -> Tensor:
    config = unet.config
    x, context = random(count, config.in_channels, 8, 8), random(count, 7, config.context_dim)
    out: Tensor = unet(x, torch.full((count,), 500), context)
    return out


@pytest.mark.parametrize("counting", [True, False], indirect=True, ids=["ahead", "traced"])
@torch.inference_mode()
def test_the_same_answer_with_one_compilation_for_all_blocks_of_a_kind(unet: UNet, counting: Counting) -> None:
    exact = answer(unet)
    with Compiled().applied(unet):
        torch.testing.assert_close(answer(unet), exact, rtol=1e-5, atol=1e-5)
        blocks = blocks_of(unet)
        assert counting.runs == len(blocks)
        kinds = counting.compilations
        assert 1 < kinds < len(blocks)
        assert len({id(block.outline) for block in blocks}) <= kinds
        answer(unet)
        assert counting.compilations == kinds
    assert not any("forward" in module.__dict__ for module in unet.modules())
    assert torch.equal(answer(unet), exact)


@torch.inference_mode()
def test_other_weights_and_other_company_need_no_compilation(unet: UNet, counting: Counting) -> None:
    names = [name for name, _ in unet.named_parameters() if "attn2" in name or "in_layers.2.weight" in name]
    factors = {name: random(*unet.get_parameter(name).shape, seed=3) for name in names}  # as read while it draws
    loras = [changed(unet, {name: (partial(torch.add, factors[name], alpha=strength),) for name in names})
             for strength in (0.5, 2.0)]  # fmt: skip
    with Compiled().applied(unet):
        answer(unet)
        kinds = counting.compilations
        for tensors in loras:
            with replacing(unet, tensors):
                made = answer(unet)
            assert counting.compilations == kinds
            with pytest.MonkeyPatch.context() as patch, replacing(unet, tensors):
                patch.setattr(compiled, "_failed", True)
                torch.testing.assert_close(made, answer(unet), rtol=1e-5, atol=1e-5)
        runs = counting.runs
        answer(unet, count=5)
        assert counting.runs == runs + len(blocks_of(unet))
        assert counting.compilations == kinds


@torch.inference_mode()
def test_what_acts_inside_of_a_block_is_not_passed_by(unet: UNet, counting: Counting) -> None:
    block = next(module for module in unet.modules() if isinstance(module, TransformerBlock))
    with Compiled().applied(unet):
        plain = answer(unet)
        name = next(name for name, module in unet.named_modules() if module is block)
        for acting in ("hook", "patch", "forward"):
            runs = counting.runs
            if acting == "hook":
                handle = block.attn2.register_forward_hook(lambda module, given, out: 2 * out)
                doubled = answer(unet)
                handle.remove()
            elif acting == "patch":
                with patching(unet, {f"{name}.attn2.to_out.0.weight": [lambda weight: 2 * weight],
                                     f"{name}.attn2.to_out.0.bias": [lambda bias: 2 * bias]}):  # fmt: skip
                    doubled = answer(unet)
            else:
                own = block.attn2.to_out[0]
                own.forward = lambda x, own=own: 2 * type(own).forward(own, x)  # type: ignore[misc]
                doubled = answer(unet)
                del own.forward
            assert counting.runs == runs + len(blocks_of(unet)) - 1, acting
            assert not torch.allclose(doubled, plain, atol=1e-3)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(compiled, "_failed", True)
                with block_doubled(block):
                    torch.testing.assert_close(doubled, answer(unet), rtol=1e-5, atol=1e-5)


class block_doubled:
    """In a `with`, a block's second attention answers twice as much."""

    def __init__(self, block: TransformerBlock) -> None:
        self.block = block

    def __enter__(self) -> None:
        self.handle = self.block.attn2.register_forward_hook(lambda module, given, out: 2 * out)

    def __exit__(self, *_: object) -> None:
        self.handle.remove()


@pytest.mark.parametrize("counting", [True, False], indirect=True, ids=["ahead", "traced"])
@torch.inference_mode()
def test_where_compiling_fails_a_line_says_so_and_the_network_goes_on(
    unet: UNet, counting: Counting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(graph: object, given: object) -> Callable[..., Any]:
        raise RuntimeError("no compiler here")

    exact = answer(unet)
    by(broken, monkeypatch)
    with Compiled().applied(unet):
        assert torch.equal(answer(unet), exact)
        assert torch.equal(answer(unet), exact)
    *_, line = lines = [record.message for record in caplog.records if record.name == "fromnoise.nn.compiled"]
    assert [line for line in lines if line.startswith("the network could not be compiled (")] == [line], "once"
    assert "no compiler here" in line


def test_who_waits_is_told_unless_something_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for kept in (False, True):
        compiled.tell_once.cache_clear()
        ahead.tell_once.cache_clear()
        caplog.clear()
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
        if kept:
            (tmp_path / "fxgraph").mkdir()
        compiled.tell_once()
        compiled.tell_once()
        assert ["compiled first" in record.message for record in caplog.records] == ([] if kept else [True])


@torch.inference_mode()
def test_our_attention_is_one_operator_in_what_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = (random(2, count, 4, 8, seed=count).transpose(1, 2).bfloat16() for count in (300, 200, 200))
    torch.library.opcheck(kernels.operator, (q, k, v), test_utils=("test_schema", "test_faketensor"))
    monkeypatch.setattr(kernels, "_prepared", True)
    made = kernels.traced(q, k, v)
    assert made is not None
    assert torch.equal(made, kernels.operator(q, k, v))
    assert kernels.traced(q.float(), k.float(), v.float()) is None
    monkeypatch.setattr(kernels, "_prepared", False)
    assert kernels.traced(q, k, v) is None


IN_A_PROCESS = """
import sys, torch
from pathlib import Path
from fromnoise.nn import ahead, compiled
from fromnoise.nn.unet import UNet
from tests.nn.test_compiled import answer
from tests.tiny import filled, unet_config
compiled.keep_in(Path(sys.argv[1]))
unet = filled(UNet(unet_config("sd1")), torch.Generator().manual_seed(0))
off = 0.0
with torch.inference_mode():
    for count in (2, 1, 5):
        exact = answer(unet, count)
        with compiled.Compiled().applied(unet):
            near = answer(unet, count)
        off = max(off, float((near - exact).norm() / exact.norm()))
assert not compiled._failed
compilers = [name for name in ("torch._dynamo", "torch._inductor") if name in sys.modules]
print(off, len(ahead.LIBRARIES), len(compilers))
"""


@pytest.mark.slow
def test_the_next_process_loads_what_was_compiled_and_no_compiler(tmp_path: Path, root: Path) -> None:
    told, kept = [], []
    environment = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    for _ in range(2):
        command = [sys.executable, "-c", IN_A_PROCESS, str(tmp_path)]
        ran = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=True)
        told.append([float(word) for word in ran.stdout.split()])
        kept.append({path: path.stat().st_mtime_ns for path in (tmp_path / "blocks").rglob("*")})
    assert max(error for error, *_ in told) < 1e-5
    assert [compilers for *_, compilers in told] == [2, 0]
    assert kept[0] == kept[1]
    assert len(list((tmp_path / "blocks").iterdir())) == told[0][1] == told[1][1] > 1
