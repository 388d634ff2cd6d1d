"""What packages outside add to a worker: kinds of work, panels for the studio, and checks of finished pictures.

Packages name theirs in entry points; all of it is loaded here, in the worker, and nowhere else. The server is told of
it as data, with the worker's other news.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from fromnoise.engine.catalogue import beyond_shipped
from fromnoise.engine.metadata.comfyui_nodes import NODES
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import FromnoiseError, UserError
from fromnoise.jobs.worker.routes import ROUTES
from fromnoise.jobs.worker.tasks import TASKS
from fromnoise.registry import FAULTS, Registry


class Input(BaseModel):
    """Something that a panel asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(max_length=100)
    label: str = Field(max_length=200)
    label_zh: str = Field(default="", max_length=200)
    kind: str = Field(default="text", pattern="^(text|number|switch|choice|picture)$")
    choices: tuple[str, ...] = Field(default=(), max_length=200)
    default: str | float | bool | None = None


class Panel(BaseModel):
    """A form of the studio's that asks for a kind of work."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(max_length=200)
    title_zh: str = Field(default="", max_length=200)
    work: str = Field(default="", max_length=100, description="The kind of work that it asks for.")
    page: str = Field(default="", max_length=200, description="The route whose answer, HTML, is shown in a frame.")
    inputs: tuple[Input, ...] = Field(default=(), max_length=100)


PANELS: Registry[Panel] = Registry("panel", entry_points="fromnoise.panels")


@dataclass(frozen=True)
class Replaced:
    """Another picture, such as a blurred one, that is given out in place of the one that was made, and why."""

    image: Image.Image  # RGB, of the same size
    reason: str


Check = Callable[[Image.Image, Recipe], "str | Replaced | None"]
CHECKS: Registry[Check] = Registry("check of pictures", entry_points="fromnoise.picture_checks")


@cache
def told() -> dict[str, Any]:
    """What the server is told, once for each process; what can't be loaded is said, and does without."""
    found: dict[str, Any] = {}
    parts: dict[str, Callable[[], Any]] = {
        "catalogue": beyond_shipped,
        "kinds": lambda: [name for name, run in TASKS.items() if not run.__module__.startswith("fromnoise.")],
        "panels": lambda: [panel.model_dump(mode="json") for panel in PANELS.values()],
        "nodes": lambda: list(NODES),
        "routes": lambda: list(ROUTES),
        "checks": lambda: list(CHECKS),
    }
    for name, tell in parts.items():
        try:
            found[name] = tell()
        except Exception as error:  # of a stranger's package
            found.setdefault("faults", []).append(f"{name}: {type(error).__name__}: {error}"[:500])
    if FAULTS:
        found["faults"] = [*found.get("faults", []), *FAULTS]
    return found


def are_examined() -> bool:
    """Whether finished pictures have to pass a check, be it one that could not be loaded."""
    return bool(CHECKS or CHECKS.faults)


def examine(image: Image.Image, recipe: Recipe) -> tuple[Image.Image, list[str]]:
    """The picture that is given out, and why it is another one than was made.

    UserError where a check of an operator's does not let a picture out; FromnoiseError where a check fails.
    """
    reasons = []
    if CHECKS.faults:
        raise FromnoiseError(f"a check of pictures is not there ({CHECKS.faults[0]}): no picture leaves unchecked")
    for name, check in CHECKS.items():
        try:
            reason = check(image, recipe)
        except Exception as error:
            raise FromnoiseError(
                f"the check {name} failed ({type(error).__name__}): no picture leaves unchecked"
            ) from error
        if isinstance(reason, Replaced):
            image, found = reason.image.convert("RGB"), reason.reason[:500]
            reasons.append(found)
        elif reason:
            raise UserError(f"not given out: {reason}"[:500])
    return image, reasons
