"""Commands on model files: what can be typed for them."""

from pathlib import Path
from typing import Annotated

import typer

from fromnoise.cli.messages import say


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    panel = say("Commands")
    app.command("hash", rich_help_panel=panel, help=say("Print the hashes of files, as every tool computes them."))(
        print_hashes
    )


def print_hashes(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=say("Model files."))],
) -> None:
    from fromnoise.cli.hashing import report

    print(report(files))
