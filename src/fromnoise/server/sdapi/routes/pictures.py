"""Text to image, image to image."""

import asyncio

from fromnoise.server.context import Here, Who
from fromnoise.server.sdapi.bodies import Answer, ImageToImage, TextToImage
from fromnoise.server.sdapi.making import Maker
from fromnoise.server.sdapi.routes.common import new_router, translator

router = new_router()


@router.post("/txt2img")
async def txt2img(body: TextToImage, here: Here, who: Who) -> Answer:
    """Make pictures of a prompt, and wait for them."""
    asked = await asyncio.to_thread(translator(here, with_styles=bool(body.styles)).text_to_image, body)
    return await Maker.of(here, who, body.force_task_id).answer(asked, body)


@router.post("/img2img")
async def img2img(body: ImageToImage, here: Here, who: Who) -> Answer:
    """Make pictures of a picture, and wait for them."""
    asked = await asyncio.to_thread(translator(here, with_styles=bool(body.styles)).image_to_image, body)
    return await Maker.of(here, who, body.force_task_id).answer(asked, body)
