"""What can be chosen by name, as data: for programs that must not load torch, such as the server.

`assets/catalogue.json` is what `write` makes of the registries; a test fails where it is not. Names that packages
outside add are merged in by `Catalogue.with_more`, which a worker tells of them.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from fromnoise.errors import UnknownName

ASSET = "catalogue.json"


class Choice(BaseModel):
    """Something that has a name."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    label: str
    aliases: tuple[str, ...] = ()
    good_for: str = ""
    good_for_zh: str = ""

    @property
    def known_as(self) -> Iterable[str]:
        return (self.name, self.label, *self.aliases)


class SamplerChoice(Choice):
    order: int = 1
    evaluations: int = 1
    stochastic: bool = False
    default_schedule: str = "normal"
    options: dict[str, float | int | str | bool] = {}


class Told(BaseModel):
    """What a field of a recipe means."""

    model_config = ConfigDict(frozen=True)

    path: str  # hires.strength, controls[].weight
    explanation: str
    explanation_zh: str


@dataclass(frozen=True)
class Catalogue:
    """All choices, by kind."""

    samplers: tuple[SamplerChoice, ...]
    schedules: tuple[Choice, ...]
    others: Mapping[str, tuple[Choice, ...]]  # upscalers, preprocessors, ...
    fields: tuple[Told, ...] = ()  # of a recipe

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Catalogue":
        """From its JSON."""
        others = {kind: tuple(map(Choice.model_validate, found)) for kind, found in content["others"].items()}
        return cls(
            tuple(map(SamplerChoice.model_validate, content["samplers"])),
            tuple(map(Choice.model_validate, content["schedules"])),
            others,
            tuple(map(Told.model_validate, content.get("fields", ()))),
        )

    @classmethod
    @cache
    def shipped(cls) -> "Catalogue":
        """What comes with the package."""
        return cls.of(json.loads(files("fromnoise.assets").joinpath(ASSET).read_text(encoding="utf-8")))

    def with_more(self, other: "Catalogue") -> "Catalogue":
        """Both; where both have a name, the other's."""
        kinds = [*self.others, *(kind for kind in other.others if kind not in self.others)]
        return replace(
            self,
            samplers=joined(self.samplers, other.samplers),
            schedules=joined(self.schedules, other.schedules),
            others={kind: joined(self.others.get(kind, ()), other.others.get(kind, ())) for kind in kinds},
        )

    def sampler(self, name: str) -> SamplerChoice:
        """By any of its names, in any case. UnknownName lists what there is."""
        return found("sampler", name, self.samplers)

    def schedule(self, name: str) -> Choice:
        return found("schedule", name, self.schedules)

    def other(self, kind: str, name: str) -> Choice:
        """One of another kind, such as "upscalers"."""
        return found(kind.removesuffix("s"), name, self.others.get(kind, ()))

    def resolve(self, name: str) -> tuple[str, str | None]:
        """(sampler, schedule or None) for any name of a sampler, also old labels that carry the schedule.

        >>> Catalogue.shipped().resolve("DPM++ 2M Karras")
        ('dpmpp_2m', 'karras')
        """
        try:
            return self.sampler(name).name, None
        except UnknownName:
            endings = {f" {schedule.label}".lower(): schedule.name for schedule in self.schedules} | {"_ka": "karras"}
            for ending, schedule in endings.items():
                if name.lower().endswith(ending):
                    return self.sampler(name[: -len(ending)]).name, schedule
            raise


C = TypeVar("C", bound=Choice)


def found(kind: str, name: str, choices: tuple[C, ...]) -> C:
    wanted = name.strip().lower()
    for choice in choices:
        if wanted in (known.lower() for known in choice.known_as):
            return choice
    raise UnknownName(kind, name, [choice.name for choice in choices])


