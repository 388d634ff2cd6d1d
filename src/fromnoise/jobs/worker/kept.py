"""What an interrupted picture goes on from: the answers that its sampler was sent so far, in a file of its own."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file

from fromnoise.checkpoints.files import read
from fromnoise.errors import UserError
from fromnoise.sampling.resume import Recording


@dataclass(frozen=True)
class Kept:
    """A folder of recordings, one a job."""

    folder: Path

    def path(self, job: str) -> Path:
        return self.folder / f"{job}.safetensors"

    def save(self, job: str, recording: Recording) -> None:
        """Whole or not at all. OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f".{job}.part"
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in recording.tensors().items()}
        save_file(tensors, part)
        os.replace(part, self.path(job))

    def load(self, job: str) -> Recording:
        """The recording of a job; an empty one where there is none, or none that can be read."""
        with suppress(UserError, OSError):
            return Recording.from_tensors({name: tensor.clone() for name, tensor in read(self.path(job)).items()})
        return Recording()

    def forget(self, job: str) -> None:
        with suppress(OSError):
            self.path(job).unlink(missing_ok=True)
