"""The examples of CONTRIBUTING.md run, and what they register works."""

import re
import subprocess
import sys
from pathlib import Path

CHECK = """
import tempfile
from pathlib import Path

import torch
from fromnoise.adapters.adapter import Strengths, load_adapter
from fromnoise.checkpoints.save import write
from tests import tiny
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import SCHEDULES, NoiseTable
from tests.sampling.exact import flow, gaussian, log_sigmas, run

x = torch.linspace(-3, 3, 16, dtype=torch.float64).reshape(1, 1, 4, 4)
errors = []
for steps in (40, 80):
    sigmas = log_sigmas(steps)
    exact = flow(x * sigmas[0], sigmas[0], sigmas[-1])
    errors.append((run(SAMPLERS["Log midpoint"].start(x * sigmas[0], sigmas), gaussian) - exact).abs().max())
assert 3.5 < errors[0] / errors[1] < 4.5, errors  # of order 2, as it says

levels = SCHEDULES["Quadratic"](NoiseTable.ldm(), 10)
assert len(levels) == 11 and (levels.diff() < 0).all() and levels[-1] == 0

model, layer = tiny.model("sd1"), "input_blocks.1.1.proj_in"
gain = torch.linspace(-1, 1, 32)
with tempfile.TemporaryDirectory() as folder:
    path = write(Path(folder) / "x.safetensors", {f"lora_unet_{layer.replace('.', '_')}.gain": gain}, None, {})
    adapter = load_adapter(path, {"unet": model.unet, "text0": model.text[0]})
    [patch] = adapter.patches("unet", Strengths(0.5))[f"{layer}.weight"]
    weight = model.unet.get_submodule(layer).weight
    assert torch.allclose(patch(weight), weight * (0.5 * gain).exp().reshape(-1, 1, 1, 1))
"""


def test_the_examples_run(root: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", (root / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL)
    assert len(examples) == 3
    code = "\n".join([*examples, CHECK])
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
