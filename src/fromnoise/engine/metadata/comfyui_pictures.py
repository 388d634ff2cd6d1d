"""Pictures in ComfyUI's graphs: which file an input comes from, through the nodes that work on it."""

from collections.abc import Iterator
from dataclasses import dataclass

from fromnoise.engine.metadata.comfyui_graph import MAX_DEPTH, Graph, Node
from fromnoise.engine.metadata.draft import Draft
from fromnoise.engine.references import ImageRef

LOADERS = ("LoadImage", "LoadLatent")  # kinds of nodes begin so
FILES = ("image", "latent", "image_name", "path")  # inputs of a loader that name its file
INPUTS = (  # of a node that works on pictures
    "samples", "pixels", "image", "images", "image1", "destination", "samples1", "samples_to", "latents", "mask",
)  # fmt: skip
SIZES = {  # nodes that only make pictures larger or smaller, which the recipe does, too; and ones that are read apart
    "ImageScale", "ImageScaleBy", "ImageScaleToTotalPixels", "ImageScaleToMaxDimension", "PrepImageForClipVision",
    "PrepImageForInsightFace", "MaskToImage", "ImageToMask", "SplitImageWithAlpha", "ImageBatch",
}  # fmt: skip
FULL = 255.0  # ComfyUI's Canny counts thresholds as shares of it

HINTS = {  # of comfyui_controlnet_aux, and ComfyUI's own: the preprocessor here
    "Canny": "canny", "CannyEdgePreprocessor": "canny", "HEDPreprocessor": "softedge_hed",
    "PiDiNetPreprocessor": "softedge_pidinet", "TEEDPreprocessor": "softedge_teed",
    "ScribblePreprocessor": "scribble_classic", "FakeScribblePreprocessor": "scribble_hed",
    "Scribble_XDoG_Preprocessor": "scribble_xdog", "Scribble_PiDiNet_Preprocessor": "scribble_pidinet",
    "LineArtPreprocessor": "lineart_realistic", "AnimeLineArtPreprocessor": "lineart_anime",
    "LineartStandardPreprocessor": "lineart_standard", "M-LSDPreprocessor": "mlsd",
    "MiDaS-DepthMapPreprocessor": "depth_midas", "Zoe-DepthMapPreprocessor": "depth_zoe",
    "DepthAnythingPreprocessor": "depth_anything", "DepthAnythingV2Preprocessor": "depth_anything_v2",
    "BAE-NormalMapPreprocessor": "normal_bae", "MiDaS-NormalMapPreprocessor": "normal_midas",
    "OpenposePreprocessor": "openpose_full", "DWPreprocessor": "openpose_full", "TilePreprocessor": "tile_resample",
    "UniFormer-SemSegPreprocessor": "seg_ufade20k", "SemSegPreprocessor": "seg_ufade20k",
    "OneFormer-ADE20K-SemSegPreprocessor": "seg_ofade20k", "ColorPreprocessor": "t2ia_color_grid",
    "ShufflePreprocessor": "shuffle", "BinaryPreprocessor": "threshold", "ImageInvert": "invert",
}  # fmt: skip
ANY_HINT = "AIO_Preprocessor"  # its input names one of the above


@dataclass(frozen=True)
class Shown:
    """Where an input's picture comes from."""

    name: str  # of the file; empty where it comes from no loader
    image: ImageRef | None  # the file, where it was found
    through: tuple[Node, ...]  # nodes that work on it, nearest to the input first
    loader: Node | None = None

    @property
    def odd(self) -> tuple[Node, ...]:
        """Those that do more than change its size."""
        return tuple(node for node in self.through if node.kind not in SIZES)


def shown(draft: Draft, graph: Graph, node: Node, name: str) -> Shown | None:
    """The picture on an input; None where nothing is."""
    through: list[Node] = []
    for one in chain(graph, node, name):
        if one.kind.startswith(LOADERS):
            file = next((one.values[key] for key in FILES if isinstance(one.values.get(key), str)), "")
            return Shown(file, draft.album.find(file), tuple(through), one)
        through.append(one)
    return Shown("", None, tuple(through)) if through else None


def chain(graph: Graph, node: Node, name: str) -> Iterator[Node]:
    """What an input comes from, through one picture input after the other, nearest first."""
    current = graph.source(node, name)
    for _ in range(MAX_DEPTH):
        if current is None:
            return
        graph.visit()
        yield current
        following = next((key for key in INPUTS if key in current.links), None)
        current = None if following is None else graph.source(current, following)


def keep_unseen(draft: Draft, found: Shown | None, *, worked_on: bool = True) -> None:
    """Note the file that was not found, and with `worked_on` what was done to it that a recipe has no place for."""
    if found is None:
        return
    if found.loader is not None and found.image is None:
        draft.keep(f"{found.loader.kind} {found.loader.id}", found.loader.values)
    for node in found.odd if worked_on else ():
        draft.keep(f"{node.kind} {node.id}", node.values)


def hint_of(graph: Graph, found: Shown) -> tuple[dict[str, object], list[Node]]:
    """(fields of a control: what makes its hint of the picture, nodes that are not understood)."""
    fields: dict[str, object] = {}
    left: list[Node] = []
    for node in found.odd:
        kind = str(graph.value(node, "preprocessor")) if node.kind == ANY_HINT else node.kind
        if kind not in HINTS or "preprocessor" in fields:
            left.append(node)
            continue
        fields["preprocessor"] = preprocessor_of(node, kind)
        resolution = graph.value(node, "resolution")
        fields |= {"resolution": resolution} if isinstance(resolution, int) else {}
        limits = thresholds(graph, node, kind)
        fields |= {"parameters": limits} if limits else {}
    return fields, left


def preprocessor_of(node: Node, kind: str) -> str:
    """Some are several in one."""
    if kind == "LineArtPreprocessor" and node.values.get("coarse") == "enable":
        return "lineart_coarse"
    if kind in ("HEDPreprocessor", "PiDiNetPreprocessor") and node.values.get("safe") == "enable":
        return f"{HINTS[kind].removesuffix('net')}safe"
    if kind in ("OpenposePreprocessor", "DWPreprocessor"):
        parts = [part for part in ("hand", "face") if node.values.get(f"detect_{part}", "enable") == "enable"]
        return "openpose_full" if len(parts) == 2 else f"openpose_{parts[0]}" if parts else "openpose"
    return HINTS[kind]


def thresholds(graph: Graph, node: Node, kind: str) -> dict[str, float]:
    """Canny's, in grey levels."""
    found: dict[str, float] = {}
    if "anny" in kind:
        for ours, theirs in (("low", "low_threshold"), ("high", "high_threshold")):
            value = graph.value(node, theirs)
            if isinstance(value, (int, float)):
                found[ours] = round(value * FULL, 3) if kind == "Canny" else float(value)
    return found
