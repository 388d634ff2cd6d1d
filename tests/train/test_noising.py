"""Noise in training: its kinds, its ranges, and that a step always draws the same."""

import pytest
import torch

from fromnoise.train.noising import Noising

LATENTS = torch.randn(64, 4, 16, 16, generator=torch.Generator().manual_seed(0)) + 0.5


def test_a_step_always_draws_the_same() -> None:
    first, again, other = (Noising().draw(LATENTS, 7, step) for step in (3, 3, 4))
    assert torch.equal(first.noise, again.noise)
    assert torch.equal(first.timesteps, again.timesteps)
    assert not torch.equal(first.noise, other.noise)


def test_plain_noise_is_normal_and_undisturbed() -> None:
    drawn = Noising().draw(LATENTS, 0, 0)
    assert drawn.noise.std().item() == pytest.approx(1, abs=0.02)
    assert drawn.disturbing is drawn.noise or torch.equal(drawn.disturbing, drawn.noise)


def test_offset_noise_is_the_same_all_over_a_channel() -> None:
    plain, offset = Noising().draw(LATENTS, 0, 0), Noising(noise_offset=0.2).draw(LATENTS, 0, 0)
    added = offset.noise - plain.noise
    torch.testing.assert_close(added, added[:, :, :1, :1].expand_as(added), atol=1e-5, rtol=1e-4)
    assert added[:, :, 0, 0].std().item() == pytest.approx(0.2, abs=0.03)


def test_adaptive_offset_grows_with_the_latents_mean() -> None:
    weak = Noising(noise_offset=0.1).draw(LATENTS, 0, 0).noise
    strong = Noising(noise_offset=0.1, adaptive_noise_scale=0.4).draw(LATENTS, 0, 0).noise
    plain = Noising().draw(LATENTS, 0, 0).noise
    means = LATENTS.mean(dim=(2, 3)).abs()
    ratio = ((strong - plain) / (weak - plain))[:, :, 0, 0]
    torch.testing.assert_close(ratio, (0.1 + 0.4 * means) / 0.1, atol=5e-3, rtol=5e-3)


def test_pyramid_noise_has_unit_variance_and_more_coarse_parts() -> None:
    plain, pyramid = (
        Noising().draw(LATENTS, 0, 0),
        Noising(multires_noise_iterations=6, multires_noise_discount=0.9).draw(LATENTS, 0, 0),
    )
    assert pyramid.noise.std().item() == pytest.approx(1, abs=1e-4)
    coarse = [torch.nn.functional.avg_pool2d(d.noise, 8).std().item() for d in (plain, pyramid)]
    assert coarse[1] > 1.5 * coarse[0]


def test_disturbed_input_leaves_the_target_alone() -> None:
    plain, disturbed = Noising().draw(LATENTS, 0, 0), Noising(ip_noise_gamma=0.1).draw(LATENTS, 0, 0)
    assert torch.equal(plain.noise, disturbed.noise)
    assert (disturbed.disturbing - disturbed.noise).std().item() == pytest.approx(0.1, abs=0.01)


def test_timesteps_stay_in_their_range() -> None:
    drawn = torch.cat([Noising(min_timestep=200, max_timestep=210).draw(LATENTS, 0, s).timesteps for s in range(9)])
    assert set(drawn.tolist()) == set(range(200, 210))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_timestep": 500, "max_timestep": 500}, "not below"),
        ({"noise_offset": 0.1, "multires_noise_iterations": 3}, "choose one"),
    ],
)
def test_what_contradicts_itself_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Noising.model_validate(fields)
