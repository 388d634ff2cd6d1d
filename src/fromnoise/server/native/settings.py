"""What can be chosen for the service, and what everyone chooses for themselves."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fromnoise.jobs.options import Options
from fromnoise.jobs.preferences import Preferences
from fromnoise.server.context import Admin, Here, Who
from fromnoise.server.parts import new_part

STUDIO = "studio"  # under which the page keeps what its users choose

router = new_part()


class SettingView(BaseModel):
    """A setting of the service."""

    name: str
    title: str
    title_zh: str
    explanation: str
    explanation_zh: str
    kind: Literal["text", "whole", "number"]
    value: str | int | float
    default: str | int | float
    minimum: float | None
    maximum: float | None
    longest: int | None = Field(description="Characters of a text.")


class SettingsView(BaseModel):
    """What an operator can choose. It counts from the next start of the service."""

    settings: list[SettingView]


class SettingChanges(BaseModel):
    """New values by name."""

    model_config = ConfigDict(extra="forbid")

    values: dict[str, str | int | float] = Field(max_length=100)


class PreferencesView(BaseModel):
    """What a user chose in the studio: any JSON of a page's own."""

    model_config = ConfigDict(extra="forbid")

    values: dict[str, Any] = {}


@router.get("/settings")
def list_settings(here: Here, who: Admin) -> SettingsView:
    """The service's settings, each with its sentence."""
    return view(Options.load(here.queue.database))


@router.put("/settings")
def change_settings(changes: SettingChanges, here: Here, who: Admin) -> SettingsView:
    """Change some of them."""
    options = Options.load(here.queue.database).changed(**changes.values)
    options.save(here.queue.database)
    return view(options)


def view(options: Options) -> SettingsView:
    kinds: dict[str, Literal["text", "whole", "number"]] = {"string": "text", "integer": "whole", "number": "number"}
    return SettingsView(
        settings=[
            SettingView(
                name=name, title=told["title"], title_zh=told["title_zh"],
                explanation=told["description"], explanation_zh=told["zh"], kind=kinds[told["type"]],
                value=getattr(options, name), default=told["default"],
                minimum=told.get("minimum"), maximum=told.get("maximum"), longest=told.get("maxLength"),
            )
            for name, told in Options.model_json_schema()["properties"].items()
        ]
    )  # fmt: skip


@router.get("/preferences")
def get_preferences(here: Here, who: Who) -> PreferencesView:
    """What the caller chose for the studio."""
    return PreferencesView(values=Preferences(here.queue.database).get(who.name, STUDIO) or {})


@router.put("/preferences")
def set_preferences(wanted: PreferencesView, here: Here, who: Who) -> PreferencesView:
    """Keep what the caller chose, in place of what was there."""
    Preferences(here.queue.database).set(who.name, STUDIO, wanted.values)
    return wanted
