"""ComfyUI's prompts for parts of the picture: conditionings with areas and times, combined."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fromnoise.engine.metadata.comfyui_controls import PASSED, way_through
from fromnoise.engine.metadata.comfyui_graph import MAX_DEPTH, Graph, Node
from fromnoise.engine.metadata.comfyui_pictures import shown
from fromnoise.engine.metadata.draft import Draft
from fromnoise.engine.recipe_guidance import Regional

COMBINE = "ConditioningCombine"
AREA, SHARES, STRENGTH = "ConditioningSetArea", "ConditioningSetAreaPercentage", "ConditioningSetAreaStrength"
MASK, TIMES = "ConditioningSetMask", "ConditioningSetTimestepRange"
MAX_BRANCHES = 64


@dataclass(frozen=True)
class Branch:
    """A conditioning before it is combined with others: what holds it, and where and when it counts."""

    holder: Node
    link: str
    place: Mapping[str, Any] = field(default_factory=dict)  # fields of a region
    masked: Node | None = None  # the node with its mask, which is not in the file


def branches(graph: Graph, holder: Node, link: str, size: tuple[int, int]) -> list[Branch]:
    """All that an input combines; one without a place where it combines nothing. `size`: width and height, pixels."""
    return list(branching(graph, Branch(holder, link), size, 0))[:MAX_BRANCHES]


def branching(graph: Graph, branch: Branch, size: tuple[int, int], depth: int) -> Iterator[Branch]:
    graph.visit()
    node = graph.source(branch.holder, branch.link)
    if node is not None and node.kind in PASSED and depth < MAX_DEPTH:
        way = way_through(node, branch.holder.links[branch.link].output)
        yield from branching(graph, Branch(node, way, branch.place, branch.masked), size, depth + 1)
        return
    if node is None or depth >= MAX_DEPTH or node.kind not in (COMBINE, AREA, SHARES, STRENGTH, MASK, TIMES):
        yield branch
        return
    if node.kind == COMBINE:
        for link in ("conditioning_1", "conditioning_2"):
            yield from branching(graph, Branch(node, link, branch.place, branch.masked), size, depth + 1)
        return
    found = {**said(graph, node, size), **branch.place}  # the node nearest to the sampler has the last word
    masked = branch.masked or (node if node.kind == MASK else None)
    yield from branching(graph, Branch(node, "conditioning", found, masked), size, depth + 1)


def said(graph: Graph, node: Node, size: tuple[int, int]) -> dict[str, Any]:
    """What one node says of a place; an empty answer where it says nothing that is understood."""
    numbers = {
        name: value
        for name in ("x", "y", "width", "height", "strength", "start", "end")
        if isinstance(value := graph.value(node, name), (int, float))
    }
    place: dict[str, Any] = {name: numbers[name] for name in ("strength", "start", "end") if name in numbers}
    if node.kind in (AREA, SHARES) and {"x", "y", "width", "height"} <= set(numbers):
        across, down = size if node.kind == AREA else (1, 1)
        sides = (("left", "x", across), ("top", "y", down), ("width", "width", across), ("height", "height", down))
        place |= {ours: min(1.0, numbers[theirs] / whole) for ours, theirs, whole in sides}
    if node.kind == MASK and graph.value(node, "set_cond_area") == "mask bounds":
        place["bounds"] = True
    return place


def take_regions(draft: Draft, graph: Graph, found: list[tuple[list[str], Branch]], negative: bool) -> str:
    """Set regions of what is combined, (texts, where); returns the prompt of the whole picture."""
    told = [(", ".join(dict.fromkeys(text for text in texts if text)), branch) for texts, branch in found]
    base = next((pair for pair in told if set(pair[1].place) <= {"strength"} and pair[1].masked is None), None)
    others = [pair for pair in told if pair is not base]
    if not others:
        return base[0] if base else ""
    regions = []
    for text, branch in others:
        place = dict(branch.place)
        picture = None if branch.masked is None else shown(draft, graph, branch.masked, "mask")
        if picture is not None and picture.image is not None and not picture.odd:
            place["mask"] = picture.image
        if branch.masked is not None and "mask" not in place:
            draft.keep(f"{branch.masked.kind} {branch.masked.id}", {"prompt": text, **branch.place})
            draft.warn("made with a prompt under a mask of its own, which is not in the file: that prompt is left out")
        else:
            regions.append({"prompt": text, **place, **({"negative": True} if negative else {})})
    known = draft.fields.get("regional")
    already = [one.model_dump(exclude_unset=True) for one in known.regions] if isinstance(known, Regional) else []
    draft.part("regional", "regions", [*already, *regions], COMBINE)
    strength = 0.0 if base is None else base[1].place.get("strength", 1.0)
    if strength != 1 and not negative:
        draft.part("regional", "base", strength, COMBINE)
    return base[0] if base else ""
