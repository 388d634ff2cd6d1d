"""Whatever a stranger puts into a picture ends in a recipe or a FileError, soon, and opens no file."""

import json
import random
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from fromnoise.engine.metadata import comfyui, fooocus, invokeai, novelai, own
from fromnoise.engine.metadata.carrier import save_picture
from fromnoise.engine.metadata.draft import Imported
from fromnoise.engine.metadata.infotext_read import read_infotext
from fromnoise.engine.metadata.read import read_any
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import FileError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
IDS = st.sampled_from(["1", "2", "3", "4"])
INPUT_NAMES = st.sampled_from(
    ["model", "clip", "positive", "negative", "latent_image", "samples", "images", "text", "seed", "steps",
    "cfg", "guider",
     "sampler_name", "scheduler", "sampler", "sigmas", "noise", "noise_seed", "width", "height", "conditioning_1",
     "conditioning_2", "string_a", "string_b", "lora_name", "ckpt_name", "denoise", "value", "batch_size"]
)  # fmt: skip
KINDS = st.sampled_from(
    ["KSampler", "SamplerCustom", "SamplerCustomAdvanced", "SaveImage", "CLIPTextEncode", "CLIPTextEncodeSDXL",
    "Reroute",
     "LoraLoader", "ConditioningCombine", "StringConcatenate", "BasicScheduler", "EmptyLatentImage",
     "LoadImage", "CFGGuider"]
)  # fmt: skip
INPUTS = st.dictionaries(INPUT_NAMES, st.tuples(IDS, st.integers(0, 2)).map(list) | JSON, max_size=8)
GRAPHS = st.dictionaries(IDS, st.fixed_dictionaries({"class_type": KINDS, "inputs": INPUTS}) | JSON, max_size=4)
KEYS = {
    "invokeai": st.sampled_from(
        [*invokeai.PLAIN, "width", "height", "model", "scheduler", "clip_skip", "init_image", "strength", "image"]
    ),
    "novelai": st.sampled_from(
        [*novelai.PLAIN, "prompt", "uc", "v4_prompt", "width", "height", "sampler", "noise_schedule"]
    ),
    "fooocus": st.sampled_from(
        [*fooocus.PLAIN, "prompt", "full_prompt", "resolution", "sampler", "scheduler", "base_model"]
    ),
    "own": st.sampled_from([*Recipe.model_fields, "other"]),
}
LINES = st.lists(
    st.sampled_from(
        ["Steps: 20", "Sampler: Euler a", "CFG scale: 7", "Seed: 5", "Size: 8x8", 'Model: "a, b"', 'X: "open',
        "Hashes: {", "[", '"',
         "Sampler: DPM++ 2M Karras", "Eta: x", "Version: v1.10.1", "\n", "Negative prompt: ", "Template: ",
         ":", "::,", "App: SD.Next"]
    )
    | st.text(max_size=12),
    max_size=14,
).map(", ".join)  # fmt: skip


def tried(read: Callable[[], Imported]) -> None:
    """Only a FileError may come out."""
    try:
        assert isinstance(read().recipe, Recipe)
    except FileError:
        return


@given(LINES)
@settings(max_examples=300, deadline=None)
def test_any_infotext(text: str) -> None:
    tried(lambda: read_infotext(text))


@given(GRAPHS)
@settings(max_examples=300, deadline=None)
def test_any_graph(graph: dict[str, object]) -> None:
    tried(lambda: comfyui.read({"prompt": json.dumps(graph)}))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_json_of_the_others(data: st.DataObject) -> None:
    for tool, key, read in (
        ("invokeai", "invokeai_metadata", invokeai.read),
        ("invokeai", "sd-metadata", invokeai.read),
        ("novelai", "Comment", novelai.read),
        ("fooocus", "parameters", fooocus.read),
        ("own", "fromnoise", own.read),
    ):
        content = json.dumps(data.draw(st.dictionaries(KEYS[tool], JSON, max_size=6)))
        tried(lambda read=read, key=key, content=content: read({key: content}))  # type: ignore[misc]


@given(st.text(max_size=60))
@settings(deadline=None)
def test_any_dream(command: str) -> None:
    tried(lambda: invokeai.read({"Dream": command}))


NESTED = "[" * 100_000
LOOP = {
    "1": {"class_type": "KSampler", "inputs": {
        "model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["1", 0], "seed": ["3", 0],
        "steps": ["3", 0], "sampler_name": ["3", 0], "scheduler": ["3", 0], "cfg": ["3", 0], "denoise": ["3", 0]}},
    "2": {"class_type": "ConditioningCombine", "inputs": {"conditioning_1": ["2", 0], "conditioning_2": ["2", 0]}},
    "3": {"class_type": "PrimitiveInt", "inputs": {"value": ["3", 0]}},
    "4": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
}  # fmt: skip


