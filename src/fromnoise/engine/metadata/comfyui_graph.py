"""A ComfyUI graph made by a stranger: nodes, links between them, and walks that end however it is knotted."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from fromnoise.errors import FileError

MAX_NODES = 5000
MAX_DEPTH = 100  # links in a row
MAX_VISITS = 20_000  # of nodes, in all walks of one graph together

TEXT_INPUTS = (
    "text",
    "value",
    "string",
    "prompt",
    "text_a",
    "Text",
    "STRING",
    "text1",
    "wildcard_text",
    "populated_text",
)
NUMBER_INPUTS = ("value", "seed", "noise_seed", "int", "float", "number", "Value", "INT", "FLOAT")
JOINED_TEXTS = (("string_a", "string_b"), ("text_a", "text_b", "text_c", "text_d"), ("text1", "text2"))


class Link(NamedTuple):
    """An output of a node."""

    node: str
    output: int


@dataclass(frozen=True)
class Node:
    """One node: its kind, its values, and where its other inputs come from."""

    id: str
    kind: str
    values: dict[str, Any]
    links: dict[str, Link]


class Graph:
    """Nodes by id. Raises FileError where it is no graph, or where walking it takes too long."""

    def __init__(self, api: dict[str, Any]) -> None:
        if len(api) > MAX_NODES:
            raise FileError(f"its ComfyUI graph has {len(api)} nodes; at most {MAX_NODES} are read")
        read = (read_node(name, content) for name, content in api.items())
        self.nodes = {node.id: node for node in read if node is not None}
        if not self.nodes:
            raise FileError("its ComfyUI graph has no nodes")
        self._visits = 0

    def source(self, node: Node, name: str) -> Node | None:
        """The node that an input comes from, through reroutes."""
        link = node.links.get(name)
        for _ in range(MAX_DEPTH):
            found = self.nodes.get(link.node) if link else None
            if found is None or found.kind != "Reroute":
                return found
            link = next(iter(found.links.values()), None)
        return None

    def upstream(self, start: Node) -> Iterator[Node]:
        """`start` and all that it is made from, nearest first, each once."""
        seen, row = {start.id}, [start]
        while row:
            following: list[Node] = []
            for node in row:
                self.visit()
                yield node
                for link in node.links.values():
                    if link.node not in seen and link.node in self.nodes:
                        seen.add(link.node)
                        following.append(self.nodes[link.node])
            row = following

    def visit(self) -> None:
        """Count one step of a walk."""
        self._visits += 1
        if self._visits > MAX_VISITS:
            raise FileError("its ComfyUI graph is too knotted to be read")

    def text(self, node: Node, name: str, depth: int = 0) -> str | None:
        """A text input: its value, or what the text nodes it comes from say."""
        if name in node.values:
            value = node.values[name]
            return str(value) if isinstance(value, (str, int, float)) else None
        self.visit()
        source = self.source(node, name)
        if source is None or depth >= MAX_DEPTH:
            return None
        for names in JOINED_TEXTS:
            if "oncat" in source.kind or "oin" in source.kind:
                parts = [self.text(source, part, depth + 1) for part in names]
                if any(part is not None for part in parts):
                    delimiter = str(source.values.get("delimiter", source.values.get("separator", "")))
                    return delimiter.join(part for part in parts if part)
        return next((t for n in TEXT_INPUTS if (t := self.text_input(source, n, depth)) is not None), None)

    def text_input(self, node: Node, name: str, depth: int) -> str | None:
        """The text input `name` if the node has it."""
        return self.text(node, name, depth + 1) if name in node.values or name in node.links else None

    def value(self, node: Node, *names: str) -> object:
        """The first of some inputs that has a value, perhaps from a primitive node; None where none has."""
        for name in names:
            current, key = node, name
            for _ in range(MAX_DEPTH):
                self.visit()
                if key in current.values:
                    return current.values[key]
                source = self.source(current, key)
                if source is None:
                    break
                current = source
                key = next((n for n in NUMBER_INPUTS if n in current.values or n in current.links), "value")
        return None


def read_node(name: object, content: object) -> Node | None:
    """A node in API format; None for what is none (some tools put other things beside the nodes)."""
    if not isinstance(content, dict) or not isinstance(content.get("inputs"), dict):
        return None
    inputs = content["inputs"]
    links = {key: link for key, value in inputs.items() if (link := read_link(value)) is not None}
    values = {key: value for key, value in inputs.items() if key not in links}
    return Node(str(name), str(content.get("class_type", "")), values, links)


def read_link(value: object) -> Link | None:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], int) and isinstance(value[0], (str, int)):
        return Link(str(value[0]), value[1])
    return None
