"""Training in bfloat16: gradients are about those of float32, and weights that learn keep their bits."""

from pathlib import Path

import pytest
import torch

from fromnoise.train.methods import METHODS
from tests.tiny_pictures import noise, noisy
from tests.train.test_methods import shaken, task


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = noisy(tmp_path_factory.mktemp("pictures"), ["newword", "newword"])
    (path / "steering").mkdir()
    for number in range(2):
        noise(10 + number).save(path / "steering" / f"{number}.png")
    return path


@pytest.mark.parametrize("method", list(METHODS))
def test_in_bfloat16_gradients_are_about_the_same_and_weights_keep_their_bits(method: str, folder: Path) -> None:
    found = []
    more = {"least_guidance": 1, "most_guidance": 1, "huber": 1.0} if method == "lcm" else {}  # as smooth as others
    for half in (False, True):
        one = task(method, folder, **more)
        shaken(one.module, 0.02)
        with one.applied(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            value = one.loss(0)[0]
        value.backward()
        gradients = [p.grad for p in one.module.parameters() if p.grad is not None]
        assert all(g.dtype == torch.float32 for g in gradients)
        found.append((float(value.detach()), torch.cat([g.flatten() for g in gradients])))
    (loss_a, a), (loss_b, b) = found
    # a distillation learns from the small difference of two answers, in which rounding weighs more
    near, alike = (0.15, 0.95) if method == "lcm" else (3e-2, 0.98)
    assert loss_b == pytest.approx(loss_a, rel=near)
    assert float(torch.cosine_similarity(a, b, dim=0)) > alike
