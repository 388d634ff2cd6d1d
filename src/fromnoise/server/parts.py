"""How the routes of the server are put together: a router for each subject, whose routes the app takes as they are.

FastAPI's `include_router` would build each route anew, and once more to compare it: a third of a second at every start.
So a router is made with all that its routes need, their whole path above all.
"""

from collections.abc import Iterable

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from fromnoise.server.errors import RESPONSES
from fromnoise.server.strict import StrictRoute

API = "/api/v1"


def operation(route: APIRoute) -> str:
    """What programs call an operation: submit_jobs is submitJobs."""
    first, *rest = route.name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def new_part(below: str = "", route: type[APIRoute] = StrictRoute) -> APIRouter:
    """For one subject of our own API, in /api/v1 or `below` it."""
    return APIRouter(
        prefix=API + below, route_class=route, responses=RESPONSES, generate_unique_id_function=operation
    )  # fmt: skip


def add_routes(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    for router in routers:
        app.router.routes.extend(router.routes)
