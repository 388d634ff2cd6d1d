"""The examples of training run as they are, only shorter, and what comes out is found by its name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fromnoise.adapters.adapter import load_adapter
from fromnoise.checkpoints.adapter_files.embedding import read_embedding
from fromnoise.checkpoints.adapter_files.hypernetwork import read_hypernetwork
from fromnoise.checkpoints.control import load_control
from fromnoise.checkpoints.load import load_checkpoint
from fromnoise.engine.shelves import builtin

ROOT = Path(__file__).parents[2]
FILES = {
    "lora": "loras/dango.safetensors",
    "dreambooth": "checkpoints/dango.safetensors",
    "embedding": "embeddings/dango.safetensors",
    "hypernetwork": "hypernetworks/dango.pt",
    "controlnet": "controlnet/canny.safetensors",
    "t2i_adapter": "t2i_adapter/canny.safetensors",
}


def command(folder: Path) -> Path:
    """What the scripts call: one word, wherever Python is."""
    path = folder / "fromnoise.sh"
    path.write_text(f'#!/usr/bin/env bash\nexec "{sys.executable}" -m fromnoise "$@"\n')
    path.chmod(0o755)
    return path


def run(name: str, folder: Path) -> Path:
    environment = {**os.environ, "FROMNOISE": str(command(folder)), "STEPS": "2",
                   "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "FROMNOISE_CACHE": str(folder)}  # fmt: skip
    subprocess.run(
        ["bash", str(ROOT / f"examples/train_{name}.sh"), "--batch", "1", "--sample_every_n_steps", "1000",
         "--mixed_precision", "no"],
        cwd=folder, env=environment, check=True, capture_output=True,
    )  # fmt: skip
    return folder / "models" / FILES[name]


def test_every_script_is_tried() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("train_*.sh")} == {f"train_{name}" for name in FILES}


def test_the_data_is_there() -> None:
    pictures = sorted((ROOT / "examples/data/dango").glob("*.png"))
    assert len(pictures) == 20
    assert all(path.with_suffix(".txt").read_text("utf-8").startswith("dango, ") for path in pictures)


def test_a_lora(tmp_path: Path) -> None:
    path = run("lora", tmp_path)
    base = load_checkpoint(builtin())
    assert not load_adapter(path, {"unet": base.unet, "text0": base.text[0]}).unmatched
    assert (tmp_path / "runs/dango/sample-000002.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FILES if name != "lora"])
def test_the_others(name: str, tmp_path: Path) -> None:
    path = run(name, tmp_path)
    if name == "dreambooth":
        assert load_checkpoint(path).family == "sd1"
        assert (tmp_path / "runs/dango/kept.safetensors").exists()
    elif name == "embedding":
        assert read_embedding(path).count == 8
    elif name == "hypernetwork":
        assert read_hypernetwork(path).widths
    else:
        assert load_control(path, load_checkpoint(builtin()).unet)
