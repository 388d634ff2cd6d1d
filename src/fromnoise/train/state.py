"""What a run needs to go on exactly where it stopped, as one safetensors file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.errors import FileError, FromnoiseError
from fromnoise.train.average import Average
from fromnoise.train.watch import Watch

Scalar = bool | int | float | None
OTHER = "from another training set-up; choose another folder or delete it to begin anew"


class State:
    """Weights, their average, what optimizers remember of weights and of groups of them, and the watch's numbers."""

    def __init__(
        self,
        module: nn.Module,
        steppers: Sequence[torch.optim.Optimizer],
        average: Average | None,
        watch: Watch | None = None,
    ) -> None:
        self.module, self.steppers, self.average, self.watch = module, steppers, average, watch
        self.stepper = {p: stepper for stepper in steppers for group in stepper.param_groups for p in group["params"]}

    @property
    def groups(self) -> list[dict[str, Any]]:
        return [group for stepper in self.steppers for group in stepper.param_groups]

    @property
    def counted(self) -> list[float]:
        """The steps that optimizers have counted, weight by weight."""
        kept = (stepper.state.get(p, {}) for p, stepper in self.stepper.items())
        return [float(one.get("step", 0)) for one in kept]

    def save(self, path: Path, step: int) -> None:
        """Whole, or not at all: FileError, and what stood there before stays."""
        tensors: dict[str, Tensor] = {f"weights.{name}": p.detach() for name, p in self.module.named_parameters()}
        if self.average:
            tensors |= {f"average.{name}": w for name, w in self.average.weights.items()}
        scalars: dict[str, dict[str, Scalar]] = {}
        for name, p in self.module.named_parameters():
            kept = self.stepper[p].state.get(p, {}) if p in self.stepper else {}
            for key, value in kept.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer.{key}.{name}"] = value
                else:
                    scalars.setdefault(name, {})[key] = scalar(key, value)
        groups = []
        for number, group in enumerate(self.groups):
            tensors |= {f"group.{number}.{key}": value for key, value in group.items() if isinstance(value, Tensor)}
            groups.append({key: value for key, value in group.items() if isinstance(value, (bool, int, float))})
        told = {"step": str(step), "scalars": json.dumps(scalars), "groups": json.dumps(groups)}
        if self.watch:
            told["watch"] = json.dumps(self.watch.numbers())
        save_checkpoint(path, tensors, dtype=None, metadata=told)

    def load(self, path: Path) -> int:
        """Take everything from `path`; the number of steps done. FileError where it is another training's."""
        tensors = read(path)
        own = dict(self.module.named_parameters())
        theirs = {k.removeprefix("weights.") for k in tensors if k.startswith("weights.")}
        if own.keys() != theirs or any(own[name].shape != tensors[f"weights.{name}"].shape for name in own):
            raise FileError(f"{path}: {OTHER}")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(tensors[f"weights.{name}"])
                if self.average:
                    kept = tensors.get(f"average.{name}")
                    self.average.weights[name].copy_(parameter if kept is None else kept)
        scalars: Mapping[str, Mapping[str, Scalar]] = json.loads(tensors.metadata.get("scalars", "{}"))
        self._load_groups(tensors, json.loads(tensors.metadata.get("groups", "[]")), path)
        for name, key, value in remembered(tensors):
            self._memory(own, name, path)[key] = like(own[name], value)
        for name, kept_scalars in scalars.items():
            self._memory(own, name, path).update(kept_scalars)
        if self.watch and "watch" in tensors.metadata:
            self.watch.restore(json.loads(tensors.metadata["watch"]))
        return int(tensors.metadata["step"])

    def _memory(self, own: Mapping[str, nn.Parameter], name: str, path: Path) -> dict[str, Any]:
        parameter = own.get(name)
        if parameter is None or parameter not in self.stepper:
            raise FileError(f"{path}: {OTHER}")
        memory: dict[str, Any] = self.stepper[parameter].state[parameter]
        return memory

    def _load_groups(self, tensors: Mapping[str, Tensor], groups: Sequence[Mapping[str, Scalar]], path: Path) -> None:
        """What optimizers remember of groups, such as the rate that Prodigy has found; what is set anew stays."""
        if groups and len(groups) != len(self.groups):
            raise FileError(f"{path}: {OTHER}")
        for number, (group, kept) in enumerate(zip(self.groups, groups, strict=False)):
            group |= {key: value for key, value in kept.items() if key not in ("lr", "factor")}
            prefix = f"group.{number}."
            device = group["params"][0].device
            group |= {
                k.removeprefix(prefix): v.to(device, copy=True) for k, v in tensors.items() if k.startswith(prefix)
            }


def scalar(key: str, value: object) -> Scalar:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    raise FromnoiseError(f"the optimizer remembers {key} as {type(value).__name__}, which can't be saved; take another")


def remembered(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, str, Tensor]]:
    """(parameter, key, value) of what optimizers remember."""
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, field, name = key.split(".", 2)
            yield name, field, value


def like(parameter: Tensor, value: Tensor) -> Tensor:
    """`value` where the parameter is, and in its memory format where it has its shape; steps counted on CPU stay."""
    if value.shape == parameter.shape and value.ndim:
        return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
    return value.clone() if value.ndim == 0 else value.to(parameter.device, copy=True)
