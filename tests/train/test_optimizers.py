"""Optimizers step, those that are missing say what to install, and rates rise and fall as they are named."""

import math
from importlib.util import find_spec

import pytest
import torch
from torch import nn

from fromnoise.errors import UnknownName, UserError
from fromnoise.train.optimizers import (
    OPTIMIZERS,
    RATE_SCHEDULES,
    OptimizerKind,
    Span,
    make_optimizer,
    rate,
    read_arguments,
)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_each_optimizer_steps_or_says_what_to_install(name: str) -> None:
    weight, kind = nn.Parameter(torch.ones(64, 64)), OPTIMIZERS[name]
    if kind.package and find_spec(kind.path.partition(":")[0].partition(".")[0]) is None:
        with pytest.raises(UserError, match=f"pip install {kind.package}"):
            make_optimizer(name, [weight])
        return
    optimizer = make_optimizer(name, [weight])
    if OPTIMIZERS[name].schedule_free:
        optimizer.train()  # type: ignore[attr-defined]
    for _ in range(10):
        weight.square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert weight.norm() < 64


def test_every_optimizer_says_in_both_languages_what_it_is_good_for() -> None:
    assert all(kind.good_for and kind.good_for_zh for kind in OPTIMIZERS.values())


def test_a_class_of_ones_own_and_a_wrong_name() -> None:
    weight = nn.Parameter(torch.ones(1))
    assert isinstance(make_optimizer("torch.optim.Adamax", [weight], 1e-3), torch.optim.Adamax)
    with pytest.raises(UnknownName, match="did you mean 'AdamW'"):
        make_optimizer("AdamWW", [weight])
    with pytest.raises(UserError, match="pip install nowhere"):
        make_optimizer("nowhere.Adam", [weight])


def test_a_package_that_is_missing_is_named() -> None:
    with pytest.raises(UserError, match="pip install some-package"):
        OptimizerKind("Some", "some_package:Some", "some-package").load()


def test_arguments_of_the_command_line() -> None:
    words = ["weight_decay=0.1", "betas=0.9,0.99", "decouple=True", "mode=fast"]
    assert read_arguments(words) == {"weight_decay": 0.1, "betas": (0.9, 0.99), "decouple": True, "mode": "fast"}
    with pytest.raises(UserError, match="name=value"):
        read_arguments(["weight_decay"])
    with pytest.raises(UserError, match="AdamW refuses its arguments"):
        make_optimizer("AdamW", [nn.Parameter(torch.ones(1))], 1e-3, {"no_such": 1})


@pytest.mark.parametrize("name", list(RATE_SCHEDULES))
def test_rates_rise_and_stay_between_0_and_1(name: str) -> None:
    factor = rate(name, Span(100, warmup=10, cycles=2, power=2, decay=20))
    assert factor(0) == pytest.approx(0.1)
    assert factor(9) == pytest.approx(1)
    assert factor(10) == pytest.approx(1)
    assert all(0 <= factor(step) <= 1 + 1e-9 for step in range(101))


@pytest.mark.parametrize(
    ("name", "step", "wanted"),
    [
        ("constant", 99, 1.0),
        ("linear", 55, 0.5),
        ("cosine", 55, 0.5),
        ("cosine", 100, 0.0),
        ("cosine_with_restarts", 55, 1.0),
        ("cosine_with_restarts", 54, 0.5 + 0.5 * math.cos(math.pi * 88 / 90)),
        ("polynomial", 55, 0.25),
        ("inverse_sqrt", 40, 0.5),
        ("warmup_stable_decay", 80, 1.0),
        ("warmup_stable_decay", 90, 0.5),
    ],
)
def test_rates_at_steps(name: str, step: int, wanted: float) -> None:
    assert rate(name, Span(100, warmup=10, cycles=2, power=2, decay=20))(step) == pytest.approx(wanted)
