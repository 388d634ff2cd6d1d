"""AUTOMATIC1111's calls that create and train: training is a job of its own here, with other settings."""

from typing import Any

from fromnoise.server.context import Who
from fromnoise.server.errors import ApiError
from fromnoise.server.sdapi.routes.common import new_router

router = new_router()


def elsewhere(who: Who, body: dict[str, Any] | None = None) -> None:
    """Always refused, with the way to do it."""
    raise ApiError(
        422, "HTTPException", "nothing is created or trained through this interface: a job of the kind train at "
        "/api/v1/errands does it, and so does `fromnoise train`",
    )  # fmt: skip


for path in ("create/embedding", "create/hypernetwork", "train/embedding", "train/hypernetwork"):
    router.add_api_route(f"/{path}", elsewhere, methods=["POST"], name=path.replace("/", "_"))
