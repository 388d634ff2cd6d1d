"""What every adapter is held to: it changes the network's answer inside its block, and nothing is left of it after."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")


class Interrupted(BaseException):
    """Stands for what may break off a picture anywhere: Ctrl-C, a cancelled job, a full memory."""


def state(network: nn.Module) -> dict[str, Any]:
    """All that an adapter could leave behind: weights with their places in memory, hooks, attributes, methods."""
    found: dict[str, Any] = {}
    for name, module in network.named_modules():
        for hooks in HOOKS:
            found[f"{name} {hooks}"] = list(getattr(module, hooks))
        for key, value in vars(module).items():
            if not key.startswith("_"):
                found[f"{name} {key}"] = dict(value) if isinstance(value, dict) else value
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        found[f"{name} place"] = tensor.data_ptr(), tensor.dtype, tensor.requires_grad
    return found


@contextmanager
def untouched(network: nn.Module) -> Iterator[None]:
    """Fails unless the network is after the block what it was before, bit for bit."""
    before, weights = state(network), {name: tensor.clone() for name, tensor in network.state_dict().items()}
    yield
    after = state(network)
    empty = [key for key in after.keys() - before.keys() if not after.pop(key)]  # an attribute for "nothing" may appear
    assert after == before, empty
    for name, tensor in network.state_dict().items():
        assert tensor.equal(weights[name]), name


def assert_leaves_no_trace(
    network: nn.Module,
    applied: Callable[[], AbstractContextManager[None]],
    run: Callable[[], Tensor],
    *,
    least: float = 1e-3,
) -> Tensor:
    """`run` answers otherwise inside `applied()` (by `least` of its deviation), and after it exactly as before.

    The same where the network breaks off inside, and a second time. Returns the answer inside.
    """
    with untouched(network):
        plain = run()
        with applied():
            inside = run()
        assert float((inside - plain).abs().max()) > least * float(plain.std())
        assert run().equal(plain)
        with broken(network), pytest.raises(Interrupted), applied():
            run()
        assert run().equal(plain)
        with applied():
            assert run().equal(inside)
        assert run().equal(plain)
    return inside


@contextmanager
def broken(network: nn.Module) -> Iterator[None]:
    """Inside, the network breaks off in its middle."""
    children = list(network.modules())

    def stop(module: nn.Module, args: tuple[object, ...], output: object) -> None:
        raise Interrupted

    handle = children[len(children) // 2].register_forward_hook(stop)
    try:
        yield
    finally:
        handle.remove()


def random_like(tensor: Tensor, seed: int = 0) -> Tensor:
    return torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed))
