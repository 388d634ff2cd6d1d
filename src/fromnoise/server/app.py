"""The server, put together: `create_app(context, policy)`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp

from fromnoise import __version__
from fromnoise.server import errors, native, openai, page
from fromnoise.server.context import Admin, Context
from fromnoise.server.guard import Guard, Policy
from fromnoise.server.metrics import Metrics, figures
from fromnoise.server.parts import add_routes
from fromnoise.server.sdapi import routes as sdapi

THREADS = 16


def create_app(context: Context, policy: Policy | None = None) -> ASGIApp:
    """Everything behind the guard."""
    return Guard(inner_app(context), policy or Policy())


def inner_app(context: Context) -> FastAPI:
    """Everything but the guard."""
    app = with_routes()
    app.state.context = context
    calls = CollectorRegistry()
    app.add_middleware(Metrics, registry=calls)
    add_health(app, context, calls)
    page.add_to(app)
    return app


@asynccontextmanager
async def few_threads(_app: FastAPI) -> AsyncIterator[None]:
    """While it lasts, calls share THREADS threads: more would only wait for each other."""
    to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


def with_routes() -> FastAPI:
    """What the schema describes."""
    app = FastAPI(title="fromnoise", version=__version__, docs_url=None, redoc_url=None, lifespan=few_threads)
    errors.add_to(app)
    add_routes(app, [*native.ROUTERS, openai.router, *sdapi.ROUTERS])
    return app


def add_health(app: FastAPI, context: Context, calls: CollectorRegistry) -> None:
    """What operators' programs ask: alive, ready, how much waits."""

    @app.get("/healthz", include_in_schema=False)
    def alive() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", include_in_schema=False)
    def ready() -> JSONResponse:
        try:
            workers = len(context.queue.workers())
        except SQLAlchemyError:
            return JSONResponse({"database": "unreachable", "workers": 0}, 503)
        return JSONResponse({"database": "ok", "workers": workers}, 200 if workers else 503)

    @app.get("/metrics", include_in_schema=False, response_class=PlainTextResponse)
    def metrics(who: Admin) -> PlainTextResponse:
        return PlainTextResponse(figures(context, calls), media_type="text/plain; version=0.0.4")
