"""A worker's station: the device it has, how it works there, and where its files are. Needs no torch."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from fromnoise.jobs.naming import DEFAULT
from fromnoise.settings import Settings

SERVING = "serving.json"  # the file, in the folder of data, that says which process serves there


@dataclass(frozen=True)
class Station:
    """What a worker process is told when it starts, as JSON."""

    database: str  # URL
    outputs: Path = Path("outputs")
    kept: Path = Path("kept")  # for what interrupted jobs go on from
    device: str | None = None  # None: the best there is
    dtype: str | None = None  # None: what is fast there
    memory: int | None = None  # bytes that the device's models may take; None: what is free
    together: int = 4  # pictures side by side
    max_batch: int = 8  # calls of the network in one batch; with 1 a picture never depends on those beside it
    kinds: tuple[str, ...] | None = None  # of jobs that it takes; None: all
    keep_every: float = 3.0  # seconds
    preview_every: float = 0.5  # seconds; 0: never
    grace: float = 10.0  # seconds that jobs have to end in when the worker is stopped; the rest goes on later
    lease: float = 15.0  # seconds
    patience: float = 20.0  # seconds: see leases.py
    nice: int = 5  # steps down in priority: who looks at pictures is answered before others are made
    deaths: int = 3  # see job.Limits
    pattern: str = DEFAULT  # of file names
    thumbs: Path | None = None  # for small pictures; None: none are made
    traces: Path | None = None  # for how pictures come about; None: nothing of it is kept
    watermark: str = ""  # a text in every picture's pixels: marking.py
    certificate: Path | None = None  # of the operator's, which signs every picture (C2PA) ...
    key: Path | None = None  # ... with this key
    settings: Settings = field(default_factory=Settings)
    plugins: tuple[str, ...] = ()  # modules that register tasks

    @property
    def folders(self) -> tuple[str, ...]:
        """What nobody but the machine's owner needs to know of: the folders that files' paths begin with."""
        own = [
            self.outputs,
            self.kept,
            self.kept.parent,
            *self.settings.models,
            self.settings.cache,
            self.settings.data,
        ]
        return tuple({str(form) for path in own if path is not None for form in (path.absolute(), path.resolve())})

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        table: dict[str, Any] = json.loads(text)
        known: dict[str, Any] = {name.name: table[name.name] for name in fields(cls) if name.name in table}
        there = known["settings"]
        there |= {"models": tuple(Path(tree) for tree in there["models"]), "datasets": Path(there["datasets"])}
        there |= {name: Path(there[name]) if there[name] else None for name in ("cache", "data")}
        known |= {"settings": Settings(**there), "outputs": Path(known["outputs"]), "kept": Path(known["kept"])}
        known |= {
            name: Path(known[name]) if known.get(name) else None for name in ("thumbs", "traces", "certificate", "key")
        }
        known |= {"kinds": tuple(known["kinds"]) if known["kinds"] is not None else None}
        return cls(**known | {"plugins": tuple(known["plugins"])})
