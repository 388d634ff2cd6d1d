"""Stopping a picture and going on later, bit for bit.

A sampler is a pure function of its inputs and of the answers it was sent. So its state is the answers: record them,
and a fresh sampler that is sent the same ones is where the old one was, without a single network call. Native noise is
keyed by step; sequential streams are drawn again in the same order. Wrap the sampler, not the guidance:

    recording = Recording()
    picture = drive(resumable(spec.start(x, sigmas, noise), recording), guide)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fromnoise.errors import UserError
from fromnoise.sampling.samplers import Sampler


@dataclass
class Recording:
    """The answers that a sampler was sent so far, and the noise levels it asked at."""

    sigmas: list[float] = field(default_factory=list)
    answers: list[Tensor] = field(default_factory=list)

    def clear(self) -> None:
        """Forget them: the picture begins anew."""
        self.shorten(0)

    def shorten(self, count: int) -> None:
        """Forget all but the first `count` answers: the picture goes on from there."""
        del self.sigmas[count:], self.answers[count:]

    def tensors(self) -> dict[str, Tensor]:
        """As named tensors, for a safetensors file."""
        answers = {f"answer_{index:05}": answer for index, answer in enumerate(self.answers)}
        return {"sigmas": torch.tensor(self.sigmas, dtype=torch.float64), **answers}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "Recording":
        """The recording that `tensors` was made of; UserError when they are not one."""
        names = sorted(name for name in tensors if name.startswith("answer_"))
        if "sigmas" not in tensors or len(tensors["sigmas"]) != len(names):
            raise UserError("these tensors are not a recording of a sampler: start the picture anew")
        return cls(tensors["sigmas"].tolist(), [tensors[name] for name in names])


def resumable(sampler: Sampler, recording: Recording) -> Sampler:
    """`sampler`, fast-forwarded through the answers in `recording`; new answers are added to it.

    UserError when the recording was made by a sampler that asked at other noise levels.
    """
    try:
        ask = next(sampler)
        for sigma, answer in zip(recording.sigmas, recording.answers, strict=True):
            if float(ask.sigma) != sigma or ask.x.shape != answer.shape[-ask.x.ndim :]:
                raise UserError("this recording belongs to a picture with other settings: start the picture anew")
            ask = sampler.send(answer.to(ask.x.device))
        while True:
            answer = yield ask
            recording.sigmas.append(float(ask.sigma))
            recording.answers.append(answer)
            ask = sampler.send(answer)
    except StopIteration as stop:
        latents: Tensor = stop.value
        return latents
