"""How long the server waits for those who send slowly, and how much it holds for them.

uvicorn bounds neither the time in which the head of a request comes (slowloris) nor that of its body; here both end.
"""

import asyncio
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD = 20.0  # seconds for the first line and the headers of a request
KEPT_ALIVE = 30.0  # seconds between requests of one connection
CONNECTIONS = 2000  # and tasks, at once; more are answered with 503
MESSAGE = 1 << 16  # bytes of a message of a WebSocket
LONGEST_HEAD = 1 << 16  # bytes of the first line and the headers


class PatientProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # chosen when uvicorn is imported
    """Closes connections on which no request is complete in time."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.alarm: asyncio.TimerHandle | None = self.loop.call_later(HEAD, self.tired)
        self.head = 0  # bytes that came of a request of which there is no cycle yet

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self.head = 0
            self.calm()
        elif self.transport.get_protocol() is self and (before is None or before.response_complete):
            self.head += len(data)
            if self.head > LONGEST_HEAD and not self.transport.is_closing():  # httptools takes any number of headers
                self.calm()
                self.send_400_response("The head of the request is too large.")
            elif self.alarm is None:
                self.alarm = self.loop.call_later(HEAD, self.tired)

    def handle_websocket_upgrade(self, *event: Any) -> None:
        self.calm()
        super().handle_websocket_upgrade(*event)

    def connection_lost(self, exc: Exception | None) -> None:
        self.calm()
        super().connection_lost(exc)

    def calm(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None

    def tired(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def configured(app: ASGIApp, host: str, port: int, *, grace: int | None = None) -> uvicorn.Config:
    """uvicorn with these bounds; `grace`: seconds that calls under way have when it is stopped."""
    return uvicorn.Config(
        app, host=host, port=port, log_level="warning", server_header=False, http=PatientProtocol,
        limit_concurrency=CONNECTIONS, timeout_keep_alive=round(KEPT_ALIVE), ws_max_size=MESSAGE,
        h11_max_incomplete_event_size=LONGEST_HEAD, timeout_graceful_shutdown=grace,
    )  # fmt: skip
