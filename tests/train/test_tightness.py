"""Out of memory in training: the plan gets tighter, the gradient stays what it was, and each step is told once."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fromnoise.engine.library import Model
from fromnoise.errors import UserError
from fromnoise.train.data.batches import Schedule, gathered
from fromnoise.train.data.source import Dataset, Subset
from fromnoise.train.finetune import Batch, FineTuneTask, Lesson
from fromnoise.train.loop import Loop, LoopConfig, train
from fromnoise.train.methods import METHODS
from fromnoise.train.noising import Noising
from fromnoise.train.objective import Objective
from fromnoise.train.tightness import Tightness, layers, weight_of
from tests.tiny_pictures import noisy
from tests.train.test_lora import model

LOOP = LoopConfig(2, optimizer="SGDNesterov", learning_rate=1e-2, warmup=0, average=0.0, bfloat16=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pictures"
    path.mkdir()
    return noisy(path, [f"mycat, number {number}" for number in range(3)])


class Short(FineTuneTask):
    """A task on a machine that has memory for so many pictures, and for no activations but those at checkpoints."""

    most = 1

    def answer(self, noisy: Tensor, timesteps: Tensor, batch: Batch) -> Tensor:
        if torch.is_grad_enabled() and (len(noisy) > self.most or not self.tightness.recompute):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().answer(noisy, timesteps, batch)


class Hopeless(FineTuneTask):
    def answer(self, noisy: Tensor, timesteps: Tensor, batch: Batch) -> Tensor:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")


def task(kind: type[FineTuneTask], folder: Path, method: str = "lora", dropout: float = 0.0) -> FineTuneTask:
    on = model()
    fields = {"rank": 4, "alpha": 4, "dropout": dropout} if method == "lora" else {}
    training = METHODS[method].begin(on, METHODS[method].options.model_validate(fields), 0)
    pool = gathered(Dataset(subsets=(Subset(image_dir=folder),), batch_size=3, resolution=64))
    return kind(on, training, Lesson(Schedule((pool,), 0), 2, Objective(), Noising(), side=64))


def trained(one: FineTuneTask, folder: Path) -> dict[str, Tensor]:
    one.keep("mycat", folder, False)
    with one.applied():
        train(one, LOOP, folder)
    return {name: p.detach().clone() for name, p in one.module.named_parameters()}


def test_it_ends_where_a_machine_with_memory_ends(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plenty = trained(task(FineTuneTask, folder), tmp_path / "plenty")
    with caplog.at_level(logging.WARNING, "fromnoise"):
        short = trained(task(Short, folder), tmp_path / "short")
    for name, weight in plenty.items():
        torch.testing.assert_close(short[name], weight, rtol=1e-4, atol=1e-6)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3
    assert "gradient checkpointing" in told[0]
    assert "2 parts" in told[1]
    assert "3 parts" in told[2]


def test_parts_are_the_loss(folder: Path) -> None:
    one = task(FineTuneTask, folder)
    with one.applied():
        whole, figures = one.loss(0)
        whole.backward()
        gradients = [p.grad.clone() for p in one.module.parameters() if p.grad is not None]
        for p in one.module.parameters():
            p.grad = None
        one.tightness.parts = 3
        parts = list(one.parts(0))
        assert len(parts) == 3
        assert sum(float(loss.detach()) for loss, _ in parts) == pytest.approx(float(whole.detach()), rel=1e-5)
        assert sum(told["own"] for _, told in parts) == pytest.approx(figures["own"], rel=1e-5)
        for loss, _ in parts:
            loss.backward()
    again = [p.grad for p in one.module.parameters() if p.grad is not None]
    for a, b in zip(gradients, again, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def sizes(on: Model) -> set[int]:
    return {weight_of(layer).element_size() for layer in layers(on)}


def test_then_frozen_weights_take_fewer_bits(folder: Path) -> None:
    one = task(FineTuneTask, folder)
    before = float(one.loss(0)[0].detach())
    one.tightness = Tightness(parts=3, recompute=True)
    assert sizes(one.model) == {4}
    assert "bfloat16" in (one.tighten() or "")
    assert sizes(one.model) == {2}
    assert float(one.loss(0)[0].detach()) == pytest.approx(before, rel=0.05)
    assert "float8" in (one.tighten() or "")
    assert sizes(one.model) == {1}
    assert float(one.loss(0)[0].detach()) == pytest.approx(before, rel=0.2)
    assert one.tighten() is None


def test_weights_that_learn_keep_their_bits(folder: Path) -> None:
    one = task(FineTuneTask, folder, "finetune")
    one.tightness = Tightness(parts=3, recompute=True)
    assert one.tighten() is None
    assert {p.element_size() for p in one.module.parameters()} == {4}


def test_where_nothing_is_left_it_says_so(folder: Path, tmp_path: Path) -> None:
    one = task(Hopeless, folder)
    with pytest.raises(UserError, match="--resolution"), one.applied():
        train(one, LOOP, tmp_path / "run")


def test_other_errors_are_told_as_they_are(folder: Path, tmp_path: Path) -> None:
    class Broken(FineTuneTask):
        def captions(self, items: Sequence[object], step: int, epoch: int) -> list[str]:
            raise RuntimeError("something else")

    one = task(Broken, folder)
    with pytest.raises(RuntimeError, match="something else"), one.applied():
        train(one, LOOP, tmp_path / "run")
    assert not one.tightness.recompute


class Crowded(FineTuneTask):
    """Has memory to learn, and to look at what is held out only with gradient checkpointing."""

    def report(self, step: int, averaged: nn.Module, folder: Path) -> dict[str, float]:
        if not self.tightness.recompute:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return {"looked": float(step)}


def test_memory_that_runs_out_while_it_looks_tightens_the_plan(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = task(Crowded, folder)
    with one.applied():
        train(one, LOOP, tmp_path / "run")
    assert caplog.text.count("from here on with gradient checkpointing") == 1
    assert '"looked": 2' in (tmp_path / "run/log.jsonl").read_text()


def test_what_steps_in_the_backward_pass_is_not_taken_in_parts(folder: Path) -> None:
    one = task(FineTuneTask, folder, "finetune")
    remarks = [one.tighten(whole=True) for _ in range(2)]
    assert "gradient checkpointing" in str(remarks[0])
    assert "parts" not in str(remarks[1])


def test_a_step_that_was_half_done_is_not_done_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = task(FineTuneTask, folder, "finetune")
    loop = Loop(one, replace(LOOP, optimizer="AdamW", fused_backward=True), tmp_path / "run")
    assert loop.fused is not None

    def half(step: int) -> None:
        loop.fused.squares = 1.0  # type: ignore[union-attr]
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loop, "_gradient", half)
    with pytest.raises(UserError, match="when some weights had stepped already"):
        loop.gradient(3)
    assert not one.tightness.recompute


@pytest.mark.parametrize("late", [False, True])
def test_memory_that_ends_while_the_optimizer_begins(
    folder: Path, tmp_path: Path, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it remembers comes with its first step: tightened and stepped, unless a part of the weights has stepped."""
    step, failed = torch.optim.AdamW.step, list[int]()

    def short(self: torch.optim.AdamW, closure: None = None) -> object:
        if not failed:
            failed.append(1)
            if late:
                step(self)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self)

    loop = replace(LOOP, optimizer="AdamW")
    whole, wanted = task(FineTuneTask, folder), task(FineTuneTask, folder)
    with wanted.applied():
        train(wanted, loop, tmp_path / "wanted")
    monkeypatch.setattr(torch.optim.AdamW, "step", short)
    if late:
        with whole.applied(), pytest.raises(UserError, match="step 0, when some weights had stepped already"):
            train(whole, loop, tmp_path / "run")
        return
    with whole.applied():
        train(whole, loop, tmp_path / "run")
    assert whole.tightness.recompute
    for mine, theirs in zip(whole.module.parameters(), wanted.module.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)
