"""A whole model from nothing, on the tiny data set: trained, stopped, resumed, written, drawn with."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fromnoise.checkpoints.load import load_checkpoint
from fromnoise.engine import library
from fromnoise.engine.generate import generate
from fromnoise.engine.memory import place
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import FileError, UserError
from fromnoise.train import scratch
from fromnoise.train.diffusion import DiffusionTask, cache_latents, scene_pool
from fromnoise.train.emoji import EmojiSet
from tests.train import tiny_emoji

CONFIG = """
data = "{folder}/data"
folder = "{folder}/run"
output = "{folder}/emoji.safetensors"
seed = 0
[autoencoder]
channels = 32
channel_mult = [1, 1, 1, 1]
res_blocks = 1
groups = 8
kl = 3e-4
batch = 2
loop = {{ steps = 4, report_every = 4, log_every = 2 }}
[decoder]
batch = 2
loop = {{ steps = 2, report_every = 2, log_every = 1 }}
[text]
dim = 64
layers = 1
heads = 1
batch = 4
loop = {{ steps = 2, report_every = 2, log_every = 1 }}
[unet]
model_channels = 32
channel_mult = [1, 2]
level_depths = [0, 1]
res_blocks = 1
backgrounds = 2
scenes = 6
pairs = 0.3
batch = 4
loop = {{ steps = 30, learning_rate = 2e-3, warmup = 5, report_every = 30, log_every = 5, average = 0.9 }}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("scratch")
    tiny_emoji.make(folder / "data")
    (folder / "tiny.toml").write_text(CONFIG.format(folder=folder.as_posix()))
    assert scratch.run(folder / "tiny.toml") == folder / "emoji.safetensors"
    return folder


def test_the_checkpoint_is_an_ordinary_one_that_says_what_its_shapes_cannot(run: Path) -> None:
    checkpoint = load_checkpoint(run / "emoji.safetensors")
    facts = checkpoint.facts
    assert (facts.family, facts.prediction, facts.zero_snr) == ("sd1", "v", True)
    assert checkpoint.vae is not None
    assert checkpoint.vae.config.groups == 8
    assert {p.dtype for p in checkpoint.unet.parameters()} == {torch.float16}


def test_it_draws(run: Path) -> None:
    model = library.load(str(run / "emoji.safetensors"), place("cpu", "float32"))
    (made,) = generate(model, [Recipe.make(prompt="square", width=32, height=32, steps=3)])
    assert made.image.size == (32, 32)
    assert made.recipe.schedule == "sgm_uniform"


