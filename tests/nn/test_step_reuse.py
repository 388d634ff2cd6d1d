"""Step reuse: a network that goes on from its own features answers as it did, without running what made them."""

from contextlib import suppress

import pytest
import torch
from torch import Tensor

from fromnoise.checkpoints.detect import Family
from fromnoise.nn.hooks import FreeU
from fromnoise.nn.step_reuse import Kept, StepReuse, most_blocks
from fromnoise.nn.token_merging import TokenMerging
from fromnoise.nn.unet import UNet
from tests.tiny import filled, unet_config


def network(family: Family) -> UNet:
    return filled(UNet(unet_config(family)), torch.Generator().manual_seed(0))


def asked(unet: UNet, seed: int = 0, x_seed: int = 1) -> tuple[Tensor | None, ...]:
    generator = torch.Generator().manual_seed(seed)
    config = unet.config
    context = torch.randn(2, 7, config.context_dim, generator=generator)
    y = torch.randn(2, config.vector_dim, generator=generator) if config.vector_dim else None
    x = torch.randn(2, config.in_channels, 12, 20, generator=torch.Generator().manual_seed(x_seed))
    return x, torch.tensor([500, 20]), context, y


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
@torch.inference_mode()
def test_from_its_own_features_the_network_answers_the_same(family: Family) -> None:
    unet = network(family)
    names = list(unet.state_dict())
    for blocks in range(1, most_blocks(unet.config) + 1):
        whole = unet(*asked(unet))
        stores = [Kept(), Kept()]
        first, second = (StepReuse(blocks, kept) for kept in stores)
        with first.applied(unet, [first, second]):
            assert torch.equal(unet(*asked(unet)), whole)
        first, second = (StepReuse(blocks, kept, again=True) for kept in stores)
        with first.applied(unet, [first, second]):
            again = unet(*asked(unet))
            other = unet(*asked(unet, x_seed=2))
        assert torch.equal(again, whole)
        assert not torch.allclose(other, whole, atol=1e-3)
        assert torch.equal(unet(*asked(unet)), whole)
    assert list(unet.state_dict()) == names


@torch.inference_mode()
def test_what_is_inside_does_not_run() -> None:
    unet = network("sd1")
    ran: list[str] = []
    for name, module in unet.named_modules():
        if name.count(".") == 1 or name == "middle_block":
            module.register_forward_hook(lambda module, args, output, name=name: ran.append(name))
    kept = Kept()
    whole = StepReuse(2, kept)
    with whole.applied(unet, [whole, StepReuse(2, Kept())]):
        unet(*asked(unet))
    last = len(unet.output_blocks)
    outer = ["input_blocks.0", "input_blocks.1", f"output_blocks.{last - 2}", f"output_blocks.{last - 1}"]
    assert {"middle_block", *outer} < set(ran)
    ran.clear()
    again = StepReuse(2, kept, again=True)
    with again.applied(unet, [again, again]):
        unet(*asked(unet))
    assert [name for name in ran if not name.startswith(("time_embed", "out."))] == outer


@torch.inference_mode()
def test_other_changes_of_the_network_go_along() -> None:
    unet = network("sd1")
    for change in (FreeU(), TokenMerging(0.5)):
        with change.applied(unet):
            changed = unet(*asked(unet))
        one, two = StepReuse(1, Kept()), StepReuse(1, Kept())
        with change.applied(unet), one.applied(unet, [one, two]):
            unet(*asked(unet))
        one, two = (StepReuse(1, old.kept, again=True) for old in (one, two))
        with change.applied(unet), one.applied(unet, [one, two]):
            assert torch.equal(unet(*asked(unet)), changed)


@torch.inference_mode()
def test_a_failure_leaves_no_trace() -> None:
    unet = network("sd1")
    whole = unet(*asked(unet))
    for reuse in (StepReuse(1, Kept()), StepReuse(1, Kept(torch.zeros(1, 3, 1, 1)), again=True)):
        with suppress(RuntimeError, ValueError), reuse.applied(unet, [reuse]):
            unet(*asked(unet))  # which has another batch, and features of another shape
            raise AssertionError("it can't have gone well")
        assert torch.equal(unet(*asked(unet)), whole)


def test_a_copy_keeps_for_itself() -> None:
    kept = Kept(torch.zeros(1))
    copy = StepReuse(1, kept, again=True).copied()
    assert copy.key == StepReuse(1, kept, again=True).key
    assert copy.kept is not kept
    assert copy.kept.inner is kept.inner
