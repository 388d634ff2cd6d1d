"""Write `src/fromnoise/assets/catalogue.json`, what can be chosen by name: `python tools/catalogue.py`."""

from pathlib import Path

from fromnoise.engine.catalogue import ASSET, write

if __name__ == "__main__":
    write(Path(__file__).parents[1] / "src" / "fromnoise" / "assets" / ASSET)
