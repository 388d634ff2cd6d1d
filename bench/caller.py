"""HTTP/1.1 over one connection that is kept open, for clients that shall cost less than the server they measure.

A full client takes about as much of a processor for a call as the server does, and both share one here.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

LONGEST_LINE = 1 << 22  # bytes: a preview is one line of an event
PATIENCE = 60.0  # seconds for one answer


class Broken(Exception):
    """No answer, or none that can be read."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Caller:
    """One connection, opened when it is needed."""

    host: str
    port: int
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None

    async def call(self, method: str, path: str, body: bytes = b"", media: str = "application/json") -> Answer:
        """Broken where nothing comes back."""
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self.begin(method, path, body, {"Content-Type": media} if body else {})
                assert self.reader is not None
                length = int(answer.headers.get("content-length", "0"))
                found = Answer(answer.status, answer.headers, await self.reader.readexactly(length))
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self.close()
            raise Broken(f"{type(error).__name__} {error}") from error
        if answer.headers.get("connection") == "close":
            self.close()
        return found

    async def lines(self, path: str, headers: Mapping[str, str]) -> AsyncGenerator[str, None]:
        """Lines of an endless answer; those that tell the length of a chunk are among them. Broken where it breaks."""
        try:
            answer = await self.begin("GET", path, b"", headers)
            if answer.status != 200:
                raise Broken(f"status {answer.status}")
            assert self.reader is not None
            while line := await self.reader.readline():
                yield line.decode().rstrip("\r\n")
        except (OSError, EOFError, ValueError) as error:
            raise Broken(f"{type(error).__name__} {error}") from error
        finally:
            self.close()

    async def begin(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a call; its answer without the body."""
        if self.writer is None or self.reader is None or self.reader.at_eof():
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port, limit=LONGEST_LINE)
        told = {"Host": f"{self.host}:{self.port}", "Accept": "*/*", "Content-Length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items() if value != "0")
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        await self.writer.drain()
        first, *rest = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in rest if line)
        return Answer(int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs})

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None
