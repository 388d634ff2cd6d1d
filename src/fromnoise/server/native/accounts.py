"""Logging in and out, passwords, tokens of programs, and for administrators the users."""

from typing import Annotated

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from fromnoise.errors import UserError
from fromnoise.server.access import COOKIE, Identity, Role
from fromnoise.server.accounts import SESSION, Users
from fromnoise.server.context import Admin, Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.parts import new_part

router = new_part(route=APIRoute)

Name = Annotated[str, Field(min_length=1, max_length=64)]
Password = Annotated[str, Field(min_length=1, max_length=1000)]


class Login(BaseModel):
    """A name and its password."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    password: Password


class Shown(BaseModel):
    """A token of a program, or of the command line."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(min_length=1, max_length=1000)


class Session(BaseModel):
    """Who the caller is."""

    name: str
    role: Role
    accounts: bool = Field(description="Whether there are accounts at all: if not, there is nothing to log in to.")


class NewPassword(BaseModel):
    """One's own password, and what it becomes."""

    model_config = ConfigDict(extra="forbid")

    old: Password
    new: Password


class NewUser(BaseModel):
    """A user to be."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    password: Password
    role: Role = "user"
    pictures_a_day: int | None = Field(default=None, ge=0, le=10**9, description="None: no limit.")
    bytes: int | None = Field(default=None, ge=0, le=2**62, description="That their pictures may have.")


class UserChange(BaseModel):
    """What a user may from now on."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    pictures_a_day: int | None = Field(default=None, ge=0, le=10**9)
    bytes: int | None = Field(default=None, ge=0, le=2**62)
    password: Password | None = None


class UserView(BaseModel):
    """A user."""

    name: str
    role: Role
    created: float
    pictures_a_day: int | None
    bytes: int | None


class NewToken(BaseModel):
    """A token to be."""

    model_config = ConfigDict(extra="forbid")

    label: str = Field(min_length=1, max_length=200, description="What it is for.")
    days: float | None = Field(default=None, gt=0, le=36_500, description="That it is good for; none: for ever.")


class IssuedToken(BaseModel):
    """A token, shown this once."""

    token: str


class TokenInfo(BaseModel):
    """A token of a program."""

    id: str
    label: str
    created: float
    expires: float | None


def users_of(here: Context) -> Users:
    """ApiError 409 where accounts are kept elsewhere."""
    if not isinstance(here.access.accounts, Users):
        raise ApiError(409, "state", "this server keeps no accounts")
    return here.access.accounts


@router.post("/login")
def log_in(login: Login, request: Request, response: Response, here: Here) -> Session:
    """Log a browser in: the answer sets a cookie that scripts can't read."""
    users = users_of(here)
    address = request.client.host if request.client else ""
    who = here.access.by_password(login.name, login.password, address)
    remember(users.issue(who.name, "browser", session=True), request, response)
    return Session(name=who.name, role=who.role, accounts=True)


@router.post("/session")
def begin_session(shown: Shown, request: Request, response: Response, here: Here) -> Session:
    """Log a browser in with a token, as the studio does for its links #token=TOKEN; it ends with the token."""
    address = request.client.host if request.client else ""
    who = here.access.by_token(shown.token, address)
    remember(shown.token, request, response)
    return Session(name=who.name, role=who.role, accounts=True)


def remember(token: str, request: Request, response: Response) -> None:
    """Let a browser show a token from now on, without its scripts seeing it."""
    response.set_cookie(
        COOKIE, token, max_age=int(SESSION), httponly=True, samesite="strict", secure=request.url.scheme == "https",
        path="/",
    )  # fmt: skip


@router.post("/logout", status_code=204, response_class=Response)
def log_out(request: Request, here: Here) -> Response:
    """Log a browser out."""
    if (token := request.cookies.get(COOKIE)) and isinstance(here.access.accounts, Users):
        here.access.accounts.end_session(token)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


@router.get("/session")
def get_session(here: Here, who: Who) -> Session:
    """Who the caller is; 401 for whoever has to log in."""
    return Session(name=who.name, role=who.role, accounts=here.access.accounts.any())


@router.put("/password", status_code=204, response_class=Response)
def change_password(wanted: NewPassword, request: Request, here: Here, who: Who) -> Response:
    """Change one's own password; other browsers are logged out."""
    address = request.client.host if request.client else ""
    here.access.by_password(who.name, wanted.old, address)
    users_of(here).set_password(who.name, wanted.new)
    return Response(status_code=204)


@router.get("/api-tokens")
def list_tokens(here: Here, who: Who) -> list[TokenInfo]:
    """Tokens of one's programs."""
    return [TokenInfo(**vars(token)) for token in users_of(here).tokens(who.name)]


@router.post("/api-tokens", status_code=201)
def issue_token(wanted: NewToken, here: Here, who: Who) -> IssuedToken:
    """A token for a program, shown this once."""
    return IssuedToken(token=users_of(here).issue(who.name, wanted.label, days=wanted.days))


@router.delete("/api-tokens/{token}", status_code=204, response_class=Response)
def revoke_token(token: str, here: Here, who: Who) -> Response:
    """Forget a token by its id."""
    if not users_of(here).revoke(who.name, token):
        raise ApiError(404, "not-found", "no such token")
    return Response(status_code=204)


@router.get("/users")
def list_users(here: Here, who: Admin) -> list[UserView]:
    """All users."""
    return [UserView(**vars(user)) for user in users_of(here).users()]


@router.post("/users", status_code=201)
def add_user(wanted: NewUser, here: Here, who: Admin) -> UserView:
    """Another user. The first one should be an administrator: from then on nobody comes in without an account."""
    users = users_of(here)
    if not users.users() and wanted.role != "admin":
        raise UserError("the first user has to be an administrator: nobody could add others")
    user = users.add(wanted.name, wanted.password, wanted.role, pictures_a_day=wanted.pictures_a_day, size=wanted.bytes)
    return UserView(**vars(user))


@router.put("/users/{name}")
def change_user(name: str, wanted: UserChange, here: Here, who: Admin) -> UserView:
    """What a user may, and their password if one is given."""
    users = users_of(here)
    check_last(users, name, who, stays=wanted.role == "admin")
    user = users.set_limits(name, role=wanted.role, pictures_a_day=wanted.pictures_a_day, size=wanted.bytes)
    if wanted.password is not None:
        users.set_password(name, wanted.password)
    return UserView(**vars(user))


@router.delete("/users/{name}", status_code=204, response_class=Response)
def remove_user(name: str, here: Here, who: Admin) -> Response:
    """Forget a user; their pictures stay."""
    users = users_of(here)
    check_last(users, name, who, stays=False)
    users.remove(name)
    return Response(status_code=204)


def check_last(users: Users, name: str, who: Identity, *, stays: bool) -> None:
    """UserError where no administrator would be left."""
    admins = [user.name for user in users.users() if user.role == "admin"]
    if admins == [name] and not stays and len(users.users()) > 1:
        raise UserError(f"{name} is the only administrator: make somebody else one first")
