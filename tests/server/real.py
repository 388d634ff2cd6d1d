"""A server with a worker that makes real pictures, with a tiny model, a tiny control network and a file of styles."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi.testclient import TestClient

from fromnoise.checkpoints.files import read
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.engine.library import load
from fromnoise.engine.memory import place
from fromnoise.jobs.database import Database
from fromnoise.jobs.leases import Leases
from fromnoise.jobs.queue import Queue
from fromnoise.jobs.station import Station
from fromnoise.jobs.worker.easel import Easel
from fromnoise.jobs.worker.kept import Kept
from fromnoise.jobs.worker.worker import Worker
from fromnoise.server.access import Access
from fromnoise.server.app import create_app
from fromnoise.server.context import Context
from fromnoise.settings import Settings
from tests import tiny, tiny_control

from .conftest import HOST, Few, Served

STYLES = 'name,prompt,negative_prompt\nink,"ink drawing of {prompt}, black",colour\nsoft,soft light,\n'


def models_in(folder: Path) -> Settings:
    """A folder of models."""
    (folder / "checkpoints").mkdir(parents=True)
    path = tiny.checkpoint(folder / "checkpoints" / "tiny.safetensors", "sd1")
    tiny.checkpoint(folder / "checkpoints" / "second.safetensors", "sd1", seed=5)
    (folder / "controlnet").mkdir()
    unet = load(str(path), place("cpu", "float32")).unet
    tiny_control.written(folder / "controlnet" / "control_tiny_canny.safetensors", tiny_control.controlnet(unet))
    (folder / "vae").mkdir()
    vae = {name: tensor for name, tensor in read(path).items() if name.startswith("first_stage_model.")}
    save_checkpoint(folder / "vae" / "tiny-vae.safetensors", vae, dtype=None)
    (folder / "styles").mkdir()
    (folder / "styles" / "styles.csv").write_text(STYLES, encoding="utf-8")
    return Settings(models=(folder,), any_path=False)


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """A server on a folder, and its worker in a thread."""
    settings = models_in(folder / "models")
    database = Database.open(f"sqlite:///{folder / 'jobs.db'}")
    accounts, outputs = Few(), folder / "outputs"
    outputs.mkdir()
    context = Context(Queue(database), Access.to(accounts), outputs, folder / "uploads", settings=settings)
    leases = Leases(database)
    leases.enlist("w", "cpu")
    station = Station(str(database.engine.url), outputs, folder / "kept", settings=settings, grace=0, max_batch=2)
    easel = Easel(place("cpu", "float32"), settings, Kept(folder / "kept"), max_batch=2, preview_every=0.001)
    worker = Worker("w", leases, station, easel)
    thread = threading.Thread(target=worker.run)
    thread.start()
    client = TestClient(create_app(context), base_url=HOST, client=("127.0.0.1", 5), raise_server_exceptions=False)
    try:
        yield Served(context, accounts, client, leases)
    finally:
        worker.stop()
        thread.join()
        context.clerk.close()
        database.close()
