"""Tiles: the result is that of the whole picture, whatever they are, and memory is a tile's."""

from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from fromnoise.nn.rrdb import RRDBConfig
from fromnoise.nn.srvgg import CompactConfig
from fromnoise.upscalers.files import applied, described, loaded, stamp
from fromnoise.upscalers.network import Network
from fromnoise.upscalers.tiles import fitting_overlap, pieces, tiled
from fromnoise.upscalers.work import Work, unseen
from tests.upscalers.tiny import compact, rrdb


@given(st.integers(1, 3000), st.integers(32, 600), st.integers(0, 300), st.sampled_from([1, 2, 4]))
@settings(max_examples=300, deadline=None)
def test_pieces_cover_a_side(length: int, tile: int, overlap: int, multiple: int) -> None:
    overlap = fitting_overlap(tile, overlap, 0)
    found = pieces(length, tile, overlap, multiple)
    assert found[0].start == 0
    assert found[-1].stop == length
    for piece in found:
        assert piece.stop - piece.start <= tile + 2 * multiple
        assert piece.start % multiple == 0
        assert piece.before + piece.after <= piece.stop - piece.start  # no place is in three pieces
    for before, after in pairwise(found):
        assert before.stop - after.start == before.after == after.before
        assert overlap <= after.before <= overlap + 2 * multiple


@given(st.integers(1, 900), st.integers(32, 128), st.integers(0, 60), st.integers(0, 20), st.sampled_from([1, 2, 3]))
@settings(max_examples=100, deadline=None)
def test_weights_add_up_to_one(length: int, tile: int, overlap: int, reach: int, scale: int) -> None:
    total = torch.zeros(length * scale)
    for piece in pieces(length, tile, fitting_overlap(tile, overlap, reach)):
        total[piece.start * scale : piece.stop * scale] += piece.weights(scale, reach)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-6)


