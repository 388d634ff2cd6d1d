"""`fromnoise serve`: what can be typed for it."""

from pathlib import Path
from typing import Annotated

import typer

from fromnoise.cli.messages import say


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        rich_help_panel=say("Commands"),
        help=say("Serve pictures over HTTP: our own interface, AUTOMATIC1111's and OpenAI's."),
    )(serve)


def serve(
    host: Annotated[
        str, typer.Option(help=say("The address to listen at; any but this machine's own needs a token."))
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65535, help=say("The port to listen at."))] = 7860,
    token: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOKEN", envvar="FROMNOISE_TOKEN", help=say("What callers must know; may be given often.")
        ),
    ] = None,
    host_name: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=say("A name that the server answers to, besides localhost.")),
    ] = None,
    origin: Annotated[
        list[str] | None, typer.Option(metavar="URL", help=say("A site whose pages may call the server."))
    ] = None,
    device: Annotated[
        list[str] | None, typer.Option(metavar="DEVICE", help=say("A device to work on; a worker for each."))
    ] = None,
    outputs: Annotated[Path, typer.Option(metavar="FOLDER", help=say("Where pictures go."))] = Path("outputs"),
) -> None:
    from fromnoise import settings
    from fromnoise.cli.progress import note
    from fromnoise.server.serve import Service
    from fromnoise.server.serve import serve as run

    service = Service(
        host, port, tuple(token or ()), tuple(host_name or ()), tuple(origin or ()), tuple(device or ()), outputs
    )
    service.check()
    note(say("serving at http://{host}:{port} (Ctrl-C stops)", host=host, port=port))
    run(service, settings.read())
