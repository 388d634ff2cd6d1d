"""The loop: exact after a kill, averaged weights, learning rate, log."""

import json
import multiprocessing
import os
import resource
import signal
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from fromnoise.checkpoints.files import read
from fromnoise.errors import FileError, UserError
from fromnoise.nn.ops import Linear
from fromnoise.train.loop import LoopConfig, train
from fromnoise.train.optimizers import OPTIMIZERS
from fromnoise.train.watch import Diverged


class Line:
    """Learns y = 3 x + 1 from points keyed by the step."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.module: nn.Module = nn.Linear(1, 1)
        nn.init.zeros_(self.module.weight)
        nn.init.zeros_(self.module.bias)
        self.stop_at, self.reports = stop_at, list[int]()

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        x = torch.randn(16, 1, generator=torch.Generator().manual_seed(step))
        if step == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return (self.module(x) - 3 * x - 1).square().mean(), {"x": float(x.mean())}

    def report(self, step: int, averaged: nn.Module, folder: Path) -> Mapping[str, float]:
        self.reports.append(step)
        return {"slope": float(averaged.weight)}


CONFIG = LoopConfig(steps=200, learning_rate=0.1, warmup=5, decay=50, log_every=10, save_every=30, report_every=100)


def test_it_learns(tmp_path: Path) -> None:
    task = Line()
    train(task, CONFIG, tmp_path)
    assert task.module.weight.item() == pytest.approx(3, abs=0.2)
    assert task.reports == [100, 200]


def test_stopped_and_resumed_equals_undisturbed_bit_for_bit(tmp_path: Path) -> None:
    whole = train(Line(), CONFIG, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(Line(stop_at=77), CONFIG, tmp_path / "parts")
    again = train(Line(), CONFIG, tmp_path / "parts")
    assert torch.equal(whole.weight, again.weight)  # type: ignore[arg-type]
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("whole", "parts")]
    last = [json.loads(log[-2]) for log in logs]
    assert last[0]["loss"] == last[1]["loss"]


class Wide(Line):
    """With matrices large enough for Muon."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__(stop_at)
        torch.manual_seed(0)
        self.module = nn.Sequential(Linear(64, 64), nn.Tanh(), Linear(64, 64), nn.Tanh(), Linear(64, 64))
        for parameter in self.module.parameters():
            nn.init.normal_(parameter, std=0.1)

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        if step == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        x = torch.randn(256, 64, generator=torch.Generator().manual_seed(step))
        return (self.module(x) - x.flip(1)).square().mean(), {"x": float(x.mean())}

    def report(self, step: int, averaged: nn.Module, folder: Path) -> Mapping[str, float]:
        return {}


class Halves(Wide):
    """One process's task that does what two do with a `Wide`."""

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        (a, _), (b, _) = super().loss(2 * step), super().loss(2 * step + 1)
        return (a + b) / 2, {}


@pytest.mark.parametrize(("optimizer", "tolerance"), [("adamw", 1e-3), ("muon", 0.1)])  # Muon rounds to bfloat16
def test_processes_share_a_step(tmp_path: Path, optimizer: Literal["adamw", "muon"], tolerance: float) -> None:
    config = replace(CONFIG, steps=10, optimizer=optimizer, learning_rate=0.01)
    before = Wide().module
    one = train(Halves(), config, tmp_path / "one")
    two = train(Wide(), replace(config, processes=2), tmp_path / "two")
    for name, weight in one.state_dict().items():
        change = weight - before.state_dict()[name]
        assert (two.state_dict()[name] - weight).norm() < tolerance * change.norm()
    logged = [json.loads((tmp_path / name / "log.jsonl").read_text().splitlines()[0]) for name in ("one", "two")]
    assert logged[0]["loss"] == pytest.approx(logged[1]["loss"], rel=1e-4)
    assert abs(logged[1]["x"]) < 1  # figures come from all processes


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_processes_stop_and_go_on_bit_for_bit(tmp_path: Path, optimizer: Literal["adamw", "muon"]) -> None:
    config = replace(CONFIG, steps=12, processes=3, optimizer=optimizer)
    whole = train(Wide(), config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(Wide(stop_at=21), config, tmp_path / "parts")  # the first batch of step 7 is the asking process's
    assert not multiprocessing.active_children()
    again = train(Wide(), config, tmp_path / "parts")
    assert all(map(torch.equal, whole.parameters(), again.parameters()))


def test_a_process_that_fails_ends_the_run(tmp_path: Path) -> None:
    class Failing(Line):
        def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
            if step == 7:
                os._exit(3)
            return super().loss(step)

    with pytest.raises(RuntimeError, match="ended by itself"):
        train(Failing(), replace(CONFIG, processes=2), tmp_path)


def test_parts_can_learn_more_slowly(tmp_path: Path) -> None:
    tasks = [Line(), Line()]
    for task, slower in zip(tasks, ({}, {"weight": 0.5}), strict=True):
        train(
            task,
            replace(CONFIG, steps=1, warmup=1, weight_decay=0.0, average=0.0, slower=slower),
            tmp_path / str(slower),
        )
    assert tasks[1].module.weight.item() == pytest.approx(tasks[0].module.weight.item() / 2, rel=1e-4)
    assert tasks[1].module.bias.item() == pytest.approx(tasks[0].module.bias.item(), rel=1e-4)


def test_after_a_kill_it_goes_on_from_the_last_save(tmp_path: Path) -> None:
    class Killed(Line):
        def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
            if step == 77:
                raise MemoryError
            return super().loss(step)

    with pytest.raises(MemoryError):
        train(Killed(), CONFIG, tmp_path)
    again = train(Line(), CONFIG, tmp_path)
    assert torch.equal(train(Line(), CONFIG, tmp_path / "whole").weight, again.weight)  # type: ignore[arg-type]
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)


