"""ComfyUI's loaders of checkpoints and of single networks, as the files of a recipe, and back."""

from typing import TypeAlias

from fromnoise.engine.metadata.comfyui_graph import MAX_DEPTH, Graph, Node
from fromnoise.engine.metadata.comfyui_networks import file_of
from fromnoise.engine.metadata.draft import Draft
from fromnoise.engine.metadata.networks import file_name
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_files import OWN

CHECKPOINT, UNET, VAE = "CheckpointLoaderSimple", "UNETLoader", "VAELoader"
UNCLIP = "unCLIPCheckpointLoader"  # has a picture encoder besides
ENCODERS = {1: "CLIPLoader", 2: "DualCLIPLoader", 3: "TripleCLIPLoader", 4: "QuadrupleCLIPLoader"}
DECODE, SAMPLES = "VAEDecode", ("samples", "latent")
ENCODER_INPUTS = ("clip_name", "clip_name1", "clip_name2", "clip_name3", "clip_name4")
MODEL_INPUTS = ("ckpt_name", "unet_name", "base_ckpt_name", "model_name", "model_path")

Link: TypeAlias = list[str | int]  # [id of a node, number of its output]
Written: TypeAlias = dict[str, str | dict[str, object]]  # a node


def loaders(recipe: Recipe) -> tuple[dict[str, Written], dict[str, Link]]:
    """The nodes that load a model, and the outputs that give its `model`, `clip`, `vae` and `vision`.

    What is a lone U-Net, whose other networks come from elsewhere, is loaded as such.
    """
    nodes: dict[str, Written] = {}
    links: dict[str, Link] = {"model": ["4", 0], "clip": ["4", 1], "vae": ["4", 2], "vision": ["4", 3]}
    own_eyes = any(prompt.model is None and prompt.vision is None for prompt in recipe.image_prompts)
    vae = None if recipe.vae is None or recipe.vae.name == OWN else recipe.vae.name
    lone = bool(vae and recipe.text_encoders)
    if not (lone and recipe.unet):
        kind, key = (UNET, "unet_name") if lone else (UNCLIP if own_eyes else CHECKPOINT, "ckpt_name")
        more: dict[str, object] = {"weight_dtype": "default"} if lone else {}
        nodes["4"] = {"class_type": kind, "inputs": {key: file_of(recipe.model, ".safetensors"), **more}}
    if recipe.unet:
        name = file_of(recipe.unet.name, ".safetensors")
        nodes["30"] = {"class_type": UNET, "inputs": {"unet_name": name, "weight_dtype": "default"}}
        links["model"] = ["30", 0]
    if recipe.text_encoders:
        names = [file_of(one.name, ".safetensors") for one in recipe.text_encoders]
        keys = ENCODER_INPUTS[:1] if len(names) == 1 else ENCODER_INPUTS[1:]
        inputs: dict[str, object] = dict(zip(keys, names, strict=False))
        inputs |= {"type": "stable_diffusion" if len(names) == 1 else "sdxl"} if len(names) < 3 else {}
        nodes["31"] = {"class_type": ENCODERS[len(names)], "inputs": inputs}
        links["clip"] = ["31", 0]
    if vae:
        nodes["32"] = {"class_type": VAE, "inputs": {"vae_name": file_of(vae, ".safetensors")}}
        links["vae"] = ["32", 0]
    return nodes, links


def take_files(draft: Draft, graph: Graph, sampler: Node, loader: Node | None) -> None:
    """The text encoders and the VAE, where they do not come from the loader of the model."""
    positive = graph.source(graph.source(sampler, "guider") or sampler, "positive") or graph.source(
        graph.source(sampler, "guider") or sampler, "conditioning"
    )
    encoder = loader_behind(graph, next(iter(with_input(graph, positive, "clip")), None), "clip")
    if encoder is not None and (loader is None or encoder.id != loader.id):
        names = [graph.text(encoder, name) for name in (*ENCODER_INPUTS, *MODEL_INPUTS) if name in encoder.values]
        take(draft, "text_encoders", [name for name in names if name], encoder)
    decoder = next((one for one in decoders(graph) if sampler in list(graph.upstream(one))), None)
    autoencoder = loader_behind(graph, decoder, "vae")
    if autoencoder is not None and (loader is None or autoencoder.id != loader.id):
        names = [graph.text(autoencoder, name) for name in ("vae_name", *MODEL_INPUTS) if name in autoencoder.values]
        take(draft, "vae", [name for name in names if name][:1], autoencoder)


def take(draft: Draft, field: str, names: list[str], node: Node) -> None:
    found = [{"name": short} for name in names if (short := file_name(name)) not in ("", ".", "..")]
    if found and len(found) == len(names):
        draft.set(field, found if field == "text_encoders" else found[0], f"{node.kind} {node.id}")
    elif names:
        draft.keep(f"{node.kind} {node.id}", node.values)


def decoders(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes.values() if node.kind.startswith(DECODE)]


def with_input(graph: Graph, start: Node | None, name: str) -> list[Node]:
    """The nearest node, `start` or behind it, that is given a `name`."""
    return [node for node in graph.upstream(start) if name in node.links][:1] if start is not None else []


def loader_behind(graph: Graph, node: Node | None, name: str) -> Node | None:
    """The node that an input comes from in the end, through others that pass the same on."""
    for _ in range(MAX_DEPTH):
        following = graph.source(node, name) if node is not None else None
        if following is None:
            return node if node is not None and name not in node.links else None
        node = following
    return None
