"""The upscaler that comes with the package."""

import io
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from fromnoise.engine.enlarge import upscaler
from fromnoise.nn.srvgg import CompactConfig
from fromnoise.upscalers.work import Work

resvg_py = pytest.importorskip("resvg_py")

DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">
<rect width="128" height="128" fill="#fff8e7"/>
<circle cx="64" cy="70" r="40" fill="#d63b2f"/><circle cx="50" cy="58" r="9" fill="#ff9a8d"/>
<path d="M64 34 C60 20 72 12 80 10 C82 22 72 32 64 34Z" fill="#4a8f3c" stroke="#222" stroke-width="2"/>
<path d="M20 118 L108 118 M24 110 Q64 124 104 110" stroke="#333" stroke-width="3" fill="none"/></svg>"""


def psnr(made: Image.Image, wanted: Image.Image) -> float:
    error = np.asarray(made, dtype=np.float64) - np.asarray(wanted, dtype=np.float64)
    return float(10 * np.log10(255**2 / np.mean(error**2)))


def test_drawings_come_out_sharper_than_by_lanczos() -> None:
    large = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=DRAWING, width=256, height=256))))
    wanted = large.convert("RGB")
    small = wanted.resize((64, 64), Image.Resampling.LANCZOS)
    made, plain = (psnr(upscaler(name)(small, 256, 256, Work()), wanted) for name in ("builtin", "Lanczos"))
    assert made > plain + 2.0  # dB
    assert made > 25


def test_it_is_small_and_credited(root: object) -> None:
    path = files("fromnoise.assets").joinpath("upscaler.safetensors")
    assert len(path.read_bytes()) < 1_300_000
    found = upscaler("R-ESRGAN AnimeVideo")
    assert found.scale == CompactConfig().scale
    assert "realesr-animevideov3 of Real-ESRGAN" in (root / "NOTICE").read_text("utf-8")  # type: ignore[operator]
