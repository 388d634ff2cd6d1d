"""What enlarges, in the words of AUTOMATIC1111 and its extensions, there and back."""

import pytest

from fromnoise.engine.metadata.infotext import parameters
from fromnoise.engine.metadata.infotext_read import read_infotext
from fromnoise.engine.recipe import ImageRef, Recipe

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
