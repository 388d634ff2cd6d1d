"""What is taken out of a prompt before it is read: comments, and tags such as `<lora:name:0.8>`."""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import partial

from fromnoise.text.network_tags import Network, read_tag
from fromnoise.text.prompt_weights import Dialect, PromptWarning


@dataclass
class Source:
    """A prompt's text without comments and tags, and where its parts were."""

    text: str
    networks: list[Network] = field(default_factory=list)
    warnings: list[PromptWarning] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])  # where the parts that were kept start in `text`
    origins: list[int] = field(default_factory=lambda: [0])  # and where they did in the prompt

    def warn(self, position: int, message: str) -> None:
        self.warnings.append(PromptWarning(position, message))

    def origin(self, position: int) -> int:
        """The position in the prompt of a position in `text`."""
        index = bisect_right(self.starts, position) - 1
        return self.origins[index] + position - self.starts[index]


_TAKEN = {
    "native": re.compile(r"(?<!\\)#[^\n]*|<(?P<kind>\w+):(?P<args>[^<>]+)>"),
    "a1111": re.compile(r"#[^\n]*|<(?P<kind>\w+):(?P<args>[^<>#]+)>"),  # comments go first, even inside a tag
}


def read_source(text: str, dialect: Dialect = "native", *, tags: bool = True) -> Source:
    """`text` without comments (`#` to the end of the line) and, by default, tags; `comfyui` knows neither."""
    source = Source(text)
    if dialect == "comfyui":
        return source
    kept: list[str] = []
    length, position = 0, 0
    for match in _TAKEN[dialect].finditer(text):
        if match["kind"] and not tags:
            continue
        kept.append(text[position : match.start()])
        length += match.start() - position
        position = match.end()
        source.starts.append(length)
        source.origins.append(position)
        if match["kind"]:
            network = read_tag(match["kind"], match["args"], partial(source.warn, match.start()))
            source.networks += [network] if network else []
    source.text = "".join([*kept, text[position:]])
    return source