def test_a_finished_run_only_loads(tmp_path: Path) -> None:
    done = train(Line(), CONFIG, tmp_path)
    again = Line()
    again.loss = None  # type: ignore[assignment,method-assign]
    assert torch.equal(train(again, CONFIG, tmp_path).weight, done.weight)  # type: ignore[arg-type]


def test_another_network_in_the_folder_is_refused(tmp_path: Path) -> None:
    train(Line(), CONFIG, tmp_path)
    other = Line()
    other.module = nn.Sequential(nn.Linear(1, 1))
    with pytest.raises(FileError, match="from another training set-up"):
        train(other, CONFIG, tmp_path)


def test_the_rate_rises_and_falls() -> None:
    rates = [CONFIG.rate(step) for step in range(200)]
    assert rates[0] == pytest.approx(0.02)
    assert rates[4:150] == [0.1] * 146
    assert rates[150:] == sorted(rates[150:], reverse=True)
    assert rates[-1] < 0.002


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    class Broken(Line):
        def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
            return super().loss(step)[0] * float("nan"), {}

    with pytest.raises(Diverged, match="not finite at step 0: nothing was saved yet; lower the learning rate"):
        train(Broken(), CONFIG, tmp_path)


class Growing(Line):
    """Whose loss runs away from step 100 on."""

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        return super().loss(step)[0] * (1e4 if step >= 100 else 1), {}


def test_a_run_that_diverges_stops_with_the_last_good_state(tmp_path: Path) -> None:
    task = Growing()
    with pytest.raises(Diverged, match="the state of step 90 is kept; lower the learning rate") as caught:
        train(task, CONFIG, tmp_path)
    assert caught.value.good == 90
    whole = train(Line(), replace(CONFIG, average=0.0, report_every=10**6), tmp_path / "short")
    assert task.module.weight.isfinite()
    assert not torch.equal(task.module.weight, whole.weight)  # type: ignore[arg-type]
    saved = read(tmp_path / "state.safetensors")
    assert saved.metadata["step"] == "90"
    assert torch.equal(saved["average.weight"], task.module.weight)


def test_a_loss_that_only_shakes_goes_on(tmp_path: Path) -> None:
    class Shaking(Line):
        def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
            return super().loss(step)[0] * 0 + self.module.weight.sum() * 0 + (0.01, 0.4)[step % 2], {}

    train(Shaking(), CONFIG, tmp_path)


def installed(name: str) -> bool:
    kind = OPTIMIZERS[name]
    return find_spec(kind.path.partition(":")[0].partition(".")[0]) is not None


def lesson_for(name: str) -> type[Line]:
    """Eight bits are for weights of at least 4,096 numbers."""
    return Wide if OPTIMIZERS[name].package == "bitsandbytes" else Line


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if installed(name)])
def test_every_optimizer_goes_on_bit_for_bit_after_sigkill(name: str, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=60, optimizer=name, learning_rate=OPTIMIZERS[name].learning_rate or 0.1, log_every=1,
                     save_every=8, report_every=10**6, diverged=0)  # fmt: skip
    whole = train(lesson_for(name)(), config, tmp_path / "whole")
    fork = multiprocessing.get_context("fork").Process(target=killed_at_29, args=(config, tmp_path / "parts"))
    fork.start()
    fork.join()
    assert fork.exitcode == -signal.SIGKILL
    again = train(lesson_for(name)(), config, tmp_path / "parts")
    assert all(map(torch.equal, whole.parameters(), again.parameters()))
    kept = {key: tensor.dtype for key, tensor in read(tmp_path / "parts/state.safetensors").items()}
    assert "8bit" not in name or torch.uint8 in {t for key, t in kept.items() if key.startswith("optimizer.state1.")}
    logs = [
        [json.loads(line) for line in (tmp_path / part / "log.jsonl").read_text().splitlines()]
        for part in ("whole", "parts")
    ]
    assert [line["loss"] for line in logs[0] if "loss" in line] == [line["loss"] for line in logs[1] if "loss" in line]
    assert next(line["lr"] for line in reversed(logs[0]) if "lr" in line) < config.learning_rate  # it fell


