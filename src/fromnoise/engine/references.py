"""Files that a recipe names besides models."""

import hashlib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field


class ImageRef(BaseModel):
    """A file that a recipe starts from, a picture or latents saved by ComfyUI: where it was, and what it was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")  # of the file

    @classmethod
    def of(cls, path: Path) -> Self:
        """The reference to a file; FileError is left to whoever opens it as a picture."""
        return cls(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())
