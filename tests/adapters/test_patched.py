"""LoRAs on a network: computed once, bounded, in any number, and without a trace."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fromnoise.adapters.adapter import Adapter, Strengths, load_adapter
from fromnoise.adapters.patched import Copies, Patched
from fromnoise.adapters.weight_adapter import KINDS, Change, WeightAdapter, read_slots
from fromnoise.checkpoints.load import Checkpoint
from fromnoise.nn import ops
from fromnoise.nn.ops import merged, patched, patching
from fromnoise.nn.unet import UNet
from tests import tiny
from tests.adapters import files
from tests.adapters.kinds import some_of_each_kind
from tests.no_trace import assert_leaves_no_trace, untouched

X, T, CONTEXT = torch.randn(2, 4, 8, 8), torch.tensor([7.0, 801.0]), torch.randn(2, 5, 32)


@pytest.fixture(scope="module")
def model() -> Checkpoint:
    return tiny.model("sd1", with_vae=False)


@torch.no_grad()
def run(unet: UNet) -> Tensor:
    return unet(X.to(unet.out[2].weight.dtype), T, CONTEXT.to(unet.out[2].weight.dtype))


def adapter(model: Checkpoint, tmp_path: Path, seed: int = 0) -> Adapter:
    unet = files.layers(model, "unet", (torch.nn.Linear, torch.nn.Conv2d))
    text = files.layers(model, "text0", torch.nn.Linear)
    tensors, _ = files.lora(model, files.kohya, "kohya", {"unet": unet, "text0": text}, seed)
    return load_adapter(files.saved(tensors, tmp_path / f"{seed}.safetensors"), files.networks(model))


def of(*uses: tuple[Adapter, Strengths], copies: Copies | None = None, network: str = "unet") -> Patched:
    return Patched(network, uses, copies or Copies())


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_leaves_no_trace(model: Checkpoint, name: str) -> None:
    changes: dict[str, tuple[WeightAdapter, ...]] = some_of_each_kind(model.unet, name)
    variant = of((Adapter(Path(), {"unet": changes}), Strengths(0.8)))
    inside = assert_leaves_no_trace(model.unet, partial(variant.applied, model.unet), partial(run, model.unet))
    with patching(model.unet, variant.patches):
        torch.testing.assert_close(run(model.unet), inside)


def test_a_patched_network_is_one_with_merged_weights(model: Checkpoint, tmp_path: Path) -> None:
    variant = of((adapter(model, tmp_path), Strengths(0.8)))
    other = UNet(model.unet.config).eval()
    weights = {**model.unet.state_dict()}
    for name, patches in variant.patches.items():
        weights[name] = merged(weights[name], patches)
    other.load_state_dict(weights)
    with variant.applied(model.unet):
        torch.testing.assert_close(run(model.unet), run(other))


def test_weights_are_computed_once(model: Checkpoint, tmp_path: Path) -> None:
    copies, one = Copies(), adapter(model, tmp_path)
    for strength in (0.8, 0.8, 0.5, 0.8):
        with of((one, Strengths(strength)), copies=copies).applied(model.unet):
            run(model.unet)
            run(model.unet)
    assert copies.computed == 2


def test_the_oldest_copies_go_when_there_is_no_room(model: Checkpoint, tmp_path: Path) -> None:
    one = adapter(model, tmp_path)
    size = sum(p.nbytes for name, p in model.unet.named_parameters() if name in one.changes["unet"])
    whole = sum(p.nbytes for p in model.unet.parameters())
    copies = Copies(2 * size / whole)
    for strength in (0.1, 0.2, 0.1, 0.3, 0.1):
        with of((one, Strengths(strength)), copies=copies).applied(model.unet):
            assert copies.size <= 2 * size
    assert copies.computed == 3  # 0.2 went for 0.3, since 0.1 was used after it
    tight = Copies(0.0)
    with of((one, Strengths()), copies=tight).applied(model.unet):
        assert tight.size == size  # what is in use stays


def test_several_at_once_are_the_sum(model: Checkpoint, tmp_path: Path) -> None:
    first, second = adapter(model, tmp_path, 1), adapter(model, tmp_path, 2)
    both = of((first, Strengths(0.8)), (second, Strengths(-0.3)))
    apart = of((first, Strengths(0.8))), of((second, Strengths(-0.3)))
    with both.applied(model.unet):
        together = run(model.unet)
    with ExitStack() as stack:
        for variant in apart:
            stack.enter_context(variant.applied(model.unet))
        torch.testing.assert_close(run(model.unet), together, atol=1e-5, rtol=1e-5)
    assert both == of((first, Strengths(0.8)), (second, Strengths(-0.3)))
    assert both != of((second, Strengths(-0.3)), (first, Strengths(0.8)))


def test_text_encoders_and_networks_apart(model: Checkpoint, tmp_path: Path) -> None:
    one, tokens = adapter(model, tmp_path), torch.tensor([[49406, 320, 2368, 49407]])
    variant = of((one, Strengths(unet=0.0, text=0.5)), network="text0")
    encoder = model.text[0]
    assert_leaves_no_trace(encoder, partial(variant.applied, encoder), lambda: encoder(tokens).last)
    assert of((one, Strengths(unet=0.0, text=0.5))).patches == {}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once(tmp_path: Path, dtype: torch.dtype) -> None:
    model = tiny.model("sd1", with_vae=False)
    model.unet.to(dtype)
    variant = of((adapter(model, tmp_path, 1), Strengths(0.8)), (adapter(model, tmp_path, 2), Strengths(0.8)))
    with untouched(model.unet), variant.applied(model.unet):
        for layer in model.unet.modules():
            for tensor in getattr(layer, "replaced", {}).values():
                assert tensor.dtype == dtype
                assert tensor.is_contiguous(memory_format=torch.channels_last) or layer.weight.is_contiguous()
    name = "middle_block.1.proj_in.weight"
    weight = model.unet.get_parameter(name)
    wanted = weight.float()
    for one, strengths in variant.uses:
        (lora,) = one.changes["unet"][name]
        wanted = lora.merged(wanted, strengths.unet)
    assert merged(weight, variant.patches[name]).equal(wanted.to(dtype))


def test_factors_can_be_trained(model: Checkpoint, tmp_path: Path) -> None:
    one = adapter(model, tmp_path)
    name = "middle_block.1.transformer_blocks.0.attn2.to_k.weight"
    (lora,) = one.changes["unet"][name]
    up = lora.up.clone().requires_grad_()  # type: ignore[attr-defined]
    trained = type(lora)(None, up, lora.down)  # type: ignore[attr-defined,call-arg]
    with patching(model.unet, {name: (trained.merged,)}):
        model.unet(X, T, CONTEXT).square().sum().backward()
    assert up.grad is not None
    assert up.grad.abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("last", [False, True])
def test_products_are_added_block_by_block(dtype: torch.dtype, last: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    weight = random(40, 12, 3, 3).to(dtype)
    weight = weight.contiguous(memory_format=torch.channels_last) if last else weight
    patches = [Change(read_slots({"lora_up": random(40, 4, 1, 1), "lora_down": random(4, 12, 3, 3)})[0][0], strength)
               for strength in (0.5, -1.25)]  # fmt: skip
    work = torch.float64 if dtype == torch.float64 else torch.float32
    wanted = patches[1](patches[0](weight.to(work)))
    monkeypatch.setattr(ops, "BLOCK", 7 * 108)  # seven rows, and at last five
    made = merged(weight, patches)
    assert (made.dtype, made.stride()) == (dtype, weight.stride())
    rtol = 1e-2 if dtype.itemsize == 2 else 1e-5
    assert torch.allclose(made.to(work), wanted.to(dtype).to(work), rtol=rtol, atol=1e-6)  # terms are of order one
    assert torch.allclose(patched(weight, patches), wanted, rtol=1e-5, atol=1e-6)
    assert torch.equal(patched(weight, patches).to(dtype), made)


def test_an_adapter_that_is_trained_is_differentiable() -> None:
    up = torch.ones(6, 2, requires_grad=True)
    change = Change(read_slots({"lora_up": up, "lora_down": torch.ones(2, 5)})[0][0], 1.0)
    patched(torch.zeros(6, 5), [change]).sum().backward()
    assert up.grad is not None
    assert torch.equal(up.grad, torch.full((6, 2), 5.0))
