"""Text to image, image to image."""

import asyncio

from fromnoise.server.access import Identity
from fromnoise.server.context import Context, Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.sdapi.bodies import Answer, ImageToImage, Shared, TextToImage
from fromnoise.server.sdapi.making import Maker
from fromnoise.server.sdapi.routes.common import new_router, translator
from fromnoise.server.sdapi.routes.settings import changed
from fromnoise.server.sdapi.translate import Asked

router = new_router()


async def made(asked: Asked, body: Shared, here: Context, who: Identity) -> Answer:
    """The pictures; a call's own settings stay afterwards where that is asked for, which administrators may."""
    stay = not body.override_settings_restore_afterwards and body.override_settings
    if stay and not who.is_admin:
        raise ApiError(
            403, "HTTPException", "override_settings_restore_afterwards: only an administrator may set it off"
        )
    answer = await Maker.of(here, who, body.force_task_id).answer(asked, body)
    if stay:
        await asyncio.to_thread(changed, dict(body.override_settings or {}), here)
    return answer


@router.post("/txt2img")
async def txt2img(body: TextToImage, here: Here, who: Who) -> Answer:
    """Make pictures of a prompt, and wait for them."""
    asked = await asyncio.to_thread(translator(here, with_styles=bool(body.styles)).text_to_image, body)
    return await made(asked, body, here, who)


@router.post("/img2img")
async def img2img(body: ImageToImage, here: Here, who: Who) -> Answer:
    """Make pictures of a picture, and wait for them."""
    asked = await asyncio.to_thread(translator(here, with_styles=bool(body.styles)).image_to_image, body)
    return await made(asked, body, here, who)
