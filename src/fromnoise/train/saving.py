"""Files of what is learnt so far, as kohya's scripts write them: mycat-000002.safetensors after two epochs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Saving:
    """Every so many steps a file, of which the last ones stay."""

    every: int  # steps
    epochs: int = 0  # that those are; 0: files are called by their steps
    last: int | None = None  # epochs' files, or steps, that stay; None: all

    def due(self, step: int) -> bool:
        return step > 0 and step % self.every == 0

    def path(self, output: Path, step: int) -> Path:
        """Beside the finished file: NAME-000002 after two epochs, NAME-step00000500 after 500 steps."""
        number = f"{step // self.every * self.epochs:06d}" if self.epochs else f"step{step:08d}"
        return output.with_name(f"{output.stem}-{number}{output.suffix}")

    def outdated(self, output: Path, step: int) -> Path | None:
        """The file that goes when that of `step` is there."""
        if self.last is None:
            return None
        if self.epochs:
            old = step - self.every * self.last
        else:
            old = step - self.last - 1
            old -= old % self.every
        return self.path(output, old) if old > 0 else None


@dataclass(frozen=True)
class Files:
    """The files of a run on the way."""

    output: Path  # the finished file
    savings: Sequence[Saving]
    write: Callable[[Path, int], object]  # what is learnt after so many steps, into a file; FileError

    def due(self, step: int) -> bool:
        return any(saving.due(step) for saving in self.savings)

    def at(self, step: int) -> None:
        """Write what is due, and let those go that are not to stay. FileError."""
        for saving in self.savings:
            if saving.due(step):
                self.write(saving.path(self.output, step), step)
                if old := saving.outdated(self.output, step):
                    old.unlink(missing_ok=True)
