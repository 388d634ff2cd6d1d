"""Gradients of every method equal a float64 reference; merging equals the forward pass, for every kind of LoRA."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from fromnoise.engine.library import Model
from fromnoise.engine.memory import Placement
from fromnoise.nn.ops import merged, patching
from fromnoise.train.data.batches import Schedule, gathered
from fromnoise.train.data.source import Dataset, Subset
from fromnoise.train.factors import BEGINNINGS
from fromnoise.train.finetune import FineTuneTask, Lesson
from fromnoise.train.lora import LoRATraining
from fromnoise.train.lora_options import PRODUCTS, LoRAOptions
from fromnoise.train.methods import METHODS
from fromnoise.train.noising import Noising
from fromnoise.train.objective import Objective
from tests.train.test_lora import model, wide
from tests.train.test_methods import options, shaken

CHOICES = [
    *((method, {}) for method in METHODS if method not in ("lora", "dreambooth")),
    ("finetune", {"text": True}),
    *(("lora", {"kind": kind, "layers": "all", "conv_rank": wide(kind)}) for kind in BEGINNINGS),
    ("lora", {"dora": True}),
    ("lora", {"dora": True, "dora_columns": True, "layers": "all", "conv_rank": 2}),
    *(("lora", {"kind": kind, "scalar": True, "layers": "all", "conv_rank": 2}) for kind in PRODUCTS),
    *(
        ("lora", {"kind": "lokr", "layers": "all", "conv_rank": 2, more: True})
        for more in ("full_matrix", "unbalanced")
    ),
    ("lora", {"frozen_down": True}),
    ("lora", {"kind": "ia3", "layers": "ia3"}),
    ("lora", {"norms": True}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures")
    (path / "steering").mkdir()
    for number in range(2):
        Image.effect_noise((64, 64), 80).convert("RGB").save(path / f"{number}.png")
        Image.effect_noise((64, 64), 60).convert("RGB").save(path / "steering" / f"{number}.png")
        (path / f"{number}.txt").write_text("newword")
    return path


def in_float64(on: Model) -> Model:
    for network in (on.unet, *on.text):
        network.double()
    return replace(on, placement=Placement(torch.device("cpu"), torch.float64))


def gradients(method: str, more: dict[str, object], folder: Path, exact: bool) -> dict[str, Tensor]:
    on = in_float64(model()) if exact else model()
    training = METHODS[method].begin(on, options(method, **more), 0)
    if exact:
        for name, parameter in list(training.module.named_parameters()):
            parameter.data = parameter.data.double()
            assert parameter.dtype == torch.float64, name
    shaken(training.module, 0.02)
    controls = folder / "steering" if training.wants_controls else None
    data = Dataset(subsets=(Subset(image_dir=folder, conditioning_data_dir=controls),), batch_size=2, resolution=64)
    lesson = Lesson(Schedule((gathered(data),), seed=0), 10, Objective(), Noising())
    task: FineTuneTask = METHODS[method].task(on, training, lesson)
    with task.applied():
        task.loss(0)[0].backward()
    return {name: p.grad for name, p in training.module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("method", "more"), CHOICES, ids=lambda value: "-".join(map(str, value.values()))
                         if isinstance(value, dict) else value)  # fmt: skip
def test_gradients_are_those_of_float64(method: str, more: dict[str, object], folder: Path) -> None:
    found, wanted = (gradients(method, more, folder, exact) for exact in (False, True))
    assert found.keys() == wanted.keys() != set()
    largest = max(float(g.norm()) for g in wanted.values())
    assert largest > 0
    for name, gradient in wanted.items():
        off = float((found[name].double() - gradient).norm())
        assert off < 1e-3 * float(gradient.norm()) + 1e-5 * largest, name


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_merging_equals_the_forward_pass(kind: str) -> None:
    on = in_float64(model())
    fields = {"kind": kind, "rank": 4, "alpha": 2, "layers": "all", "conv_rank": wide(kind)}
    training = LoRATraining(on, LoRAOptions.model_validate(fields), 0)
    for parameter in training.module.parameters():
        parameter.data = parameter.data.double()
    shaken(training.module)
    inputs = (torch.randn(1, 4, 8, 8).double(), torch.tensor([300.0]), torch.randn(1, 77, 32).double())
    with torch.no_grad():
        with training.applied():
            wanted = on.unet(*inputs)
        patches = {
            f"{site.layer}.{parameter}": (adapter.merged,)
            for site in training.sites if site.network == "unet"
            for parameter, adapter in training.changes[site.name].items()
        }  # fmt: skip
        with patching(on.unet, patches):
            patched = on.unet(*inputs)
        for name, some in patches.items():
            layer, _, own = name.rpartition(".")
            weight = on.unet.get_parameter(name)
            setattr(on.unet.get_submodule(layer), own, nn.Parameter(merged(weight, some), requires_grad=False))
        baked = on.unet(*inputs)
    torch.testing.assert_close(patched, wanted, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(baked, wanted, rtol=1e-9, atol=1e-10)