def diamonds(depth: int) -> dict[str, object]:
    """Two ways from each node to the next: 2 ** depth ways in all."""
    graph = dict(LOOP)
    for i in range(10, 10 + depth):
        graph[str(i)] = {"class_type": "ConditioningCombine",
                         "inputs": {"conditioning_1": [str(i + 1), 0], "conditioning_2": [str(i + 1), 0]}}  # fmt: skip
    graph["2"] = graph["10"]
    return graph


def texts_of_strangers() -> Iterator[tuple[str, str]]:
    """Texts made to take long or to break something."""
    line = "Steps: 1, Sampler: Euler, CFG scale: 7, Seed: 1, "
    yield "parameters", "a\n" + line + "x" * 1_900_000
    yield "parameters", "a\n" + line + 'a: "' * 400_000
    yield "parameters", "a\n" + line + "a: [1, " * 250_000
    yield "parameters", "a\n" + line + "a: " + NESTED
    yield "parameters", "a\n" + line + ":," * 900_000
    yield "parameters", "\n" * 1_900_000 + line
    yield "parameters", "Template:\n" * 150_000 + line
    yield "parameters", line + "\nTemplate: a, b: c, d: e" * 60_000
    yield "parameters", "a\nSteps: " + "9" * 5000 + ", Sampler: " + "E" * 100_000 + ", CFG scale: 7, Seed: 1"
    for key in ("prompt", "invokeai_metadata", "sd-metadata", "Comment", "fromnoise"):
        yield key, NESTED
        yield key, '{"a":' * 100_000
        yield key, "NaN"
        yield key, '{"steps": ' + "9" * 100_000 + "}"
    yield "prompt", json.dumps(LOOP)
    yield "prompt", json.dumps(diamonds(80))
    yield "prompt", json.dumps({str(i): LOOP["3"] for i in range(20_000)})
    yield "Dream", '"' * 100_001
    yield "Dream", "-s " * 600_000
    yield "Description", "Steps: "


LINEAR = 20  # seconds of computing: twenty times what two million characters take; the square of them would take hours


@pytest.mark.parametrize("case", range(sum(1 for _ in texts_of_strangers())))
def test_nothing_takes_long(tmp_path: Path, case: int) -> None:
    key, text = list(texts_of_strangers())[case]
    info = PngImagePlugin.PngInfo()
    info.add_text(key, text)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
    began = time.process_time()
    tried(lambda: read_any(tmp_path / "a.png"))
    spent = time.process_time() - began  # of this process, however busy the machine is
    assert spent < LINEAR, f"{spent:.1f} s"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_compressed_bombs(tmp_path: Path, kind: bytes) -> None:
    packed = zlib.compress(b"0" * 64_000_000, 9)
    data = b"prompt\0\0" + packed if kind == b"zTXt" else b"prompt\0\1\0\0\0" + packed
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:33] + chunk(kind, data) + whole[33:])
    with pytest.raises(FileError):
        read_any(tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of corrupt EXIF
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_broken_files(tmp_path: Path, suffix: str) -> None:
    """Bytes changed at random, and files cut short."""
    whole = tmp_path / f"whole{suffix}"
    save_picture(Image.new("RGB", (16, 16)), whole, own.texts(Recipe(prompt="a cat")))
    data, rng = whole.read_bytes(), random.Random(0)
    broken = tmp_path / f"broken{suffix}"
    for trial in range(60):
        changed = bytearray(data if trial % 3 else data[: rng.randrange(len(data))])
        for _ in range(rng.randrange(1, 20) if changed else 0):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        broken.write_bytes(changed)
        tried(lambda: read_any(broken))


def test_no_file_that_a_picture_names_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_picture(Image.new("RGB", (8, 8)), tmp_path / "a.png", {
        "prompt": json.dumps({"1": {"class_type": "KSampler", "inputs": {
            "steps": 1, "seed": 1, "sampler_name": "euler", "latent_image": ["2", 0], "model": ["3", 0]}},
            "2": {"class_type": "LoadImage", "inputs": {"image": "/etc/passwd"}},
            "3": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "/etc/passwd"}}})})  # fmt: skip
    opened: list[str] = []
    genuine = Path.open

    def spy(path: Path, *arguments: object, **named: object) -> object:
        opened.append(path.name)
        return genuine(path, *arguments, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", spy)
    read = read_any(tmp_path / "a.png")
    assert set(opened) <= {"a.png"}
    assert read.recipe.init is None
    assert read.recipe.model == "passwd"
