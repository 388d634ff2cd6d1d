"""The autoencoder's lessons and their measures."""

from pathlib import Path

import pytest
import torch

from fromnoise.nn.vae import AutoencoderKL, VAEConfig
from fromnoise.train.autoencoder import AutoencoderTask, laplacian_loss, normalise_latents, psnr
from fromnoise.train.diffusion import scene_pool
from fromnoise.train.emoji import EmojiSet
from fromnoise.train.loop import LoopConfig, train
from tests.train import tiny_emoji

TINY = VAEConfig(channels=32, channel_mult=(1, 1, 1, 1), res_blocks=1, groups=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> EmojiSet:
    return tiny_emoji.make(tmp_path_factory.mktemp("emoji"))


def test_psnr_of_a_known_error() -> None:
    a = torch.zeros(2, 3, 8, 8)
    assert psnr(a + 0.2, a) == pytest.approx(20.0, abs=1e-4)  # 10 log10(2^2 / 0.2^2)


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 32])
def test_laplacian_loss_sees_errors_of_every_scale(size: int) -> None:
    zero, square = torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)
    square[..., :size, :size] = 0.5
    assert laplacian_loss(zero, zero) == 0
    assert laplacian_loss(square, zero) > 2 * square.mean()


def test_it_learns_and_latents_are_normalised(data: EmojiSet, tmp_path: Path) -> None:
    task = AutoencoderTask(data, TINY, batch=4)
    config = LoopConfig(steps=25, learning_rate=2e-3, warmup=5, average=0.9, report_every=25, log_every=5)
    before = float(task.loss(10_000)[0].detach())
    train(task, config, tmp_path)
    assert float(task.loss(10_000)[0].detach()) < 0.8 * before
    assert (tmp_path / "restored-000025.png").exists()

    scenes = scene_pool(data, backgrounds=4, pairs=0, seed=0)
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        restored = task.vae.decode(task.vae.encode(image))
        normalise_latents(task.vae, data, scenes)
        assert torch.allclose(task.vae.decode(task.vae.encode(image)), restored, atol=1e-4)
        pictures = torch.stack([torch.from_numpy(data.draw(s)) / 127.5 - 1 for s in scenes])
        latents = task.vae.encode(pictures)
    assert latents.mean(dim=(0, 2, 3)).abs().max() < 1e-3
    assert torch.allclose(latents.std(dim=(0, 2, 3)), torch.ones(4), atol=1e-3)


def test_decoder_lessons_leave_the_latents_alone(data: EmojiSet, tmp_path: Path) -> None:
    vae = AutoencoderTask(data, TINY).vae
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        before, drawn = vae.encode(image), vae.decode(torch.ones(1, 4, 4, 4))
    task = AutoencoderTask(data, TINY, batch=2, vae=vae)
    train(task, LoopConfig(steps=3, report_every=10, average=0), tmp_path)
    with torch.no_grad():
        assert torch.equal(vae.encode(image), before)
        assert not torch.equal(vae.decode(torch.ones(1, 4, 4, 4)), drawn)
    assert isinstance(vae, AutoencoderKL)
