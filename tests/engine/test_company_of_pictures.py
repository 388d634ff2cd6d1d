"""A picture of a batch is the picture alone, to the bit in float32, as both are drawn without being told otherwise."""

from collections.abc import Iterator

import pytest
import torch

from fromnoise.engine.generate import generate
from fromnoise.engine.library import load
from fromnoise.engine.memory import place
from fromnoise.engine.recipe import Recipe
from fromnoise.nn.ops import Linear


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_four_together_are_four_alone(one_thread: None) -> None:
    model = load("builtin", place("cpu", "float32"))
    recipes = [Recipe(prompt="a red apple", seed=5 + more, width=128, height=128, steps=2) for more in range(4)]
    together = {made.index: made.image.tobytes() for made in generate(model, recipes)}
    assert [next(iter(generate(model, [one]))).image.tobytes() for one in recipes] == [together[i] for i in range(4)]


def test_few_rows_do_not_hang_on_how_many_there_are(one_thread: None) -> None:
    torch.manual_seed(0)
    layer = Linear(256, 256)
    with torch.inference_mode():
        layer.weight.normal_(std=1 / 16)
        assert layer.bias is not None
        layer.bias.normal_()
        rows = torch.randn(8, 256)
        torch.testing.assert_close(layer(rows), torch.nn.functional.linear(rows, layer.weight, layer.bias))
        assert torch.equal(layer(rows), torch.cat([layer(rows[i : i + 2]) for i in range(0, 8, 2)]))
