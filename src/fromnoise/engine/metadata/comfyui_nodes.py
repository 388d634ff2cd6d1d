"""How nodes of packages outside are read: what stands for them, or what they mean for a recipe.

    @NODES.register("FancySampler")
    def fancy(node: Node) -> Meaning:
        return Node(node.id, "KSampler", {**node.values, "seed": node.values["noise"]}, node.links)

    @NODES.register("ApplyFancyFreeU")
    def free_u(node: Node) -> Meaning:
        return {"free_u": {"b1": node.values["backbone"]}}

A function is given a node of its kind and answers with a node that is known here, of the same inputs and outputs; or
with fields of the recipe, which count where the sampler that is read comes after the node.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fromnoise.engine.metadata.comfyui_graph import Node
from fromnoise.registry import Registry

Meaning = Node | Mapping[str, Any]
NODES: Registry[Callable[[Node], Meaning]] = Registry("node", entry_points="fromnoise.nodes")
