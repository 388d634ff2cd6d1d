"""What a ComfyUI graph starts from: empty latents of a size, or a picture, perhaps under a mask."""

from fromnoise.engine.metadata.album import size_of
from fromnoise.engine.metadata.comfyui_graph import Graph, Node
from fromnoise.engine.metadata.comfyui_pictures import Shown, chain, keep_unseen, shown
from fromnoise.engine.metadata.draft import Draft

OUTPAINT = {"left": "left", "top": "top", "right": "right", "bottom": "bottom", "feathering": "feather"}
MASKS = ("SetLatentNoiseMask", "VAEEncodeForInpaint", "InpaintModelConditioning")  # nodes that are given a mask
LATENTS = ("latent_image", "latent")  # inputs of samplers
PLAIN = {  # nodes on the way to a picture that a recipe says, or that change no pixel
    "VAEEncode", "VAEEncodeTiled", "SetLatentNoiseMask", "InpaintModelConditioning", "ImagePadForOutpaint",
    "InstructPixToPixConditioning", "EmptyLatentImage", "SplitImageWithAlpha", "ImageScaleToTotalPixels",
}  # fmt: skip
SHRUNK = 8  # pixels for each latent
UNMASKED = "made under a mask, which is not in the file: give it with --mask"


def latents_of(graph: Graph, sampler: Node) -> Node | None:
    """The node that a sampler starts from."""
    return next((node for name in LATENTS if (node := graph.source(sampler, name)) is not None), None)


def take_latents(draft: Draft, graph: Graph, sampler: Node) -> None:
    """The size of empty latents, or the start picture, its canvas and its mask."""
    name = next((name for name in LATENTS if name in sampler.links), None)
    start = latents_of(graph, sampler)
    if name is None or start is None:
        return
    denoise, late = graph.value(sampler, "denoise"), later_start(graph, sampler)
    way = list(chain(graph, sampler, name))
    picture = shown(draft, graph, sampler, name)
    take_size(draft, graph, way, list(graph.upstream(start)))
    take_batch(draft, graph, way)
    started = picture is not None and picture.loader is not None
    if picture is not None and started:
        keep_unseen(draft, picture, worked_on=False)
        if late is not None:
            denoise = late[1]
            draft.set("steps", late[0], f"{sampler.kind}.start_at_step")
        draft.start(1.0 if denoise is None else denoise, "denoise", picture.image)
        take_canvas(draft, graph, way, picture)
    for node in way:
        if node.kind == "ImagePadForOutpaint":
            for theirs, ours in OUTPAINT.items():
                if (value := graph.value(node, theirs)) is not None:
                    draft.part("outpaint", ours, value, f"{node.kind}.{theirs}")
        elif node.kind in MASKS and "mask" in node.links:
            take_mask(draft, graph, node)
        if node.kind not in PLAIN and not node.kind.startswith(("Load", "Empty", "ImageScale")):
            draft.keep(f"{node.kind} {node.id}", node.values)
    if not started and denoise not in (None, 1, 1.0):
        draft.keep("denoise", denoise)
    if not started and late is not None:
        draft.keep(f"{sampler.kind} {sampler.id} start_at_step", graph.value(sampler, "start_at_step"))


def later_start(graph: Graph, sampler: Node) -> tuple[int, float] | None:
    """(steps, strength) of a sampler that leaves its first steps out, by ComfyUI's rule int(steps / strength)."""
    planned, at = graph.value(sampler, "steps"), graph.value(sampler, "start_at_step")
    if not isinstance(planned, int) or not isinstance(at, int) or not 0 < at < planned:
        return None
    taken = planned - at
    return taken, next(share for share in (taken / planned, taken / planned - 1e-9) if int(taken / share) == planned)


def take_size(draft: Draft, graph: Graph, way: list[Node], around: list[Node]) -> None:
    """The first width and height on the way, or else beside it."""
    for node in (*way, *around):
        width, height = graph.value(node, "width"), graph.value(node, "height")
        if "Mask" not in node.kind and isinstance(width, int) and isinstance(height, int) and width and height:
            draft.sides(width, height, f"{node.kind} size")
            return


def take_batch(draft: Draft, graph: Graph, way: list[Node]) -> None:
    for node in way:
        batch = graph.value(node, "batch_size")
        if isinstance(batch, int) and batch > 1 and draft.part("noise", "batch", batch, f"{node.kind}.batch_size"):
            draft.warn(f"made in a batch of {batch}: taken for its first picture")
            return


def take_canvas(draft: Draft, graph: Graph, way: list[Node], picture: Shown) -> None:
    """How a start picture got its size; where nothing says one, it is its own, and that of what was put around it."""
    scaling = next((node for node in way if node.kind == "ImageScale"), None)
    if scaling is not None:
        if graph.value(scaling, "crop") == "disabled":
            draft.set("resize", "stretch", f"{scaling.kind}.crop")
        return
    if "width" in draft.fields or picture.image is None:
        return
    size = size_of(picture.image)
    factor = next((graph.value(node, "scale_by") for node in way if node.kind == "ImageScaleBy"), 1.0)
    grown = next((node for node in way if node.kind == "ImagePadForOutpaint"), None)
    if size is not None and isinstance(factor, (int, float)):
        width, height = (max(SHRUNK, round(side * factor)) for side in size)
        draft.sides(
            width + padding(graph, grown, "left", "right"), height + padding(graph, grown, "top", "bottom"), "size"
        )


def padding(graph: Graph, node: Node | None, *sides: str) -> int:
    """New pixels on those sides."""
    values = [] if node is None else [graph.value(node, side) for side in sides]
    return sum(value for value in values if isinstance(value, int))


def take_mask(draft: Draft, graph: Graph, node: Node) -> None:
    """The mask of a start picture: a file, or the transparent part of one."""
    if any(one.kind == "ImagePadForOutpaint" for one in chain(graph, node, "mask")):
        return  # it is that of the new part
    found = shown(draft, graph, node, "mask")
    inverted = found is not None and [one.kind for one in found.odd] == ["InvertMask"]
    plain = found is not None and (not found.odd or inverted) and node.kind != "VAEEncodeForInpaint"
    if found is not None and found.image is not None and "init" in draft.fields:
        draft.fields["mask"] = found.image  # checked with the start picture when the recipe is built
        if inverted:
            draft.part("inpaint", "invert", True, "InvertMask")
    else:
        keep_unseen(draft, found, worked_on=False)
        draft.warn(UNMASKED)
        plain = False
    if not plain:
        draft.keep(f"{node.kind} {node.id}", node.values)
        for one in found.odd if found is not None else ():
            draft.keep(f"{one.kind} {one.id}", one.values)
