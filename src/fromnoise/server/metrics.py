"""Figures for Prometheus, and a line in the log for every call.

FROMNOISE_LOG=json writes lines of JSON to stderr, FROMNOISE_LOG=text lines for people; a job's id is its own field.
"""

import re
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fromnoise.jobs.logs import log
from fromnoise.server.context import Context

JOB = re.compile(r"/jobs/([0-9a-f]{28})(?:/|$)")
RECENT = 500  # finished jobs whose times are told
QUANTILES = (0.5, 0.9, 0.99)
BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0)  # seconds; each route has a line for each

disable_created_metrics()  # type: ignore[no-untyped-call]  # a third line for each: when it was first counted


class Metrics:
    """ASGI middleware that counts and times calls."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self.app = app
        labels = ["method", "route", "status"]
        self.calls = Counter("fromnoise_http_requests", "Calls by route and status.", labels, registry=registry)
        self.seconds = Histogram(
            "fromnoise_http_seconds", "Time to the answer's end.", ["route"], registry=registry, buckets=BUCKETS
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), [500]

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            self.note(scope, status[0], time.perf_counter() - began)

    def note(self, scope: Scope, status: int, seconds: float) -> None:
        """Routes by their patterns, so that strangers can't make up as many as they like."""
        route = pattern(scope)
        self.calls.labels(scope["method"], route, status).inc()
        if not route.endswith(("/events", "/ws")):  # which last as long as somebody listens
            self.seconds.labels(route).observe(seconds)
        found = JOB.search(scope["path"])
        log(
            "http", "call", method=scope["method"], route=route, status=status, seconds=round(seconds, 4),
            job=found[1] if found else None,
        )  # fmt: skip


def pattern(scope: Scope) -> str:
    """The path with its parameters' names in place of their values."""
    if scope.get("route") is None:
        return "other"
    path = str(scope["path"])
    for name, value in scope.get("path_params", {}).items():
        path = path.replace(f"/{value}", f"/{{{name}}}", 1)
    return path


def figures(context: Context, calls: CollectorRegistry) -> bytes:
    """Everything, as Prometheus reads it."""
    registry = CollectorRegistry()
    jobs = Gauge("fromnoise_jobs", "Jobs by state.", ["state"], registry=registry)
    for state, count in context.queue.counts().items():
        jobs.labels(state).set(count)
    workers = context.queue.workers()
    Gauge("fromnoise_workers", "Workers that are alive.", registry=registry).set(len(workers))
    used = Gauge("fromnoise_worker_memory_bytes", "Memory that a worker has.", ["device"], registry=registry)
    for worker in workers:
        if (size := (worker["info"] or {}).get("used")) is not None:
            used.labels(worker["device"]).set(size)
    for name, words, times in (
        ("fromnoise_job_seconds", "From a job's start to its end, of the last ones.", "work"),
        ("fromnoise_job_wait_seconds", "From a job's order to its start, of the last ones.", "wait"),
    ):
        gauge = Gauge(name, words, ["quantile"], registry=registry)
        for quantile, seconds in quantiles(context.queue.times(RECENT)[times]).items():
            gauge.labels(quantile).set(seconds)
    return generate_latest(registry) + generate_latest(calls)


def quantiles(times: list[float]) -> dict[str, float]:
    """Of what there is; nothing of nothing."""
    ordered = sorted(times)
    return {str(q): ordered[min(len(ordered) - 1, int(q * len(ordered)))] for q in QUANTILES} if ordered else {}
