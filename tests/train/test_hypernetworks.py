"""What AUTOMATIC1111 lets choose of a hypernetwork, in training and in its file."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from fromnoise.adapters.hypernetwork import Hypernetworks, build
from fromnoise.checkpoints.adapter_files.hypernetwork import read_hypernetwork
from fromnoise.cli.training_run import ordered
from fromnoise.train.hypernetwork import STARTS, HypernetworkOptions, HypernetworkTraining
from tests.train.test_lora import answer, model
from tests.train.test_methods import shaken


@pytest.mark.parametrize(
    "more",
    [{"activate_output": True, "activation": "tanh"}, {"dropouts": (0, 0.3, 0)},
     {"activate_output": True, "activation": "relu", "layer_norm": True, "dropouts": (0, 0.5, 0.2, 0),
      "structure": (1, 2, 2, 1)}],
    ids=str,
)  # fmt: skip
def test_its_file_does_what_it_did_and_is_gone_on_from(more: dict[str, object], tmp_path: Path) -> None:
    on = model()
    training = HypernetworkTraining(on, HypernetworkOptions.model_validate({"activation": "swish", **more}), 0)
    shaken(training.module)
    file = read_hypernetwork(training.write(tmp_path / "it.pt", {}))
    assert (file.activate_output, file.structure) == (training.file.activate_output, training.options.structure)
    assert file.dropout == (training.options.dropouts or (0.0, 0.0, 0.0))
    with training.applied():
        wanted = answer(on)
    with Hypernetworks(((build(file, "it.pt"), 1.0),)).applied(on.unet):
        torch.testing.assert_close(answer(on), wanted)
    again = HypernetworkTraining(on, HypernetworkOptions(start=tmp_path / "it.pt"), 5)
    with again.applied():
        torch.testing.assert_close(answer(on), wanted)
    assert again.file.dropout == file.dropout


def test_shares_are_dropped_while_it_learns() -> None:
    training = HypernetworkTraining(model(), HypernetworkOptions(dropouts=(0, 0.5, 0)), 0)
    shaken(training.module)
    x = torch.randn(1, 4, 32)
    torch.manual_seed(0)
    first, second = (training.network.changed(x, 0, 1.0) for _ in range(2))
    assert not torch.equal(first, second)
    with torch.no_grad():
        assert torch.equal(training.network.changed(x, 0, 1.0), training.network.changed(x, 0, 1.0))


@pytest.mark.parametrize("name", STARTS)
def test_layers_begin_as_asked(name: str) -> None:
    training = HypernetworkTraining(model(), HypernetworkOptions.model_validate({"weight_init": name}), 0)
    weights = [p for n, p in training.module.named_parameters() if n.endswith("weight")]
    inner = [p for p in weights if len(p) > p.shape[1]]
    assert all(float(p.detach().abs().sum()) == 0 for p in weights if len(p) < p.shape[1])  # it does nothing yet
    deviations = {"Normal": 0.01, "XavierNormal": (2 / 3 / 32) ** 0.5, "XavierUniform": (2 / 3 / 32) ** 0.5,
                  "KaimingNormal": (2 / 32) ** 0.5, "KaimingUniform": (2 / 32) ** 0.5}  # fmt: skip
    smallest = next(p for p in inner if p.shape[1] == 32)
    assert float(smallest.detach().std()) == pytest.approx(deviations[name], rel=0.1)


def test_words_reach_it(tmp_path: Path) -> None:
    made = ordered("hypernetwork", tmp_path, {"dropout_structure": "0, 0.1, 0", "weight_init": "Normal", "name": "x"})
    assert made.options.model_dump()["dropouts"] == (0, 0.1, 0)
    for wrong in ((0, 0.1), (0.1, 0.1, 0), (0, 0.1, 0.1), (0, 1.0, 0)):
        with pytest.raises(ValidationError):
            HypernetworkOptions(dropouts=wrong)
