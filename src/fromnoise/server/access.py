"""Who calls: nobody in particular on this machine, or somebody with a token, a password, or a session.

Authorization: Bearer TOKEN         programs, and clients of the OpenAI API
Authorization: Basic NAME:PASSWORD  clients of AUTOMATIC1111's API
Cookie: fromnoise-session           the studio
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, Protocol

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from starlette.requests import HTTPConnection

from fromnoise.errors import UserError
from fromnoise.server.errors import ApiError
from fromnoise.server.guard import LOOPBACK
from fromnoise.server.limits import Limiter, Rate

Role = Literal["user", "admin"]
COOKIE = "fromnoise-session"
TOKEN_BYTES = 32
FAILURES = Rate(10, 300.0)  # wrong passwords of one address
HASHER = PasswordHasher()  # argon2id with the parameters of RFC 9106's second recommendation
SHORTEST_PASSWORD = 8
TOGETHER = 2  # passwords that are checked at once
MOST_PROVEN = 1000  # that need not be checked again: clients of AUTOMATIC1111 send theirs with every call
REMEMBERED = 1.0  # seconds that who called is known without a look; what other processes change counts after them
MOST_REMEMBERED = 1000


@dataclass(frozen=True)
class Identity:
    """Who calls, and what they may."""

    name: str
    role: Role = "user"

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"


LOCAL = Identity("local", "admin")  # whoever sits at this machine, where there are no accounts


@dataclass(frozen=True)
class Account:
    """A user as they are stored."""

    name: str
    role: Role
    password: str  # argon2 hash


class Accounts(Protocol):
    """Where users and tokens are kept."""

    def account(self, name: str) -> Account | None: ...

    def by_token(self, digest: str) -> Identity | None:
        """Whose token has this SHA-256; None for nobody's, or one that has run out."""
        ...

    def any(self) -> bool:
        """Whether there is a user or a token at all."""
        ...

    @property
    def changes(self) -> int:
        """How often this process has changed something."""
        ...


@cache
def nobodys() -> str:
    """A hash that is checked where a name is unknown, so that names can't be found out by time."""
    return HASHER.hash(secrets.token_hex())


def new_token() -> str:
    """A token that can't be guessed; only its digest is kept."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def hashed(password: str) -> str:
    """What is kept of a password. UserError where it is too short."""
    if len(password) < SHORTEST_PASSWORD:
        raise UserError(f"a password has at least {SHORTEST_PASSWORD} characters")
    return HASHER.hash(password)


Shown = tuple[str, bytes]  # an address, and the digest of what was shown from there


@dataclass(frozen=True)
class Seen:
    """Somebody who called a moment ago."""

    who: Identity
    until: float
    changes: int  # of the accounts, when they were looked at


def shown(connection: HTTPConnection) -> Shown:
    """What tells who calls; no secret is kept."""
    headers = connection.headers
    told = f"{headers.get('authorization', '')}\0{headers.get('cookie', '')}"
    return connection.client.host if connection.client else "", hashlib.sha256(told.encode("utf-8", "replace")).digest()


@dataclass
class Access:
    """Tells who calls. Without accounts only this machine may, and is the administrator."""

    accounts: Accounts
    failures: Limiter
    proven: OrderedDict[bytes, None] = field(default_factory=OrderedDict)  # passwords that were right, by `mark`
    key: bytes = field(default_factory=secrets.token_bytes)  # of `mark`, known to nobody
    turns: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(TOGETHER))
    recent: OrderedDict[Shown, Seen] = field(default_factory=OrderedDict)
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def to(cls, accounts: Accounts) -> "Access":
        return cls(accounts, Limiter(FAILURES))

    def known(self, connection: HTTPConnection) -> Identity | None:
        """Who calls, if the same was shown a moment ago; waits for nothing."""
        seen = self.recent.get(shown(connection))
        if seen is None or seen.until < self.clock() or seen.changes != self.accounts.changes:
            return None
        return seen.who

    def who(self, connection: HTTPConnection) -> Identity:
        """ApiError 401 for whoever can't say, 429 for whoever guesses."""
        changes = self.accounts.changes
        found = self.looked_up(connection)
        self.recent[shown(connection)] = Seen(found, self.clock() + REMEMBERED, changes)
        while len(self.recent) > MOST_REMEMBERED:
            self.recent.popitem(last=False)
        return found

    def looked_up(self, connection: HTTPConnection) -> Identity:
        """ApiError 401 for whoever can't say, 429 for whoever guesses."""
        address = connection.client.host if connection.client else ""
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        session = connection.cookies.get(COOKIE)
        if scheme.lower() == "basic":
            return self.by_password(*basic(given), address)
        token = given.strip() if scheme.lower() == "bearer" else session
        if token:
            found = self.accounts.by_token(digest(token))
            if found is None and scheme and self.accounts.any():
                raise self.refused(address)
            if found is not None:
                return found
        if not self.accounts.any() and is_loopback(address):
            return LOCAL
        raise ApiError(401, "unauthorised", "say who you are: a token, or a name and a password")

    def by_token(self, token: str, address: str) -> Identity:
        """Whose token it is; ApiError where it is nobody's."""
        self.check_failures(address)
        found = self.accounts.by_token(digest(token))
        if found is None:
            raise self.refused(address)
        return found

    def by_password(self, name: str, password: str, address: str) -> Identity:
        """The user of that name; ApiError where the password is another."""
        self.check_failures(address)
        account = self.accounts.account(name)
        stored = account.password if account else nobodys()
        mark = hmac.digest(self.key, f"{stored}\0{password}".encode(), "sha256")
        if mark not in self.proven:
            try:
                with self.turns:  # argon2 takes 64 MB and all of a processor
                    HASHER.verify(stored, password)
            except (VerificationError, InvalidHashError):
                raise self.refused(address) from None
        assert account is not None  # nobody knows that of nobodys()
        self.proven[mark] = None
        while len(self.proven) > MOST_PROVEN:
            self.proven.popitem(last=False)
        return Identity(account.name, account.role)

    def check_failures(self, address: str) -> None:
        """ApiError for whoever guesses."""
        if self.failures.wait(address, cost=0.0) or self.failures.buckets[address][0] < 1:
            raise ApiError(429, "rate", "too many wrong passwords; wait some minutes", retry_after=FAILURES.seconds)

    def refused(self, address: str) -> ApiError:
        self.failures.wait(address)
        return ApiError(401, "unauthorised", "wrong token, or wrong name or password")


def basic(given: str) -> tuple[str, str]:
    """Name and password of RFC 7617."""
    try:
        text = base64.b64decode(given.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ApiError(401, "unauthorised", "the Authorization header can't be read") from None
    name, sign, password = text.partition(":")
    if not sign:
        raise ApiError(401, "unauthorised", "the Authorization header can't be read")
    return name, password


def is_loopback(address: str) -> bool:
    """Whether a call comes from this machine. Starlette's tests call from "testclient"."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address in LOOPBACK
