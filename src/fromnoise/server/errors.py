"""Errors as clients see them: one JSON object with a kind, a sentence, and nothing of the machine's inside.

{"error": "host", "message": "this server does not answer to that name; ..."}
"""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from fromnoise.errors import FileError, FromnoiseError, UnknownName, UserError, without_folders

LOG = logging.getLogger("fromnoise.server")


class Problem(BaseModel):
    """What went wrong."""

    error: str = Field(description="Its kind, for programs.")
    message: str = Field(description="What happened and what to do, for people.")
    field: str | None = Field(default=None, description="What in the request it is about.")


class ApiError(FromnoiseError):
    """An error with a status of HTTP."""

    def __init__(self, status: int, kind: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.retry_after = status, kind, retry_after


def problem(status: int, kind: str, message: str, *, field: str | None = None) -> JSONResponse:
    content = Problem(error=kind, message=without_folders(message), field=field).model_dump(exclude_none=True)
    return JSONResponse(content, status)


def answer(request: Request, status: int, kind: str, message: str, *, field: str | None = None) -> JSONResponse:
    """The problem as the clients of a route expect it."""
    here = getattr(request.app.state, "context", None)
    message = without_folders(message, here.folders if here is not None else ())
    if is_sdapi(request):
        return sdapi_problem(status, kind, message)
    if not request.url.path.startswith("/v1/"):
        return problem(status, kind, message, field=field)
    status = 400 if status == 422 else status  # OpenAI's form
    type_ = "server_error" if status >= 500 else OPENAI_TYPES.get(status, "invalid_request_error")
    told = {"message": message, "type": type_, "param": field, "code": kind}
    return JSONResponse({"error": told}, status)


def is_sdapi(request: Request) -> bool:
    """Whether a client of AUTOMATIC1111 calls."""
    return request.url.path.startswith(("/sdapi/", "/controlnet/", "/internal/"))


def sdapi_problem(status: int, kind: str, words: str) -> JSONResponse:
    """AUTOMATIC1111's form: what it raises itself has a detail; of other exceptions it tells the words."""
    raised = kind not in EXCEPTIONS
    return JSONResponse(
        {"error": "HTTPException" if raised else kind, "detail": words if raised else "", "body": "",
         "errors": "" if raised else words},
        status, headers={"WWW-Authenticate": "Basic"} if status == 401 else None,
    )  # fmt: skip


def kind_of(error: FromnoiseError) -> str:
    if isinstance(error, UnknownName):
        return "unknown-name"
    return "file" if isinstance(error, FileError) else "request"


def add_to(app: FastAPI) -> None:
    """Answer every exception of the routes of `app` with a `Problem`."""

    @app.exception_handler(ApiError)
    async def api_error(request: Request, error: ApiError) -> JSONResponse:
        response = answer(request, error.status, error.kind, str(error))
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(max(1, round(error.retry_after)))
        return response

    @app.exception_handler(UserError)
    async def user_error(request: Request, error: UserError) -> JSONResponse:
        return answer(request, 422, kind_of(error), str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        found = error.errors()
        if is_sdapi(request):  # FastAPI's own form, without what was sent
            return JSONResponse({"detail": [{key: one[key] for key in DETAIL} for one in found[:MOST_DETAILS]]}, 422)
        first = found[0]
        place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
        message = str(first["msg"]).removeprefix("Value error, ")
        return answer(request, 422, "request", f"{place}: {message}" if place else message, field=place or None)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        if is_sdapi(request):
            return JSONResponse({"detail": str(error.detail)}, error.status_code, headers=error.headers)
        response = answer(request, error.status_code, KINDS.get(error.status_code, "request"), str(error.detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        LOG.exception("%s %s failed", request.method, request.url.path)
        kind = "RuntimeError" if is_sdapi(request) else "server"
        return answer(request, 500, kind, "something went wrong on the server; its log says what")


EXCEPTIONS = ("RuntimeError", "KeyError", "ValueError")  # kinds of AUTOMATIC1111's that are none of HTTP
OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
DETAIL = ("type", "loc", "msg")
MOST_DETAILS = 100
KINDS: dict[int, str] = {
    401: "unauthorised",
    403: "forbidden",
    404: "not-found",
    405: "method",
    413: "size",
    429: "rate",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in (
        (400, "What came is no request that can be read."),
        (401, "No or a wrong token."),
        (403, "Not allowed."),
        (404, "Not there."),
        (409, "Not in this state."),
        (413, "Too large."),
        (422, "A bad request."),
        (429, "Too much at once, or in all; Retry-After tells when to come back."),
        (503, "The queue is full, or something is busy; Retry-After tells when to come back."),
    )
}
