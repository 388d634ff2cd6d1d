"""A route, a kind of work, and a panel that asks for it."""

from collections.abc import Mapping
from typing import Any

from fromnoise.jobs.job import Result
from fromnoise.jobs.worker.extensions import PANELS, Input, Panel
from fromnoise.jobs.worker.routes import ROUTES, Call, Reply
from fromnoise.jobs.worker.tasks import Desk, Task, task


@ROUTES.register("borrowed/light")
def light(call: Call) -> Reply:
    return Reply({"asked": call.method, "for": call.query.get("what", ""), "below": call.rest})


@task("brighten")
def brighten(body: Mapping[str, Any], desk: Desk) -> Task:
    yield 1, 2
    return [Result(media="application/json", data={"brighter": float(body["by"]) * 2})]


PANELS.add("brighten", Panel(title="Brighten", work="brighten", inputs=(Input(name="by", label="By", kind="number"),)))
