"""Models put together of several files: the picture is that of a checkpoint that holds the same networks."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image

from fromnoise.checkpoints.hashes import file_hash
from fromnoise.checkpoints.load import Checkpoint
from fromnoise.checkpoints.names import ema_name
from fromnoise.checkpoints.parts import UNET
from fromnoise.checkpoints.save import layout, save_checkpoint, write
from fromnoise.engine.metadata import own
from fromnoise.engine.metadata.carrier import GRAPH_KEY, read_texts
from fromnoise.engine.metadata.comfyui import read as read_comfyui
from fromnoise.engine.metadata.comfyui_write import graph
from fromnoise.engine.metadata.infotext import parameters
from fromnoise.engine.metadata.infotext_read import read_infotext
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_files import WeightFile

from .conftest import Run

SHELVES = {"unet": "diffusion_models", "vae": "vae", "text0": "text_encoders", "text1": "text_encoders"}
QUICK = ("--size", 64, "--steps", 2, "--seed", 7, "--device", "cpu")


def networks(model: Checkpoint) -> Iterator[tuple[str, torch.nn.Module]]:
    assert model.vae is not None
    yield from {"unet": model.unet, "vae": model.vae}.items()
    yield from ((f"text{i}", encoder) for i, encoder in enumerate(model.text))


def on_shelves(folder: Path, model: Checkpoint, stem: str) -> None:
    """Each network of a model in a file of its own."""
    for name, network in networks(model):
        path = folder / "models" / SHELVES[name] / f"{stem}-{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, network.state_dict(), None, {})


@pytest.fixture(params=["sd1", "sdxl"])
def pair(request: pytest.FixtureRequest, folder: Path) -> tuple[Checkpoint, Checkpoint]:
    """Two models of a family, `a.safetensors` and `b.safetensors`, and the networks of `b` in files of their own."""
    a, b = tiny.model(request.param, seed=1), tiny.model(request.param, seed=2)
    shelf = folder / "models" / "checkpoints"
    shelf.mkdir(parents=True)
    save_checkpoint(shelf / "a.safetensors", a, dtype=None)
    save_checkpoint(shelf / "b.safetensors", b, dtype=None)
    on_shelves(folder, b, "b")
    return a, b


def pixels(path: str) -> bytes:
    return Image.open(path).tobytes()


def drawn(run: Run, name: str, *options: object) -> bytes:
    ran = run("make", "a cat", *QUICK, *options, "--out", name)
    assert ran.status == 0, ran.err
    return pixels(name)


def test_networks_of_other_files(run: Run, folder: Path, pair: tuple[Checkpoint, Checkpoint]) -> None:
    a, b = pair
    texts = [word for i in reversed(range(len(b.text))) for word in ("--text-encoder", f"b-text{i}")]
    mixed = {
        "vae": (["--vae", "b-vae"], replace(a, vae=b.vae)),
        "unet": (["--unet", "b-unet.safetensors"], replace(a, unet=b.unet)),
        "text": (texts, replace(a, text=b.text)),
    }
    drawings = {drawn(run, "a.png", "--model", "a")}
    for name, (options, model) in mixed.items():
        save_checkpoint(folder / f"{name}.safetensors", model, dtype=None)
        wanted = drawn(run, "whole.png", "--model", folder / f"{name}.safetensors")
        assert drawn(run, f"{name}.png", "--model", "a", *options) == wanted
        drawings.add(wanted)
    assert len(drawings) == 4
    recipe = own.recipe_in(Path("vae.png"))
    digest = file_hash(folder / "models" / "vae" / "b-vae.safetensors")
    assert recipe.vae == WeightFile(name="b-vae", hash=digest)
    assert recipe.model_hash == file_hash(folder / "models" / "checkpoints" / "a.safetensors")
    assert f"Model: a, VAE hash: {digest[:10]}, VAE: b-vae.safetensors," in parameters(recipe)
    assert run("verify", "vae.png").out.startswith("identical")
    assert run("again", "vae.png", "--vae", "off", "--out", "again.png").status == 0
    assert pixels("again.png") == pixels("a.png")


def test_a_lone_unet_is_a_model(run: Run, pair: tuple[Checkpoint, Checkpoint]) -> None:
    texts = [word for i in range(len(pair[1].text)) for word in ("--text-encoder", f"b-text{i}")]
    wanted = drawn(run, "b.png", "--model", "b")
    assert drawn(run, "lone.png", "--unet", "b-unet", *texts, "--vae", "b-vae") == wanted
    assert drawn(run, "named.png", "--model", "b-unet", *texts, "--vae", "b-vae") == wanted
    assert own.recipe_in(Path("lone.png")).model == "b-unet"
    assert drawn(run, "of-b.png", "--model", "a", "--unet", "b", *texts, "--vae", "b") == wanted
    assert "holds no autoencoder; give one with --vae" in run("x", *QUICK, "--unet", "b-unet", *texts).last
    no_text = run("x", *QUICK, "--unet", "b-unet", "--vae", "b-vae").last
    assert "holds no text encoder; give one with --text-encoder" in no_text


def test_averages(run: Run, folder: Path) -> None:
    model = tiny.model("sd1")
    averages = {name: weight + 0.01 for name, weight in model.unet.state_dict().items()}
    state = {**layout(model), **{ema_name(name): weight for name, weight in averages.items()}}
    write(folder / "full.safetensors", state, None, {})
    write(folder / "plain.safetensors", layout(model), None, {})
    merged = {**layout(model), **{UNET + name: weight for name, weight in averages.items()}}
    write(folder / "ema.safetensors", merged, None, {})
    wanted = drawn(run, "a.png", "--model", "ema.safetensors")
    assert drawn(run, "b.png", "--model", "full.safetensors", "--ema") == wanted
    assert own.recipe_in(Path("b.png")).ema
    assert run("verify", "b.png").out.startswith("identical")
    last = drawn(run, "c.png", "--model", "plain.safetensors")
    assert drawn(run, "d.png", "--model", "full.safetensors") == last != wanted
    assert run("again", "b.png", "--no-ema", "--out", "e.png").status == 0
    assert pixels("e.png") == last
    assert "holds no EMA weights" in run("x", *QUICK, "--model", "plain.safetensors", "--ema").last


def test_another_file_of_the_same_name_is_noticed(run: Run, folder: Path, pair: tuple[Checkpoint, Checkpoint]) -> None:
    drawn(run, "vae.png", "--model", "a", "--vae", "b-vae")
    assert pair[0].vae is not None
    write(folder / "models" / "vae" / "b-vae.safetensors", pair[0].vae.state_dict(), None, {"other": "yes"})
    out = run("verify", "vae.png").out
    assert "b-vae: not the file of the recipe, whose hash is" in out


@pytest.mark.parametrize(
    ("family", "option", "other", "message"),
    [
        ("sd1", "--text-encoder", ("sd2", "text0"), "reads prompts of width 32, and its text encoders make 64"),
        ("sdxl", "--text-encoder", ("sd1", "text0"), "CLIP ViT-L and OpenCLIP ViT-bigG"),
        ("sd1", "--unet", ("sd2", "unet"), "reads prompts of width 64, and its text encoders make 32"),
        ("sd1", "--vae", ("sd1", "unet"), "holds no autoencoder; give a file that has one"),
        ("sd1", "--unet", ("sd1", "vae"), "holds no U-Net; give a file that has one"),
        ("sd1", "--model", ("sd1", "vae"), "holds an autoencoder alone: give it with --vae"),
        ("sd1", "--model", ("sd1", "text0"), "holds a text encoder alone: give it with --text-encoder"),
    ],
)
def test_what_does_not_fit_is_refused(
    run: Run, folder: Path, family: str, option: str, other: tuple[str, str], message: str
) -> None:
    tiny.checkpoint(folder / "base.safetensors", family)  # type: ignore[arg-type]
    on_shelves(folder, tiny.model(other[0]), "x")  # type: ignore[arg-type]
    path = folder / "models" / SHELVES[other[1]] / f"x-{other[1]}.safetensors"
    base = () if option == "--model" else ("--model", "base.safetensors")
    ran = run("x", *QUICK, *base, option, path)
    assert ran.status == 2
    assert message in ran.last


def test_an_autoencoder_of_other_latents(run: Run, folder: Path) -> None:
    tiny.checkpoint(folder / "base.safetensors", "sd1")
    on_shelves(folder, tiny.model("sd1", vae=replace(tiny.VAE, latent_channels=16)), "flux")
    ran = run("x", *QUICK, "--model", "base.safetensors", "--vae", "flux-vae")
    assert "draws latents of 4 channels, and its autoencoder has 16; give one of SD 1.x with --vae" in ran.last


def test_a_lora_is_no_checkpoint(run: Run, folder: Path) -> None:
    factors = {"lora_unet_x.lora_down.weight": torch.ones(1, 4), "lora_unet_x.lora_up.weight": torch.ones(4, 1)}
    write(folder / "ink.safetensors", factors, None, {})
    assert "holds a LoRA: give it with --lora" in run("x", *QUICK, "--model", "ink.safetensors").last


FILES = {
    "vae": {"vae": {"name": "mse.pt", "hash": "735e4c3a447a"}},
    "encoders": {"text_encoders": [{"name": "l"}, {"name": "g"}]},
    "all": {"unet": {"name": "u"}, "vae": {"name": "v"}, "text_encoders": [{"name": "l"}]},
    "lone": {"vae": {"name": "v"}, "text_encoders": [{"name": "l"}, {"name": "g"}]},
    "averages": {"ema": True, "variant": "fp16"},
}


@pytest.mark.parametrize("name", FILES)
def test_they_are_in_the_metadata(name: str) -> None:
    recipe = Recipe.make(prompt="x", model="m", **FILES[name])
    read = read_infotext(parameters(recipe))
    assert not read.not_understood
    for field in ("model", "unet", "text_encoders", "ema", "variant"):
        assert getattr(read.recipe, field) == getattr(recipe, field)
    if recipe.vae:
        assert read.recipe.vae is not None
        assert read.recipe.vae.name == recipe.vae.name.removesuffix(".pt")
        assert (read.recipe.vae.hash or "") == (recipe.vae.hash or "")[:10]


@pytest.mark.parametrize("name", FILES)
def test_they_are_in_the_graph(name: str) -> None:
    recipe = Recipe.make(prompt="x", model="m", profile="comfyui", networks=[{"name": "ink"}], **FILES[name])
    nodes = graph(recipe)
    for node in nodes.values():  # every link leads to a node
        assert isinstance(node["inputs"], dict)
        assert all(link[0] in nodes for link in node["inputs"].values() if isinstance(link, list))
    read = read_comfyui({GRAPH_KEY: json.dumps(nodes)}).recipe
    unet = recipe.unet.name if recipe.unet else "m"
    assert read.model == unet
    vae, encoders = recipe.vae, [one.name for one in recipe.text_encoders]
    assert (read.vae and read.vae.name) == (vae and vae.name.removesuffix(".pt"))
    assert [one.name for one in read.text_encoders] == encoders


def test_a_graph_with_the_prompt_of_another_checkpoint() -> None:
    """What is taken from two checkpoints is known to be."""
    nodes = graph(Recipe.make(prompt="x", model="m", profile="comfyui"))
    nodes["50"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "../other.ckpt"}}
    for number in ("6", "7"):
        inputs = nodes[number]["inputs"]
        assert isinstance(inputs, dict)
        inputs["clip"] = ["50", 1]
    inputs = nodes["8"]["inputs"]
    assert isinstance(inputs, dict)
    inputs["vae"] = ["50", 2]
    read = read_comfyui({GRAPH_KEY: json.dumps(nodes)}).recipe
    assert read.model == "m"
    assert read.vae == WeightFile(name="other")
    assert read.text_encoders == (WeightFile(name="other"),)


def test_the_vae_of_an_automatic1111_picture_and_none() -> None:
    text = "x\nSteps: 5, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64, Model: m, VAE hash: 735e4c3a44, VAE: {}"
    read = read_infotext(text.format("vae-ft-mse-840000-ema-pruned.safetensors")).recipe
    assert read.vae == WeightFile(name="vae-ft-mse-840000-ema-pruned", hash="735e4c3a44")
    for own_vae in ("None", "Automatic"):
        read = read_infotext(text.format(own_vae)).recipe
        assert read.vae is None


def test_the_picture_carries_them(run: Run, pair: tuple[Checkpoint, Checkpoint]) -> None:
    drawn(run, "vae.png", "--model", "a", "--vae", "b-vae")
    nodes = json.loads(read_texts(Path("vae.png"))[GRAPH_KEY])
    assert nodes["32"] == {"class_type": "VAELoader", "inputs": {"vae_name": "b-vae.safetensors"}}
