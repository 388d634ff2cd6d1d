"""Weights that wait are brought one part ahead of their use, in the order of the pass before, and leave no trace."""

import ctypes
import mmap
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.save import write
from fromnoise.engine.memory import Placement, Plan
from fromnoise.engine.residence import Residence
from fromnoise.engine.streaming import Ahead, Pages, Pinned, advise, parts
from fromnoise.nn.ops import Fetching, LayerNorm, Linear
from tests.engine.models import tiny_model


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.line = LayerNorm(width), Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.line(self.norm(x))


def network(count: int = 4, width: int = 8) -> nn.Sequential:
    made = nn.Sequential(*(Block(width) for _ in range(count)))
    generator = torch.Generator().manual_seed(0)
    for parameter in made.parameters():
        parameter.requires_grad_(False).normal_(generator=generator)
    return made


class Noting:
    """Brings copies, and notes what happens."""

    def __init__(self) -> None:
        self.brought: list[int] = []
        self.waited = 0

    def bring(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        self.brought.append(len(tensors))
        return [tensor.clone() for tensor in tensors]

    def wait(self, copies: Sequence[Tensor]) -> None:
        self.waited += 1


def everything(layer: Fetching) -> list[str]:
    return [name for name, _ in layer.named_parameters(recurse=False)]


def untouched(net: nn.Module) -> bool:
    return all(not layer.replaced for layer in net.modules() if isinstance(layer, Fetching))


def test_networks_are_taken_in_parts_that_are_called_as_one() -> None:
    net = network()
    assert list(parts(net, 88)) == list(net)
    assert list(parts(net, 10_000)) == [net]
    assert list(parts(net, 1)) == [layer for block in net for layer in (block.norm, block.line)]


def test_the_next_part_comes_while_one_works() -> None:
    net, carrier, x = network(), Noting(), torch.randn(2, 8)
    wanted = net(x)
    ahead = Ahead(net, everything, carrier, most=88)
    assert torch.equal(net(x), wanted)
    assert carrier.waited == 0, "the order is not known yet"
    assert torch.equal(net(x), wanted)
    assert carrier.waited == 3, "all but the first, which was not known to follow the last"
    assert torch.equal(net(x), wanted)
    assert carrier.waited == 7
    assert set(carrier.brought) == {4}
    assert untouched(net)
    ahead.close()
    assert torch.equal(net(x), wanted)
    assert carrier.waited == 7


def test_what_was_brought_is_what_is_used() -> None:
    net, x = network(), torch.randn(2, 8)

    class Wrong(Noting):
        def bring(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
            return [tensor + 1 for tensor in super().bring(tensors)]

    wanted = net(x)
    ahead = Ahead(net, everything, Wrong(), most=88)
    net(x)
    assert not torch.equal(net(x), wanted)
    ahead.close()
    assert torch.equal(net(x), wanted)


def test_a_failure_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    net, carrier, x = network(), Noting(), torch.randn(2, 8)
    wanted = net(x)
    Ahead(net, everything, carrier, most=88)
    net(x)
    with monkeypatch.context() as patch:
        patch.setattr(Block, "forward", lambda self, x: self.line(x[:, :3]))
        with pytest.raises(RuntimeError):
            net(x)
    assert untouched(net)
    assert torch.equal(net(x), wanted)


def test_another_order_is_learned_anew() -> None:
    net, carrier, x = network(), Noting(), torch.randn(2, 3, 8)
    Ahead(net, everything, carrier, most=88)
    backwards = list(reversed(list(net)))
    for _ in range(3):
        net(x)
    y = x
    for block in backwards:
        y = block(y)
    wanted = x
    for block in backwards:
        wanted = wanted + nn.functional.linear(block.norm(wanted), block.line.weight, block.line.bias)
    assert torch.equal(y, wanted)
    assert untouched(net)


@pytest.mark.skipif(sys.platform == "win32", reason="cannot be asked for there")
def test_pages_of_a_file_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.safetensors", {"a": torch.randn(300, 100), "b": torch.randn(7)}, None, {})
    weights = read(tmp_path / "a.safetensors")
    advise(weights["a"])  # the system takes it
    asked = []

    class Library:
        def madvise(self, start: ctypes.c_void_p, size: ctypes.c_size_t, advice: ctypes.c_int) -> None:
            asked.append((start.value or 0, size.value))

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library())
    assert Pages().bring([weights["a"], weights["b"]]) == ()
    for (start, size), name in zip(asked, "ab", strict=True):
        assert start % mmap.PAGESIZE == 0
        assert 0 <= weights[name].data_ptr() - start < mmap.PAGESIZE
        assert start + size == weights[name].data_ptr() + weights[name].nbytes


class Streams:
    """What torch has for a device, in notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        notes = self.notes

        class Stream:
            def __init__(self, device: torch.device | None = None) -> None:
                pass

            def wait_event(self, event: object) -> None:
                notes.append("wait")

        class Event:
            def record(self, stream: Stream) -> None:
                notes.append("record")

            def synchronize(self) -> None:
                notes.append("synchronize")

        self.Stream, self.Event = Stream, Event

    @contextmanager
    def stream(self, stream: object) -> Iterator[None]:
        self.notes.append("in")
        yield
        self.notes.append("out")

    def current_stream(self, device: torch.device) -> object:
        return self.Stream()


def test_pinned_rooms_are_filled_in_turns() -> None:
    streams, sizes = Streams(), []

    def allocate(size: int) -> Tensor:
        sizes.append(size)
        return torch.empty(size, dtype=torch.uint8)

    pinned = Pinned(torch.device("cpu"), streams, allocate)
    tensors = [torch.randn(3, 5), torch.randn(7).half(), torch.randn(2, 4, 3, 3).to(memory_format=torch.channels_last)]
    for turn in range(3):
        copies = pinned.bring(tensors)
        assert all(torch.equal(a, b) for a, b in zip(copies, tensors, strict=True))
        pinned.wait(copies)
        assert sizes == [64 + 64 + 320] * min(turn + 1, 2)
    assert streams.notes == [*["in", "record", "out", "wait"] * 2, "synchronize", "in", "record", "out", "wait"]


def test_a_residence_brings_what_waits_and_nothing_else() -> None:
    model = tiny_model()
    residence = Residence(model.unet, model.text, model.vae, Placement(torch.device("cpu"), torch.bfloat16))
    residence.settle(Plan(unet=0.5))
    assert residence.ahead is not None
    layers = [layer for layer in model.unet.modules() if isinstance(layer, Fetching)]
    brought = sum(getattr(layer, name).numel() for layer in layers for name in residence.waiting(layer))
    whole = sum(parameter.numel() for parameter in model.unet.parameters())
    assert 0.3 * whole < brought < 0.7 * whole
    residence.settle(Plan())
    assert residence.ahead is None
    assert not any(residence.waiting(layer) for layer in layers)
