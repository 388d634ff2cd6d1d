"""What a configuration beside a checkpoint says of it."""

import os
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from fromnoise.checkpoints.convert import convert
from fromnoise.checkpoints.load import load_checkpoint
from tests import tiny

REAL = """model:
  base_learning_rate: 1.0e-4
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    parameterization: {what}
    linear_start: 0.00085
"""


def silent(folder: Path) -> Path:
    """A checkpoint that says nothing of itself."""
    path = tiny.checkpoint(folder / "model.safetensors")
    save_file(load_file(path), path)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (REAL.format(what='"v"'), ("v", "metadata")),
        (REAL.format(what="v  # 768"), ("v", "metadata")),
        (REAL.format(what="'eps'"), ("eps", "metadata")),
        (REAL.format(what="velocity"), ("eps", "default")),
        ("model: {}", ("eps", "default")),
        ("!!python/object/apply:os.mkdir [canary]\nparameterization: v", ("v", "metadata")),
        ("#" * (1 << 16) + "\nparameterization: v", ("eps", "default")),
    ],
)
def test_a_configuration_says_what_is_predicted(tmp_path: Path, text: str, expected: tuple[str, str]) -> None:
    path = silent(tmp_path)
    (tmp_path / "model.yaml").write_text(text)
    facts = load_checkpoint(path).facts
    assert (facts.prediction, facts.prediction_from) == expected
    assert not Path("canary").exists()


def test_it_goes_into_what_is_converted_and_the_caller_knows_better(tmp_path: Path) -> None:
    path = silent(tmp_path)
    (tmp_path / "model.yaml").write_text(REAL.format(what="v"))
    convert(path, tmp_path / "other.safetensors")
    assert load_checkpoint(tmp_path / "other.safetensors").facts.prediction == "v"
    assert load_checkpoint(path, prediction="eps").facts.prediction == "eps"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_of_that_name_is_not_waited_for(tmp_path: Path) -> None:
    path = silent(tmp_path)
    os.mkfifo(tmp_path / "model.yaml")
    assert load_checkpoint(path).facts.prediction == "eps"
