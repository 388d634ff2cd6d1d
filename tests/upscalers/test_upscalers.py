"""Upscalers by name, as people choose them."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fromnoise.engine.enlarge import check_upscaler, enlarged, upscaler, upscaler_names
from fromnoise.errors import FileError, UnknownName
from fromnoise.nn.srvgg import CompactConfig
from fromnoise.settings import Settings
from fromnoise.upscalers import LATENT_UPSCALERS, UPSCALERS
from fromnoise.upscalers.work import Work
from tests.upscalers.test_tiles import largest_difference, picture
from tests.upscalers.tiny import compact, saved

RESAMPLING = {
    "None": Image.Resampling.LANCZOS,
    "Lanczos": Image.Resampling.LANCZOS,
    "Nearest": Image.Resampling.NEAREST,
}


@pytest.fixture
def library(tmp_path: Path) -> Settings:
    folder = tmp_path / "models" / "ESRGAN"
    folder.mkdir(parents=True)
    saved(compact(), folder / "RealESRGAN_x2plus.pth")
    saved(compact(seed=1), folder / "2x-Sharp.pth")
    return Settings(models=(tmp_path,))


@pytest.mark.parametrize("name", UPSCALERS)
def test_every_upscaler_makes_the_size_it_is_asked_for(name: str) -> None:
    made = upscaler(name)(picture(20, 14), 47, 33, Work())
    assert (made.size, made.mode) == ((47, 33), "RGB")
    if name in RESAMPLING:
        assert largest_difference(made, picture(20, 14).resize((47, 33), RESAMPLING[name])) == 0


@pytest.mark.parametrize("registry", [UPSCALERS, LATENT_UPSCALERS])
def test_each_says_what_it_is_good_for(registry: dict[str, object]) -> None:
    for item in registry.values():
        assert item.good_for.endswith((".", "。"))  # type: ignore[attr-defined]
        assert item.good_for_zh.endswith("。")  # type: ignore[attr-defined]


def test_files_by_name_and_by_automatic1111s_label(library: Settings) -> None:
    by_label, by_name = upscaler("R-ESRGAN 2x+", library), upscaler("realesrgan_x2plus.pth", library)
    assert by_label == by_name
    assert upscaler("2x-sharp", library).scale == 2
    path = library.models[0] / "models" / "ESRGAN" / "2x-Sharp.pth"
    assert upscaler(str(path)) == upscaler("2x-Sharp", library)
    assert {"Lanczos", "2x-Sharp", "RealESRGAN_x2plus"} <= set(upscaler_names(library))


def test_missing_files_and_wrong_names(library: Settings) -> None:
    with pytest.raises(FileError, match=r"R-ESRGAN 4x\+ is the file RealESRGAN_x4plus\.pth, which is not here: put it"):
        upscaler("R-ESRGAN 4x+", library)
    with pytest.raises(UnknownName, match="did you mean '2x-Sharp'"):
        check_upscaler("2x-Shrp", library)
    with pytest.raises(UnknownName, match=r"did you mean 'Latent \(antialiased\)'"):
        check_upscaler("latent antialiased", library)
    check_upscaler("latent", library)


def test_a_network_is_applied_until_it_is_large_enough(library: Settings) -> None:
    through, small = upscaler("2x-Sharp", library), picture(10, 10)
    once, twice = through(small, 20, 20, Work()), through(through(small, 20, 20, Work()), 40, 40, Work())
    assert largest_difference(through(small, 40, 40, Work()), twice) == 0
    made = through(small, 33, 30, Work())  # 40x40 first
    assert largest_difference(made, twice.resize((33, 30), Image.Resampling.LANCZOS)) == 0
    assert largest_difference(through(small, 15, 15, Work()), once.resize((15, 15), Image.Resampling.LANCZOS)) == 0
    most = through(small, 400, 400, Work())  # three times, then Lanczos
    eighty = through(small, 80, 80, Work())
    assert largest_difference(most, eighty.resize((400, 400), Image.Resampling.LANCZOS)) == 0


def test_a_network_of_scale_1_is_applied_once(tmp_path: Path) -> None:
    cleaner = saved(compact(CompactConfig(width=8, convolutions=2, scale=1)), tmp_path / "1x.pth")
    through = upscaler(str(cleaner))
    assert through.scale == 1
    cleaned = through(picture(12, 12), 12, 12, Work())
    assert largest_difference(cleaned, picture(12, 12)) > 0
    assert through(picture(12, 12), 24, 24, Work()).size == (24, 24)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = saved(compact(seed=1), tmp_path / "model.pth")
    before = upscaler(str(path))(picture(12, 12), 24, 24, Work())
    path.unlink()
    saved(compact(seed=2), path)
    assert largest_difference(upscaler(str(path))(picture(12, 12), 24, 24, Work()), before) > 0


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L", "P", "1", "CMYK", "I;16"])
def test_pictures_of_any_mode(mode: str) -> None:
    image = Image.new("I;16", (9, 7), 999) if mode == "I;16" else picture(9, 7).convert(mode)
    made = enlarged(image, 18, 14, upscaler("Lanczos"), Work())
    assert made.size == (18, 14)
    assert made.mode == {"RGBA": "RGBA", "LA": "RGBA", "L": "L"}.get(mode, "RGB")


def test_transparency_stays() -> None:
    image = picture(20, 20).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize((20, 20)))
    made = enlarged(image, 40, 40, upscaler("R-ESRGAN AnimeVideo"), Work())
    wanted = image.getchannel("A").resize((40, 40), Image.Resampling.LANCZOS)
    assert largest_difference(made.getchannel("A"), wanted) == 0


def test_servers_list_upscalers_without_torch() -> None:
    code = "import sys, fromnoise.upscalers as u; assert list(u.UPSCALERS) and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
