"""Token merging: the matching and its averages by brute force, what it must keep, and where it has no effect."""

import numpy as np
import pytest
import torch
from torch import Tensor

from fromnoise.nn.token_merging import TokenMerging
from fromnoise.nn.unet import UNet, UNetConfig
from tests.tiny import filled

CONFIG = UNetConfig.uniform(
    model_channels=32, channel_mult=(1, 2), level_depths=(1, 1), res_blocks=1, context_dim=24, heads=4
)


def tokens(height: int, width: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, height * width, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def brute_force(x: Tensor, height: int, width: int, count: int) -> np.ndarray:
    """One picture's tokens (n d) after merging and copying back, by loops over the definition."""
    values = x.numpy()
    stay = [
        y * width + z for y in range(0, height // 2 * 2, 2) for z in range(0, width // 2 * 2, 2)
    ]  # the top left of each whole cell
    likeness = {}
    for source in set(range(height * width)) - set(stay):
        cosines = [
            values[source] @ values[d] / np.linalg.norm(values[source]) / np.linalg.norm(values[d]) for d in stay
        ]
        likeness[source] = (max(cosines), stay[int(np.argmax(cosines))])
    merged = sorted(likeness, key=lambda source: -likeness[source][0])[:count]
    out = values.copy()
    for destination in stay:
        group = [destination, *(source for source in merged if likeness[source][1] == destination)]
        out[group] = values[group].mean(axis=0)
    return out


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7)])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.75, 1.0])
def test_merge_and_unmerge_by_brute_force(height: int, width: int, ratio: float) -> None:
    x = tokens(height, width)
    matching = TokenMerging(ratio).match(x, height, width)
    merged = matching.merge(x)
    count = min(int(height * width * ratio), height * width - (height // 2) * (width // 2))
    assert merged.shape == (1, height * width - count, 6)
    np.testing.assert_allclose(matching.unmerge(merged)[0].numpy(), brute_force(x[0], height, width, count), atol=1e-12)


@pytest.mark.parametrize("seed", [None, 0, 7])
def test_every_token_is_kept_merged_or_stays(seed: int | None) -> None:
    matching = TokenMerging(0.6, seed=seed).match(tokens(6, 8, batch=3), 6, 8)
    assert len(matching.destinations) == 12
    for picture in range(3):
        whole = torch.cat((matching.kept[picture], matching.merged[picture], matching.destinations))
        assert whole.sort().values.tolist() == list(range(48))
    cells = {(int(d) // 8 // 2, int(d) % 8 // 2) for d in matching.destinations}
    assert len(cells) == 12  # one in each cell


def test_the_seed_chooses_who_stays() -> None:
    x = tokens(6, 8)
    chosen = [TokenMerging(0.5, seed=seed).match(x, 6, 8).destinations.tolist() for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert TokenMerging(0.5).match(x, 6, 8).destinations.tolist()[:3] == [0, 2, 4]


def test_a_tokens_own_group_comes_back() -> None:
    """Merging what was unmerged changes nothing: the groups are averages already."""
    x = tokens(6, 8, batch=2)
    matching = TokenMerging(0.5).match(x, 6, 8)
    once = matching.unmerge(matching.merge(x))
    torch.testing.assert_close(matching.unmerge(matching.merge(once)), once)


@pytest.fixture(scope="module")
def unet() -> UNet:
    return filled(UNet(CONFIG), torch.Generator().manual_seed(0))


def test_a_ratio_of_zero_is_plain(unet: UNet) -> None:
    x, t, context = torch.randn(1, 4, 8, 8), torch.tensor([500.0]), torch.randn(1, 7, 24)
    plain = unet(x, t, context)
    with TokenMerging(0).applied(unet):
        assert torch.equal(unet(x, t, context), plain)


def attended(unet: UNet, block: str, merging: TokenMerging) -> list[int]:
    """Tokens in the self-attention of `block`, plain and merged."""
    counts: list[int] = []
    attention = unet.get_submodule(block).transformer_blocks[0].attn1  # type: ignore[union-attr, index]
    x, t, context = torch.randn(1, 4, 8, 12), torch.tensor([500.0]), torch.randn(1, 7, 24)
    with merging.applied(unet):
        handle = attention.to_q.register_forward_pre_hook(lambda module, args: counts.append(args[0].shape[1]))
        try:
            unet(x, t, context)
        finally:
            handle.remove()
    return counts


def test_only_high_resolutions_merge(unet: UNet) -> None:
    assert attended(unet, "input_blocks.1.1", TokenMerging(0.25)) == [72]
    assert attended(unet, "middle_block.1", TokenMerging(0.25)) == [24]
    assert attended(unet, "middle_block.1", TokenMerging(0.25, max_downsample=2)) == [18]
    assert attended(unet, "input_blocks.1.1", TokenMerging(1.0)) == [24]


def test_equal_tokens_lose_nothing(unet: UNet) -> None:
    block = unet.input_blocks[1][1].transformer_blocks[0]  # type: ignore[index, union-attr]
    x = torch.randn(1, 1, 32).expand(1, 16, 32)
    plain = block.attn1(x, x)
    matching = TokenMerging(0.75).match(x, 4, 4)
    merged = matching.merge(x)
    assert merged.shape[1] == 4
    torch.testing.assert_close(matching.unmerge(block.attn1(merged, merged)), plain)
