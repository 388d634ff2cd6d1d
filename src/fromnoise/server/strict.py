"""JSON as it should be: what other readers would understand in another way is refused, before anything looks at it.

Names that are there twice, NaN and Infinity, numbers beyond every double, half of a surrogate pair, and tables in
tables without end (RFC 8259 calls the first four unpredictable).
"""

import asyncio
import inspect
import json
import math
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, get_args, get_origin

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

DEEPEST = 64  # tables in tables
MOST_TABLES, MOST_VALUES = 100_000, 1_000_000
MOST_DIGITS = 300  # of a whole number
LARGE = 1 << 16  # bytes that are read beside the loop


class Unfit(json.JSONDecodeError):
    """JSON that is refused."""

    def __init__(self, words: str) -> None:
        super().__init__(words, "", 0)


def parsed(body: bytes) -> Any:
    """The value. JSONDecodeError for what is no JSON, or none that two readers would agree on."""
    check_size(body)
    try:
        text = body.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=table, parse_constant=constant, parse_float=finite, parse_int=whole
        )  # fmt: skip
    except UnicodeDecodeError:
        raise Unfit("JSON is written in UTF-8") from None
    except RecursionError:
        raise Unfit("too many tables in tables") from None
    check_depth(value)
    if "\\ud" in text or "\\uD" in text:
        check_pairs(value)
    return value


def check_size(body: bytes) -> None:
    """What would take many times its size in memory."""
    if body.count(b"[") + body.count(b"{") > MOST_TABLES or body.count(b",") > MOST_VALUES:
        raise Unfit("too many values")


def check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise Unfit(f"more than {DEEPEST} tables in tables")


def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unfit("a name is there twice in one table")
    return found


def constant(word: str) -> float:
    raise Unfit(f"{word} is no JSON")


def finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise Unfit("a number is too large")
    return value


def whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise Unfit("a number is too large")
    return int(text)


def check_pairs(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise Unfit("half of a surrogate pair in a text") from None


class StrictRequest(Request):
    """A request whose JSON is read by `parsed`."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body = await self.body()
            self._json = parsed(body) if len(body) < LARGE else await asyncio.to_thread(parsed, body)
        return self._json


def writing(answer: Callable[..., Any], kind: Any, status: int) -> Callable[..., Any]:
    """A function of a route that writes its models as JSON itself, in the thread that it runs in.

    FastAPI would check again what pydantic has made, in another thread.
    """
    member = get_args(kind)[0] if get_origin(kind) is list else None
    model = member or kind
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return answer

    @wraps(answer)
    def written(*given: Any, **named: Any) -> Any:
        found = answer(*given, **named)
        if member is None and type(found) is model:
            text = found.model_dump_json(by_alias=True)
        elif member is not None and isinstance(found, list) and all(type(one) is member for one in found):
            text = f"[{','.join(one.model_dump_json(by_alias=True) for one in found)}]"
        else:
            return found
        return Response(text, status, media_type="application/json")

    return written


class StrictRoute(APIRoute):
    """A route with strict JSON; `APIRouter(route_class=StrictRoute)`."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        super().__init__(path, endpoint, **more)
        if self.dependant.response_param_name is None and not inspect.iscoroutinefunction(endpoint):
            self.endpoint = self.dependant.call = writing(endpoint, self.response_model, self.status_code or 200)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_strictly
