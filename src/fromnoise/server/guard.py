"""What stands before everything: who may call at all, how much they may send, and what every answer carries.

* Host: only names that the server was told are its own, so that a page elsewhere can't reach it under a name of its own
  that resolves to this machine (DNS rebinding).
* Origin: what changes something, and every WebSocket, comes from a page of ours or from no page at all (CSRF).
* Size: a body is cut off where it grows too large, whatever it said of itself.
"""

import asyncio
import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fromnoise.server.errors import ApiError, problem

LOOPBACK = ("localhost", "127.0.0.1", "::1")
SAFE = ("GET", "HEAD", "OPTIONS")
POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1
BODY_LIMIT = 64 << 20  # bytes
PATIENCE, LONGEST = 30.0, 300.0  # seconds between parts of a body, and for all of it
LOG = logging.getLogger("fromnoise.server")

CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
ON_EVERY_ANSWER = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": CONTENT_POLICY,
}


@dataclass(frozen=True)
class Policy:
    """Whom the server answers."""

    hosts: frozenset[str] = frozenset(LOOPBACK)  # names and addresses that are its own, without ports
    origins: frozenset[str] = frozenset()  # further pages that may call it, such as https://pictures.example
    body_limit: int = BODY_LIMIT

    @classmethod
    def of(cls, hosts: Iterable[str] = (), origins: Iterable[str] = (), body_limit: int = BODY_LIMIT) -> "Policy":
        """Loopback, and what is named besides."""
        names = frozenset(host.lower().strip("[]") for host in hosts)
        return cls(frozenset(LOOPBACK) | names, frozenset(origin.rstrip("/") for origin in origins), body_limit)

    def host_allowed(self, host: str) -> bool:
        """Whether the Host header names this server."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name is not None and name.lower() in self.hosts

    def origin_allowed(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may call the server that it calls `host`."""
        return origin in self.origins or urlsplit(origin).netloc.lower() == host.lower()


class Guard:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self.app, self.policy = app, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self.refusal(scope, headers)
        if refusal is not None:
            note(scope, *refusal)
            await refuse(refusal, scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        expected = "content-length" in headers or "transfer-encoding" in headers  # RFC 9112, section 6.3
        limited = Limited(receive, self.policy.body_limit, expected=expected)
        try:
            await self.app(scope, limited, with_headers(send, limited, scope))
        except (TooLarge, TooSlow) as error:
            limited.error = error
        if limited.error is not None and not limited.answered:
            note(scope, *refused(limited.error))
            await refuse(refused(limited.error), scope, receive, send)

    def refusal(self, scope: Scope, headers: Headers) -> tuple[int, str, str] | None:
        """Status, kind and words; None for a call that may go on."""
        host = headers.get("host", "")
        if len(headers.getlist("host")) > 1:  # RFC 9112, section 3.2
            return 400, "host", "one Host header, please"
        if not self.policy.host_allowed(host):
            return 403, "host", "this server does not answer to that name; start it with --host-name NAME to allow it"
        changes = scope["type"] == "websocket" or scope["method"] not in SAFE
        origin = headers.get("origin")
        if changes and origin is not None and not self.policy.origin_allowed(origin, host):
            return 403, "origin", "calls from pages of other sites are refused; start it with --origin to allow one"
        if changes and origin is None and headers.get("sec-fetch-site") == "cross-site":
            return 403, "origin", "calls from pages of other sites are refused; start it with --origin to allow one"
        if "transfer-encoding" in headers and "content-length" in headers:  # RFC 9112, section 6.1: may be smuggling
            return 400, "length", "Content-Length and Transfer-Encoding exclude each other"
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            return 400, "length", "Content-Length is not a number"
        if int(length) > self.policy.body_limit:
            return refused(TooLarge(self.policy.body_limit))
        return None


class TooLarge(ApiError):
    """A body that went on beyond its limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, "size", f"at most {limit:,} bytes are taken")


class TooSlow(ApiError):
    """A body that does not come."""

    def __init__(self) -> None:
        super().__init__(408, "slow", "the request took too long to come")


class Limited:
    """`receive`, counting what has come and how long it takes."""

    def __init__(self, receive: Receive, limit: int, *, expected: bool) -> None:
        self.receive, self.limit, self.left = receive, limit, limit
        self.answered, self.more = False, expected
        self.until = time.monotonic() + LONGEST
        self.error: ApiError | None = None

    async def __call__(self) -> Message:
        if not self.more:  # what comes now is that there is no body, or that the client has gone
            return await self.receive()
        try:
            message = await asyncio.wait_for(self.receive(), min(PATIENCE, self.until - time.monotonic()))
        except TimeoutError:
            self.error = TooSlow()
            raise self.error from None
        self.more = message["type"] == "http.request" and bool(message.get("more_body"))
        if message["type"] == "http.request":
            self.left -= len(message.get("body", b""))
            if self.left < 0:
                self.error = TooLarge(self.limit)
                raise self.error
        return message


def with_headers(send: Send, limited: Limited, scope: Scope) -> Send:
    """`send`, with what every answer carries."""
    began = time.monotonic()

    async def sending(message: Message) -> None:
        if limited.error is not None and not limited.answered:
            return  # what the routes make of a body that broke off
        if message["type"] == "http.response.start":
            limited.answered = True
            headers = MutableHeaders(scope=message)
            for name, value in ON_EVERY_ANSWER.items():
                headers.setdefault(name, value)
            if message["status"] >= 400:
                note(scope, message["status"])
            headers["X-Process-Time"] = f"{time.monotonic() - began:.4f}"  # seconds, as AUTOMATIC1111 tells
        await send(message)

    return sending


def note(scope: Scope, status: int, kind: str = "answer", _words: str = "") -> None:
    """A line of JSON in the log for what was not done: no queries, headers or bodies, which may hold secrets."""
    client = scope.get("client") or ("", 0)
    told = {"status": status, "kind": kind, "method": scope.get("method", "WEBSOCKET"), "path": scope["path"][:200],
            "client": client[0]}  # fmt: skip
    LOG.log(logging.WARNING if kind != "answer" or status >= 500 else logging.INFO, "%s", json.dumps(told))


def refused(error: ApiError) -> tuple[int, str, str]:
    return error.status, error.kind, str(error)


async def refuse(refusal: tuple[int, str, str], scope: Scope, receive: Receive, send: Send) -> None:
    status, kind, words = refusal
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": words[:120]})
        return
    response = problem(status, kind, words)
    response.headers.update(ON_EVERY_ANSWER)
    await response(scope, receive, send)
