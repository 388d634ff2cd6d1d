"""Controls and boxes in ComfyUI's graphs: ControlNets, union types and GLIGEN, written and walked back."""

from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from fromnoise.engine.metadata.comfyui_files import Link, Written
from fromnoise.engine.metadata.comfyui_graph import Graph, Node
from fromnoise.engine.metadata.comfyui_networks import file_of
from fromnoise.engine.metadata.comfyui_pictures import Shown, hint_of, keep_unseen, shown
from fromnoise.engine.metadata.comfyui_prompts import STYLE, UNCLIP
from fromnoise.engine.metadata.draft import Draft
from fromnoise.engine.metadata.networks import file_name
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_control import UNION_NAMES, Control

APPLY = ("ControlNetApply", "ControlNetApplyAdvanced", "ControlNetApplySD3")
LOADERS = ("ControlNetLoader", "DiffControlNetLoader")
UNION, BOX, GLIGEN = "SetUnionControlNetType", "GLIGENTextBoxApply", "GLIGENLoader"
PASSED = (  # a conditioning goes through them
    *APPLY, BOX, STYLE, UNCLIP, "InpaintModelConditioning", "InstructPixToPixConditioning",
)  # fmt: skip
TYPES = {
    "openpose": "openpose", "depth": "depth", "softedge": "hed/pidi/scribble/ted",
    "lineart": "canny/lineart/anime_lineart/mlsd", "normal": "normal", "segmentation": "segment", "tile": "tile",
    "inpaint": "repaint", "auto": "auto",
}  # fmt: skip
STYLE_NAME = "t2iadapter_style"  # a recipe tells style adapters by nothing else
FIRST = 80  # number of the first node
SIDES = ("positive", "negative")


def control_nodes(
    recipe: Recipe, told: Mapping[str, Link], clip: Link
) -> tuple[dict[str, Written], dict[str, Link]]:  # fmt: skip
    """The nodes, and what the sampler is given on each side behind them. Hints are the pictures as they are."""
    nodes: dict[str, Written] = {}
    links, free = dict(told), count(FIRST)

    def add(class_type: str, **inputs: object) -> str:
        number = str(next(free))
        nodes[number] = {"class_type": class_type, "inputs": inputs}
        return number

    for control in recipe.controls:
        picture = control.image or recipe.init
        if control.model is None or picture is None:  # references are made by nodes of others
            continue
        if STYLE_NAME in control.model.lower():
            links["positive"] = style(control, picture.path, links["positive"], add)
            continue
        network = [add(LOADERS[0], control_net_name=file_of(control.model, ".safetensors")), 0]
        if control.type is not None:
            network = [add(UNION, control_net=network, type=TYPES[control.type]), 0]
        image = [add("LoadImage", image=Path(picture.path).name), 0]
        number = add(
            APPLY[1], **links, control_net=network, image=image, strength=control.weight,
            start_percent=control.start, end_percent=control.end,
        )  # fmt: skip
        links = {side: [number, output] for output, side in enumerate(SIDES)}
    if recipe.gligen is not None and recipe.boxes:
        loader: Link = [add(GLIGEN, gligen_name=file_of(recipe.gligen.model, ".safetensors")), 0]
        for box in recipe.boxes:
            place = {"x": box.x, "y": box.y, "width": box.width, "height": box.height}
            number = add(
                BOX, conditioning_to=links["positive"], clip=clip, gligen_textbox_model=loader, text=box.text, **place
            )
            links["positive"] = [number, 0]
    return nodes, links


def style(control: Control, path: str, positive: Link, add: Callable[..., str]) -> Link:
    """The nodes of a style adapter behind a conditioning."""
    assert control.model is not None
    loader: Link = [add("StyleModelLoader", style_model_name=file_of(control.model, ".safetensors")), 0]
    eyes: Link = [add("CLIPVisionLoader", clip_name="clip-vit-large-patch14.safetensors"), 0]
    image: Link = [add("LoadImage", image=Path(path).name), 0]
    seen: Link = [add("CLIPVisionEncode", clip_vision=eyes, image=image, crop="center"), 0]
    inputs = {"conditioning": positive, "style_model": loader, "clip_vision_output": seen}
    return [add(STYLE, **inputs, strength=control.weight, strength_type="multiply"), 0]


