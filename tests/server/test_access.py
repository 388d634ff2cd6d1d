"""Who may call: this machine while there are no accounts, then only whoever can say who they are."""

import base64
from dataclasses import dataclass, field

import pytest
from argon2 import PasswordHasher
from starlette.requests import HTTPConnection

from fromnoise.errors import UserError
from fromnoise.server.access import COOKIE, LOCAL, REMEMBERED, Access, Account, Identity, digest, hashed, new_token
from fromnoise.server.errors import ApiError
from fromnoise.server.limits import Limiter, Rate

TOKEN = new_token()


@dataclass
class Few:
    """Accounts in memory."""

    users: dict[str, Account] = field(default_factory=dict)
    tokens: dict[str, Identity] = field(default_factory=dict)

    def account(self, name: str) -> Account | None:
        return self.users.get(name)

    def by_token(self, given: str) -> Identity | None:
        return self.tokens.get(given)

    def any(self) -> bool:
        return bool(self.users or self.tokens)

    @property
    def changes(self) -> int:
        return hash((*self.users.items(), *self.tokens.items()))


@pytest.fixture(scope="module")
def few() -> Few:
    ada = Account("ada", "admin", hashed("a long password"))
    return Few({"ada": ada}, {digest(TOKEN): Identity("bob")})


def connection(address: str = "10.0.0.9", **headers: str) -> HTTPConnection:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return HTTPConnection({"type": "http", "headers": raw, "client": (address, 1234)})


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_without_accounts_this_machine_is_the_administrator_and_no_other() -> None:
    access = Access.to(Few())
    assert access.who(connection("127.0.0.1")) == LOCAL
    assert access.who(connection("::1")) == LOCAL
    with pytest.raises(ApiError, match="say who you are"):
        access.who(connection("10.0.0.9"))


def test_with_accounts_this_machine_must_say_who_it_is(few: Few) -> None:
    with pytest.raises(ApiError, match="say who you are") as refused:
        Access.to(few).who(connection("127.0.0.1"))
    assert refused.value.status == 401


def test_who_called_a_moment_ago_is_known_until_something_changes() -> None:
    now, few = [100.0], Few({}, {digest(TOKEN): Identity("bob")})
    access = Access.to(few)
    access.clock = lambda: now[0]
    bob, nobody = connection(authorization=f"Bearer {TOKEN}"), connection(authorization="Bearer other")
    assert access.known(bob) is None, "nobody has looked yet"
    assert access.who(bob) == access.known(bob) == Identity("bob")
    assert access.known(nobody) is None
    assert access.known(connection("10.0.0.8", authorization=f"Bearer {TOKEN}")) is None
    now[0] += REMEMBERED + 0.1
    assert access.known(bob) is None, "another process may have changed something"
    access.who(bob)
    few.tokens.clear()
    assert access.known(bob) is None, "his token is no token any more"


def test_a_token_a_session_and_a_password(few: Few) -> None:
    access = Access.to(few)
    assert access.who(connection(authorization=f"Bearer {TOKEN}")) == Identity("bob")
    assert access.who(connection(cookie=f"{COOKIE}={TOKEN}")) == Identity("bob")
    assert access.who(connection(authorization=basic("ada", "a long password"))) == Identity("ada", "admin")


@pytest.mark.parametrize(
    "given",
    [
        "Bearer wrong",
        "Basic !!!",
        "Basic " + base64.b64encode(b"nothing").decode(),
        basic("ada", "x"),
        basic("eve", "x"),
        "Nothing x",
    ],
)
def test_what_is_wrong_is_refused(few: Few, given: str) -> None:
    with pytest.raises(ApiError) as refused:
        Access.to(few).who(connection(authorization=given))
    assert refused.value.status == 401


def test_guessing_ends_soon_and_harms_nobody_else(few: Few) -> None:
    access = Access.to(few)
    statuses = []
    for _ in range(12):
        with pytest.raises(ApiError) as refused:
            access.who(connection("10.0.0.66", authorization=basic("ada", "guess")))
        statuses.append(refused.value.status)
    assert statuses == [401] * 10 + [429] * 2
    assert access.who(connection("10.0.0.9", authorization=basic("ada", "a long password"))).name == "ada"


def test_nothing_of_a_password_is_kept_but_its_hash() -> None:
    kept = hashed("a long password")
    assert kept.startswith("$argon2id$")
    assert kept != hashed("a long password")
    with pytest.raises(UserError, match="at least 8"):
        hashed("short")


def test_a_rate_is_kept() -> None:
    now = 0.0
    limiter = Limiter(Rate(3, 60.0), clock=lambda: now)
    assert [limiter.wait("a") for _ in range(3)] == [0, 0, 0]
    assert limiter.wait("a") == pytest.approx(20)
    assert limiter.wait("b") == 0
    now = 19.0
    assert limiter.wait("a") == pytest.approx(1)
    now = 20.5
    assert limiter.wait("a") == 0
    assert limiter.wait("a", cost=4) == float("inf")


@pytest.mark.parametrize(
    ("text", "rate"),
    [("30/minute", Rate(30, 60)), ("5/10s", Rate(5, 10)), ("1/hour", Rate(1, 3600)), ("2/s", Rate(2, 1))],
)
def test_rates_are_written_as_people_say_them(text: str, rate: Rate) -> None:
    assert Rate.of(text) == rate


@pytest.mark.parametrize("text", ["", "many/minute", "3/fortnight", "3"])
def test_what_is_no_rate_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="write one such as"):
        Rate.of(text)


def test_a_right_password_is_checked_once_until_it_changes(few: Few, monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[str] = []
    changed = Account("ada", "admin", hashed("a new password"))

    class Counting:
        def verify(self, stored: str, password: str) -> bool:
            checks.append(password)
            return PasswordHasher().verify(stored, password)

    monkeypatch.setattr("fromnoise.server.access.HASHER", Counting())
    users = Few(dict(few.users))
    access = Access.to(users)
    for _ in range(3):
        assert access.by_password("ada", "a long password", "10.0.0.9").name == "ada"
    assert checks == ["a long password"]
    for _ in range(2):
        with pytest.raises(ApiError):
            access.by_password("ada", "another password", "10.0.0.9")
    assert len(checks) == 3, "what was wrong is checked again"
    users.users["ada"] = changed
    with pytest.raises(ApiError):
        access.by_password("ada", "a long password", "10.0.0.9")
