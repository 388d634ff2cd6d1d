"""Where things lie on this machine. Read once at the top (command line, server) and passed down."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Folders; the defaults are what a program gets that reads no environment."""

    models: tuple[Path, ...] = (Path("models"),)  # trees of models, the first one first: engine/shelves.py
    any_path: bool = True  # whether a model may be named by its path; if not, only what is on the shelves is opened
    cache: Path | None = None  # for what can be computed again, such as hashes; None: nothing is kept

    @property
    def hashes(self) -> Path | None:
        """The file that remembers the hashes of models."""
        return self.cache / "hashes.json" if self.cache else None


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """FROMNOISE_MODELS adds trees of models before the others; FROMNOISE_CACHE replaces the cache folder."""
    given, cache = environment.get("FROMNOISE_MODELS", ""), environment.get("FROMNOISE_CACHE")
    models = (*(Path(tree).expanduser() for tree in given.split(os.pathsep) if tree), *Settings.models)
    return Settings(models, cache=Path(cache) if cache else cache_folder(environment, sys.platform))


def cache_folder(environment: Mapping[str, str], platform: str) -> Path | None:
    """The system's own place for caches; None where it has no home."""
    if platform == "win32":
        local = environment.get("LOCALAPPDATA")
        return Path(local) / "fromnoise" / "cache" if local else None
    if environment.get("XDG_CACHE_HOME"):
        return Path(environment["XDG_CACHE_HOME"]) / "fromnoise"
    home = environment.get("HOME")
    if not home:
        return None
    return Path(home) / ("Library/Caches" if platform == "darwin" else ".cache") / "fromnoise"
