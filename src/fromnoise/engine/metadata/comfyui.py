"""ComfyUI's `prompt`: the graph in API format, walked back from the picture that was saved to a recipe."""

from collections.abc import Mapping

from fromnoise.engine.metadata.carrier import GRAPH_KEY
from fromnoise.engine.metadata.comfyui_controls import take_controls
from fromnoise.engine.metadata.comfyui_files import MODEL_INPUTS, take_files
from fromnoise.engine.metadata.comfyui_graph import MAX_DEPTH, Graph, Node
from fromnoise.engine.metadata.comfyui_models import take_change
from fromnoise.engine.metadata.comfyui_networks import is_network, take_network
from fromnoise.engine.metadata.comfyui_regions import branches, take_regions
from fromnoise.engine.metadata.comfyui_sampling import is_sampler, take_sampling
from fromnoise.engine.metadata.draft import Draft, Imported, json_object
from fromnoise.errors import FileError

SOURCE = "ComfyUI"
OUTPUTS = ("SaveImage", "Save", "Preview")  # nodes that end a graph begin or go on with one of these
STARTS = ("LoadImage", "LoadLatent")
OUTPAINT = {"left": "left", "top": "top", "right": "right", "bottom": "bottom", "feathering": "feather"}
SIDES = {"positive": 0, "negative": 1}  # and the output of nodes that pass both on
CONDITIONING_INPUTS = ("conditioning", "conditioning_to", "conditioning_1", "conditioning_from", "conditioning_2")


def read(texts: Mapping[str, str]) -> Imported:
    """The recipe in a picture's `prompt`; FileError where it is no graph or has no sampler."""
    return read_graph(Graph(json_object(texts[GRAPH_KEY], "ComfyUI prompt")))


def read_graph(graph: Graph) -> Imported:
    """The recipe of the first pass of the sampler nearest to the output."""
    draft = Draft()
    draft.profile("comfyui")
    last = last_sampler(graph)
    first, later = first_pass(graph, last)
    for node in later:
        draft.keep(f"{node.kind} {node.id}", node.values)
        draft.warn("made in several passes: the recipe is the first of them")
    take_sampling(draft, graph, first)
    take_latents(draft, graph, first)
    take_prompts(draft, graph, first)
    take_controls(draft, graph, first)
    take_files(draft, graph, first, take_models(draft, graph, first))
    return draft.build(SOURCE)


def last_sampler(graph: Graph) -> Node:
    """The sampler nearest to an output, of the first output that has one."""
    ends = [node for start in OUTPUTS for node in graph.nodes.values() if start in node.kind]
    for end in dict.fromkeys(node.id for node in ends):
        for node in graph.upstream(graph.nodes[end]):
            if is_sampler(node):
                return node
    alone = [node for node in graph.nodes.values() if is_sampler(node)]
    if not alone:
        raise FileError("its ComfyUI graph has no sampler that is known here")
    return alone[-1]


def first_pass(graph: Graph, last: Node) -> tuple[Node, list[Node]]:
    """The sampler that starts from noise or a picture, and those after it, nearest to the output first."""
    later: list[Node] = []
    node = last
    for _ in range(MAX_DEPTH):
        latent = graph.source(node, "latent_image") or graph.source(node, "latent")
        before = latent and next((n for n in graph.upstream(latent) if is_sampler(n)), None)
        if before is None or before.id == last.id or before in later:
            break
        later.append(node)
        node = before
    return node, later


def take_prompts(draft: Draft, graph: Graph, sampler: Node) -> None:
    """Both prompts; a guider has them where the sampler is a custom one."""
    holder = graph.source(sampler, "guider") or sampler
    for side, field in (("positive", "prompt"), ("negative", "negative")):
        link = side if side in holder.links or side in holder.values else "conditioning"
        if link == "conditioning" and side == "negative":
            continue
        found = branches(graph, holder, link, draft.pixels)
        told = [(conditioning_texts(draft, graph, one.holder, one.link, side), one) for one in found]
        draft.set(field, take_regions(draft, told, side == "negative"), side)


def conditioning_texts(
    draft: Draft, graph: Graph, node: Node, name: str, side: str, depth: int = 0
) -> list[str]:  # fmt: skip
    """The texts that a conditioning input is made of."""
    graph.visit()
    source = graph.source(node, name)
    if source is None:
        return [str(node.values[name])] if isinstance(node.values.get(name), str) else []
    if depth >= MAX_DEPTH or source.kind == "ConditioningZeroOut":
        return []
    if texts := encoded_texts(graph, source, side):
        take_clip(draft, graph, source)
        return texts
    ways = [name for name in (side, *CONDITIONING_INPUTS) if name in source.links or name in source.values]
    note_conditioning(draft, source, ways)
    return [text for way in ways for text in conditioning_texts(draft, graph, source, way, side, depth + 1)]


