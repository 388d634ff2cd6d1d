"""`fromnoise serve` and `fromnoise studio`: what can be typed for them."""

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fromnoise.cli.messages import say, sentences

if TYPE_CHECKING:
    from fromnoise.server.serve import Service

HOST, PORT, OUTPUTS = "127.0.0.1", 7860, Path("outputs")

Host = Annotated[str, typer.Option(help=say("The address to listen at; any but this machine's own needs a token."))]
Port = Annotated[int, typer.Option(metavar="N", min=1, max=65535, help=say("The port to listen at."))]
Token = Annotated[
    list[str] | None,
    typer.Option(metavar="TOKEN", envvar="FROMNOISE_TOKEN", help=say("What callers must know; may be given often.")),
]
HostName = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help=say("A name that the server answers to, besides localhost.")),
]
Origin = Annotated[list[str] | None, typer.Option(metavar="URL", help=say("A site whose pages may call the server."))]
Device = Annotated[
    list[str] | None, typer.Option(metavar="DEVICE", help=say("A device to work on; a worker for each."))
]
Outputs = Annotated[Path, typer.Option(metavar="FOLDER", help=say("Where pictures go."))]
Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help=say("What the program may take of each device's memory, such as 4GB.")),
]
Certificate = Annotated[
    Path | None,
    typer.Option("--c2pa-certificate", metavar="FILE", help=say("A certificate (PEM) that signs every picture: C2PA.")),
]
Key = Annotated[Path | None, typer.Option("--c2pa-key", metavar="FILE", help=say("The key of that certificate."))]
NoBrowser = Annotated[
    bool, typer.Option("--no-browser", help=say("Open no browser; the address is printed all the same."))
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    panel = say("Commands")
    app.command(
        rich_help_panel=panel, help=say("Serve pictures over HTTP: our own interface, AUTOMATIC1111's and OpenAI's.")
    )(serve)
    app.command(
        rich_help_panel=panel, help=say("Open the studio, a page in the browser; without a command this is it.")
    )(studio)


def serve(
    host: Host = HOST,
    port: Port = PORT,
    token: Token = None,
    host_name: HostName = None,
    origin: Origin = None,
    device: Device = None,
    outputs: Outputs = OUTPUTS,
    memory: Memory = None,
    certificate: Certificate = None,
    key: Key = None,
) -> None:
    run(service(host, port, token, host_name, origin, device, outputs, memory, certificate, key))


def studio(
    host: Host = HOST,
    port: Port = PORT,
    token: Token = None,
    host_name: HostName = None,
    origin: Origin = None,
    device: Device = None,
    outputs: Outputs = OUTPUTS,
    memory: Memory = None,
    certificate: Certificate = None,
    key: Key = None,
    no_browser: NoBrowser = False,
) -> None:
    from fromnoise.cli import opening
    from fromnoise.cli.progress import note
    from fromnoise.errors import UserError
    from fromnoise.server import page

    if not page.is_built():
        raise UserError(say("the studio's page is not built: python launch.py builds it, and opens it"))
    address = f"http://{opening.reachable(host)}:{port}"
    if opening.answers(address):
        note(say("the studio is open already, at {address}", address=address))
        if not no_browser:
            opening.show(address)
        return
    if not no_browser:
        opening.show_when_ready(address)
    run(service(host, port, token, host_name, origin, device, outputs, memory, certificate, key))


def service(
    host: str,
    port: int,
    token: list[str] | None,
    host_name: list[str] | None,
    origin: list[str] | None,
    device: list[str] | None,
    outputs: Path,
    memory: str | None,
    certificate: Path | None,
    key: Path | None,
) -> "Service":
    """What was typed, as the server takes it."""
    gc.disable()  # until the server stands: most of what its imports make stays, and to look at it all takes a while
    from fromnoise.engine.sizes import parsed
    from fromnoise.errors import UserError
    from fromnoise.server.serve import Service

    if (certificate is None) != (key is None):
        raise UserError(say("--c2pa-certificate and --c2pa-key go together: give both"))
    for file in filter(None, (certificate, key)):
        if not file.is_file():
            raise UserError(say("{file}: no such file", file=file))
    return Service(
        host, port, tuple(token or ()), tuple(host_name or ()), tuple(origin or ()), tuple(device or ()), outputs,
        None if certificate is None else certificate.absolute(), None if key is None else key.absolute(),
        None if memory is None else parsed(memory),
    )  # fmt: skip


def run(service: "Service") -> None:
    from fromnoise import settings
    from fromnoise.cli.progress import note
    from fromnoise.server.serve import serve

    note(say("serving at http://{host}:{port} (Ctrl-C stops)", host=service.host, port=service.port))
    serve(service, settings.read(), sentences)
