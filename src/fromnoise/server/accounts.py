"""Users and their tokens in the database: who may call a server that others can reach."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from fromnoise.errors import UserError
from fromnoise.jobs.database import Database
from fromnoise.jobs.job import LOCAL
from fromnoise.jobs.tables import JOBS, PICTURES, TOKENS, USERS
from fromnoise.server.access import Account, Identity, Role, digest, hashed, new_token

NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]|\.(?=[a-z0-9])){0,31}")  # it is also the name of a folder
RESERVED = (LOCAL, "con", "prn", "aux", "nul", "extras", "hints")
SESSION = 30 * 86_400.0  # seconds that a browser stays logged in
DAY = 86_400.0
MOST_TOKENS = 100  # of one user


@dataclass(frozen=True)
class User:
    """A user as an administrator sees them."""

    name: str
    role: Role
    created: float
    pictures_a_day: int | None = None  # None: no limit
    bytes: int | None = None  # that their pictures may have


@dataclass(frozen=True)
class Token:
    """What a program shows instead of a password; the token itself is known to nobody but its owner."""

    id: str  # the beginning of its digest
    label: str
    created: float
    expires: float | None


@dataclass
class Users:
    """The tables `users` and `tokens`, and tokens of the command line."""

    database: Database
    known: dict[str, Identity] = field(default_factory=dict)  # by digest
    clock: Callable[[], float] = field(default=time.time)
    changes: int = 0  # that this process has made
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """A transaction, after which nobody is believed to be who they were."""
        with self.database.writing() as connection:
            yield connection
        with self.lock:
            self.changes += 1

    # what `Access` asks

    def account(self, name: str) -> Account | None:
        with self.database.reading() as connection:
            row = connection.execute(select(USERS).where(USERS.c.name == plain(name))).one_or_none()
        return None if row is None else Account(row.name, row.role, row.password)

    def by_token(self, given: str) -> Identity | None:
        if given in self.known:
            return self.known[given]
        query = select(USERS.c.name, USERS.c.role, TOKENS.c.expires).join(USERS, USERS.c.name == TOKENS.c.user)
        with self.database.reading() as connection:
            row = connection.execute(query.where(TOKENS.c.digest == given)).one_or_none()
        if row is None or (row.expires is not None and row.expires < self.clock()):
            return None
        return Identity(row.name, row.role)

    def any(self) -> bool:
        if self.known:
            return True
        with self.database.reading() as connection:
            return connection.execute(select(USERS.c.name).limit(1)).first() is not None

    # users

    def users(self) -> list[User]:
        with self.database.reading() as connection:
            return [user_of(row) for row in connection.execute(select(USERS).order_by(USERS.c.name))]

    def get(self, name: str) -> User:
        """UserError where there is none."""
        with self.database.reading() as connection:
            row = connection.execute(select(USERS).where(USERS.c.name == plain(name))).one_or_none()
        if row is None:
            raise UserError(f"no user {name!r}: fromnoise users list shows who there is")
        return user_of(row)

    def add(self, name: str, password: str, role: Role = "user", *, pictures_a_day: int | None = None,
            size: int | None = None) -> User:  # fmt: skip
        """UserError for a bad name or password, or one that is taken."""
        if not NAME.fullmatch(name) or name in RESERVED or name.startswith("token-"):
            raise UserError(f"{name!r} can't be a user's name: small letters, digits, - and _, at most 32 of them")
        user = User(name, role, self.clock(), pictures_a_day, size)
        row = {"name": name, "role": role, "password": hashed(password), "created": user.created,
               "pictures_a_day": pictures_a_day, "bytes": size}  # fmt: skip
        with self.changing() as connection:
            if connection.execute(select(USERS.c.name).where(USERS.c.name == name)).first():
                raise UserError(f"there is a user {name!r} already")
            connection.execute(insert(USERS).values(row))
        return user

    def remove(self, name: str) -> None:
        """Forget a user and their tokens; their pictures stay. UserError."""
        self.get(name)
        with self.changing() as connection:
            connection.execute(delete(USERS).where(USERS.c.name == name))

    def set_password(self, name: str, password: str) -> None:
        """Change a password; who is logged in is logged out, tokens of programs stay. UserError."""
        self.get(name)
        with self.changing() as connection:
            connection.execute(update(USERS).where(USERS.c.name == name).values(password=hashed(password)))
            connection.execute(delete(TOKENS).where(TOKENS.c.user == name, TOKENS.c.session))

    def set_limits(self, name: str, *, role: Role, pictures_a_day: int | None, size: int | None) -> User:
        """UserError."""
        self.get(name)
        values = {"role": role, "pictures_a_day": pictures_a_day, "bytes": size}
        with self.changing() as connection:
            connection.execute(update(USERS).where(USERS.c.name == name).values(values))
        return self.get(name)

    # tokens

    def issue(self, name: str, label: str, *, session: bool = False, days: float | None = None) -> str:
        """A new token of a user's, which is shown this once. UserError."""
        self.get(name)
        token, now = new_token(), self.clock()
        span = SESSION if session else None if days is None else days * DAY
        row = {"digest": digest(token), "user": name, "label": label[:200].replace("\0", ""), "session": session,
               "created": now, "expires": None if span is None else now + span}  # fmt: skip
        with self.changing() as connection:
            connection.execute(delete(TOKENS).where(TOKENS.c.expires < now))
            count = select(func.count()).select_from(TOKENS).where(TOKENS.c.user == name)
            if connection.execute(count).scalar_one() >= MOST_TOKENS:
                raise UserError(f"{name} has {MOST_TOKENS} tokens already: remove some")
            connection.execute(insert(TOKENS).values(row))
        return token

    def tokens(self, name: str) -> list[Token]:
        """Those of a user's programs."""
        query = select(TOKENS).where(TOKENS.c.user == name, ~TOKENS.c.session).order_by(TOKENS.c.created)
        with self.database.reading() as connection:
            return [Token(row.digest[:16], row.label, row.created, row.expires) for row in connection.execute(query)]

    def revoke(self, name: str, token: str) -> bool:
        """Forget a token of a user's by its id; whether there was one."""
        if len(token) != 16 or not token.isalnum():
            return False
        with self.changing() as connection:
            found = (TOKENS.c.user == name, TOKENS.c.digest.startswith(token, autoescape=True))
            return connection.execute(delete(TOKENS).where(*found)).rowcount > 0

    def end_session(self, token: str) -> None:
        """Forget the token that a browser shows."""
        with self.changing() as connection:
            connection.execute(delete(TOKENS).where(TOKENS.c.digest == digest(token), TOKENS.c.session))

    # how much somebody may have

    def check_quota(self, name: str, more: int) -> None:
        """OverQuota where `more` pictures are more than a user may have made today, or keep."""
        with self.database.reading() as connection:
            row = connection.execute(select(USERS).where(USERS.c.name == name)).one_or_none()
            if row is None:
                return
            if row.pictures_a_day is not None and made_since(connection, name, self.clock() - DAY) + more > (
                row.pictures_a_day
            ):
                raise OverQuota(f"{row.pictures_a_day} pictures a day are what you may ask for")
            if row.bytes is not None and kept_by(connection, name) >= row.bytes:
                raise OverQuota("your pictures have as much room as they may: empty the bin, or delete some")


class OverQuota(UserError):
    """A user has had as much as they may."""


def made_since(connection: Connection, name: str, since: float) -> int:
    """Jobs that somebody has asked for; those that failed or were cancelled cost nothing."""
    counted = JOBS.c.state.not_in(("failed", "cancelled"))
    query = select(func.count()).select_from(JOBS).where(JOBS.c.owner == name, JOBS.c.created >= since, counted)
    return int(connection.execute(query).scalar_one())


def kept_by(connection: Connection, name: str) -> int:
    """Bytes of somebody's pictures, those in the bin included."""
    query = select(func.coalesce(func.sum(PICTURES.c.size), 0)).where(PICTURES.c.owner == name, PICTURES.c.root == "")
    return int(connection.execute(query).scalar_one())


def plain(name: str) -> str:
    """A name without what no database stores."""
    return name.replace("\0", "")


def user_of(row: Row[Any]) -> User:
    return User(row.name, row.role, row.created, row.pictures_a_day, row.bytes)
