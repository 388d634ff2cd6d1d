"""A node of ComfyUI's that nobody else has."""

from fromnoise.engine.metadata.comfyui_graph import Node
from fromnoise.engine.metadata.comfyui_nodes import NODES


@NODES.register("BorrowedSampler")
def sampler(node: Node) -> Node:
    return Node(node.id, "KSampler", {**node.values, "seed": node.values["luck"]}, node.links)