def killed_at_29(config: LoopConfig, folder: Path) -> None:
    task = lesson_for(config.optimizer)()
    loss = task.loss

    def deadly(step: int) -> tuple[Tensor, Mapping[str, float]]:
        if step == 29:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss(step)

    task.loss = deadly  # type: ignore[method-assign]
    train(task, config, folder)


def test_a_full_disk_leaves_the_state_before(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"

    def fill() -> None:
        class Wider(Wide):
            def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
                if step == 7:
                    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
                return super().loss(step)

        try:
            train(Wider(), replace(CONFIG, steps=12, save_every=5, log_every=10**6, report_every=10**6), tmp_path)
        except FileError as error:
            os._exit(7 if "free space" in str(error) else 8)

    fork = multiprocessing.get_context("fork").Process(target=fill)
    fork.start()
    fork.join()
    assert fork.exitcode == 7
    assert read(path).metadata["step"] == "5"
    assert list(tmp_path.glob(".*")) == []
    train(Wide(), replace(CONFIG, steps=12, save_every=5), tmp_path)


class Summed(Line):
    """One batch that is two of a `Line`."""

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        (a, _), (b, _) = super().loss(2 * step), super().loss(2 * step + 1)
        return a / 2 + b / 2, {}


def test_batches_that_are_accumulated_make_one_step(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=20, bfloat16=False)
    one = train(Summed(), config, tmp_path / "one")
    two = train(Line(), replace(config, accumulate=2), tmp_path / "two")
    torch.testing.assert_close(one.state_dict(), two.state_dict(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["AdamW", "Lion", "AdaFactor"])
def test_stepping_in_the_backward_pass_changes_nothing(optimizer: str, tmp_path: Path) -> None:
    config = replace(CONFIG, optimizer=optimizer, learning_rate=0.01, clip_norm=0.0)
    one = train(Line(), config, tmp_path / "one")
    two = train(Line(), replace(config, fused_backward=True), tmp_path / "two")
    torch.testing.assert_close(one.state_dict(), two.state_dict(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"optimizer": "Prodigy"}, "Prodigy looks at all gradients together"),
        ({"accumulate": 2}, "goes with neither accumulation"),
    ],
)
def test_stepping_in_the_backward_pass_is_not_for_everything(
    more: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        train(Line(), replace(CONFIG, fused_backward=True, **more), tmp_path)  # type: ignore[arg-type]


def test_gradients_are_clipped_as_they_are_asked_to_be(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=1, warmup=1, optimizer="torch.optim.SGD", learning_rate=1.0, average=0.0, decay=0)
    changes = [
        torch.cat([p.detach().flatten() for p in train(Line(), replace(config, clip_norm=clip), tmp_path / str(clip))
                   .parameters()]).norm().item()
        for clip in (0.0, 0.5)
    ]  # fmt: skip
    assert changes[1] == pytest.approx(0.5, rel=1e-4)
    assert changes[0] > 1


def test_tensorboard_has_losses_rates_and_samples(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    class Drawn(Line):
        def report(self, step: int, averaged: nn.Module, folder: Path) -> Mapping[str, float]:
            Image.new("RGB", (8, 8), "red").save(folder / f"sample-{step:06d}.png")
            return {"slope": float(averaged.weight)}

    config = replace(CONFIG, steps=40, log_every=10, save_every=20, report_every=20, board=True)
    with pytest.raises(KeyboardInterrupt):
        train(Drawn(stop_at=33), config, tmp_path)
    train(Drawn(), config, tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    for name in ("loss", "lr", "slope"):
        wanted = [(line["step"], line[name]) for line in logged if name in line]
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert [step for step, _ in found] == [step for step, _ in wanted]
        assert [value for _, value in found] == pytest.approx([value for _, value in wanted], rel=1e-5)
    assert [event.step for event in events.Images("sample")] == [20, 40]
