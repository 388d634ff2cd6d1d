"""Every node that ComfyUI brings is read, or listed in docs/comfyui-nodes.md with the reason; none is dropped."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fromnoise.engine.metadata.album import Album
from fromnoise.engine.metadata.comfyui import read_graph
from fromnoise.engine.metadata.comfyui_graph import Graph
from fromnoise.engine.metadata.comfyui_write import graph
from fromnoise.engine.metadata.draft import Imported
from fromnoise.engine.recipe import ImageRef, Recipe

NODES = json.loads((Path(__file__).parents[2] / "golden/metadata/comfyui_nodes.json").read_text())  # ComfyUI 0.3.64
PAGE = (Path(__file__).parents[3] / "docs" / "comfyui-nodes.md").read_text()
ROW = re.compile(r"^\| (`.*?) \|", re.MULTILINE)  # its first cell
SECTIONS = {
    title: re.findall(r"`([^`]+)`", text if title.startswith("Not of") else "\n".join(ROW.findall(text)))
    for title, text in (part.split("\n", 1) for part in PAGE.split("\n## ")[1:])
}
READ, UNREAD = SECTIONS["Read"], SECTIONS["Not read"]
NUMBER = "500"  # of the node that is put in
LINKS: dict[str, list[Any]] = {
    "MODEL": ["4", 0], "CLIP": ["4", 1], "VAE": ["4", 2], "CONDITIONING": ["6", 0], "LATENT": ["5", 0],
    "IMAGE": ["11", 0], "MASK": ["11", 1],
}  # fmt: skip
PLACES: dict[str, tuple[str, str]] = {  # of a type: the node and the input before which a node of it is put
    "MODEL": ("3", "model"), "CONDITIONING": ("3", "positive"), "LATENT": ("3", "latent_image"),
    "IMAGE": ("12", "image"),
    "CLIP": ("6", "clip"), "MASK": ("600", "mask"),
}  # fmt: skip
NEEDS_MORE = {  # nodes that are read where more is there than these tests put in
    "LatentUpscale", "LatentUpscaleBy", "ImageUpscaleWithModel",  # a second sampler
    "Canny", "ImageBatch",  # a control, an image prompt
    "LoraLoader", "LoraLoaderModelOnly", "HypernetworkLoader", "ControlNetApply", "ControlNetApplyAdvanced",
    "ControlNetApplySD3", "StyleModelApply", "unCLIPConditioning",  # a file
}  # fmt: skip
OTHER_WORDS = ("ConditioningZeroOut", "CLIPTextEncodeControlnet")  # nodes that take the place of the prompt


def test_every_node_is_in_one_section_of_the_page() -> None:
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(listed) == sorted(set(listed))
    assert set(listed) == set(NODES)
    assert len(READ) > 90


def passing(kind: str) -> str | None:
    """The type that a node takes and gives first; None where it is none that stands on the way to a picture."""
    node = NODES[kind]
    given = node["out"][0] if node["out"] else None
    takes = {spec[0] for spec in node["in"].values()}
    samples = {"sampler_name", "sampler"} & set(node["in"])
    return given if given in PLACES and given in takes and not samples else None


def inputs_of(kind: str) -> dict[str, Any]:
    """Its inputs as the page of ComfyUI fills them in, and links to what a graph has."""
    found: dict[str, Any] = {}
    for name, (type_, *value) in NODES[kind]["in"].items():
        if value:
            found[name] = (
                {"INT": 1, "FLOAT": 1.0, "STRING": "", "BOOLEAN": False, "COMBO": ""}[type_]
                if value[0] is None
                else value[0]
            )
        else:
            found[name] = LINKS.get(type_, ["999", 0])
    return found


@pytest.fixture(scope="module")
def read_with(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str | None], Imported]:
    folder = tmp_path_factory.mktemp("nodes")
    Image.new("RGB", (64, 64)).save(folder / "a.png")
    start = ImageRef.of(folder / "a.png")
    recipe = Recipe(
        profile="comfyui", prompt="a cat", schedule="normal", model="m", width=64, height=64, init=start, mask=start,
        strength=0.5,
    )  # fmt: skip

    def read(kind: str | None) -> Imported:
        nodes: dict[str, Any] = graph(recipe)
        nodes["600"] = nodes["5"]
        nodes["3"]["inputs"]["latent_image"] = ["600", 0]
        nodes["5"] = nodes.pop("14")
        nodes["600"]["inputs"] = {"samples": ["5", 0], "mask": ["11", 1]}
        if kind is not None:
            type_ = passing(kind)
            assert type_ is not None
            before, name = PLACES[type_]
            inputs = inputs_of(kind)
            inputs |= {key: nodes[before]["inputs"][name] for key, spec in NODES[kind]["in"].items() if spec == [type_]}
            nodes[NUMBER] = {"class_type": kind, "inputs": inputs}
            nodes[before]["inputs"][name] = [NUMBER, 0]
        return read_graph(Graph(nodes), Album((folder,)))

    return read


def test_without_them_nothing_is_left_over(read_with: Callable[[str | None], Imported]) -> None:
    found = read_with(None)
    assert (dict(found.not_understood), found.warnings) == ({}, ())


@pytest.mark.parametrize("kind", [kind for kind in (*READ, *UNREAD) if passing(kind)])
def test_a_node_on_the_way_is_read_or_named(kind: str, read_with: Callable[[str | None], Imported]) -> None:
    found = read_with(kind)
    named = f"{kind} {NUMBER}" in found.not_understood or any(kind in warning for warning in found.warnings)
    if kind in UNREAD:
        assert named, (found.not_understood, found.warnings)
    elif kind not in NEEDS_MORE:
        assert f"{kind} {NUMBER}" not in found.not_understood
    assert found.recipe.model == "m"
    assert "a cat" in found.recipe.prompt or found.recipe.regional is not None or kind in OTHER_WORDS
