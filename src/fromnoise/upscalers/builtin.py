"""The upscalers that need no file beside the package, under AUTOMATIC1111's names."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from fromnoise.upscalers.registry import LATENT_UPSCALERS, LatentUpscaler, Upscaler, upscaler

if TYPE_CHECKING:
    from fromnoise.upscalers.work import Work

Resample = Image.Resampling


@dataclass(frozen=True)
class Resampler:
    """Pixels between pixels by a fixed rule."""

    rule: Image.Resampling
    scale: int = 0

    def __call__(self, image: Image.Image, width: int, height: int, work: "Work") -> Image.Image:
        return image.resize((width, height), self.rule)


@upscaler(
    "None",
    good_for="No upscaler: Lanczos where the size has to change.",
    good_for_zh="不用放大算法：需改变尺寸时用 Lanczos。",
)
def none() -> Upscaler:
    return Resampler(Resample.LANCZOS)


@upscaler("Lanczos", good_for="Smooth and quick; invents nothing.", good_for_zh="平滑而快速，不添加细节。")
def lanczos() -> Upscaler:
    return Resampler(Resample.LANCZOS)


@upscaler("Nearest", good_for="Pixel art: every pixel becomes a square.", good_for_zh="像素画：每个像素变成方块。")
def nearest() -> Upscaler:
    return Resampler(Resample.NEAREST)


@upscaler(
    "R-ESRGAN AnimeVideo",
    good_for="Drawings, anime and emoji, four times; comes with the package and is quick on any machine.",
    good_for_zh="插画、动漫与表情图，放大四倍；随软件附带，任何机器上都很快。",
    aliases=("realesr-animevideov3", "builtin"),
)
def anime_video() -> Upscaler:
    from fromnoise.upscalers.files import FileUpscaler

    return FileUpscaler(Path(str(files("fromnoise.assets").joinpath("upscaler.safetensors"))))


for _latent in (
    LatentUpscaler(
        "Latent", "bilinear", False, "Much new detail, from strength 0.5 on.", "细节丰富，重绘幅度需 0.5 以上。"
    ),
    LatentUpscaler("Latent (antialiased)", "bilinear", True, "The same, a little softer.", "同上，略柔和。"),
    LatentUpscaler("Latent (bicubic)", "bicubic", False, "Harder edges than Latent.", "边缘比 Latent 更硬。"),
    LatentUpscaler("Latent (bicubic antialiased)", "bicubic", True, "Between these two.", "介于以上两者之间。"),
    LatentUpscaler(
        "Latent (nearest)", "nearest", False, "Squares for a strong pass to paint over.", "方块状，靠较强的重绘抹平。"
    ),
    LatentUpscaler("Latent (nearest-exact)", "nearest-exact", False, "The same, centred.", "同上，位置居中。"),
):
    LATENT_UPSCALERS.add(_latent.name, _latent)
