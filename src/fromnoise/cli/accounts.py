"""`fromnoise users`: who may use a server that others can reach."""

import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from fromnoise.cli.messages import say
from fromnoise.errors import UserError

if TYPE_CHECKING:
    from fromnoise.server.accounts import Users

GIGA = 1e9

Name = Annotated[str, typer.Argument(metavar="NAME", help=say("The name that they log in with."))]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    users = typer.Typer(no_args_is_help=True, help=say("Accounts of a server: add, list, remove, passwd."))
    users.command(help=say("Add an account; the password is asked for, or read from stdin."))(add)
    users.command("list", help=say("List the accounts."))(list_all)
    users.command(help=say("Remove an account; its pictures stay."))(remove)
    users.command(help=say("Change a password; who is logged in is logged out."))(passwd)
    app.add_typer(users, name="users", rich_help_panel=say("Commands"))


def add(
    name: Name,
    admin: Annotated[bool, typer.Option("--admin", help=say("An administrator, who may do everything."))] = False,
    pictures_a_day: Annotated[
        int | None, typer.Option(metavar="N", min=0, help=say("Pictures that they may ask for in a day."))
    ] = None,
    room: Annotated[
        float | None, typer.Option(metavar="GB", min=0, help=say("Room that their pictures may have."))
    ] = None,
) -> None:
    users = opened()
    if not users.users() and not admin:
        raise UserError(say("the first account has to be an administrator's: add --admin"))
    size = None if room is None else int(room * GIGA)
    users.add(name, password(), "admin" if admin else "user", pictures_a_day=pictures_a_day, size=size)
    print(say("{name} can log in now", name=name))


def list_all() -> None:
    for user in opened().users():
        limits = [
            say("{count} pictures a day", count=user.pictures_a_day) if user.pictures_a_day is not None else "",
            f"{user.bytes / GIGA:.1f} GB" if user.bytes is not None else "",
        ]
        print("\t".join([user.name, user.role, *filter(None, limits)]))


def remove(name: Name) -> None:
    opened().remove(name)
    print(say("{name} is gone; their pictures stay", name=name))


def passwd(name: Name) -> None:
    users = opened()
    users.get(name)
    users.set_password(name, password())
    print(say("the password of {name} is changed", name=name))


def opened() -> "Users":
    """UserError where there is no place for a database."""
    from fromnoise import settings
    from fromnoise.jobs.database import Database
    from fromnoise.server.accounts import Users

    url = settings.read().database_url
    if url is None:
        raise UserError("there is no place for the database: name a folder in FROMNOISE_DATA")
    return Users(Database.open(url))


def password() -> str:
    """Typed twice on a terminal; else the first line of stdin."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass(say("password: "))
    if getpass.getpass(say("once more: ")) != first:
        raise UserError(say("these two are not the same"))
    return first
