"""Pictures as other tools write them."""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, PngImagePlugin

from fromnoise.engine.metadata.draft import Imported

# what AUTOMATIC1111 writes today
NOW = """(masterpiece:1.2), 1girl, <lora:add detail:0.7>
second line: with a colon, and CFG scale: 3, Steps: 4, Seed: 5
Negative prompt: (worst quality:1.4), EasyNegative
more of it
Steps: 28, Sampler: DPM++ 2M SDE, Schedule type: Exponential, CFG scale: 6.5, Seed: 1234567890, Size: 512x768, \
Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, VAE hash: 735e4c3a44, \
VAE: vae-ft-mse-840000-ema-pruned.safetensors, \
Clip skip: 2, Eta: 0.3, TI hashes: "EasyNegative: c74b4e810b03", Lora hashes: "add detail: 7c6bad76eb54", \
Version: v1.10.1"""


def png(folder: Path, texts: Mapping[str, str]) -> Path:
    """A picture with text chunks, as other tools write them."""
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    Image.new("RGB", (8, 8)).save(folder / "picture.png", pnginfo=info)
    return folder / "picture.png"


def fields(imported: Imported, *names: str) -> tuple[object, ...]:
    return tuple(getattr(imported.recipe, name) for name in names)
