"""The parts of recipes that enlarge, and what is done with a picture that is finished. No torch: servers check them."""

from typing import Literal

from pydantic import Field

from fromnoise.engine.recipe_parts import MAX_SIDE, Part, Share, Side
from fromnoise.engine.references import ImageRef

BUILTIN_UPSCALER = "R-ESRGAN AnimeVideo"
FACE_LABELS = {"gfpgan": "GFPGAN", "codeformer": "CodeFormer"}


class TiledDiffusion(Part):
    """Pictures larger than the model was trained on, asked about in tiles whose answers are averaged at each step."""

    method: Literal["multidiffusion", "mixture of diffusers"] = Field(
        default="multidiffusion", description="Places count alike, or more the nearer they are to a tile's middle."
    )
    width: int = Field(default=96, ge=16, le=256, description="Of a tile, in latents, which are 8 pixels wide.")
    height: int = Field(default=96, ge=16, le=256, description="Of a tile, in latents.")
    overlap: int = Field(default=48, ge=0, le=256, description="Latents that neighbouring tiles share.")


class Redraw(Part):
    """The start picture enlarged and painted anew in tiles, each as large as `width` and `height` of the recipe."""

    method: Literal["tiles", "linear", "chess", "none"] = Field(
        default="tiles",
        description="tiles: pictures by themselves that fade into each other (SD upscale); linear, chess: squares of "
        "one canvas in turn (Ultimate SD upscale); none: the seams alone.",
    )
    scale: float = Field(default=2.0, ge=1, le=8, description="Times the size of the start picture.")
    size: tuple[Side, Side] | None = Field(
        default=None, description="Width and height instead of `scale`; filled in when the picture is made."
    )
    overlap: int = Field(default=64, ge=0, le=1024, description="tiles: pixels that neighbours share.")
    padding: int = Field(
        default=32, ge=0, le=1024, description="linear, chess: pixels about a tile that are looked at."
    )
    blur: float = Field(
        default=8.0, ge=0, le=256, description="linear, chess: of a tile's edge, a deviation in pixels."
    )
    seams: Literal["none", "band", "half", "half+intersections"] = Field(
        default="none",
        description="What is painted once more: strips along seams; tiles half a tile off; and those about corners.",
    )
    seam_strength: Share = Field(default=0.35, description="How much of the seams is replaced by noise.")
    seam_width: int = Field(default=64, ge=8, le=1024, description="Pixels across a strip.")
    seam_padding: int = Field(default=16, ge=0, le=1024, description="Pixels about it that are looked at.")
    seam_blur: float = Field(default=4.0, ge=0, le=256, description="Of the edges of tiles half a tile off.")


class Enlarge(Part):
    """A small picture for upscaling models (Stable Diffusion x4), which paint it four times as large."""

    image: ImageRef = Field(description="The small picture.")
    noise_level: int = Field(
        default=20, ge=0, le=350, description="How much noise it is shown with: more lets the model invent more."
    )


class FaceRestoration(Part):
    """Faces made clear in the finished picture."""

    by: Literal["codeformer", "gfpgan"] = Field(default="codeformer", description="The network that draws them anew.")
    weight: Share = Field(default=0.5, description="CodeFormer: how true it is to what was there; 0 invents the most.")
    visibility: Share = Field(default=1.0, description="How much of it is seen.")
    model: str | None = Field(default=None, description="Name or path of its file; by default the newest there is.")


class Postprocess(Part):
    """What is done with a finished picture, in this order."""

    upscaler: str = Field(default=BUILTIN_UPSCALER, description="How it is enlarged; None leaves its size.")
    scale: float = Field(default=4.0, ge=1, le=8, description="Times its size.")
    max_side: int = Field(default=0, ge=0, le=MAX_SIDE, description="At most so many pixels on a side; 0: no limit.")
    size: tuple[Side, Side] | None = Field(default=None, description="Width and height instead of `scale`.")
    crop: bool = Field(default=True, description="Cut what lies beyond `size`; else it is covered, in proportion.")
    upscaler2: str | None = Field(default=None, description="Another upscaler, mixed into the first.")
    visibility2: Share = Field(default=0.0, description="How much of the second is seen.")
    faces: tuple[FaceRestoration, ...] = Field(
        default=(), max_length=2, description="How faces are made clear, in turn."
    )
