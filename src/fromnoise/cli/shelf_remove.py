"""`fromnoise models remove`: a model file goes to a bin beside it, with what belongs to it."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from fromnoise import settings
from fromnoise.cli.messages import say
from fromnoise.cli.progress import note
from fromnoise.cli.shelf_show import located, opened
from fromnoise.engine.shelf_bin import belongings, put_away
from fromnoise.engine.shelves import builtin
from fromnoise.errors import FileError, UserError


def remove_model(name: str, kind: str | None, for_good: bool, yes: bool) -> None:
    """Ask, then move or delete; print what became of it."""
    here = settings.read()
    _, path = located(name, kind, here)
    if path == builtin():
        raise UserError(say("the built-in model comes with the package and stays"))
    files = belongings(path)
    bin_ = path.parent
    if not yes:
        confirm(files, for_good)
    try:
        if for_good:
            for file in files:
                shutil.rmtree(file) if file.is_dir() and not file.is_symlink() else file.unlink()
        else:
            bin_ = put_away(files)
    except OSError as error:
        raise FileError(f"{error.filename}: {error.strerror}") from error
    index = opened(here)
    if index is not None:
        index.refresh(here)
    if for_good:
        note(say("deleted {count} files", count=len(files)))
    else:
        note(say("moved {count} files; to have them back, move them out again", count=len(files)))
        print(bin_)


def confirm(files: Sequence[Path], for_good: bool) -> None:
    """Ask on a terminal; UserError where the answer is no, or nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UserError(say("this removes files: confirm it with --yes"))
    for file in files:
        note(f"  {file}")
    question = say("delete these files? [y/N] ") if for_good else say("move these files to a bin? [y/N] ")
    print(question, end="", file=sys.stderr, flush=True)
    if input().strip().lower() not in ("y", "yes", "是"):
        raise UserError(say("nothing was removed"))
