"""Image prompts and boxes on a U-Net: what they do, in batches, and that nothing is left of them."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fromnoise.adapters.gligen import Boxes
from fromnoise.adapters.ip_adapter import PicturePrompt, weighed
from fromnoise.nn.ip_adapter import sites
from fromnoise.nn.ops import attention
from fromnoise.nn.unet import UNet
from fromnoise.sampling.guidance import Attachment
from fromnoise.text.ip_adapter_weights import Scaling
from tests import tiny
from tests.no_trace import assert_leaves_no_trace
from tests.tiny_pictures import gligen, ip_adapter

SCALINGS: list[Scaling] = ["V only", "K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty"]


@pytest.fixture(scope="module")
def unet() -> UNet:
    return tiny.filled(UNet(tiny.unet_config()), torch.Generator().manual_seed(0))


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def mask(seed: int) -> Tensor:
    return (random(1, 1, 20, 20, seed=seed) > 0).float()


def kinds(unet: UNet) -> dict[str, list[Attachment]]:
    """Two attachments of every kind that may share a batch."""
    count, width = len(sites(unet)), unet.config.context_dim
    plain, face = ip_adapter(unet, "plain"), ip_adapter(unet, "face", rank=2)
    boxes = gligen(unet)
    half = tuple(i % 2 == 0 for i in range(count))
    weights = [(0.7,) * count, tuple(i / count for i in range(count))]

    def prompts(adapter: object, **more: object) -> list[Attachment]:
        return [
            PicturePrompt(adapter, random(1, 4, width, seed=i), weights[i], **more)  # type: ignore[arg-type]
            for i in range(2)
        ]

    masked = [replace(one, mask=mask(i)) for i, one in enumerate(prompts(plain))]  # type: ignore[type-var]
    other = [
        replace(one, others=random(1, 3, width, seed=9 + i), elsewhere=half)  # type: ignore[type-var]
        for i, one in enumerate(prompts(plain))
    ]
    places = [((0.1, 0.2, 0.6, 0.9), random(width, seed=3)), ((0.5, 0.5, 1.0, 1.0), random(width, seed=4))]
    return {
        "plain": prompts(plain),
        "keys and values": prompts(plain, scaling="K+V"),
        "face": prompts(face, lora=0.8),
        "masked": list(masked),
        "other tokens": list(other),
        "boxes": [Boxes(boxes, tuple(places[:1])), Boxes(boxes, tuple(places))],
    }


KINDS = ["plain", "keys and values", "face", "masked", "other tokens", "boxes"]


def run(unet: UNet, attached: Sequence[Attachment], seeds: Sequence[int] = (0,)) -> Tensor:
    """The U-Net's answers to calls with these attachments, one each."""
    x = torch.cat([random(1, 4, 8, 8, seed=20 + seed) for seed in seeds])
    context = torch.cat([random(1, 77, unet.config.context_dim, seed=40 + seed) for seed in seeds])
    with torch.no_grad(), ExitStack() as stack:
        if attached:
            stack.enter_context(attached[0].applied(unet, attached))
        answer: Tensor = unet(x, torch.full((len(seeds),), 300), context)
    return answer


@pytest.mark.parametrize("kind", KINDS)
def test_leaves_no_trace(unet: UNet, kind: str) -> None:
    one = kinds(unet)[kind][0]
    assert_leaves_no_trace(unet, lambda: one.applied(unet, [one]), lambda: run(unet, []))


@pytest.mark.parametrize("kind", KINDS)
def test_each_call_of_a_batch_heeds_its_own(unet: UNet, kind: str) -> None:
    both = kinds(unet)[kind]
    assert both[0].key == both[1].key
    together = run(unet, both, seeds=(0, 1))
    for i in range(2):
        torch.testing.assert_close(together[i : i + 1], run(unet, [both[i]], seeds=(i,)), atol=1e-5, rtol=1e-5)
    swapped = run(unet, both[::-1], seeds=(0, 1))
    assert not torch.allclose(swapped, together, atol=1e-3)


def test_what_cannot_share_a_batch_has_another_key(unet: UNet) -> None:
    made = kinds(unet)
    keys = [pair[0].key for pair in made.values()]
    assert len(set(keys)) == len(keys)
    longer = replace(made["plain"][0], tokens=random(1, 8, unet.config.context_dim))  # type: ignore[type-var]
    assert longer.key != made["plain"][0].key


def test_weight_zero_changes_nothing_at_all(unet: UNet) -> None:
    one = replace(kinds(unet)["plain"][0], weights=(0.0,) * len(sites(unet)))  # type: ignore[type-var]
    assert torch.equal(run(unet, [one]), run(unet, []))


def test_masks_keep_the_rest_of_the_picture_out(unet: UNet) -> None:
    """In one layer: places outside the mask get nothing."""
    one = kinds(unet)["plain"][0]
    only = replace(one, weights=(1.0, *(0.0,) * (len(sites(unet)) - 1)))  # type: ignore[type-var]
    left = torch.zeros(1, 1, 64, 64)
    left[..., :32] = 1
    changes = []
    block = sites(unet)[0].block
    for attached in ([], [replace(only, mask=left)]):
        seen: list[Tensor] = []
        hook = block.attn2.register_forward_hook(lambda module, args, output, seen=seen: seen.append(output))  # type: ignore[misc]
        run(unet, attached)
        hook.remove()
        changes.append(seen[0])
    difference = (changes[1] - changes[0]).abs().sum(-1).view(8, 8)
    assert bool((difference[:, :4] > 1e-4).all())
    assert float(difference[:, 4:].max()) == 0


@pytest.mark.parametrize("scaling", SCALINGS)
def test_scalings(scaling: Scaling) -> None:
    """ComfyUI's formulas, written out again."""
    q, k, v = (random(2, n, 64, seed=n) for n in (9, 4, 5))
    k = k[:, :4]
    v = v[:, :4]
    w = torch.tensor([0.3, 0.8])[:, None, None]
    small = w * 64 / 1280
    mean = v.mean(dim=1, keepdim=True)
    wanted = {
        "V only": lambda: attention(q, k, v, 4) * w,
        "K+V": lambda: attention(q, k * w, v * w, 4),
        "K+V w/ C penalty": lambda: attention(q, k * small, v * small, 4),
        "K+mean(V) w/ C penalty": lambda: attention(q, k * small, (v - mean) + mean * small, 4),
    }[scaling]()
    torch.testing.assert_close(weighed(q, k, v, 4, w, scaling), wanted)


def test_the_lora_of_a_face_adapter_is_a_change_of_weights(unet: UNet) -> None:
    """The same as adding weight * up @ down to every attention layer."""
    adapter = ip_adapter(unet, "face", rank=2)
    count = len(sites(unet))
    one = PicturePrompt(adapter, random(1, 4, unet.config.context_dim), (0.0,) * count, lora=0.6)
    patched = UNet(unet.config)
    patched.load_state_dict(unet.state_dict())
    numbers = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0"}
    with torch.no_grad():
        for i, site in enumerate(sites(patched)):
            for j, attn in enumerate((site.block.attn1, site.block.attn2)):
                for theirs, name in numbers.items():
                    change = adapter.ip_adapter[str(2 * i + j)].get_submodule(f"{theirs}_lora")
                    up, down = change.get_parameter("up.weight"), change.get_parameter("down.weight")
                    attn.get_parameter(f"{name}.weight").add_(0.6 * up @ down)
    torch.testing.assert_close(run(unet, [one]), run(patched, []), atol=1e-5, rtol=1e-5)
