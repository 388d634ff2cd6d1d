"""Our own API, `/api/v1`, by subject."""

from fastapi import APIRouter
from fastapi.routing import APIRoute

from fromnoise.server.errors import RESPONSES
from fromnoise.server.native import (
    about,
    events,
    gallery,
    gallery_changes,
    jobs,
    models,
    orders,
    sending,
    styles,
    tokens,
)

PARTS = (about, orders, jobs, events, sending, gallery, gallery_changes, models, tokens, styles)


def operation(route: APIRoute) -> str:
    """What programs call an operation: submit_jobs is submitJobs."""
    first, *rest = route.name.split("_")
    return first + "".join(word.capitalize() for word in rest)


router = APIRouter(prefix="/api/v1", responses=RESPONSES, generate_unique_id_function=operation)
for part in PARTS:
    router.include_router(part.router)
