"""What enlarges, in the words of AUTOMATIC1111 and its extensions, there and back."""

import pytest

from fromnoise.engine.metadata.infotext import parameters
from fromnoise.engine.metadata.infotext_read import read_infotext
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_upscale import Redraw

START = ImageRef(path="start.png", sha256="0" * 64)
TILED = (
    "a castle\nSteps: 18, Sampler: DPM++ 3M SDE Karras, CFG scale: 6, Seed: 1337, Size: 1024x1536, "
    "Denoising strength: 0.35, Tiled Diffusion upscaler: 4x-UltraSharp, Tiled Diffusion scale factor: 2, "
    'Tiled Diffusion: {"Method": "MultiDiffusion", "Tile tile width": 112, "Tile tile height": 144, "Tile Overlap": 4, '
    '"Tile batch size": 8, "Upscaler": "4x-UltraSharp", "Upscale factor": 2, "Keep input size": true}, Version: v1.9.0'
)


def there_and_back(recipe: Recipe) -> Recipe:
    found = read_infotext(parameters(recipe))
    assert not found.not_understood
    return found.recipe


def test_tiled_diffusion_of_the_extension() -> None:
    found = read_infotext(TILED)
    assert found.recipe.tiles is not None
    assert found.recipe.tiles.model_dump() == {"method": "multidiffusion", "width": 112, "height": 144, "overlap": 4}
    assert found.recipe.init_upscaler == "4x-UltraSharp"
    assert not found.not_understood


def test_what_the_extension_does_besides_is_not_understood() -> None:
    text = TILED.replace('"Keep input size": true', '"NoiseInv": true, "NoiseInv Steps": 10')
    assert read_infotext(text).not_understood == {
        "Tiled Diffusion, NoiseInv": "true",
        "Tiled Diffusion, NoiseInv Steps": "10",
    }
    for broken in ("Tiled Diffusion: [1]", 'Tiled Diffusion: {"Method": "other"}', "Tiled Diffusion: {x"):
        found = read_infotext(f"a\nSteps: 1, Sampler: Euler, Seed: 1, CFG scale: 1, {broken}")
        assert found.recipe.tiles is None
        assert "Tiled Diffusion" in found.not_understood


@pytest.mark.parametrize("upscaler", [None, "4x-UltraSharp", "R-ESRGAN 4x+", 'x, "y": z'])
@pytest.mark.parametrize("method", [None, "multidiffusion", "mixture of diffusers"])
def test_tiles_and_upscalers_come_back(method: str | None, upscaler: str | None) -> None:
    tiles = None if method is None else {"method": method, "width": 64, "height": 80, "overlap": 8}
    recipe = Recipe.make(init=START, strength=0.4, tiles=tiles, init_upscaler=upscaler, profile="a1111")
    back = there_and_back(recipe)
    assert (back.tiles, back.init_upscaler) == (recipe.tiles, upscaler)


def test_names_of_upscalers_are_written_as_automatic1111_does() -> None:
    def written(**hires: object) -> str:
        return parameters(Recipe.make(hires=hires))

    assert "Hires upscaler: Latent," in written()
    assert "Hires upscaler: Latent (nearest-exact)," in written(upscaler="latent (NEAREST-exact)")
    assert "Hires upscaler: Lanczos," in written(upscaler="lanczos")
    assert "Hires upscaler: R-ESRGAN AnimeVideo," in written(upscaler="builtin")
    assert "Hires upscaler: my own," in written(upscaler="my own")


REDRAWN = (
    "a castle\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x640, Model: x, Denoising strength: 0.3, "
    "SD upscale overlap: 96, SD upscale upscaler: R-ESRGAN 4x+, Version: v1.10.1"
)
ULTIMATE = (
    "a castle\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 2048x1536, Model: x, Denoising strength: 0.3, "
    "Mask blur: 8, Inpaint area: Only masked, Masked area padding: 32, Ultimate SD upscale upscaler: None, "
    "Ultimate SD upscale tile_width: 768, Ultimate SD upscale tile_height: 0, Ultimate SD upscale mask_blur: 12, "
    "Ultimate SD upscale padding: 48, Version: v1.10.1"
)


def test_sd_upscale_is_read() -> None:
    found = read_infotext(REDRAWN)
    assert not found.not_understood
    assert found.recipe.redraw == Redraw(overlap=96)
    assert (found.recipe.width, found.recipe.height, found.recipe.init_upscaler) == (512, 640, "R-ESRGAN 4x+")
    unscaled = read_infotext(REDRAWN.replace("R-ESRGAN 4x+", "None")).recipe
    assert unscaled.redraw == Redraw(overlap=96, scale=1)
    assert unscaled.init_upscaler is None


def test_ultimate_sd_upscale_is_read() -> None:
    found = read_infotext(ULTIMATE)
    assert not found.not_understood
    assert found.recipe.redraw == Redraw(method="linear", size=(2048, 1536), blur=12, padding=48)
    assert (found.recipe.width, found.recipe.height, found.recipe.init_upscaler) == (768, 768, None)
    assert found.recipe.inpaint is None


@pytest.mark.parametrize("upscaler", [None, "R-ESRGAN 4x+"])
@pytest.mark.parametrize(
    "redraw",
    [
        {"size": (1024, 768), "overlap": 32},
        {"size": (1024, 768), "method": "chess", "seams": "band", "seam_strength": 0.2},
        {"method": "linear", "scale": 3},
    ],
)
def test_redraws_come_back(redraw: dict[str, object], upscaler: str | None) -> None:
    recipe = Recipe.make(init=START, strength=0.3, redraw=redraw, init_upscaler=upscaler, profile="a1111", width=640)
    back = there_and_back(recipe)
    assert (back.redraw, back.init_upscaler, back.width) == (recipe.redraw, upscaler, 640)


def test_redraws_are_written_as_the_scripts_do() -> None:
    own = {"init": START, "width": 640, "height": 512, "profile": "a1111", "init_upscaler": "lanczos"}
    text = parameters(Recipe.make(redraw={"size": (1280, 1024)}, **own))
    assert "Size: 640x512," in text
    assert "SD upscale overlap: 64, SD upscale upscaler: Lanczos," in text
    text = parameters(Recipe.make(redraw={"size": (1280, 1024), "method": "chess"}, **own))
    assert "Size: 1280x1024," in text
    assert (
        "Ultimate SD upscale upscaler: Lanczos, Ultimate SD upscale tile_width: 640, "
        "Ultimate SD upscale tile_height: 512, Ultimate SD upscale mask_blur: 8, Ultimate SD upscale padding: 32,"
        in text
    )
