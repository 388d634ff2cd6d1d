"""Gradients of every method equal a float64 reference; merging equals the forward pass, for every kind of LoRA."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from fromnoise.engine.library import SCALINGS, Model
from fromnoise.engine.memory import Placement
from fromnoise.nn.ops import merged, patching
from fromnoise.train.data.batches import Schedule, gathered
from fromnoise.train.data.source import Dataset, Subset
from fromnoise.train.factors import BEGINNINGS
from fromnoise.train.finetune import FineTuneTask, Lesson
from fromnoise.train.lora import LoRATraining
from fromnoise.train.lora_options import PRODUCTS, WITH_CORE, LoRAOptions
from fromnoise.train.methods import METHODS
from fromnoise.train.noising import Noising
from fromnoise.train.objective import Objective
from tests.train.test_lora import COLUMNS, SHAPES, model, wide
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


L2 = Objective()
LOSSES = [
    ("sd2", {"loss_type": "l1"}), ("sd2-v", {"loss_type": "huber", "min_snr_gamma": 5.0}),
    ("sdxl", {"loss_type": "smooth_l1", "debiased_estimation_loss": True}), ("sdxl-v", {"min_snr_gamma": 5.0}),
    ("sd2-v", {"scale_v_pred_loss_like_noise_pred": True}), ("sd1", {"v_pred_like_loss": 0.5}),
    ("sd1", {"loss_type": "huber", "huber_schedule": "exponential"}),
]  # fmt: skip


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


def learning(family: str) -> Model:
    """A tiny model; "sd2-v" predicts v."""
    on = model(family.removesuffix("-v"))
    if not family.endswith("-v"):
        return on
    return replace(on, facts=replace(on.facts, prediction="v"), scalings=SCALINGS["v"])


def gradients(
    method: str, more: dict[str, object], folder: Path, exact: bool, family: str = "sd1", loss: Objective = L2
) -> dict[str, Tensor]:
    on = in_float64(learning(family)) if exact else learning(family)
    training = METHODS[method].begin(on, options(method, **more), 0)
    if exact:
        for name, parameter in list(training.module.named_parameters()):
            parameter.data = parameter.data.double()
            assert parameter.dtype == torch.float64, name
    shaken(training.module, 0.02)
    controls = folder / "steering" if training.wants_controls else None
    data = Dataset(subsets=(Subset(image_dir=folder, conditioning_data_dir=controls),), batch_size=2, resolution=64)
    lesson = Lesson(Schedule((gathered(data),), seed=0), 10, loss, Noising())
    task: FineTuneTask = METHODS[method].task(on, training, lesson)
    with task.applied():
        task.loss(0)[0].backward()
    return {name: p.grad for name, p in training.module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("method", "more"), CHOICES, ids=lambda value: "-".join(map(str, value.values()))
                         if isinstance(value, dict) else value)  # fmt: skip
def test_gradients_are_those_of_float64(method: str, more: dict[str, object], folder: Path) -> None:
    agree(*(gradients(method, more, folder, exact) for exact in (False, True)))


@pytest.mark.parametrize(("family", "loss"), LOSSES, ids=str)
def test_gradients_of_every_family_and_loss(family: str, loss: dict[str, Any], folder: Path) -> None:
    for method, more in (("lora", {"layers": "all", "conv_rank": 2}), ("embedding", {})):
        agree(*(gradients(method, more, folder, exact, family, Objective(**loss)) for exact in (False, True)))


def agree(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    """Gradients in float32 are those of float64."""
    assert found.keys() == wanted.keys() != set()
    largest = max(float(g.norm()) for g in wanted.values())
    assert largest > 0
    for name, gradient in wanted.items():
        off = float((found[name].double() - gradient).norm())
        assert off < 1e-3 * float(gradient.norm()) + 1e-5 * largest, name


@pytest.mark.parametrize(
    ("kind", "more"),
    [*((kind, {}) for kind in BEGINNINGS), *SHAPES, COLUMNS, *((k, {"dora": True}) for k in WITH_CORE)],
    ids=str,
)
def test_merging_equals_the_forward_pass(kind: str, more: dict[str, object]) -> None:
    """Of the U-Net and of the text encoder: while it trains, patched as in pictures, and baked into the weights."""
    on = in_float64(model())
    fields = {"kind": kind, "rank": 4, "alpha": 2, "layers": "all", "conv_rank": wide(kind), **more}
    training = LoRATraining(on, LoRAOptions.model_validate(fields), 0)
    for parameter in training.module.parameters():
        parameter.data = parameter.data.double()
    shaken(training.module)
    words = torch.randint(0, 1000, (1, 77), generator=torch.Generator().manual_seed(0))
    noisy, context = torch.randn(1, 4, 8, 8).double(), torch.randn(1, 77, 32).double()

    def answers() -> list[Tensor]:
        return [on.unet(noisy, torch.tensor([300.0]), context), on.text[0](words).last]

    networks = {"unet": on.unet, "text0": on.text[0]}
    with torch.no_grad(), ExitStack() as stack:
        with training.applied():
            wanted = answers()
        assert all(torch.isfinite(one).all() for one in wanted)
        patches = {
            name: {
                f"{site.layer}.{parameter}": (adapter.merged,)
                for site in training.sites if site.network == name
                for parameter, adapter in training.change(site.name).items()
            } for name in networks
        }  # fmt: skip
        for name, network in networks.items():
            stack.enter_context(patching(network, patches[name]))
        patched = answers()
        stack.close()
        for name, network in networks.items():
            for parameter, some in patches[name].items():
                layer, _, own = parameter.rpartition(".")
                weight = nn.Parameter(merged(network.get_parameter(parameter), some), requires_grad=False)
                setattr(network.get_submodule(layer), own, weight)
        baked = answers()
    for mine in (patched, baked):
        for one, other in zip(mine, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)
