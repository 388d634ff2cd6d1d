"""Losses are those of the papers and of kohya's formulas."""

import math

import pytest
import torch
from torch import Tensor

from fromnoise.checkpoints.detect import Prediction
from fromnoise.errors import UserError
from fromnoise.sampling.schedules import NoiseTable
from fromnoise.train.objective import Objective, noised, snr_at, target_of

TABLE = NoiseTable.ldm()
T = torch.tensor([0, 10, 300, 700, 999])
A = TABLE.alphas_cumprod[T].double()
SNR = A / (1 - A)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found.double(), wanted.double(), rtol=1e-4, atol=1e-7)


def test_snr() -> None:
    close(snr_at(T, TABLE), SNR)


@pytest.mark.parametrize(
    ("fields", "prediction", "wanted"),
    [
        ({}, "eps", torch.ones(5)),
        ({"min_snr_gamma": 5}, "eps", torch.minimum(SNR, torch.tensor(5.0)) / SNR),
        ({"min_snr_gamma": 5}, "v", torch.minimum(SNR, torch.tensor(5.0)) / (SNR + 1)),
        ({"debiased_estimation_loss": True}, "eps", SNR.clamp(max=1000) ** -0.5),
        ({"debiased_estimation_loss": True}, "v", 1 / (SNR.clamp(max=1000) + 1)),
        ({"scale_v_pred_loss_like_noise_pred": True}, "v", SNR.clamp(max=1000) / (SNR.clamp(max=1000) + 1)),
        ({"v_pred_like_loss": 0.5}, "eps", 1 + 0.5 * (SNR.clamp(max=1000) + 1) / SNR.clamp(max=1000)),
    ],
)
def test_weights(fields: dict[str, object], prediction: Prediction, wanted: Tensor) -> None:
    close(Objective.model_validate(fields).weight(T, TABLE, prediction), wanted)


@pytest.mark.parametrize("schedule", ["constant", "exponential", "snr"])
@pytest.mark.parametrize("kind", ["huber", "smooth_l1"])
def test_huber_by_its_formula(kind: str, schedule: str) -> None:
    a, b = random(5, 4, 3, 3).double(), random(5, 4, 3, 3, seed=1).double()
    c = {
        "constant": torch.full((5,), 0.2),
        "exponential": 0.1 ** (T / 1000) * 2,
        "snr": (0.9 / (1 + SNR**-0.5) ** 2 + 0.1) * 2,
    }[schedule].view(-1, 1, 1, 1)
    wanted = 2 * (((a - b) ** 2 + c**2).sqrt() - c) * (c if kind == "huber" else 1)
    found = Objective(loss_type=kind, huber_schedule=schedule, huber_scale=2.0).distance(a, b, T, TABLE)  # type: ignore[arg-type]
    close(found, wanted)


def test_huber_is_square_near_zero_and_straight_far_off() -> None:
    objective = Objective(loss_type="huber", huber_schedule="constant", huber_c=0.5)
    zero = torch.zeros(1, 1, 1, 1)
    near, far = (objective.distance(zero + d, zero, T[:1], TABLE).item() for d in (1e-2, 1e3))
    assert near == pytest.approx(1e-4, rel=1e-2)
    assert far == pytest.approx(1e3, rel=1e-2)


def test_masks_and_regularisation_count_as_they_should() -> None:
    predicted, target = random(2, 4, 4, 4), random(2, 4, 4, 4, seed=1)
    mask = torch.zeros(2, 1, 4, 4)
    mask[:, :, :2] = 1
    regular = torch.tensor([False, True])
    objective = Objective(prior_loss_weight=0.3)
    found = objective.loss(predicted, target, T[:2], TABLE, "eps", mask=mask, regular=regular)
    wanted = ((predicted - target) ** 2 * mask).mean(dim=(1, 2, 3)) * torch.tensor([1.0, 0.3])
    close(found, wanted)
    unmasked = Objective().loss(predicted, target, T[:2], TABLE, "eps")
    close(unmasked, ((predicted - target) ** 2).mean(dim=(1, 2, 3)))


def test_targets_and_noised_latents() -> None:
    x, noise = random(5, 4, 3, 3), random(5, 4, 3, 3, seed=1)
    keep, add = A.sqrt().view(-1, 1, 1, 1), (1 - A).sqrt().view(-1, 1, 1, 1)
    close(noised(x, noise, T, TABLE), keep * x + add * noise)
    close(target_of(x, noise, T, TABLE, "v"), keep * noise - add * x)
    assert target_of(x, noise, T, TABLE, "eps") is noise


def test_min_snr_with_zero_terminal_snr_is_finite_for_v() -> None:
    table = NoiseTable.ldm(zero_snr=True)
    weight = Objective(min_snr_gamma=5, zero_terminal_snr=True).weight(T, table, "v")
    assert torch.isfinite(weight).all()


@pytest.mark.parametrize(
    ("fields", "prediction", "message"),
    [
        ({"zero_terminal_snr": True}, "eps", "needs v-prediction"),
        ({"scale_v_pred_loss_like_noise_pred": True}, "eps", "leave it out"),
        ({"v_pred_like_loss": 1.0}, "v", "leave it out"),
    ],
)
def test_what_cannot_work_is_refused(fields: dict[str, object], prediction: Prediction, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Objective.model_validate(fields).check(prediction)


def test_two_weightings_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="choose one"):
        Objective(min_snr_gamma=5, debiased_estimation_loss=True)


def test_the_gradient_is_that_of_float64() -> None:
    predicted, target = random(5, 4, 3, 3).requires_grad_(), random(5, 4, 3, 3, seed=1)
    objective = Objective(min_snr_gamma=5, loss_type="huber")
    objective.loss(predicted, target, T, TABLE, "v").mean().backward()
    exact = predicted.detach().double().requires_grad_()
    c = (0.9 / (1 + SNR**-0.5) ** 2 + 0.1).view(-1, 1, 1, 1)
    huber = 2 * c * (((exact - target) ** 2 + c**2).sqrt() - c)
    weight = torch.minimum(SNR, torch.tensor(5.0)) / (SNR + 1)
    (huber.mean(dim=(1, 2, 3)) * weight).mean().backward()
    assert predicted.grad is not None
    assert exact.grad is not None
    torch.testing.assert_close(predicted.grad.double(), exact.grad, rtol=1e-3, atol=1e-8)
    assert math.isfinite(float(exact.grad.sum()))
