"""Muon, and which parameters it steps."""

import pytest
import torch
from torch import nn

from fromnoise.nn.ops import Conv2d, Embedding, Linear
from fromnoise.train.muon import Muon, optimizers, orthogonal


def test_updates_are_orthogonal_enough() -> None:
    matrices = torch.randn(3, 48, 160, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrices))
    assert values.min() > 0.6
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    assert torch.cosine_similarity(orthogonal(matrices).flatten(1), (left @ right).flatten(1)).min() > 0.95


@pytest.mark.parametrize("shape", [(64, 32), (32, 64), (32, 16, 3, 3)])
def test_a_step_is_as_large_as_adams(shape: tuple[int, ...]) -> None:
    weight = nn.Parameter(torch.zeros(shape))
    weight.grad = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    muon = Muon([{"params": [weight], "lr": 0.01}])
    muon.step()
    assert weight.detach().square().mean().sqrt().item() == pytest.approx(0.2 * 0.01, rel=0.2)
    assert (weight.detach() * weight.grad).sum() < 0  # downhill


def test_alike_weights_of_any_layout_are_stepped_as_they_would_be_alone() -> None:
    weights = [nn.Parameter(torch.zeros(32, 16, 3, 3).contiguous(memory_format=torch.channels_last)) for _ in range(3)]
    for i, weight in enumerate(weights):
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(i))
    alone = nn.Parameter(torch.zeros(32, 16, 3, 3))
    alone.grad = weights[1].grad
    Muon([{"params": weights, "lr": 0.01}]).step()
    Muon([{"params": [alone], "lr": 0.01}]).step()
    assert torch.allclose(weights[1], alone, atol=1e-5)


def test_first_and_last_layers_and_tables_are_adams() -> None:
    module = nn.ModuleDict(
        {
            "hidden": Linear(64, 128),
            "picture": Conv2d(64, 64, 3),
            "first": Conv2d(4, 64, 3),
            "heads": Linear(64, 64),
            "table": Embedding(100, 64),
        }
    )
    adamw, muon = optimizers(module, "muon", betas=(0.9, 0.99), weight_decay=0.0, slower={"picture": 0.5})
    stepped = {id(p): group["factor"] for group in muon.param_groups for p in group["params"]}
    assert stepped == {id(module["hidden"].weight): 1.0, id(module["picture"].weight): 0.5}
    assert sum(len(group["params"]) for group in adamw.param_groups) == 9 - 2
    assert [type(o) for o in optimizers(module, "adamw", betas=(0.9, 0.99), weight_decay=0.0, slower={})] == [
        torch.optim.AdamW
    ]
