"""Weight types give the layers of SD 1.x and SDXL what ComfyUI's IPAdapter nodes give them, written out again here."""

import pytest
import torch

from fromnoise.errors import UserError
from fromnoise.nn.ip_adapter import Site, sites
from fromnoise.nn.unet import SD1, SDXL, UNet, UNetConfig
from fromnoise.text.ip_adapter_weights import WEIGHT_TYPES, WeightType, layer_weights
from tests import tiny


def places(config: UNetConfig) -> list[Site]:
    with torch.device("meta"):
        return sites(UNet(config))


SD1_SITES, SDXL_SITES = places(SD1), places(SDXL)
W, S = 0.8, 0.3  # weight and second weight


def by_number(found: list[Site], weight_type: WeightType, second: float | None = S) -> list[float]:
    given = layer_weights(found, weight_type, W, second)
    numbers = {site.number: weight for site, weight in zip(found, given.weights, strict=True)}
    assert all(numbers[site.number] == weight for site, weight in zip(found, given.weights, strict=True))
    return [numbers[number] for number in sorted(numbers)]


def test_sites_are_in_the_order_of_the_files() -> None:
    """Down, up, middle: 16 of SD 1.x and 70 of SDXL."""
    assert [site.number for site in SD1_SITES] == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 6]
    assert [site.dim for site in SD1_SITES] == [320] * 2 + [640] * 2 + [1280] * 5 + [640] * 3 + [320] * 3 + [1280]
    assert len(SDXL_SITES) == 70
    assert SDXL_SITES[-1].name == "middle_block.1.transformer_blocks.9"
    assert SD1_SITES[6].name == "output_blocks.3.1.transformer_blocks.0"


@pytest.mark.parametrize(
    ("weight_type", "wanted"),
    [
        ("style transfer", {6: W}),
        ("composition", {3: W}),
        ("strong style transfer", {n: W for n in range(11) if n != 3}),
        ("style and composition", {3: S, 6: W}),
        ("strong style and composition", {**dict.fromkeys(range(11), W), 3: S}),
        ("style transfer precise", {3: S, 6: W}),
        ("composition precise", {**dict.fromkeys(range(11), S * 0.1), 3: W, 6: S}),
    ],
)
def test_sdxl(weight_type: WeightType, wanted: dict[int, float]) -> None:
    assert by_number(SDXL_SITES, weight_type) == pytest.approx([wanted.get(n, 0) for n in range(11)])


STYLE = dict.fromkeys((0, 1, 2, 3, 9, 10, 11, 12, 13, 14, 15), W)


@pytest.mark.parametrize(
    ("weight_type", "wanted"),
    [
        ("style transfer", STYLE),
        ("composition", {4: W / 4, 5: W}),
        ("strong style transfer", {n: W for n in range(16) if n not in (4, 5)}),
        ("style and composition", {**STYLE, 4: S / 4, 5: S}),
        ("strong style and composition", {**dict.fromkeys(range(16), W), 4: S, 5: S}),
        ("style transfer precise", {**STYLE, 4: S / 4, 5: S}),
        ("composition precise", {**dict.fromkeys(STYLE, S), 4: W / 4, 5: W, 6: S * 0.1, 7: S * 0.1, 8: S * 0.1}),
        ("linear", dict.fromkeys(range(16), W)),
        ("ease in", {n: W * (0.05 + 0.95 * (1 - n / 16)) for n in range(16)}),
        ("ease out", {n: W * (0.05 + 0.95 * n / 16) for n in range(16)}),
        ("ease in-out", {n: W * (0.05 + 0.95 * (1 - abs(n - 8) / 8)) for n in range(16)}),
        ("reverse in-out", {n: W * (0.05 + 0.95 * abs(n - 8) / 8) for n in range(16)}),
        ("weak input", {n: W * (0.2 if n < 6 else 1) for n in range(16)}),
        ("weak middle", {n: W * (0.2 if n == 6 else 1) for n in range(16)}),
        ("weak output", {n: W * (0.2 if n > 6 else 1) for n in range(16)}),
        ("strong middle", {n: W * (1 if n == 6 else 0.2) for n in range(16)}),
    ],
)
def test_sd1(weight_type: WeightType, wanted: dict[int, float]) -> None:
    assert by_number(SD1_SITES, weight_type) == pytest.approx([wanted.get(n, 0) for n in range(16)])


def test_precise_types_show_the_picture_to_the_negative_side_elsewhere() -> None:
    def swapped(found: list[Site], weight_type: WeightType) -> set[int]:
        marks = layer_weights(found, weight_type, W).swapped
        return {site.number for site, mark in zip(found, marks, strict=True) if mark}

    assert swapped(SDXL_SITES, "style transfer precise") == {3}
    assert swapped(SDXL_SITES, "composition precise") == set(range(11)) - {3}
    assert swapped(SD1_SITES, "style transfer precise") == {4, 5}
    assert swapped(SD1_SITES, "composition precise") == set(range(16)) - {4, 5}
    assert not any(swapped(SD1_SITES, name) for name in WEIGHT_TYPES if "precise" not in name)


def test_types_that_go_by_layers_need_those_layers() -> None:
    found = places(tiny.unet_config())
    with pytest.raises(UserError, match="take linear"):
        layer_weights(found, "style transfer", 1.0)
    assert len(layer_weights(found, "ease in", 1.0).weights) == len(found)
