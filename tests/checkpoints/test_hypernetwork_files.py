"""Hypernetworks in the layouts of AUTOMATIC1111 and NovelAI."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fromnoise.adapters.hypernetwork import Hypernetwork, build
from fromnoise.checkpoints.adapter_files.hypernetwork import read_hypernetwork
from fromnoise.checkpoints.load import UnmatchedKeys
from fromnoise.errors import FileError

WIDTH = 16


def sequential(
    structure: tuple[float, ...], activation: nn.Module | None, norm: bool, dropout: tuple[float, ...], output: bool
) -> nn.Sequential:
    """As AUTOMATIC1111 builds one."""
    torch.manual_seed(len(structure))
    layers: list[nn.Module] = []
    for i in range(len(structure) - 1):
        layers.append(nn.Linear(int(WIDTH * structure[i]), int(WIDTH * structure[i + 1])))
        if activation is not None and (i < len(structure) - 2 or output):
            layers.append(activation)
        if norm:
            layers.append(nn.LayerNorm(int(WIDTH * structure[i + 1])))
        if dropout and dropout[i + 1] > 0:
            layers.append(nn.Dropout(dropout[i + 1]))
    made = nn.Sequential(*layers).eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made


def state(network: nn.Sequential) -> dict[str, Tensor]:
    return {f"linear.{name}": tensor for name, tensor in network.state_dict().items()}


def read(tree: dict[object, object], tmp_path: Path, **options: bool) -> Hypernetwork:
    torch.save(tree, tmp_path / "x.pt")
    return build(read_hypernetwork(tmp_path / "x.pt"), "x.pt", **options)


CASES = {
    "plain": ((1, 2, 1), None, "linear", False, (), False),
    "relu": ((1, 2, 1), nn.ReLU(), "relu", False, (), False),
    "deep": ((1, 2, 2, 1), nn.Hardswish(), "swish", False, (), True),
    "norm": ((1, 1.5, 1), nn.Mish(), "mish", True, (), False),
    "dropout": ((1, 2, 2, 1), nn.Softsign(), "softsign", True, (0, 0.05, 0.3, 0), True),
}


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_structures(name: str, tmp_path: Path) -> None:
    structure, activation, word, norm, dropout, output = CASES[name]
    pair = [sequential(structure, activation, norm, dropout, output) for _ in range(2)]
    nn.init.normal_(pair[1][0].weight)
    tree = {
        WIDTH: tuple(state(network) for network in pair),
        "layer_structure": list(structure),
        "activation_func": word,
        "is_layer_norm": norm,
        "activate_output": output,
        "dropout_structure": list(dropout) or None,
        "name": "anime",
        "step": 7,
        "sd_checkpoint_name": "nai",
    }
    made = read(tree, tmp_path)
    x = torch.randn(2, 5, WIDTH)
    for side, network in enumerate(pair):
        torch.testing.assert_close(made.changed(x, side, 0.7), x + 0.7 * network(x))
    other = torch.randn(2, 5, WIDTH + 1)
    assert made.changed(other, 0, 1.0) is other
    told = read_hypernetwork(tmp_path / "x.pt")
    assert (told.name, told.step, told.checkpoint, told.widths) == ("anime", 7, "nai", (WIDTH,))


@torch.no_grad()
def test_dropout_by_its_switch(tmp_path: Path) -> None:
    network = sequential((1, 2, 2, 1), nn.ReLU(), False, (0, 0.3, 0.3, 0), False)
    tree = {
        WIDTH: (state(network), state(network)),
        "layer_structure": [1, 2, 2, 1],
        "activation_func": "relu",
        "activate_output": False,
        "use_dropout": True,
        "last_layer_dropout": True,
    }
    x = torch.randn(1, 3, WIDTH)
    torch.testing.assert_close(read(tree, tmp_path).changed(x, 0, 1.0), x + network(x))


@torch.no_grad()
def test_novelai(tmp_path: Path) -> None:
    network = sequential((1, 2, 1), None, False, (), False)
    old = {name.replace("linear.0", "linear1").replace("linear.1", "linear2"): t for name, t in state(network).items()}
    x = torch.randn(1, 3, WIDTH)
    torch.testing.assert_close(read({WIDTH: [old, old]}, tmp_path).changed(x, 1, 1.0), x + network(x))


@torch.no_grad()
def test_a_file_that_does_not_say_whether_its_end_is_activated(tmp_path: Path) -> None:
    network = sequential((1, 2, 1), nn.Tanh(), False, (), False)
    tree = {WIDTH: (state(network), state(network)), "activation_func": "tanh"}
    x = torch.randn(1, 3, WIDTH)
    torch.testing.assert_close(read(tree, tmp_path, activate_output=False).changed(x, 0, 1.0), x + network(x))
    torch.testing.assert_close(read(tree, tmp_path).changed(x, 0, 1.0), x + network(x).tanh())


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": 1}, "no pairs of networks"),
        ([1], "is no hypernetwork"),
        ({16: ({"x": torch.ones(1)}, {"x": torch.ones(1)})}, "its layers are called"),
        (
            {16: ({"linear.0.weight": torch.full((1,), torch.inf)}, {"linear.0.weight": torch.ones(1)})},
            "NaN or infinity",
        ),
        ({16: ({"linear.0.weight": torch.ones(1)},) * 2, "layer_structure": [2, 1]}, "begin and end with 1"),
        ({16: ({"linear.0.weight": torch.ones(16, 16)},) * 2}, "not those of the structure"),
        ({16: ({"linear.0.weight": torch.ones(1)},) * 2, "activation_func": "magic"}, "'magic' is not known"),
    ],
)
def test_files_that_are_none(tree: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=message):
        read(tree, tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"768": [{"linear.0.weight": torch.ones(1)}]}, "768.0.linear.0.weight"),
        ({"strange": torch.ones(2)}, "strange"),
    ],
)
def test_tensors_besides_the_networks_are_named(more: dict[object, object], name: str, tmp_path: Path) -> None:
    pair = tuple(state(sequential((1, 2, 1), None, False, (), False)) for _ in range(2))
    torch.save({WIDTH: pair, **more}, tmp_path / "x.pt")
    with pytest.raises(UnmatchedKeys) as raised:
        read_hypernetwork(tmp_path / "x.pt")
    assert raised.value.unknown == [name]
    assert read_hypernetwork(tmp_path / "x.pt", allow_unmatched=True).widths == (WIDTH,)
