"""ComfyUI's nodes that change a model between its loader and the sampler, as parts of a recipe, and back."""

from collections.abc import Iterator, Mapping
from typing import Any

from fromnoise.engine.metadata.comfyui_graph import Graph, Node
from fromnoise.engine.metadata.draft import Draft
from fromnoise.engine.recipe import Recipe

Fields = Mapping[str, str]  # inputs of a node, and the fields of the part that they are
FREE_U: Fields = {"b1": "b1", "b2": "b2", "s1": "s1", "s2": "s2"}

CHANGES: Mapping[str, tuple[str, Fields, Mapping[str, Any]]] = {  # node: part, inputs, and what the node says by itself
    "FreeU": ("free_u", FREE_U, {"version": 1}),
    "FreeU_V2": ("free_u", FREE_U, {"version": 2}),
    "RescaleCFG": ("guidance.rescale", {"multiplier": "share"}, {}),
    "PerturbedAttentionGuidance": ("guidance.perturbed", {"scale": "scale"}, {}),
    "SelfAttentionGuidance": ("guidance.self_attention", {"scale": "scale", "blur_sigma": "blur"}, {}),
    "APG": ("guidance.projected", {"eta": "eta", "norm_threshold": "threshold", "momentum": "momentum"}, {}),
    "CFGZeroStar": ("guidance.zero_star", {}, {}),
    "PerpNeg": ("guidance.perp_neg", {"neg_scale": "weight"}, {}),
    "TomePatchModel": ("token_merging", {"ratio": "ratio"}, {}),
    "DifferentialDiffusion": ("inpaint", {"strength": "gradual_strength"}, {"gradual": True}),
}


def take_change(draft: Draft, graph: Graph, node: Node) -> bool:
    """Set the part that a node stands for; whether it is known."""
    if node.kind not in CHANGES:
        return False
    path, inputs, by_itself = CHANGES[node.kind]
    values = {ours: value for name, ours in inputs.items() if (value := graph.value(node, name)) is not None}
    outer, _, inner = path.rpartition(".")
    if path == "inpaint":
        for name, value in {**by_itself, **values}.items():
            draft.part(path, name, value, f"{node.kind}.{name}")
    else:
        draft.place(outer, inner, dict(by_itself) | values, node.kind)
    return True


def changes_of(recipe: Recipe) -> Iterator[tuple[str, dict[str, Any]]]:
    """Kinds of nodes and their inputs besides the model, nearest to the loader first."""
    for kind, (path, inputs, by_itself) in CHANGES.items():
        part: Any = recipe
        for name in path.split("."):
            part = None if part is None else getattr(part, name)
        if part is not None and all(getattr(part, name) == value for name, value in by_itself.items()):
            yield kind, {name: getattr(part, ours) for name, ours in inputs.items()}
