"""The VAE that belongs to a checkpoint: taken without being named, said in the metadata, and left out on request."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image

from fromnoise.checkpoints.hashes import file_hash
from fromnoise.checkpoints.save import save_checkpoint, write
from fromnoise.engine.metadata import own
from fromnoise.engine.metadata.infotext import parameters
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_files import WeightFile, Weights
from fromnoise.engine.shelves import find, items
from fromnoise.engine.vae_pairing import vae_of
from fromnoise.errors import FileError
from fromnoise.settings import Settings

from .conftest import Run

A, B = (tiny.model("sd1", seed=seed) for seed in (1, 2))
QUICK = ("--size", 64, "--steps", 1, "--seed", 7, "--device", "cpu")


@pytest.fixture
def shelf(folder: Path) -> Path:
    """models/checkpoints with a.safetensors; models/vae is empty."""
    made = folder / "models" / "checkpoints"
    made.mkdir(parents=True)
    (folder / "models" / "vae").mkdir()
    save_checkpoint(made / "a.safetensors", A, dtype=None)
    return made


def vae(path: Path) -> Path:
    """B's autoencoder in a file of its own."""
    assert B.vae is not None
    if path.suffix == ".safetensors":
        return write(path, B.vae.state_dict(), None, {}) or path
    torch.save({"state_dict": B.vae.state_dict()}, path)
    return path


def drawn(run: Run, name: str, *options: object) -> bytes:
    ran = run("make", "a cat", *QUICK, *options, "--out", name)
    assert ran.status == 0, ran.err
    return Image.open(name).tobytes()


def test_a_vae_beside_the_model_is_taken(run: Run, folder: Path, shelf: Path) -> None:
    save_checkpoint(folder / "whole.safetensors", replace(A, vae=B.vae), dtype=None)
    wanted = drawn(run, "whole.png", "--model", folder / "whole.safetensors")
    without = drawn(run, "without.png", "--model", "a")
    digest = file_hash(vae(shelf / "a.vae.pt"))
    assert drawn(run, "with.png", "--model", "a") == wanted != without
    recipe = own.recipe_in(Path("with.png"))
    assert recipe.vae == WeightFile(name="a.vae.pt", hash=digest)
    assert f"VAE hash: {digest[:10]}, VAE: a.vae.pt," in parameters(recipe)
    for word in ("none", "off"):
        assert drawn(run, f"{word}.png", "--model", "a", "--vae", word) == without
        assert own.recipe_in(Path(f"{word}.png")).vae is None
    assert drawn(run, "automatic.png", "--model", "a", "--vae", "automatic") == wanted
    for name, same in (("with.png", wanted), ("without.png", without)):  # finished pictures guess nothing
        assert run("verify", name).out.startswith("identical")
        assert run("again", name, "--out", "again.png").status == 0
        assert Image.open("again.png").tobytes() == same
    assert run("again", "without.png", "--vae", "automatic", "--out", "again.png").status == 0
    assert Image.open("again.png").tobytes() == wanted


def test_where_it_is_looked_for(folder: Path, shelf: Path) -> None:
    here, model = Settings((folder / "models",)), shelf / "a.safetensors"
    assert vae_of(model, here) is None
    for name in (
        "vae/ab.vae.pt",
        "vae/a.pt",
        "vae/a.vae.ckpt",
        "checkpoints/a.vae.pt",
        "checkpoints/a.vae.safetensors",
    ):
        (folder / "models" / name).write_bytes(b"x")
        expected = None if name == "vae/ab.vae.pt" else name.partition("/")[2]
        assert vae_of(model, here) == expected
    outside = folder / "elsewhere.ckpt"
    outside.write_bytes(b"x")
    outside.with_name("elsewhere.vae.pt").write_bytes(b"x")
    assert vae_of(outside, here) == str(folder / "elsewhere.vae.pt")


def test_the_note_of_a_model_names_its_vae(folder: Path, shelf: Path, caplog: pytest.LogCaptureFixture) -> None:
    here, model = Settings((folder / "models",)), shelf / "a.safetensors"
    (shelf / "a.json").write_text(json.dumps({"vae": "nice.safetensors"}))
    (shelf / "a.vae.pt").write_bytes(b"x")
    assert vae_of(model, here) == "a.vae.pt"
    assert "a.safetensors asks for a VAE in its note, which is not used" in caplog.text
    (folder / "models" / "vae" / "nice.safetensors").write_bytes(b"x")
    assert vae_of(model, here) == "nice.safetensors"


def test_it_is_no_model_but_a_vae(folder: Path, shelf: Path) -> None:
    here = Settings((folder / "models",))
    vae(shelf / "a.vae.safetensors")
    assert [item.name for item in items("checkpoints", here)] == ["a.safetensors"]
    assert [item.name for item in items("vae", here)] == ["a.vae.safetensors"]
    assert find("checkpoints", "a", here) == shelf / "a.safetensors"
    assert find("vae", "a.vae", here) == shelf / "a.vae.safetensors"
    with pytest.raises(FileError):
        find("checkpoints", "a.vae.safetensors", Settings((folder / "models",), any_path=False))


def test_what_a_recipe_asks_for() -> None:
    draft = Recipe.make(prompt="a cat", model="a", seed=1)
    assert Weights.of(draft) == Weights("a")
    assert Weights.of(draft.but(vae={"name": "none"})) == Weights("a", automatic=False)
    assert Weights.of(draft.but(model_hash="0" * 64)) == Weights("a", automatic=False)
    assert "VAE" not in parameters(draft.but(vae={"name": "none"}))