def encoded_texts(graph: Graph, node: Node, side: str) -> list[str]:
    """What a text-encoding node says: one text, or SDXL's two; loaders that hold both prompts are asked for `side`."""
    if node.kind.startswith("CLIPTextEncodeSDXL") or {"text_g", "text_l"} <= {*node.values, *node.links}:
        encoders = [name for name in ("text_g", "text_l", "text") if name in node.values or name in node.links]
        return list(dict.fromkeys(text for name in encoders if (text := graph.text(node, name))))
    both = (f"text_{side}", f"{side}_prompt", f"{side}_g", side)
    names = ["text", "prompt", *(name for name in both if isinstance(node.values.get(name), str)), both[0]]
    if "conditioning" in node.links and "clip" not in node.links:
        return []
    told = [text for n in names if (n in node.values or n in node.links) and (text := graph.text(node, n)) is not None]
    return [next(filter(None, told), "")] if told else []


def note_conditioning(draft: Draft, node: Node, ways: list[str]) -> None:
    """What stands between text and sampler and has no place in a recipe."""
    if len(ways) > 1 and not set(ways) <= set(SIDES):
        draft.warn(f"{node.kind}: its prompts are joined by commas, which is not the same")
    if node.values or "control_net" in node.links:
        draft.keep(f"{node.kind} {node.id}", node.values)


def take_clip(draft: Draft, graph: Graph, encoder: Node) -> None:
    """How far from the text encoder's end its states are taken: ComfyUI counts -1, -2, ..."""
    node = graph.source(encoder, "clip")
    for _ in range(MAX_DEPTH):
        if node is None:
            return
        value = graph.value(node, "stop_at_clip_layer")
        if isinstance(value, int):
            draft.set("clip_skip", -value, f"{node.kind}.stop_at_clip_layer")
            return
        node = graph.source(node, "clip")


def take_latents(draft: Draft, graph: Graph, sampler: Node) -> None:
    """The size of empty latents, or a note of the start picture, and of a mask."""
    start = graph.source(sampler, "latent_image") or graph.source(sampler, "latent")
    if start is None:
        return
    denoise = graph.value(sampler, "denoise")
    sized = started = False
    for node in graph.upstream(start):
        if node.kind.startswith(STARTS):
            draft.keep(f"{node.kind} {node.id}", node.values)
            if "Mask" not in node.kind:
                started = draft.strength(1.0 if denoise is None else denoise, "denoise")
        elif node.kind == "ImagePadForOutpaint":
            for name, ours in OUTPAINT.items():
                if (value := graph.value(node, name)) is not None:
                    draft.part("outpaint", ours, value, f"{node.kind}.{name}")
        elif node.kind in ("SetLatentNoiseMask", "VAEEncodeForInpaint", "InpaintModelConditioning"):
            draft.keep(f"{node.kind} {node.id}", node.values)
            draft.warn("made under a mask, which is not in the file: give it with --mask")
        width, height = graph.value(node, "width"), graph.value(node, "height")
        if not sized and "Mask" not in node.kind and isinstance(width, int) and isinstance(height, int):
            sized = draft.sides(width, height, f"{node.kind} size")
        batch = graph.value(node, "batch_size")
        if isinstance(batch, int) and batch > 1:
            draft.part("noise", "batch", batch, f"{node.kind}.batch_size")
            draft.warn(f"made in a batch of {batch}: taken for its first picture")
    if not started and denoise not in (None, 1, 1.0):
        draft.keep("denoise", denoise)


def take_models(draft: Draft, graph: Graph, sampler: Node) -> Node | None:
    """The checkpoint, and whatever changes it on the way; the node that loads it."""
    holder = graph.source(sampler, "guider") or sampler
    start = graph.source(holder, "model")
    for node in graph.upstream(start) if start else ():
        name = graph.text(node, next((n for n in MODEL_INPUTS if n in node.values or n in node.links), ""))
        if name and "lora_name" not in node.values:
            draft.model(name, f"{node.kind} {node.id}")
            return node
        if is_network(node):
            take_network(draft, graph, node)
        elif node.kind.startswith("CLIPTextEncode"):  # of Perp-Neg: the empty prompt
            continue
        elif not take_change(draft, graph, node) and node.values:
            draft.keep(f"{node.kind} {node.id}", node.values)
    return None