def joined(first: tuple[C, ...], second: tuple[C, ...]) -> tuple[C, ...]:
    replaced = {choice.name: choice for choice in second}
    kept = tuple(choice for choice in first if choice.name not in replaced)
    return (*kept, *second)


def write(path: Path) -> None:
    """Write the catalogue of everything registered here, whole or not at all; loads torch."""
    from fromnoise.engine.images import write_whole

    write_whole(path, (json.dumps(gathered(), ensure_ascii=False, indent=1) + "\n").encode())


def gathered() -> dict[str, Any]:
    """What is registered in this process; loads torch."""
    from fromnoise.captioners import CAPTIONERS
    from fromnoise.engine.fields import explained
    from fromnoise.engine.sheets.axes import AXES
    from fromnoise.preprocessors import PREPROCESSORS
    from fromnoise.sampling.samplers import SAMPLERS
    from fromnoise.sampling.schedules import SCHEDULES
    from fromnoise.upscalers import LATENT_UPSCALERS, UPSCALERS

    samplers = [
        {"name": s.name, "label": s.label, "aliases": list(s.aliases), "good_for": s.good_for,
         "good_for_zh": s.good_for_zh, "order": s.order, "evaluations": s.evaluations, "stochastic": s.stochastic,
         "default_schedule": s.default_schedule, "options": s.options}
        for s in SAMPLERS.values()
    ]  # fmt: skip
    schedules = [
        {"name": s.name, "label": s.label, "good_for": s.good_for, "good_for_zh": s.good_for_zh}
        for s in SCHEDULES.values()
    ]
    captioners = [
        {"name": name, "label": one.label, "good_for": one.label, "good_for_zh": one.label_zh}
        for name, one in CAPTIONERS.items()
    ]
    upscalers = [
        {"name": name, "label": name, "good_for": one.good_for, "good_for_zh": one.good_for_zh, "latent": latent}
        for latent, registry in ((False, UPSCALERS), (True, LATENT_UPSCALERS))
        for name, one in registry.items()
    ]
    preprocessors = [
        {"name": name, "label": name, "aliases": list(one.aliases), "good_for": one.good_for,
         "good_for_zh": one.good_for_zh, "role": one.role, "control_type": one.control_type,
         "resolution": one.resolution, "needs": one.needs,
         "parameters": [{"name": p.name, "default": p.default, "low": p.limits.low, "high": p.limits.high}
                        for p in one.parameters]}
        for name, one in PREPROCESSORS.items()
    ]  # fmt: skip
    axes = [
        {"name": name, "label": one.label, "values": one.values, "choices": list(one.choices), "among": one.among}
        for name, one in AXES.items()
    ]
    others = {"captioners": captioners, "upscalers": upscalers, "preprocessors": preprocessors, "axes": axes}
    fields = [{"path": told.path, "explanation": told.explanation.replace("`", ""),
               "explanation_zh": told.explanation_zh.replace("`", "")} for told in explained()]  # fmt: skip
    return {"samplers": samplers, "schedules": schedules, "others": others, "fields": fields}


def beyond_shipped() -> dict[str, Any]:
    """What is registered in this process besides what comes with the package; loads torch."""
    found, shipped = gathered(), Catalogue.shipped()
    known = {"samplers": shipped.samplers, "schedules": shipped.schedules, **shipped.others}

    def more(kind: str, choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
        names = {choice.name for choice in known.get(kind, ())}
        return [
            {**choice, "options": finite(choice.get("options", {}))}
            for choice in choices
            if choice["name"] not in names
        ]

    others = {kind: more(kind, choices) for kind, choices in found["others"].items()}
    return {
        "samplers": more("samplers", found["samplers"]),
        "schedules": more("schedules", found["schedules"]),
        "others": {kind: choices for kind, choices in others.items() if choices},
    }


def finite(options: Mapping[str, Any]) -> dict[str, Any]:
    """Without what JSON can't tell."""
    return {name: value for name, value in options.items() if value not in (float("inf"), float("-inf"))}
