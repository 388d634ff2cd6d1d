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
    data: Path | None = None  # for what can't: the database of jobs, pictures and model files; None: nothing is kept
    database: str | None = None  # URL; None: SQLite in `data`
    datasets: Path = Path("datasets")  # folders of pictures to learn from, each by its name
    gpu_trials: bool = False  # whether GPUs do what no GPU has proven yet: see docs/speed.md

    @property
    def hashes(self) -> Path | None:
        """The file that remembers the hashes of models."""
        return self.cache / "hashes.json" if self.cache else None

    @property
    def uploads(self) -> Path | None:
        """The folder of pictures that clients send to a server."""
        return self.data / "uploads" if self.data else None

    @property
    def kernels(self) -> Path | None:
        """The folder of kernels that were built on this machine."""
        return self.cache / "kernels" if self.cache else None

    @property
    def database_url(self) -> str | None:
        """Of the database; None where there is no place for one."""
        if self.database:
            return self.database
        return f"sqlite:///{(self.data / 'fromnoise.db').absolute()}" if self.data else None


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """FROMNOISE_MODELS adds trees of models before the others; FROMNOISE_CACHE, _DATA, _DATABASE and _DATASETS replace
    places. With FROMNOISE_SHELVED models are named, never opened by their paths; FROMNOISE_GPU_TRIALS is for GPUs."""
    given = environment.get("FROMNOISE_MODELS", "")
    cache, data = environment.get("FROMNOISE_CACHE"), environment.get("FROMNOISE_DATA")
    return Settings(
        models=(*(Path(tree).expanduser() for tree in given.split(os.pathsep) if tree), *Settings.models),
        any_path=not environment.get("FROMNOISE_SHELVED"),
        cache=Path(cache) if cache else own_folder(CACHES, environment, sys.platform),
        data=Path(data) if data else own_folder(DATA, environment, sys.platform),
        database=environment.get("FROMNOISE_DATABASE") or None,
        datasets=Path(environment.get("FROMNOISE_DATASETS") or Settings.datasets).expanduser(),
        gpu_trials=bool(environment.get("FROMNOISE_GPU_TRIALS")),
    )


def as_environment(settings: Settings) -> dict[str, str]:
    """What lets `read` in another process find the same places."""
    trees = [str(tree) for tree in settings.models if tree not in Settings.models]
    places = {
        "FROMNOISE_CACHE": settings.cache,
        "FROMNOISE_DATA": settings.data,
        "FROMNOISE_DATABASE": settings.database,
        "FROMNOISE_DATASETS": settings.datasets if settings.datasets != Settings.datasets else None,
        "FROMNOISE_SHELVED": None if settings.any_path else "1",
        "FROMNOISE_GPU_TRIALS": "1" if settings.gpu_trials else None,
    }
    known = {name: str(place) for name, place in places.items() if place is not None}
    return {"FROMNOISE_MODELS": os.pathsep.join(trees), **known}


@dataclass(frozen=True)
class Place:
    """Where a system keeps something of every program."""

    windows: str  # below the program's folder
    mac: str  # below the home
    variable: str  # that may name it elsewhere
    below_home: str  # where it doesn't


CACHES = Place("cache", "Library/Caches", "XDG_CACHE_HOME", ".cache")
DATA = Place("data", "Library/Application Support", "XDG_DATA_HOME", ".local/share")


def own_folder(place: Place, environment: Mapping[str, str], platform: str) -> Path | None:
    """Our folder in the system's own place for it; None where it has no home."""
    if platform == "win32":
        local = environment.get("LOCALAPPDATA")
        return Path(local) / "fromnoise" / place.windows if local else None
    if environment.get(place.variable):
        return Path(environment[place.variable]) / "fromnoise"
    home = environment.get("HOME")
    if not home:
        return None
    return Path(home) / (place.mac if platform == "darwin" else place.below_home) / "fromnoise"
