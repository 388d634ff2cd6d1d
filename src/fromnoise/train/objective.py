"""What training minimises: how far a prediction is off, and how much that counts at each noise level.

The names and formulas are kohya sd-scripts'; papers stand at each. SNR is alphas_cumprod / (1 - alphas_cumprod).
"""

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from fromnoise.checkpoints.detect import Prediction
from fromnoise.errors import UserError
from fromnoise.sampling.schedules import NoiseTable

MOST_SNR = 1000.0  # above it nothing changes: there is hardly any noise
STEPS = 1000  # timesteps of every model


class Objective(BaseModel):
    """The loss of diffusion training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss_type: Literal["l2", "l1", "huber", "smooth_l1"] = Field(default="l2", description="How distance counts.")
    huber_c: float = Field(default=0.1, gt=0, description="Where huber and smooth_l1 turn from square to straight.")
    huber_schedule: Literal["constant", "exponential", "snr"] = Field(
        default="snr", description="How that changes with the noise level."
    )
    huber_scale: float = Field(default=1.0, gt=0, description="Times huber_c.")
    min_snr_gamma: float | None = Field(
        default=None, gt=0, description="Noise levels with a higher SNR count less; 5 is usual (Hang et al., 2023)."
    )
    debiased_estimation_loss: bool = Field(default=False, description="Count by 1/sqrt(SNR) (Yu et al., 2024).")
    scale_v_pred_loss_like_noise_pred: bool = Field(default=False, description="v: count noise levels as for eps.")
    v_pred_like_loss: float | None = Field(
        default=None, gt=0, description="eps: add the loss that v would have, this much."
    )
    prior_loss_weight: float = Field(default=1.0, ge=0, description="How much regularisation pictures count.")
    masked_loss: bool = Field(
        default=False, description="Pictures of conditioning_data_dir are masks, where they steer nothing."
    )
    zero_terminal_snr: bool = Field(default=False, description="The last timestep is pure noise (Lin et al., 2023).")

    @model_validator(mode="after")
    def _one_weighting(self) -> "Objective":
        if self.min_snr_gamma and self.debiased_estimation_loss:
            raise ValueError("min_snr_gamma and debiased_estimation_loss both weigh noise levels: choose one")
        return self

    def check(self, prediction: Prediction) -> None:
        """UserError for what can't work with a model that predicts this."""
        if self.zero_terminal_snr and prediction != "v":
            raise UserError(
                "zero_terminal_snr needs v-prediction: at pure noise an eps model is shown nothing of the picture, and "
                "its loss there is divided by zero; train a v model or leave zero_terminal_snr out"
            )
        if self.scale_v_pred_loss_like_noise_pred and prediction != "v":
            raise UserError("scale_v_pred_loss_like_noise_pred is for models that predict v; leave it out")
        if self.v_pred_like_loss and prediction == "v":
            raise UserError("v_pred_like_loss is for models that predict eps; leave it out")

    def loss(
        self,
        predicted: Tensor,
        target: Tensor,
        timesteps: Tensor,
        table: NoiseTable,
        prediction: Prediction,
        *,
        mask: Tensor | None = None,
        regular: Tensor | None = None,
    ) -> Tensor:
        """The loss of each picture (b): predicted, target (b c h w), timesteps (b), mask (b 1 h w) in [0, 1].

        `regular` (b) marks regularisation pictures.
        """
        off = self.distance(predicted.float(), target.float(), timesteps, table)
        if mask is not None:
            off = off * mask
        per_picture = off.mean(dim=tuple(range(1, off.ndim)))
        if regular is not None:
            per_picture = per_picture * torch.where(regular, self.prior_loss_weight, 1.0)
        return per_picture * self.weight(timesteps, table, prediction)

    def distance(self, predicted: Tensor, target: Tensor, timesteps: Tensor, table: NoiseTable) -> Tensor:
        """Element by element (b c h w). Pseudo-Huber: Charbonnier et al. (1994)."""
        difference = predicted - target
        if self.loss_type == "l2":
            return difference.square()
        if self.loss_type == "l1":
            return difference.abs()
        c = self.turning_points(timesteps, table).view(-1, *(1,) * (difference.ndim - 1))
        root = (difference.square() + c.square()).sqrt() - c
        return 2 * c * root if self.loss_type == "huber" else 2 * root

    def turning_points(self, timesteps: Tensor, table: NoiseTable) -> Tensor:
        """c at each timestep (b)."""
        c = self.huber_c
        if self.huber_schedule == "constant":
            return torch.full(timesteps.shape, c * self.huber_scale, device=timesteps.device)
        if self.huber_schedule == "exponential":
            return torch.exp(math.log(c) / STEPS * timesteps.float()) * self.huber_scale
        sigma = (1 / snr_at(timesteps, table)).sqrt()
        return ((1 - c) / (1 + sigma) ** 2 + c) * self.huber_scale

    def weight(self, timesteps: Tensor, table: NoiseTable, prediction: Prediction) -> Tensor:
        """What the loss at each timestep is multiplied by (b)."""
        snr = snr_at(timesteps, table)
        v = prediction == "v"
        weight = torch.ones_like(snr)
        if self.min_snr_gamma:
            weight = snr.clamp(max=self.min_snr_gamma) / (snr + 1 if v else snr)
        held = snr.clamp(max=MOST_SNR)
        if self.scale_v_pred_loss_like_noise_pred:
            weight = weight * held / (held + 1)
        if self.v_pred_like_loss:
            weight = weight * (1 + (held + 1) / held * self.v_pred_like_loss)
        if self.debiased_estimation_loss:
            weight = weight * (1 / (held + 1) if v else held.rsqrt())
        return weight


def snr_at(timesteps: Tensor, table: NoiseTable) -> Tensor:
    """Signal-to-noise ratio at each timestep (b)."""
    alphas = table.alphas_cumprod.to(timesteps.device)[timesteps]
    return (alphas / (1 - alphas)).float()


def target_of(latents: Tensor, noise: Tensor, timesteps: Tensor, table: NoiseTable, prediction: Prediction) -> Tensor:
    """What the network should answer (b c h w): the noise, or v = sqrt(a) noise - sqrt(1 - a) latents.

    Ho et al. (2020); Salimans and Ho (2022), section 4.
    """
    if prediction != "v":
        return noise
    keep, add = mixing(timesteps, table, latents)
    return keep * noise - add * latents


def noised(latents: Tensor, noise: Tensor, timesteps: Tensor, table: NoiseTable) -> Tensor:
    """sqrt(a) latents + sqrt(1 - a) noise: Ho et al. (2020), equation 4."""
    keep, add = mixing(timesteps, table, latents)
    return keep * latents + add * noise


def mixing(timesteps: Tensor, table: NoiseTable, like: Tensor) -> tuple[Tensor, Tensor]:
    """sqrt(a) and sqrt(1 - a), each (b 1 1 1)."""
    alphas = table.alphas_cumprod.to(like.device)[timesteps].view(-1, *(1,) * (like.ndim - 1))
    return alphas.sqrt().to(like.dtype), (1 - alphas).sqrt().to(like.dtype)