def way_through(node: Node, output: int) -> str:
    """The input of a node in PASSED that becomes its output."""
    return next((name for name in ("conditioning", "conditioning_to") if name in node.links), SIDES[output % 2])


def take_controls(draft: Draft, graph: Graph, sampler: Node) -> None:
    """Controls, styles and boxes, in the order in which they act."""
    controls: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for node in reversed(list(graph.upstream(sampler))):
        if node.kind in APPLY:
            controls += read_control(draft, graph, node)
        elif node.kind == BOX:
            loader = graph.source(node, "gligen_textbox_model")
            name = graph.text(loader, "gligen_name") if loader is not None else None
            if name:
                draft.set("gligen", {"model": file_name(name)}, node.kind)
            place = {side: graph.value(node, side) for side in ("x", "y", "width", "height")}
            boxes.append({**place, "text": graph.text(node, "text") or ""})
        elif node.kind == STYLE:
            controls += read_style(draft, graph, node)
    if controls:
        draft.set("controls", controls, APPLY[0])
    if any("image" not in control for control in controls):
        draft.warn("made with a control, whose picture is not in the file: give it with --control, or a start picture")
    if boxes:
        take_boxes(draft, boxes)


def take_boxes(draft: Draft, boxes: list[dict[str, Any]]) -> None:
    """Boxes, which a recipe has only with the model that heeds them."""
    try:
        checked = Recipe.model_validate({"gligen": draft.fields.get("gligen"), "boxes": boxes})
    except ValueError:
        draft.keep(BOX, boxes)
        return
    draft.fields["boxes"] = checked.boxes


def read_control(draft: Draft, graph: Graph, node: Node) -> list[dict[str, Any]]:
    """A control of one node; none where it makes no sense, which is kept."""
    found: dict[str, Any] = {}
    network = graph.source(node, "control_net")
    if network is not None and network.kind == UNION:
        kind = str(graph.value(network, "type"))
        found |= {"type": UNION_NAMES[kind]} if kind in UNION_NAMES else {}
        network = graph.source(network, "control_net")
    name = graph.text(network, "control_net_name") if network is not None and network.kind in LOADERS else None
    if name:
        found["model"] = file_name(name)
    values = (("weight", "strength"), ("start", "start_percent"), ("end", "end_percent"))
    found |= {ours: value for ours, theirs in values if (value := graph.value(node, theirs)) is not None}
    picture = shown(draft, graph, node, "image")
    left: list[Node] = []
    if picture is not None:
        fields, left = hint_of(graph, picture)
        found |= fields
    return checked(draft, node, found, picture, left)


def read_style(draft: Draft, graph: Graph, node: Node) -> list[dict[str, Any]]:
    """A style adapter, which is a control here."""
    loader, seen = graph.source(node, "style_model"), graph.source(node, "clip_vision_output")
    name = graph.text(loader, "style_model_name") if loader is not None else None
    found: dict[str, Any] = {"model": file_name(name)} if name else {}
    weight = graph.value(node, "strength")
    found |= {} if weight is None else {"weight": weight}
    if node.values.get("strength_type", "multiply") != "multiply":
        draft.keep(f"{node.kind} {node.id}", node.values)
    return checked(draft, node, found, shown(draft, graph, seen, "image") if seen is not None else None, [])


def checked(
    draft: Draft, node: Node, found: dict[str, Any], picture: Shown | None, left: list[Node]
) -> list[dict[str, Any]]:  # fmt: skip
    """The control with its picture, where that is there; none where it makes no sense, which is kept."""
    if picture is not None and picture.image is not None:
        found["image"] = picture.image
    keep_unseen(draft, picture, worked_on=False)
    for one in left:
        draft.keep(f"{one.kind} {one.id}", one.values)
    try:
        Control.model_validate(found)
    except ValueError:
        draft.keep(f"{node.kind} {node.id}", node.values)
        return []
    return [found]
