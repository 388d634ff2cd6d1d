"""Our own API, `/api/v1`, by subject."""

from fastapi import APIRouter
from fastapi.routing import APIRoute

from fromnoise.server.errors import RESPONSES
from fromnoise.server.native import (
    about,
    accounts,
    datasets,
    errands,
    events,
    extensions,
    gallery,
    gallery_changes,
    grids,
    jobs,
    machine,
    model_changes,
    models,
    orders,
    sending,
    sentences,
    settings,
    styles,
    terms,
    tokens,
    traces,
    training,
)

PARTS = (
    about, orders, errands, grids, jobs, traces, events, sending, gallery, gallery_changes, model_changes,
    models, tokens, styles,
    machine, settings, accounts, extensions, training, datasets, terms, sentences,
)  # fmt: skip


def operation(route: APIRoute) -> str:
    """What programs call an operation: submit_jobs is submitJobs."""
    first, *rest = route.name.split("_")
    return first + "".join(word.capitalize() for word in rest)


router = APIRouter(prefix="/api/v1", responses=RESPONSES, generate_unique_id_function=operation)
for part in PARTS:
    router.include_router(part.router)
