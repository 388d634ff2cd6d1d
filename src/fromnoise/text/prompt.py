"""The prompt language: a prompt parses to a frozen tree, and the tree gives the weighted text of every step.

    prompt = parse("a [red:blue:0.5] (apple:1.2) AND a table :0.4 <lora:paint:0.8>")
    prompt.at(0, 20)          # two subprompts with their weights; the first says red
    schedule(prompt, 20)      # [(0, ...red...), (10, ...blue...)]
    prompt.networks           # the LoRA

Three dialects: `a1111` is AUTOMATIC1111's language as version 1.10 speaks it, `native` the same without its bugs
(docs/prompts.md lists them), `comfyui` knows weights and nothing else. Nothing here raises on any text: what
cannot be read is text, and `warnings` say where. Time is linear in the length of the prompt.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from fromnoise.text.network_tags import Network
from fromnoise.text.prompt_source import read_source
from fromnoise.text.prompt_tree import Scan, Timing, Tree, changes, flatten, parse_tree
from fromnoise.text.prompt_weights import (
    BREAK,
    LIMIT,
    MAX_WARNINGS,
    Dialect,
    Piece,
    PromptWarning,
    Weighted,
    parse_weights,
    read_weights,
)

__all__ = [
    "BREAK",
    "Dialect",
    "Network",
    "Part",
    "Piece",
    "Prompt",
    "PromptWarning",
    "Subprompt",
    "Timing",
    "Weighted",
    "parse",
    "parse_weights",
    "read_weights",
    "schedule",
]


class Subprompt(NamedTuple):
    """What one part of a prompt says at one step; `weight` scales its guidance, negative to steer away."""

    pieces: tuple[Piece, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class Part:
    """What stands between two ANDs."""

    tree: Tree
    weight: float = 1.0


@dataclass(frozen=True)
class Prompt:
    """A parsed prompt; equal texts in equal dialects are equal."""

    text: str
    dialect: Dialect
    parts: tuple[Part, ...]
    networks: tuple[Network, ...] = ()
    warnings: tuple[PromptWarning, ...] = ()
    weighted: bool = True

    def at(
        self, step: int, steps: int, *, first_pass: int | None = None, old_rule: bool = False
    ) -> tuple[Subprompt, ...]:
        """The subprompts of `step`, 0 to steps - 1, at least one.

        `first_pass` and `old_rule` say how moments are read: see `Timing`. In `a1111` every change comes a step late.
        """
        return self._subprompts(self._texts(step, Timing(steps, first_pass, old_rule)))

    def _texts(self, step: int, timing: Timing) -> tuple[str, ...]:
        counted = max(step, 1) if self.dialect == "a1111" else step + 1
        return tuple(flatten(part.tree, min(counted, timing.steps), timing) for part in self.parts)

    def _subprompts(self, texts: tuple[str, ...]) -> tuple[Subprompt, ...]:
        return tuple(
            Subprompt(tuple(parse_weights(text, self.dialect) if self.weighted else [Piece(text)]), part.weight)
            for text, part in zip(texts, self.parts, strict=True)
        )


def schedule(
    prompt: Prompt, steps: int, *, first_pass: int | None = None, old_rule: bool = False
) -> list[tuple[int, tuple[Subprompt, ...]]]:
    """The steps, from 0, at which what `prompt` says changes, each with what it says from then on."""
    timing = Timing(steps, first_pass, old_rule)
    late = prompt.dialect == "a1111"
    starts = {0} | {change + late for part in prompt.parts for change in changes(part.tree, timing)}
    found: list[tuple[int, tuple[Subprompt, ...]]] = []
    texts: tuple[str, ...] | None = None
    for start in sorted(start for start in starts if start < max(steps, 1)):
        now = prompt._texts(start, timing)
        if now != texts:
            found.append((start, prompt._subprompts(now)))
            texts = now
    return found


def parse(
    text: str, dialect: Dialect = "native", *, compose: bool = True, weights: bool = True, tags: bool = True
) -> Prompt:
    """Parse `text`. `compose` False leaves AND a word (negative prompts); `weights` and `tags` leave brackets text."""
    if dialect == "comfyui":
        return Prompt(text, dialect, (Part((text,)),), (), tuple(read_weights(text, dialect).warnings), weights)
    source = read_source(text, dialect, tags=tags)
    notes: list[PromptWarning] = []  # positions in source.text
    spans = _split(source.text, dialect, notes) if compose else [(0, len(source.text))]
    parts = [_parse_part(source.text, span, dialect, _may_weigh(dialect, compose, spans), notes) for span in spans]
    if dialect == "native" and len(parts) > 1:
        parts = _without_empty(parts, spans, notes)
    warnings = [*source.warnings, *(PromptWarning(source.origin(w.position), w.message) for w in notes)]
    warnings.sort(key=lambda w: w.position)
    return Prompt(text, dialect, tuple(parts), tuple(source.networks), tuple(warnings[:MAX_WARNINGS]), weights)


_AND = re.compile(r"\bAND\b")
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?|\d*\.\d+))\s*")


def _split(text: str, dialect: Dialect, notes: list[PromptWarning]) -> list[tuple[int, int]]:
    """Start and end of what stands between ANDs; in `native` an AND inside brackets is a word."""
    found = list(_AND.finditer(text))
    if dialect == "native" and found:
        pairs = sorted(Scan(text, dialect).pairs.items(), reverse=True)
        outside, covered = [], -1
        for match in found:
            while pairs and pairs[-1][0] < match.start():
                covered = max(covered, pairs.pop()[1])
            if covered < match.start():
                outside.append(match)
            else:
                notes.append(PromptWarning(match.start(), "AND inside brackets is a word"))
        found = outside
    edges = [0, *(edge for match in found for edge in match.span()), len(text)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _may_weigh(dialect: Dialect, compose: bool, spans: list[tuple[int, int]]) -> bool:
    """`: number` at the end of a part weighs it; in `a1111` even when it is the only one."""
    return compose and (dialect == "a1111" or len(spans) > 1)


def _parse_part(
    text: str, span: tuple[int, int], dialect: Dialect, may_weigh: bool, notes: list[PromptWarning]
) -> Part:
    start, end = span
    body, weight = text[start:end], 1.0
    head, colon, tail = body.rpartition(":")
    number = _NUMBER.fullmatch(tail) if colon and may_weigh else None
    if number:
        body, weight = head, max(-LIMIT, min(LIMIT, float(number[1])))
        if (start, end) == (0, len(text)):
            notes.append(PromptWarning(len(head), f"the whole prompt has the weight {weight:g}"))
    if may_weigh:
        body = body.rstrip()
    tree, found = parse_tree(body, dialect)
    found += read_weights(body, dialect).warnings
    notes += [PromptWarning(start + w.position, w.message) for w in found]
    return Part(tree, weight)


def _without_empty(parts: list[Part], spans: list[tuple[int, int]], notes: list[PromptWarning]) -> list[Part]:
    kept = []
    for part, (start, _) in zip(parts, spans, strict=True):
        if any(not isinstance(node, str) or node.strip() for node in part.tree):
            kept.append(part)
        else:
            notes.append(
                PromptWarning(max(0, start - 1), "nothing stands on one side of this AND: that side is left out")
            )
    return kept or [Part(())]
