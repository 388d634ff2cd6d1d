"""ComfyUI's `prompt`: the graph in API format, walked back from the picture that was saved to a recipe."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace

from fromnoise.engine.metadata.album import Album
from fromnoise.engine.metadata.carrier import GRAPH_KEY
from fromnoise.engine.metadata.comfyui_controls import take_controls
from fromnoise.engine.metadata.comfyui_files import DECODE, MODEL_INPUTS, take_files
from fromnoise.engine.metadata.comfyui_graph import MAX_DEPTH, Graph, Node
from fromnoise.engine.metadata.comfyui_latents import take_latents
from fromnoise.engine.metadata.comfyui_models import take_change
from fromnoise.engine.metadata.comfyui_networks import is_network, take_network
from fromnoise.engine.metadata.comfyui_nodes import NODES
from fromnoise.engine.metadata.comfyui_passes import take_later
from fromnoise.engine.metadata.comfyui_pictures import chain
from fromnoise.engine.metadata.comfyui_prompts import UNIFIED, is_prompt, take_image_prompts
from fromnoise.engine.metadata.comfyui_regions import branches, take_regions
from fromnoise.engine.metadata.comfyui_sampling import PERP_NEG, is_sampler, take_sampling
from fromnoise.engine.metadata.draft import Draft, Imported, json_object
from fromnoise.errors import FileError

SOURCE = "ComfyUI"
OUTPUTS = ("SaveImage", "Save", "Preview")  # nodes that end a graph begin or go on with one of these
MODEL = "model"
SIDES = {"positive": 0, "negative": 1}  # and the output of nodes that pass both on
CONDITIONING_INPUTS = (
    "conditioning", "conditioning_to", "conditioning_1", "conditioning_from", "conditioning_2", "cond", "cond_NEW",
)  # fmt: skip
ENDS = ("_A", "_B", "", "_NEW")  # of the sides' names, where nodes pass both on
FIRST_CONDITIONS = ("conditioning", "cond1")  # of guiders that know no sides
GUIDERS = ("CFGGuider", "BasicGuider", PERP_NEG)


def read(texts: Mapping[str, str], album: Album | None = None) -> Imported:
    """The recipe in a picture's `prompt`; FileError where it is no graph or has no sampler."""
    return read_graph(Graph(json_object(texts[GRAPH_KEY], "ComfyUI prompt")), album)


def read_graph(graph: Graph, album: Album | None = None) -> Imported:
    """The recipe of the first pass of the sampler nearest to the output; its pictures are looked for in `album`."""
    draft = Draft(album=album or Album())
    draft.profile("comfyui")
    meant = take_strangers(draft, graph)
    last = last_sampler(graph)
    first, later = first_pass(graph, last)
    take_sampling(draft, graph, first)
    take_latents(draft, graph, first)
    take_prompts(draft, graph, first)
    take_passes(draft, graph, first, later)
    take_finish(draft, graph)
    take_files(draft, graph, first, take_models(draft, graph, first, meant))
    take_controls(draft, graph, first)
    take_image_prompts(draft, graph, first)
    for node in graph.upstream(first) if meant else ():
        for field, value in meant.get(node.id, {}).items():
            draft.set(field, value, f"{node.kind}.{field}")
    return draft.build(SOURCE)


def take_strangers(draft: Draft, graph: Graph) -> dict[str, Mapping[str, object]]:
    """Put what is known in the places of nodes that packages outside know; the fields that others of them mean."""
    meant: dict[str, Mapping[str, object]] = {}
    for name, node in list(graph.nodes.items()):
        if node.kind not in NODES:
            continue
        try:
            found = NODES[node.kind](node)
            if isinstance(found, Node):
                graph.nodes[name] = replace(found, id=name)
            else:
                meant[name] = dict(found)
        except Exception as error:  # of a stranger's package
            draft.warn(f"{node.kind}: the extension that reads it failed ({type(error).__name__})")
    return meant


def take_passes(draft: Draft, graph: Graph, first: Node, later: list[Node]) -> None:
    """The second pass or the refiner, where there is one more sampler and is one of them; else notes of the rest."""
    known = len(later) == 1 and take_later(draft, graph, first, later[0])
    for node in () if known else later:
        draft.keep(f"{node.kind} {node.id}", node.values)
        draft.warn("made in several passes: the recipe is the first of them")
    if known and "hires" in draft.fields:
        for side, field in (("positive", "prompt"), ("negative", "negative")):
            texts = conditioning_texts(Draft(), graph, later[0], side, side)
            text = ", ".join(dict.fromkeys(filter(None, texts)))
            if text != draft.fields.get(field, "") and later[0].links.get(side) != first.links.get(side):
                draft.part("hires", field, text, side)


