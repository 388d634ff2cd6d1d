"""Distillation to an LCM-LoRA: a LoRA learns to go to the end in a step from anywhere, with guidance built in.

Luo et al. (2023), "Latent Consistency Models", algorithm 1, and "LCM-LoRA"; the teacher is the model itself.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from pydantic import Field, model_validator
from torch import Tensor

from fromnoise.engine.library import Model
from fromnoise.train.emoji import philox
from fromnoise.train.finetune import FineTuneTask
from fromnoise.train.lora import LoRATraining
from fromnoise.train.lora_options import LoRAOptions
from fromnoise.train.noising import normal
from fromnoise.train.objective import STEPS, mixing, noised

SIGMA_DATA = 0.5
TIME_SCALE = 10.0  # of timesteps in the boundary condition


class DistilOptions(LoRAOptions):
    """Options of a distillation: those of its LoRA, and the teacher's."""

    rank: int = Field(default=64, ge=1, le=1024, description="Inner size (network_dim).")
    alpha: float = Field(default=64.0, gt=0, description="Strength times the rank (network_alpha).")
    text: bool = Field(default=False, description="Never: the text encoders stay.")
    least_guidance: float = Field(default=3.0, ge=0, description="The least guidance that is built in.")
    most_guidance: float = Field(default=15.0, ge=0, description="The most.")
    teacher_steps: int = Field(
        default=50, ge=2, le=1000, description="DDIM steps of the teacher, one of which is learnt."
    )
    huber: float = Field(default=0.001, gt=0, description="Where the loss turns from square to straight.")

    @model_validator(mode="after")
    def _fit(self) -> "DistilOptions":
        if self.kind != "lora" or self.dora or self.tucker or self.text:
            raise ValueError("an LCM-LoRA is a plain LoRA of the U-Net: leave kind, dora, use_tucker and text out")
        if self.least_guidance > self.most_guidance:
            raise ValueError("least_guidance is above most_guidance")
        return self


class DistilTraining(LoRATraining):
    """A LoRA that can be set aside, so that the model is its own teacher."""

    options: DistilOptions

    def __init__(self, model: Model, options: DistilOptions, seed: int) -> None:
        super().__init__(model, options, seed)

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Inside, the networks compute without it."""
        self.on = False
        try:
            yield
        finally:
            self.on = True


class DistilTask(FineTuneTask):
    """The consistency loss in place of the diffusion loss."""

    def parts(self, step: int) -> Iterator[tuple[Tensor, Mapping[str, float]]]:
        training = self.trainable
        assert isinstance(training, DistilTraining)
        options, model = training.options, self.model
        batch = self.batch(step)
        clean, rng = batch.clean, philox(self.lesson.seed, 22, step)
        stride = STEPS // options.teacher_steps
        index = torch.from_numpy(rng.integers(0, options.teacher_steps, len(clean)))
        now = ((index + 1) * stride - 1).to(clean.device)
        before = (now - stride).clamp(min=0)
        noisy = noised(clean, normal(rng, tuple(clean.shape)).to(clean), now, model.table)
        spread = options.most_guidance - options.least_guidance
        scale = (torch.from_numpy(rng.random(len(clean), dtype="float32")) * spread + options.least_guidance).to(clean)
        with self.applied(), self.chance(step):
            predicted = self.answer(noisy, now, batch)
            student = self.final(noisy, now, predicted)
            with torch.no_grad():
                with training.set_aside():
                    cond = self.answer(noisy, now, batch)
                    empty = self.answer(noisy, now, batch.saying([""] * len(clean)))
                earlier = self.step_back(noisy, now, before, (cond, empty), scale.view(-1, 1, 1, 1))
                wanted = self.final(earlier, before, self.answer(earlier, before, batch))
        c = options.huber
        losses = (((student - wanted).square() + c * c).sqrt() - c).mean(dim=(1, 2, 3))
        yield losses.mean(), {}

    def meant(self, noisy: Tensor, timesteps: Tensor, answer: Tensor) -> tuple[Tensor, Tensor]:
        """The clean latents and the noise that an answer means."""
        keep, add = mixing(timesteps, self.model.table, noisy)
        answer = answer.float()
        if self.model.facts.prediction == "v":
            return keep * noisy - add * answer, keep * answer + add * noisy
        return (noisy - add * answer) / keep, answer

    def final(self, noisy: Tensor, timesteps: Tensor, answer: Tensor) -> Tensor:
        """Where the consistency function goes: equation 9, so that it is the identity where there is no noise."""
        scaled = TIME_SCALE * timesteps.float().view(-1, 1, 1, 1)
        skip = SIGMA_DATA**2 / (scaled**2 + SIGMA_DATA**2)
        return skip * noisy + scaled * (scaled**2 + SIGMA_DATA**2).rsqrt() * self.meant(noisy, timesteps, answer)[0]

    def step_back(
        self, noisy: Tensor, now: Tensor, before: Tensor, answers: tuple[Tensor, Tensor], scale: Tensor
    ) -> Tensor:
        """One guided DDIM step of the teacher: Song et al. (2021), equation 12 without noise."""
        (clean, noise), (clean_empty, noise_empty) = (self.meant(noisy, now, answer) for answer in answers)
        keep, add = mixing(before, self.model.table, noisy)
        return keep * (clean + scale * (clean - clean_empty)) + add * (noise + scale * (noise - noise_empty))
