"""From what a body asks for to the answer: pictures and sheets through the queue, waited for."""

import asyncio
import base64
import io
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from PIL import Image

from fromnoise.engine.recipe import Recipe
from fromnoise.engine.references import ImageRef
from fromnoise.errors import FromnoiseError, without_folders
from fromnoise.jobs.job import ALONE, Job, Member, Result, Work, members
from fromnoise.server.access import Identity
from fromnoise.server.context import Context
from fromnoise.server.errors import ApiError
from fromnoise.server.native.orders import accepted, check_rate
from fromnoise.server.native.styles import known_styles
from fromnoise.server.sdapi.bodies import Answer, ImageToImage, Shared
from fromnoise.server.sdapi.scripts import Plan
from fromnoise.server.sdapi.told import info
from fromnoise.server.sdapi.translate import Asked
from fromnoise.server.sdapi.units import Hint
from fromnoise.server.waiting import failure, finished
from fromnoise.text.prompt_styles import add_styles


@dataclass(frozen=True)
class Shown:
    """A picture of an answer."""

    data: bytes
    recipe: Recipe
    reference: ImageRef  # its file
    remarks: Sequence[str] = ()

    @property
    def infotext(self) -> str:
        return parameters_of(self.data)


@dataclass
class Maker:
    """Makes what one call asks for; its jobs have a group in common."""

    here: Context
    who: Identity
    group: str = field(default_factory=lambda: f"task({secrets.token_hex(8)})")
    began: float = 0.0

    @classmethod
    def of(cls, here: Context, who: Identity, group: str | None = None) -> "Maker":
        """`group` is the client's own name for its call."""
        return cls(here, who, group) if group else cls(here, who)

    async def answer(self, asked: Asked, body: Shared) -> Answer:
        """Pictures in AUTOMATIC1111's order: sheets, pictures, hints. ApiError where something fails."""
        plan, grid = asked.plan, None
        if plan is None:
            pictures = await self.pictures(asked.recipes, members([one.seed for one in asked.recipes], body.batch_size))
        else:
            grid = await self.planned(plan, asked.recipes[0])
            cells = [Recipe.from_table(cell) for cell in grid["cells"]]
            pictures = await (self.in_turn(cells, plan.describe_by) if plan.in_turn else self.pictures(cells))
        whole = grid is not None and len(pictures) == len(grid["cells"])
        sheets = await self.sheets(plan, grid, pictures) if plan and grid and plan.sheet and whole else []
        if plan is None and body.save_images and len(pictures) > 1 and self.here.options.get("return_grid", True):
            sheets = [await self.sheet(pictures, {})]
        shown = pictures if plan is None or plan.lone or not sheets else []
        texts = [parameters_of(sheet) for sheet in sheets] + [picture.infotext for picture in shown]
        images = [*sheets, *(picture.data for picture in shown)]
        images += await self.hints(asked.hints, asked.recipes[0]) if body.send_images else []
        told = info(
            [picture.recipe for picture in pictures] or asked.recipes, texts, self.here.catalogue,
            first=len(sheets) if shown else 0, moment=f"{datetime.fromtimestamp(self.began):%Y%m%d%H%M%S}",
            styles=body.styles or [], comments=[remark for picture in pictures for remark in picture.remarks],
        )  # fmt: skip
        encoded = [base64.b64encode(image).decode() for image in images] if body.send_images else []
        return Answer(images=encoded, parameters=echo(body), info=json.dumps(told, ensure_ascii=False))

    # pictures

    async def pictures(self, recipes: Sequence[Recipe], placed: Sequence[Member] = ()) -> list[Shown]:
        """Those that were made; what was cancelled is left out. `placed`: where each stands, unless it stands alone."""
        await asyncio.to_thread(check_rate, len(recipes), self.here, self.who)
        works = [
            Work.picture(recipe, owner=self.who.name, group=self.group, member=member)
            for recipe, member in zip(recipes, placed or [ALONE] * len(recipes), strict=True)
        ]
        jobs = await asyncio.to_thread(accepted, self.here.queue, works)
        self.began = self.began or jobs[0].created
        ended = [await finished(job, self.here) for job in jobs]
        return [await self.shown(job) for job in ended if job.state != "cancelled"]

    async def in_turn(self, recipes: Sequence[Recipe], describe_by: str = "") -> list[Shown]:
        """Each from the picture before it, until one is cancelled; by what a captioner says of that, too."""
        made: list[Shown] = []
        for recipe in recipes:
            following = recipe.but(init=made[-1].reference.model_dump()) if made else recipe
            if describe_by and following.init:
                start = {"picture": following.init.model_dump(), "by": describe_by}
                [told] = await self.work("caption", start)
                following = following.but(prompt=add_styles(following.prompt, [str(told.data["text"])]))
            new = await self.pictures([following])
            if not new:
                break
            made += new
        return made

    async def shown(self, job: Job) -> Shown:
        result = (await self.results(job))[0]
        data = await asyncio.to_thread(self.read, result)
        recipe = Recipe.from_table(result.data.get("recipe") or job.work.body)
        path = self.here.file(self.here.outputs, str(result.path))
        reference = ImageRef(path=str(path), sha256=str(result.sha256))
        return Shown(data, recipe, reference, tuple(map(without_folders, job.remarks)))

    async def results(self, job: Job) -> list[Result]:
        """ApiError where a job has none."""
        found = await asyncio.to_thread(self.here.queue.results, job.id)
        if job.state != "done" or not found:
            raise failure(job)
        return found

    def read(self, result: Result) -> bytes:
        return self.here.file(self.here.outputs, str(result.path)).read_bytes()

    # other work

    async def work(self, kind: str, body: Mapping[str, Any]) -> list[Result]:
        """The results of a task. ApiError where it fails."""
        await asyncio.to_thread(check_rate, 1, self.here, self.who)
        work = Work(kind, body, owner=self.who.name, group=self.group)
        [job] = await asyncio.to_thread(accepted, self.here.queue, [work])
        self.began = self.began or job.created
        return await self.results(await finished(job, self.here))

    async def files(self, kind: str, body: Mapping[str, Any]) -> list[bytes]:
        """The files that a task makes."""
        return [await asyncio.to_thread(self.read, result) for result in await self.work(kind, body)]

    async def planned(self, plan: Plan, recipe: Recipe) -> dict[str, Any]:
        """Labels and cells of a script."""
        given = dict(plan.given)
        if any(axis is not None and axis[0].lower() == "styles" for axis in given.get("axes", ())):
            given["styles"] = [asdict(style) for style in await asyncio.to_thread(known_styles, self.here)]
        body = {"script": plan.script, "given": given, "recipe": recipe.to_table()}
        try:
            return await asyncio.to_thread(self.here.clerk.ask, "plan", body)
        except FromnoiseError as error:
            raise ApiError(422, "script", f"{plan.title}: {error}") from error

    async def sheets(self, plan: Plan, grid: Mapping[str, Any], pictures: Sequence[Shown]) -> list[bytes]:
        """The sheet of a plan, and those of its layers where they are asked for."""
        labels: dict[str, Any] = {
            side: list(grid[side]) if plan.legend else [""] * len(grid[side]) for side in ("columns", "rows", "layers")
        }
        labels |= {"margin": plan.margin, "fields": dict(plan.fields)}
        sheets = [await self.sheet(pictures, labels)]
        if plan.sub_grids and len(labels["layers"]) > 1:
            size = len(pictures) // len(labels["layers"])
            for number, label in enumerate(labels["layers"]):
                some = pictures[number * size : (number + 1) * size]
                sheets.append(await self.sheet(some, labels | {"layers": [label]}))
        return sheets

    async def sheet(self, pictures: Sequence[Shown], labels: Mapping[str, Any]) -> bytes:
        images = [picture.reference.model_dump() for picture in pictures]
        return (await self.files("sheet", {"images": images, **labels, "text": pictures[0].infotext}))[0]

    async def hints(self, hints: Sequence[Hint], recipe: Recipe) -> list[bytes]:
        """What control networks were shown, in the size of the picture."""
        found: list[bytes] = []
        size = recipe.hires.size(recipe.width, recipe.height) if recipe.hires else (recipe.width, recipe.height)
        for hint in hints:
            body = {"picture": hint.image.model_dump(), "preprocessor": hint.preprocessor,
                    "resolution": hint.resolution, "parameters": dict(hint.parameters), "size": list(size),
                    "resize": hint.resize}  # fmt: skip
            found += await self.files("preprocess", body)
        return found


def echo(body: Shared) -> dict[str, Any]:
    """What was asked for, without the pictures unless the client wants them back."""
    if not isinstance(body, ImageToImage):
        return body.model_dump(mode="json")
    found = body.model_dump(mode="json", exclude={"include_init_images"})
    return found if body.include_init_images else found | {"init_images": None, "mask": None}


def parameters_of(data: bytes) -> str:
    """The infotext in a picture of ours; "" where there is none."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            return str(image.info.get("parameters", ""))
    except (OSError, ValueError, SyntaxError):
        return ""
