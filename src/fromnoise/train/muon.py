"""The optimisers: AdamW, or Muon for hidden matrices with AdamW for the rest.

Muon: Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks", with the step size of Liu et al.
(2025), "Muon is Scalable for LLM Training", section 2.2, so that AdamW's learning rates hold. An update in which all
directions count alike learns what is rare, such as each of many drawings, in fewer steps.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn

from fromnoise.nn.ops import Conv2d, Linear

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
OUTSIDE = ("heads", "sketch")
SMALLEST = 48  # rows or columns of a matrix that is worth it


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """Roughly U V of the singular value decomposition of each of matrices (n a b), a <= b; in bfloat16."""
    a, b, c = NEWTON_SCHULZ
    x = (matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp_min(1e-12)).bfloat16()
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    out: Tensor = x.to(matrices.dtype)
    return out


class Muon(torch.optim.Optimizer):
    """Steps along the orthogonalised momentum of each weight, seen as a matrix of its outputs."""

    def __init__(self, groups: Iterable[Mapping[str, Any]], momentum: float = 0.95, decay: float = 0.0) -> None:
        super().__init__([dict(group) for group in groups], {"lr": 1e-3, "momentum": momentum, "decay": decay})

    def weights(self) -> list[nn.Parameter]:
        """All that it steps."""
        return [weight for group in self.param_groups for weight in group["params"]]

    def momentum(self, weight: nn.Parameter) -> Tensor:
        """The running mean of a weight's gradients."""
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        running: Tensor = state["momentum"]
        return running

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[tuple[nn.Parameter, Tensor]]] = {}
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                momentum = self.momentum(weight).lerp_(weight.grad, 1 - group["momentum"])
                matrix = weight.grad.lerp(momentum, group["momentum"]).flatten(1)
                matrix = matrix.mT if len(matrix) > matrix.shape[1] else matrix
                alike.setdefault((matrix.shape[0], matrix.shape[1]), []).append((weight, matrix))
            for (_, longer), members in alike.items():
                updates = orthogonal(torch.stack([matrix for _, matrix in members]))
                for (weight, matrix), update in zip(members, updates, strict=True):
                    update = update.mT if weight.flatten(1).shape != matrix.shape else update
                    weight.mul_(1 - group["lr"] * group["decay"])
                    weight.sub_(update.reshape(weight.shape), alpha=0.2 * longer**0.5 * group["lr"])
        return None


def optimizers(
    module: nn.Module,
    kind: Literal["adamw", "muon"],
    *,
    betas: tuple[float, float],
    weight_decay: float,
    slower: Mapping[str, float],
) -> list[torch.optim.Optimizer]:
    """What steps the parameters of `module`; each of their groups has the `factor` of its learning rate.

    `slower` has factors by how parameters' names begin, * being anything. Layers under OUTSIDE are first or last ones:
    they are not Muon's.
    """
    hidden = set()
    for name, layer in module.named_modules() if kind == "muon" else ():
        inside = isinstance(layer, (Linear, Conv2d)) and not set(name.split(".")) & set(OUTSIDE)
        if inside and min(layer.weight.flatten(1).shape) >= SMALLEST:
            hidden.add(f"{name}.weight")
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = math.prod(factor for pattern, factor in slower.items() if fnmatchcase(name, f"{pattern}*"))
        groups.setdefault((name in hidden, factor), []).append(parameter)
    rest, matrices = (
        [{"params": ps, "factor": factor} for (is_hidden, factor), ps in groups.items() if is_hidden == wanted]
        for wanted in (False, True)
    )
    made: list[torch.optim.Optimizer] = []
    if rest:
        made.append(torch.optim.AdamW(rest, betas=betas, weight_decay=weight_decay, fused=True))
    return [*made, Muon(matrices, decay=weight_decay)] if matrices else made
