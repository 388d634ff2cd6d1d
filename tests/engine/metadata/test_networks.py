"""LoRAs, hypernetworks and embeddings in the metadata of pictures."""

import json

import pytest

from fromnoise.engine.metadata.comfyui import read_graph
from fromnoise.engine.metadata.comfyui_graph import Graph
from fromnoise.engine.metadata.comfyui_write import graph
from fromnoise.engine.metadata.infotext import parameters
from fromnoise.engine.metadata.infotext_read import read_infotext
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_networks import NetworkUse, tag_of
from fromnoise.text.prompt_source import read_source

DIGEST = "0123456789abcdef" * 4
LISTED = (
    NetworkUse(name="ink", strength=0.8, text_strength=0.5, hash=DIGEST, blocks="OUTALL"),
    NetworkUse(name="anime", kind="hypernetwork", strength=0.4, hash=DIGEST[::-1]),
)
NOTES = (
    NetworkUse(name="wash", strength=0.3, hash=DIGEST, in_prompt=True),
    NetworkUse(name="style", kind="embedding", hash=DIGEST, in_prompt=True),
)


def test_infotext_as_automatic1111_writes_it() -> None:
    text = parameters(Recipe(prompt="a style cat <lora:wash:0.3>", networks=(*LISTED, *NOTES), profile="a1111"))
    prompt, line = text.split("\n")
    assert prompt == "a style cat <lora:wash:0.3> <lora:ink:0.5:0.8:lbw=OUTALL> <hypernet:anime:0.4>"
    assert 'Lora hashes: "ink: 0123456789ab, wash: 0123456789ab"' in line
    assert 'TI hashes: "style: 0123456789ab"' in line


@pytest.mark.parametrize("profile", ["native", "a1111", "comfyui"])
def test_infotext_comes_back(profile: str) -> None:
    tag = "" if profile == "comfyui" else " <lora:wash:0.3>"
    recipe = Recipe(prompt=f"a cat{tag}", networks=LISTED, profile=profile)
    read = read_infotext(parameters(recipe))
    assert read.recipe.prompt == recipe.prompt
    short = LISTED[0].model_copy(update={"hash": DIGEST[:12]})
    assert read.recipe.networks == (short, LISTED[1].model_copy(update={"hash": None}))
    assert not read.not_understood


@pytest.mark.parametrize(
    "use",
    [
        NetworkUse(name="a", strength=-0.3),
        NetworkUse(name="a", strength=0.8, text_strength=0.0, rank=4, blocks="BASE=1 IN04-IN08=0.5"),
        NetworkUse(name="a", strength=0.8, schedule=((0.0, 0.0), (0.3, 1.0))),
        NetworkUse(name="a", strength=0.8, schedule=((0.7, 0.0),)),
        NetworkUse(name="a", strength=0.8, schedule=((0.0, 0.0), (0.1, 1.0), (0.6, 0.0))),
        NetworkUse(name="a", strength=1.0, text_strength=0.2, schedule=((0.0, 0.2), (0.5, 1.0)), ramp=True),
    ],
)
def test_a_tag_means_what_the_list_means(use: NetworkUse) -> None:
    (tag,) = read_source(tag_of(use, 10)).networks
    made = NetworkUse.of_tag(tag, 10)
    assert made.stages(10) == use.stages(10)
    assert (made.on_text, made.rank, made.factors) == (use.on_text, use.rank, use.factors)


OLD = """a cat
Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Model hash: 7460a6fa, {more}"""


def test_fields_of_additional_networks() -> None:
    first = "AddNet Enabled: True, AddNet Module 1: LoRA, AddNet Model 1: ink v2(0123456789ab)"
    weights = "AddNet Weight A 1: 0.8, AddNet Weight B 1: 0.5"
    second = "AddNet Module 2: LoRA, AddNet Model 2: wash(abcdef012345), AddNet Weight 2: 0.3"
    read = read_infotext(OLD.format(more=f"{first}, {weights}, {second}"))
    assert read.recipe.networks == (
        NetworkUse(name="ink v2", strength=0.8, text_strength=0.5, hash="0123456789ab"),
        NetworkUse(name="wash", strength=0.3, text_strength=0.3, hash="abcdef012345"),
    )


def test_an_old_hypernetwork_and_hashes_of_civitai() -> None:
    hashes = {"model": "1234567890", "lora:ink": "0123456789", "embed:style": "abcdef0123"}
    old = "Hypernet: anime, Hypernet hash: 01234567, Hypernet strength: 0.6"
    read = read_infotext(OLD.format(more=f"{old}, Hashes: {json.dumps(hashes)}"))
    assert read.recipe.networks == (
        NetworkUse(name="anime", kind="hypernetwork", strength=0.6, hash="01234567"),
        NetworkUse(name="ink", hash="0123456789", in_prompt=True),
        NetworkUse(name="style", kind="embedding", hash="abcdef0123", in_prompt=True),
    )
    assert json.loads(read.not_understood["Hashes"]) == {"model": "1234567890"}


def test_a_strangers_picture_names_no_folders() -> None:
    more = 'AddNet Model 1: ../../secret/ink.safetensors, Lora hashes: "/x/wash.safetensors: 0123456789ab, bad: none"'
    read = read_infotext(OLD.format(more=more))
    assert [use.name for use in read.recipe.networks] == ["ink", "wash"]
    assert read.not_understood["Lora hashes bad"] == "none"


def test_graphs_of_comfyui_come_back() -> None:
    uses = (
        NetworkUse(name="ink", strength=0.8, text_strength=0.5),
        NetworkUse(name="anime", kind="hypernetwork", strength=0.4),
        NetworkUse(name="wash", strength=-0.3),
    )
    recipe = Recipe(
        prompt="a cat", negative="b", profile="comfyui", networks=uses, clip_skip=2, free_u={}, schedule="normal"
    )
    made = graph(recipe)
    read = read_graph(Graph(made))  # type: ignore[arg-type]
    assert read.recipe.networks == uses
    assert read.recipe.clip_skip == 2
    assert not read.not_understood
    last = [number for number, node in made.items() if node["class_type"] == "LoraLoader"][-1]
    assert made["10"]["inputs"]["clip"] == [last, 1]  # type: ignore[index]


def test_tags_become_nodes() -> None:
    note = NetworkUse(name="wash", strength=0.3, hash=DIGEST, in_prompt=True)
    made = graph(Recipe(prompt="a cat <lora:wash:0.3>", networks=(note,)))
    assert made["6"]["inputs"]["text"] == "a cat"  # type: ignore[index]
    assert made["60"]["inputs"]["lora_name"] == "wash.safetensors"  # type: ignore[index]
