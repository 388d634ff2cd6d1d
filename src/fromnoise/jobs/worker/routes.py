"""Addresses of the server that packages outside answer: `GET /api/v1/extensions/shouting/loud?words=hi`.

    @ROUTES.register("shouting/loud")
    def loud(call: Call) -> Reply:
        return Reply({"said": call.query["words"].upper()})

A route also answers for what lies below it: `call.rest` is the rest of the address. They run in a process of their own
beside the workers, never in the server's, which hands calls on and answers back; what takes long is a task. No torch.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fromnoise.jobs.routing import LARGEST
from fromnoise.registry import Registry

MEDIA = ("application/json", "text/plain", "text/html", "text/css", "text/csv", "image/png", "image/jpeg", "image/webp",
         "image/svg+xml", "application/octet-stream")  # fmt: skip


@dataclass(frozen=True)
class Call:
    """What a client asks."""

    method: str  # GET, POST, PUT or DELETE
    rest: str = ""  # of the address behind the route's own, without the slash between them
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    user: str = ""


@dataclass(frozen=True)
class Reply:
    """Content, which is JSON unless it is a text or bytes."""

    content: Any
    status: int = 200
    media: str | None = None  # by default that of the content


Route = Callable[[Call], Reply]
ROUTES: Registry[Route] = Registry("route", entry_points="fromnoise.routes")


def answered(body: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to a call that came as JSON, as JSON: status, media and base64; or why there is none, in "fault"."""
    name = str(body["route"])
    call = Call(
        str(body["method"]), str(body["rest"]), dict(body["query"]), base64.b64decode(body["body"]), str(body["user"])
    )
    try:
        reply = ROUTES[name](call)
        content, media = reply.content, reply.media
        if isinstance(content, bytes):
            data, usual = content, "application/octet-stream"
        elif isinstance(content, str):
            data, usual = content.encode(), "text/plain"
        else:
            data, usual = json.dumps(content, ensure_ascii=False, allow_nan=False).encode(), "application/json"
        media = usual if media is None else media
    except (Exception, SystemExit) as error:  # of a stranger's package
        return {"fault": f"{type(error).__name__}: {error}"[:500]}
    if len(data) > LARGEST or media not in MEDIA or not 200 <= reply.status <= 599:
        return {"fault": f"its answer is none that is passed on: {len(data)} bytes, {media}, status {reply.status}"}
    return {"status": reply.status, "media": media, "data": base64.b64encode(data).decode()}
