"""`fromnoise models ...`: what can be typed about the model files on the shelves."""

from typing import Annotated

import typer

from fromnoise.cli.messages import say

Kind = Annotated[
    str | None,
    typer.Option(metavar="KIND", help=say("Which kind of model: checkpoints, loras, vae, ...: see docs/library.md.")),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help=say("Name or path of a model file of any kind."))]
Json = Annotated[bool, typer.Option("--json", help=say("Print JSON."))]
Yes = Annotated[bool, typer.Option("--yes", "-y", help=say("Don't ask."))]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help=say("Print the path and nothing else."))]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    group = typer.Typer(help=say("List, describe, fetch and remove model files."))
    app.add_typer(group, name="models", rich_help_panel=say("Commands"))
    group.command("list", help=say("List the model files on the shelves."))(print_list)
    group.command("info", help=say("Say all that is known of a model file, and of what lies beside it."))(print_info)
    group.command("get", help=say("Fetch a model from a hub, and put it on its shelf."))(get)
    group.command("remove", help=say("Move a model file, with what belongs to it, to a bin."))(remove)
    group.command("scan", help=say("Read what is new on the shelves: families, metadata and hashes."))(scan)


def print_list(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help=say("Only this kind: checkpoints, loras, vae, ..."))
    ] = None,
    search: Annotated[
        str | None, typer.Option(metavar="WORDS", help=say("Only files with these words in their name or title."))
    ] = None,
    as_json: Json = False,
) -> None:
    from fromnoise.cli.shelf_show import list_models

    list_models(kind, search or "", as_json)


def print_info(name: Name, kind: Kind = None, as_json: Json = False) -> None:
    from fromnoise.cli.shelf_show import describe_model

    describe_model(name, kind, as_json)


def get(
    name: Annotated[
        str, typer.Argument(metavar="REPO", help=say("OWNER/NAME or OWNER/NAME/FILE on the hub, or its address."))
    ],
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help=say("A file or folder in the repository."))
    ] = None,
    kind: Kind = None,
    revision: Annotated[
        str | None, typer.Option(metavar="NAME", help=say("A branch, a tag or a commit; by default the newest."))
    ] = None,
    save_as: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help=say("Another name for the file, without its suffix."))
    ] = None,
    pickle: Annotated[
        bool, typer.Option("--pickle", help=say("Fetch a pickle, too; it is read with care, but not by every tool."))
    ] = False,
    yes: Yes = False,
    quiet: Quiet = False,
) -> None:
    from fromnoise.cli.shelf_get import get_model

    get_model(name, file, kind, revision, save_as, pickle, yes, quiet)


def remove(
    name: Name,
    kind: Kind = None,
    for_good: Annotated[bool, typer.Option("--for-good", help=say("Delete it instead."))] = False,
    yes: Yes = False,
) -> None:
    from fromnoise.cli.shelf_remove import remove_model

    remove_model(name, kind, for_good, yes)


def scan(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help=say("Say nothing but what fails."))] = False,
) -> None:
    from fromnoise.cli.shelf_show import scan_shelves

    scan_shelves(quiet)