def take_finish(draft: Draft, graph: Graph) -> None:
    """Notes of what is done with the finished picture, which a recipe does not say."""
    for end in graph.nodes.values():
        way = list(chain(graph, end, "images")) if end.kind == "SaveImage" else []
        if not any(is_sampler(node) for node in way):
            continue
        for node in way:
            if not is_sampler(node) and not node.kind.startswith(DECODE):
                draft.keep(f"{node.kind} {node.id}", node.values)
                draft.warn(f"processed when it was finished, which its recipe does not make: {node.kind}")


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
        names = (side, *(FIRST_CONDITIONS if side == "positive" else ()))
        link = next((name for name in names if name in holder.links or name in holder.values), None)
        if link is None:
            continue
        found = branches(graph, holder, link, draft.pixels)
        told = [(conditioning_texts(draft, graph, one.holder, one.link, side), one) for one in found]
        draft.set(field, take_regions(draft, graph, told, side == "negative"), side)
    if holder is not sampler and holder.kind not in GUIDERS:
        draft.keep(f"{holder.kind} {holder.id}", holder.values)


def conditioning_texts(
    draft: Draft, graph: Graph, node: Node, name: str, side: str, depth: int = 0
) -> list[str]:  # fmt: skip
    """The texts that a conditioning input is made of."""
    graph.visit()
    source = graph.source(node, name)
    if source is None:
        return [str(node.values[name])] if isinstance(node.values.get(name), str) else []
    if depth >= MAX_DEPTH:
        return []
    if source.kind == "ConditioningZeroOut":
        draft.keep(f"{source.kind} {source.id}", f"the {side} prompt is nothing at all, which an empty text is not")
        return []
    if texts := encoded_texts(graph, source, side):
        take_clip(draft, graph, source)
        if "conditioning" in source.links:
            draft.keep(f"{source.kind} {source.id}", source.values)
        take_sizes(draft, graph, source, side)
        if len(texts) > 1:
            draft.warn(f"{source.kind}: its two texts are joined by a comma, which is not the same")
        return texts
    inputs = (*(f"{side}{end}" for end in ENDS), *CONDITIONING_INPUTS)
    ways = [name for name in inputs if name in source.links or name in source.values]
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


def take_sizes(draft: Draft, graph: Graph, encoder: Node, side: str) -> None:
    """What SDXL, or its refiner, is told of the picture besides; both sides are told the same sizes."""
    pairs = (("original", "width", "height"), ("crop", "crop_w", "crop_h"), ("target", "target_width", "target_height"))
    if encoder.kind == "CLIPTextEncodeSDXL":
        told = {field: (graph.value(encoder, across), graph.value(encoder, down)) for field, across, down in pairs}
        usual = {"original": draft.pixels, "crop": (0, 0), "target": draft.pixels}
        told = {field: pair for field, pair in told.items() if pair != usual[field] and None not in pair}
        if told and side == "positive":
            for field, pair in told.items():
                draft.part("sizes", field, pair, f"{encoder.kind}.{field}")
    score = graph.value(encoder, "ascore")
    if score is not None:
        draft.part("sizes", f"{'negative_' * (side == 'negative')}aesthetic_score", score, f"{encoder.kind}.ascore")


def note_conditioning(draft: Draft, node: Node, ways: list[str]) -> None:
    """What stands between text and sampler and has no place in a recipe."""
    if len(ways) > 1 and not set(ways) <= set(SIDES):
        draft.warn(f"{node.kind}: its prompts are joined by commas, which is not the same")
    if node.values or len(ways) < 2:
        draft.keep(f"{node.kind} {node.id}", node.values)


def take_clip(draft: Draft, graph: Graph, encoder: Node) -> None:
    """How far from the text encoder's end its states are taken: ComfyUI counts -1, -2, ..."""
    node = graph.source(encoder, "clip")
    for _ in range(MAX_DEPTH):
        if node is None:
            return
        value = graph.value(node, "stop_at_clip_layer")
        if isinstance(value, int):
            if "clip_skip" not in draft.fields:  # the nearest to the prompt counts
                draft.set("clip_skip", -value, f"{node.kind}.stop_at_clip_layer")
        elif ("clip" in node.links and not is_network(node)) or "clip1" in node.links:
            draft.keep(f"{node.kind} {node.id}", node.values)
        node = graph.source(node, "clip")


def take_models(draft: Draft, graph: Graph, sampler: Node, read: Container[str] = ()) -> Node | None:
    """The checkpoint, and whatever changes it on the way; the node that loads it."""
    for node in models(graph, graph.source(sampler, "guider") or sampler):
        name = graph.text(node, next((n for n in MODEL_INPUTS if n in node.values or n in node.links), ""))
        if name and "lora_name" not in node.values:
            draft.model(name, f"{node.kind} {node.id}")
            return node
        if node.id in read:
            continue
        if is_network(node):
            take_network(draft, graph, node)
        elif is_prompt(node) or node.kind.startswith(UNIFIED):  # read with the other pictures
            continue
        elif not take_change(draft, graph, node):
            draft.keep(f"{node.kind} {node.id}", node.values)
    return None


def models(graph: Graph, holder: Node) -> Iterator[Node]:
    """The nodes that a model goes through, nearest first; all that is behind one that is not known to pass it on."""
    node = graph.source(holder, MODEL)
    for _ in range(MAX_DEPTH):
        if node is None:
            return
        if MODEL not in node.links and any(name not in ("clip", "vae") for name in node.links):
            yield from (one for one in graph.upstream(node) if not one.kind.startswith(("CLIPTextEncode", "LoadImage")))
            return
        graph.visit()
        yield node
        node = graph.source(node, MODEL)