@given(
    st.integers(1, 150), st.integers(1, 150), st.integers(32, 80), st.integers(1, 3), st.sampled_from([0, 5, 16, None])
)
@settings(max_examples=60, deadline=None)
def test_a_network_that_looks_nowhere_is_exact(
    height: int, width: int, tile: int, scale: int, overlap: int | None
) -> None:
    pixels = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8)

    def enlarge(x: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(x.float(), scale_factor=scale, mode="nearest")

    made = tiled(enlarge, pixels, scale, tile=tile, overlap=overlap, reach=0, progress=unseen)
    assert torch.equal(made, pixels.repeat_interleave(scale, 0).repeat_interleave(scale, 1))


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Noise on a gradient: seams would be seen on it."""
    noise = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(seed)) * 60
    ramp = torch.linspace(0, 190, width)[None, :, None] + torch.zeros(height, 1, 3)
    return Image.fromarray((noise + ramp).round().to(torch.uint8).numpy())


def differences(one: Image.Image, other: Image.Image) -> Tensor:
    a, b = (torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).int() for image in (one, other))
    return (a - b).abs()


def largest_difference(one: Image.Image, other: Image.Image) -> int:
    return int(differences(one, other).max())


def same(one: Image.Image, other: Image.Image) -> bool:
    """Sums in another order turn a value in ten thousand to the next level, and no more."""
    found = differences(one, other)
    return int(found.max()) <= 1 and int(found.sum()) <= max(2, len(found) // 10_000)


@pytest.mark.parametrize("size", [(131, 97), (64, 200), (33, 33)])
def test_compact_in_tiles_is_the_whole_picture(size: tuple[int, int]) -> None:
    network = described(compact())
    assert network.reach == 4
    whole = applied(network, picture(*size), Work(tile=0))
    for tile, overlap in ((32, None), (48, 10), (57, 19)):
        made = applied(network, picture(*size), Work(tile=tile, overlap=overlap))
        assert same(made, whole)


@pytest.mark.parametrize("unshuffle", [1, 2, 4])
def test_esrgan_in_tiles_is_the_whole_picture(unshuffle: int) -> None:
    """One block reaches 18 pixels, folded ones so many times more."""
    config = RRDBConfig(in_channels=3 * unshuffle**2, width=8, growth=4, blocks=1, unshuffle=unshuffle)
    network = described(rrdb(config))
    whole = applied(network, picture(170, 133), Work(tile=0))
    tile = 3 * (2 * network.reach + 3)
    made = applied(network, picture(170, 133), Work(tile=tile, overlap=2 * network.reach + 2))
    assert tile > 170 or same(made, whole)
    for overlap in (24, 32):  # far less than it reaches, but what is far away counts for little
        made = applied(network, picture(170, 133), Work(tile=3 * overlap, overlap=overlap))
        assert largest_difference(made, whole) <= 1


def test_the_built_in_network_in_tiles_is_the_whole_picture() -> None:
    """Real weights. Before levels are rounded a tile's inside differs by far less than one of 255."""
    path = Path(str(files("fromnoise.assets").joinpath("upscaler.safetensors")))
    network = loaded(path, stamp(path), torch.device("cpu"), torch.float32)
    image = picture(160, 110)
    whole = applied(network, image, Work(tile=0))
    for tile, overlap in ((96, None), (114, 38)):
        made = applied(network, image, Work(tile=tile, overlap=overlap))
        assert tile < 112 or same(made, whole)
        assert largest_difference(made, whole) <= 1
    shown = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        part, all_of_it = network.run(shown[..., :100]), network.run(shown)
    inside = network.scale * (100 - network.reach)
    assert float((part[..., :inside] - all_of_it[..., :inside]).abs().max()) < 1 / 255 / 100
    assert float((part - all_of_it[..., : part.shape[-1]]).abs().max()) > 1 / 255


def test_where_the_overlap_is_too_small_seams_fade() -> None:
    """Far from exact, but nowhere is the step between neighbours larger than elsewhere in the picture."""
    network = described(compact(CompactConfig(width=8, convolutions=12, scale=2)))
    flat = Image.new("RGB", (120, 120), (120, 60, 200))
    made = torch.tensor(list(applied(network, flat, Work(tile=48, overlap=12)).tobytes())).view(240, 240, 3)
    middle = made[60:180:2, 60:180:2]  # the same place in each pixel that was enlarged
    assert int(middle.diff(dim=0).abs().max()) <= 1
    assert int(middle.diff(dim=1).abs().max()) <= 1


def test_grey_networks_take_colours_one_by_one() -> None:
    network = described(compact(CompactConfig(1, 1, 8, 2, 2)))
    made = applied(network, picture(40, 30), Work(tile=32))
    for channel, own in zip(made.split(), picture(40, 30).split(), strict=True):
        assert same(applied(network, own, Work(tile=32)), channel)


def test_progress_is_told_and_ends_the_work() -> None:
    told: list[tuple[int, int]] = []
    network = described(compact())
    applied(network, picture(100, 60), Work(tile=40, overlap=8, progress=lambda *step: told.append(step)))
    assert told == [(i + 1, 8) for i in range(8)]

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        applied(network, picture(100, 60), Work(tile=40, overlap=8, progress=stop))


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_a_network_sees_a_tile_at_a_time_and_less_where_memory_is_short(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    sizes: list[tuple[int, ...]] = []
    network = described(compact())

    def run(x: Tensor) -> Tensor:
        if x.shape[-1] > 64 or x.shape[-2] > 64:
            raise error
        sizes.append(tuple(x.shape[-2:]))
        return network.module(x)  # type: ignore[no-any-return]

    whole = applied(network, picture(200, 100), Work(tile=0))
    made = applied(Network("test", network.module, run, 2, reach=4), picture(200, 100), Work(tile=0))
    assert max(max(size) for size in sizes) <= 50
    assert set(caplog.messages) == {"out of memory: the upscaler goes on in smaller tiles, more slowly"}
    assert same(made, whole)
