"""What is done with finished pictures: enlarging, reading what is written in them, describing them."""

import asyncio
import base64
from collections.abc import Iterator
from html import escape
from typing import Any

from pydantic import BaseModel, Field

from fromnoise.engine.recipe_parts import MAX_SIDE
from fromnoise.server import uploads
from fromnoise.server.access import Identity
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.sdapi.bodies import Body
from fromnoise.server.sdapi.infotext import taken_apart
from fromnoise.server.sdapi.making import Maker
from fromnoise.server.sdapi.routes.common import new_router, taken
from fromnoise.server.sdapi.scripts import CAPTIONERS

INFOTEXTS = ("parameters", "UserComment", "comment", "Description")

router = new_router()


class Extras(Body):
    """What is to be done."""

    resize_mode: int = Field(default=0, ge=0, le=1)
    show_extras_results: bool = True
    gfpgan_visibility: float = Field(default=0, ge=0, le=1)
    codeformer_visibility: float = Field(default=0, ge=0, le=1)
    codeformer_weight: float = Field(default=0, ge=0, le=1)
    upscaling_resize: float = Field(default=2, ge=1, le=8)
    upscaling_resize_w: int = Field(default=512, ge=8, le=MAX_SIDE)
    upscaling_resize_h: int = Field(default=512, ge=8, le=MAX_SIDE)
    upscaling_crop: bool = True
    upscaler_1: str | None = Field(default="None", max_length=200)
    upscaler_2: str | None = Field(default="None", max_length=200)
    extras_upscaler_2_visibility: float = Field(default=0, ge=0, le=1)
    upscale_first: bool = False

    def steps(self) -> dict[str, Any]:
        """Fields of `Postprocess`. UserError for what is not here."""
        found: dict[str, Any] = {"upscaler": self.upscaler_1 or "None", "scale": self.upscaling_resize}
        if self.resize_mode == 1:
            sides = (side // 8 * 8 for side in (self.upscaling_resize_w, self.upscaling_resize_h))
            found |= {"size": list(sides), "crop": self.upscaling_crop}
        if self.upscaler_2 not in (None, "", "None") and self.extras_upscaler_2_visibility:
            found |= {"upscaler2": self.upscaler_2, "visibility2": self.extras_upscaler_2_visibility}
        if faces := list(self.faces()):
            found["faces"] = faces
        return found

    def faces(self) -> Iterator[dict[str, Any]]:
        """How faces are made clear, in turn."""
        if self.gfpgan_visibility:
            yield {"by": "gfpgan", "visibility": self.gfpgan_visibility}
        if self.codeformer_visibility:
            yield {"by": "codeformer", "visibility": self.codeformer_visibility, "weight": self.codeformer_weight}


class OneExtra(Extras):
    image: str = ""


class NamedPicture(Body):
    data: str
    name: str = Field(max_length=1000)


class ManyExtras(Extras):
    imageList: list[NamedPicture] = Field(min_length=1, max_length=100)


class ExtraAnswer(BaseModel):
    html_info: str
    image: str


class ExtraAnswers(BaseModel):
    html_info: str
    images: list[str]


@router.post("/extra-single-image")
async def extra_single_image(body: OneExtra, here: Here, who: Who) -> ExtraAnswer:
    """Enlarge a picture."""
    line, images = await extra(body, [body.image], here, who)
    return ExtraAnswer(html_info=line, image=images[0])


@router.post("/extra-batch-images")
async def extra_batch_images(body: ManyExtras, here: Here, who: Who) -> ExtraAnswers:
    """Enlarge pictures."""
    line, images = await extra(body, [one.data for one in body.imageList], here, who)
    return ExtraAnswers(html_info=line, images=images)


async def extra(body: Extras, pictures: list[str], here: Context, who: Identity) -> tuple[str, list[str]]:
    """What was done, as HTML, and the pictures in base64."""
    steps = body.steps()
    images = [(await asyncio.to_thread(taken, text, here)).model_dump() for text in pictures]
    maker, files, line = Maker.of(here, who), [], ""
    for image in images:
        [result] = await maker.work("upscale", {"picture": image, "settings": steps})
        files.append(await asyncio.to_thread(maker.read, result))
        line = ", ".join(f"{key}: {value}" for key, value in dict(result.data.get("info") or {}).items())
    return f"<p>{escape(line)}</p>" if line else "", [base64.b64encode(file).decode() for file in files]


class OnePicture(Body):
    image: str


class PngInfo(BaseModel):
    """What is written in a picture: the infotext, all texts, and the infotext taken apart."""

    info: str
    items: dict[str, Any]
    parameters: dict[str, Any]


@router.post("/png-info")
async def png_info(body: OnePicture, here: Here, who: Who) -> PngInfo:
    """What is written in a picture."""
    data = uploads.from_base64(body.image)
    items = await asyncio.to_thread(uploads.texts, data, here.uploads)
    info = next((items[key] for key in INFOTEXTS if "Steps: " in items.get(key, "")), items.get("parameters", ""))
    return PngInfo(info=info, items=items, parameters=taken_apart(info))


class Interrogate(Body):
    image: str = ""
    model: str = Field(default="clip", max_length=200)


class Interrogated(BaseModel):
    caption: str


@router.post("/interrogate")
async def interrogate(body: Interrogate, here: Here, who: Who) -> Interrogated:
    """Describe a picture: `clip` in a sentence (BLIP), `deepdanbooru` by tags (WD14)."""
    if not body.image:
        raise ApiError(404, "HTTPException", "Image not found")
    by = CAPTIONERS.get(body.model.lower())
    if by is None:
        raise ApiError(404, "HTTPException", "Model not found")
    image = await asyncio.to_thread(taken, body.image, here)
    [result] = await Maker.of(here, who).work("caption", {"picture": image.model_dump(), "by": by})
    return Interrogated(caption=str(result.data["text"]))
