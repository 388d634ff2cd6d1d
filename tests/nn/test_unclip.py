"""Noise on embeddings: as diffusers adds it, and by hand."""

import pytest
import torch

from fromnoise.nn.unclip import LEVELS, noised, signals


def test_the_schedule_ends_in_noise() -> None:
    table = signals()
    assert len(table) == LEVELS
    assert float(table[0]) == pytest.approx(0.99996, abs=1e-5)
    assert float(table[-1]) < 1e-8
    assert bool((table.diff() < 0).all())


def test_the_level_is_told_beside() -> None:
    embedding = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(2, 16, generator=torch.Generator().manual_seed(1))
    told = noised(embedding, 300, noise)
    share = float(signals()[300])
    torch.testing.assert_close(told[:, :16], embedding * share**0.5 + noise * (1 - share) ** 0.5)
    assert torch.equal(told[0, 16:], told[1, 16:])
    assert not torch.equal(told[0, 16:], noised(embedding, 301, noise)[0, 16:])


def test_noise_is_added_where_embeddings_have_unit_variance() -> None:
    embedding, noise = torch.full((1, 4), 3.0), torch.ones(1, 4)
    mean, std = torch.full((1, 4), 1.0), torch.full((1, 4), 2.0)
    share = float(signals()[500])
    told = noised(embedding, 500, noise, mean, std)[:, :4]
    torch.testing.assert_close(told, torch.full((1, 4), (share**0.5 + (1 - share) ** 0.5) * 2 + 1))