def test_the_loss_falls_and_is_drawn(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "run/unet/log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.9 * losses[0]
    for made in ("unet/loss.png", "unet/sheet-000030.png", "autoencoder/restored-000004.png", "decoder/log.jsonl"):
        assert (run / "run" / made).exists()


def test_a_second_start_has_nothing_to_do(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (run / "emoji.safetensors").read_bytes()
    monkeypatch.setattr(DiffusionTask, "loss", None)
    scratch.run(run / "tiny.toml")
    assert (run / "emoji.safetensors").read_bytes() == before


def test_a_snapshot_of_a_finished_run_is_its_checkpoint(run: Path) -> None:
    before = (run / "emoji.safetensors").read_bytes()
    (run / "emoji.safetensors").unlink()
    assert scratch.snapshot(run / "tiny.toml").read_bytes() == before


def test_training_goes_on_from_a_checkpoint(run: Path) -> None:
    again = CONFIG.replace("seed = 0", 'seed = 0\nstart = "{folder}/emoji.safetensors"').replace("/run", "/again")
    (run / "again.toml").write_text(again.format(folder=run.as_posix()))
    config = scratch.read_config(run / "again.toml")
    data, model = EmojiSet(config.data), load_checkpoint(run / "emoji.safetensors", dtype=torch.float32)
    vae = scratch.train_autoencoder(config, data)
    assert model.vae is not None
    assert torch.equal(vae.decoder.conv_in.weight, model.vae.decoder.conv_in.weight)
    task = scratch.drawing_task(config, data, vae)
    for name, weight in model.unet.state_dict().items():
        assert torch.equal(task.drawer.unet.state_dict()[name], weight)
    assert not (run / "again/autoencoder").exists()


def test_a_wider_text_encoder_starts_as_the_one_it_goes_on_from(run: Path) -> None:
    wider = CONFIG.replace("seed = 0", 'seed = 0\nstart = "{folder}/emoji.safetensors"').replace("/run", "/wider")
    wider = wider.replace("layers = 1", "layers = 1\nmlp_dim = 320").replace("steps = 2, report", "steps = 0, report")
    (run / "wider.toml").write_text(wider.format(folder=run.as_posix()))
    config = scratch.read_config(run / "wider.toml")
    data, narrow = EmojiSet(config.data), scratch.beginning(run / "emoji.safetensors").text[0]
    task = scratch.drawing_task(config, data, scratch.train_autoencoder(config, data))
    assert task.drawer.text.text_model.encoder.layers[0].mlp.fc1.weight.shape == (320, 64)  # type: ignore[union-attr]
    tokens = torch.tensor([task.tokenizer.encode_window("a square on a blue background")])
    assert torch.allclose(task.drawer.text(tokens).last, narrow(tokens).last, atol=1e-5)


def test_cached_latents_are_those_of_this_encoder_and_these_scenes(run: Path, tmp_path: Path) -> None:
    config = scratch.read_config(run / "tiny.toml")
    data, vae = EmojiSet(config.data), scratch.train_autoencoder(config, EmojiSet(config.data))
    scenes, others = (scene_pool(data, backgrounds=2, pairs=3, seed=seed) for seed in (0, 1))
    first = np.array(cache_latents(data, vae, scenes, tmp_path))
    assert np.array_equal(cache_latents(data, vae, scenes, tmp_path), first)
    assert not np.array_equal(cache_latents(data, vae, others, tmp_path), first)
    assert len(list(tmp_path.iterdir())) == 1
    with torch.no_grad():
        vae.quant_conv.weight *= 2
    assert not np.array_equal(cache_latents(data, vae, scenes, tmp_path), first)


def test_timesteps_can_favour_the_noisy_end(run: Path) -> None:
    config = scratch.read_config(run / "tiny.toml")
    data = EmojiSet(config.data)
    task = scratch.drawing_task(config, data, scratch.train_autoencoder(config, data))
    even = torch.cat([task.examples(i)[2] for i in range(40)]).float()
    task.noisier = 0.5
    noisy = torch.cat([task.examples(i)[2] for i in range(40)]).float()
    assert 450 < even.mean() < 550
    assert 600 < noisy.mean() < 730
    assert noisy.max() <= 999


def test_a_checkpoint_of_another_shape_is_no_start(run: Path) -> None:
    other = CONFIG.replace("seed = 0", 'seed = 0\nstart = "{folder}/emoji.safetensors"').replace("/run", "/other")
    other = other.replace("model_channels = 32", "model_channels = 64")
    (run / "other.toml").write_text(other.format(folder=run.as_posix()))
    with pytest.raises(UserError, match="has another shape than the configuration says"):
        scratch.run(run / "other.toml")


def test_what_the_network_learns_is_v(run: Path) -> None:
    """A network that answers with the true v has no loss, whatever the timestep."""
    config = scratch.read_config(run / "tiny.toml")
    data = EmojiSet(config.data)
    task = scratch.drawing_task(config, data, scratch.train_autoencoder(config, data))
    latents, _, timesteps, noise = task.examples(0)
    alphas = task.table.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
    truth = alphas.sqrt() * noise - (1 - alphas).sqrt() * latents
    task.drawer.unet.forward = lambda *_: truth  # type: ignore[method-assign]
    assert task.loss(0)[1]["v_error"] < 1e-10
    assert timesteps.min() >= 0
    assert timesteps.max() <= 999


@pytest.mark.parametrize(
    ("text", "message"),
    [("seed = ", "not a TOML file"), ("seed = 1", "data: field required"), ('seed = "x"', "field required")],
)
def test_bad_configurations_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        scratch.run(path)


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such configuration"):
        scratch.run(tmp_path / "none.toml")


def test_the_projects_own_configuration_is_valid(root: Path) -> None:
    config = scratch.read_config(root / "configs/emoji.toml")
    assert config.unet.loop.steps > 0
