"""How strongly an IP-Adapter's picture acts in each layer of a U-Net: the weight types of ComfyUI's IPAdapter nodes.

Layers are counted as they run: `nn.ip_adapter.Site.number`; SD 1.x has 16, SDXL 11.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from fromnoise.errors import UserError

if TYPE_CHECKING:  # recipes, which need no torch, name weight types
    from fromnoise.nn.ip_adapter import Site

WeightType = Literal[
    "linear",
    "ease in",
    "ease out",
    "ease in-out",
    "reverse in-out",
    "weak input",
    "weak output",
    "weak middle",
    "strong middle",
    "style transfer",
    "composition",
    "strong style transfer",
    "style and composition",
    "strong style and composition",
    "style transfer precise",
    "composition precise",
]
Scaling = Literal["V only", "K+V", "K+V w/ C penalty", "K+mean(V) w/ C penalty"]
"""What a weight multiplies, in the words of ComfyUI's nodes: the answer ("V only"); keys and values; those, in
proportion to their channels; keys, and the mean of the values."""

WEIGHT_TYPES: tuple[WeightType, ...] = get_args(WeightType)

WEAK = 0.2  # of the weight, where a type is weak
FLOOR = 0.05  # of the weight that an easing leaves at least
SD1_LAYERS, SDXL_LAYERS = 16, 11
SD1_COMPOSITION, SDXL_COMPOSITION = (4, 5), (3,)  # where the layout of the picture is decided
SD1_STYLE, SDXL_STYLE = (0, 1, 2, 3, *range(9, 16)), (6,)
FAINT = 0.1  # of the weight, in layers that decide on neither style nor layout
SD1_EARLY = 0.25  # of the weight in the first of SD 1.x's layers of composition


@dataclass(frozen=True)
class LayerWeights:
    """Of every site, and where the sides change places: there the negative side sees the picture, to push it away."""

    weights: tuple[float, ...]
    swapped: tuple[bool, ...]


def layer_weights(
    sites: Sequence["Site"], weight_type: WeightType, weight: float, second: float | None = None
) -> LayerWeights:
    """What each of `sites` is weighed with.

    `second`, by default `weight`: of the layout, where a type weighs style and composition apart; of what is pushed
    away, in the precise types. UserError for types that go by the layers of SD 1.x and SDXL on U-Nets with others.
    """
    count = 1 + max((site.number for site in sites), default=0)
    if "style" in weight_type or "composition" in weight_type:
        by_number, swapped = chosen(count, weight_type, weight, weight if second is None else second)
        weights = tuple(by_number.get(site.number, 0.0) for site in sites)
        return LayerWeights(weights, tuple(site.number in swapped for site in sites))
    weights = tuple(weight * share(weight_type, site, count) for site in sites)
    return LayerWeights(weights, (False,) * len(weights))


def share(weight_type: WeightType, site: "Site", count: int) -> float:
    """Of the weight that a site gets."""
    place, half = site.number / count, count / 2
    distance = abs(site.number - half) / half  # from the middle
    easings = {"ease in": 1 - place, "ease out": place, "ease in-out": 1 - distance, "reverse in-out": distance}
    if weight_type in easings:
        return FLOOR + (1 - FLOOR) * easings[weight_type]
    if weight_type == "strong middle":
        return 1.0 if site.part == "middle" else WEAK
    return WEAK if weight_type == f"weak {site.part}" else 1.0


def chosen(
    count: int, weight_type: WeightType, weight: float, second: float
) -> tuple[Mapping[int, float], frozenset[int]]:
    """Weights by number of the layers that have any, and the layers in which the sides change places."""
    if count not in (SD1_LAYERS, SDXL_LAYERS):
        raise UserError(
            f"the weight type {weight_type!r} goes by the layers of SD 1.x and SDXL, and this model has {count}; "
            "take linear"
        )
    sdxl = count == SDXL_LAYERS
    layout, styled = (SDXL_COMPOSITION, SDXL_STYLE) if sdxl else (SD1_COMPOSITION, SD1_STYLE)
    others = frozenset(range(count)) - frozenset(layout)
    style, strong = dict.fromkeys(styled, weight), dict.fromkeys(others, weight)
    mild = {**dict.fromkeys(layout, 1.0), **({} if sdxl else {layout[0]: SD1_EARLY})}  # shares of the layout's weight

    def laid_out(by: float) -> dict[int, float]:
        return {number: share * by for number, share in mild.items()}

    match weight_type:
        case "style transfer":
            return style, frozenset()
        case "composition":
            return laid_out(weight), frozenset()
        case "strong style transfer":
            return strong, frozenset()
        case "style and composition":
            return {**style, **laid_out(second)}, frozenset()
        case "strong style and composition":
            return {**strong, **dict.fromkeys(layout, second)}, frozenset()
        case "style transfer precise":
            return {**style, **laid_out(second)}, frozenset(layout)
        case _:  # composition precise
            faint = dict.fromkeys(others - frozenset(styled), second * FAINT)
            return {**dict.fromkeys(styled, second), **faint, **laid_out(weight)}, others
