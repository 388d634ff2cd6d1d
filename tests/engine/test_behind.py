"""Pictures are decoded while the next are drawn, where that is worthwhile; they come in order and are the same."""

import threading

import pytest
import torch
from PIL import Image
from torch import Tensor

from fromnoise.engine import generate as generating
from fromnoise.engine.behind import Behind, worthwhile
from fromnoise.engine.generate import Job, generate
from fromnoise.engine.recipe import Recipe
from fromnoise.nn.unet import UNet
from tests.engine.models import tiny_model

RECIPES = [
    Recipe.make(prompt="a red apple", width=64, height=64, steps=steps, sampler="euler", seed=steps) for steps in (1, 3)
]
PATIENCE = 60  # seconds, if something is wrong


def test_results_come_in_order_and_failures_where_they_are_asked_for() -> None:
    with Behind[int](torch.device("cpu")) as behind:
        behind.add(lambda: 1, aside=True)
        behind.add(lambda: 2, aside=False)
        behind.add(lambda: 1 // 0, aside=True)
        assert next(behind.rest()) == 1
        assert next(behind.ready()) == 2
        with pytest.raises(ZeroDivisionError):
            list(behind.rest())


def test_a_picture_is_finished_while_the_next_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {made.index: made.image for made in generate(tiny_model(), RECIPES)}
    begun, drawn = threading.Event(), threading.Event()
    finish, forward, threads = Job.finish, UNet.forward, []

    def waiting(self: Job, latents: Tensor) -> Image.Image:
        threads.append(threading.current_thread())
        begun.set()
        assert drawn.wait(PATIENCE), "nothing was drawn meanwhile"
        return finish(self, latents)

    def telling(self: UNet, *inputs: Tensor, **named: Tensor) -> Tensor:
        if begun.is_set():
            drawn.set()
        return forward(self, *inputs, **named)

    monkeypatch.setattr(Job, "finish", waiting)
    monkeypatch.setattr(UNet, "forward", telling)
    monkeypatch.setattr(generating, "worthwhile", lambda model: True)
    made = list(generate(tiny_model(), RECIPES))
    assert [one.index for one in made] == [0, 1]
    assert all(one.image.tobytes() == wanted[one.index].tobytes() for one in made)
    assert threading.main_thread() not in threads


def test_processors_do_one_thing_at_a_time() -> None:
    assert not worthwhile(tiny_model())
