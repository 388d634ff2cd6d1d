"""ComfyUI's nodes of LoRAs and hypernetworks, as the list of a recipe, and back."""

from pathlib import Path

from fromnoise.engine.metadata.comfyui_graph import Graph, Node
from fromnoise.engine.metadata.draft import Draft
from fromnoise.engine.metadata.networks import add_network, known
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import Recipe
from fromnoise.text.prompt_source import read_source

FIRST = 60  # numbers of these nodes
LORA_STRENGTHS = ("strength_model", "lora_wt", "model_strength", "strength")
TEXT_STRENGTHS = ("strength_clip", "clip_strength")
FILES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")


def is_network(node: Node) -> bool:
    return "lora_name" in node.values or node.kind == "HypernetworkLoader"


def take_network(draft: Draft, graph: Graph, node: Node) -> None:
    """List what a node loads. Nodes are met from the sampler on, and act from the loader on."""
    kind = "hypernetwork" if node.kind == "HypernetworkLoader" else "lora"
    use: dict[str, object] = {"kind": kind, "name": node.values.get(f"{kind}_name", "")}
    for name, inputs in (("strength", LORA_STRENGTHS), ("text_strength", TEXT_STRENGTHS)):
        value = graph.value(node, *inputs)
        use |= {} if value is None else {name: value}
    if node.kind == "LoraLoaderModelOnly":
        use["text_strength"] = 0.0
    if use.get("text_strength") == use.get("strength", 1.0):
        use.pop("text_strength", None)
    if add_network(draft, use, f"{node.kind} {node.id}"):
        *others, newest = known(draft)
        draft.fields["networks"] = (newest, *others)


def network_nodes(recipe: Recipe) -> list[tuple[str, dict[str, object]]]:
    """Kinds of nodes and their inputs besides model and clip, in the order in which they act."""
    found: list[tuple[str, dict[str, object]]] = []
    for use in recipe.networks:
        if use.kind == "lora":
            strengths = {"strength_model": use.strength, "strength_clip": use.on_text}
            found.append(("LoraLoader", {"lora_name": file_of(use.name, ".safetensors"), **strengths}))
        elif use.kind == "hypernetwork":
            name = file_of(use.name, ".pt")
            found.append(("HypernetworkLoader", {"hypernetwork_name": name, "strength": use.strength}))
    return found


def file_of(name: str, ending: str) -> str:
    name = Path(name).name
    return name if name.lower().endswith(FILES) else f"{name}{ending}"


def without_tags(recipe: Recipe, prompt: str) -> str:
    """A prompt as ComfyUI may see it: tags, which are text there, have become nodes."""
    return read_source(prompt, PROFILES[recipe.profile].dialect).text.strip() if "<" in prompt else prompt
