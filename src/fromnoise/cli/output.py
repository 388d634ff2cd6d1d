"""Where pictures go: names that say what they are, nothing overwritten by accident, nothing half written."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from fromnoise.cli.messages import say
from fromnoise.errors import FileError

DEFAULT_FOLDER = Path("outputs")
SLUG_LENGTH = 40  # characters


@dataclass(frozen=True)
class Destination:
    """A folder in which each picture gets a name of its own, or the one file that the user named."""

    folder: Path
    name: str | None = None  # of the file, without .png

    @classmethod
    def of(cls, out: str | None) -> "Destination":
        """What --out means: a folder where it ends in a slash or is one, else a PNG file; FileError for other kinds."""
        if out is None:
            return cls(DEFAULT_FOLDER)
        path = Path(out).expanduser()
        if out.endswith(("/", "\\")) or os.path.isdir(path):
            return cls(path)
        if path.suffix.lower() not in ("", ".png"):
            name = path.with_suffix(".png")
            raise FileError(say("--out {out}: pictures are written as PNG; use {name}", out=out, name=name))
        return cls(path.parent, path.stem)

    def check(self) -> None:
        """FileError where nothing can be written, before any time is spent on pictures. Makes no folder."""
        parents = (self.folder, *self.folder.absolute().parents)
        existing = next(place for place in parents if os.path.exists(place))  # Path.exists raises on some
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
            with suppress(FileNotFoundError):
                (self.folder / f"{self.name}.png").lstat()  # too long a name, for one
        except OSError as error:
            blocked = existing.exists() and not existing.is_dir()
            reason = say("{file} is a file", file=existing) if blocked else f"{error.strerror}: {existing}"
            raise FileError(unwritable(self.folder, reason)) from None

    def stem(self, prompt: str, seed: int, number: int | None) -> str:
        """The name of one picture without .png; `number` tells the pictures of a batch apart."""
        if self.name is None:
            return f"{date.today().isoformat()}-{seed}-{slug(prompt)}"
        return self.name if number is None else f"{self.name}-{number}"

    def beside(self, stem: str, number: int | None) -> str:
        """The name of what was made of a file that has a name: `stem`, unless the user named the file."""
        if self.name is None:
            return stem
        return self.name if number is None else f"{self.name}-{number}"

    @contextmanager
    def claimed(self, stem: str) -> Iterator[Path]:
        """The path of a picture, to be written inside the `with`. Only a file that the user named is overwritten.

        Other names are claimed by an empty file, so that two commands at once can't choose the same one; the file goes
        away where the picture fails.
        """
        if self.name is not None:
            yield self.folder / f"{stem}.png"
            return
        path = self._claim(stem)
        try:
            yield path
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _claim(self, stem: str) -> Path:
        count = 1
        while True:
            path = self.folder / (f"{stem}.png" if count == 1 else f"{stem}-{count}.png")
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                path.open("xb").close()
                return path
            except FileExistsError:
                count += 1
            except OSError as error:
                raise FileError(unwritable(path, error.strerror or str(error))) from error


def unwritable(place: Path, reason: str) -> str:
    return say("can't write to {place} ({reason}); choose another place with --out", place=place, reason=reason)


def slug(prompt: str) -> str:
    """The letters and digits of a prompt, of any script, as part of a file name.

    >>> slug("A red apple, (high quality:1.2)"), slug("一只猫"), slug("???")
    ('a-red-apple-high-quality-1-2', '一只猫', 'picture')
    """
    words = "".join(c if c.isalnum() else " " for c in prompt.lower()).split()
    return "-".join(words)[:SLUG_LENGTH].strip("-") or "picture"
