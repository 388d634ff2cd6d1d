"""A network over a large picture, piece by piece, so that memory depends on the piece and no seam is seen.

A piece is shown with some of its neighbours around it. What lies so near to a cut that the network would have needed
pixels beyond it is thrown away where the overlap suffices (then the result is that of the whole picture), and fades
into the neighbour where it does not.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fromnoise.upscalers.work import Progress

SMALLEST = 32  # pixels on a side of a tile
MOST = 32  # pixels that tiles overlap by default, where all that a network needs would be too much

Enlarge = Callable[[Tensor], Tensor]  # (1 c h w) -> (1 c scale*h scale*w)


@dataclass(frozen=True)
class Piece:
    """A stretch of one side of a picture, and how far it overlaps with the pieces before and after."""

    start: int
    stop: int
    before: int  # pixels it shares with the piece before; 0 for the first
    after: int

    def weights(self, scale: int, reach: int) -> Tensor:
        """(scale * length): 1, fading to 0 over what it shares; with those of the neighbours they add up to 1."""
        weights = torch.ones(scale * (self.stop - self.start))
        if self.before:
            weights[: scale * self.before] = ramp(self.before, scale, reach)
        if self.after:
            weights[-scale * self.after :] = 1 - ramp(self.after, scale, reach)
        return weights


def ramp(shared: int, scale: int, reach: int) -> Tensor:
    """(scale * shared): from 0 to 1, level where a network that sees `reach` pixels far knows too little."""
    margin = reach if 2 * reach < shared else shared // 4
    at = (torch.arange(scale * shared) + 0.5) / scale - margin
    return (at / (shared - 2 * margin)).clamp(0, 1)


def pieces(length: int, tile: int, overlap: int, multiple: int = 1) -> list[Piece]:
    """Pieces of at most `tile` pixels, or hardly more, that share `overlap`; they begin at multiples of `multiple`."""
    if length <= tile:
        return [Piece(0, length, 0, 0)]
    half = overlap // 2
    count = -(-length // (tile - overlap))
    cuts = [length * i // count // multiple * multiple for i in range(1, count)]
    starts = [0, *((cut - half) // multiple * multiple for cut in cuts)]
    stops = [*(cut + overlap - half for cut in cuts), length]
    shared = [0, *(stop - start for start, stop in zip(starts[1:], stops[:-1], strict=True)), 0]
    return [Piece(*piece) for piece in zip(starts, stops, shared[:-1], shared[1:], strict=True)]


def fitting_overlap(tile: int, overlap: int | None, reach: int) -> int:
    """The overlap to use where one is asked for, or none in particular: at most a third of a tile."""
    if overlap is None:
        enough = 2 * reach + 2
        overlap = enough if enough <= tile // 4 else MOST
    return max(0, min(overlap, tile // 3))


def tiled(
    enlarge: Enlarge,
    pixels: Tensor,
    scale: int,
    *,
    tile: int,
    overlap: int | None,
    reach: int,
    progress: Progress,
    multiple: int = 1,
) -> Tensor:
    """pixels (h w c) uint8 -> (scale*h scale*w c) uint8, both on the CPU.

    reach: how far, in pixels of the input, one of them can change the output. Beside the pictures this takes memory
    for a tile and for a row of tiles.
    """
    height, width, channels = pixels.shape
    side = max(SMALLEST, tile) if tile else max(height, width)
    overlap = fitting_overlap(side, overlap, reach)
    rows, columns = (pieces(length, side, overlap, multiple) for length in (height, width))
    done, total = 0, len(rows) * len(columns)
    result = torch.empty((height * scale, width * scale, channels), dtype=torch.uint8)
    rest: Tensor | None = None  # of the row before, where it shares pixels with this one
    for row in rows:
        strip = torch.zeros((scale * (row.stop - row.start), width * scale, channels))
        for column in columns:
            shown = pixels[row.start : row.stop, column.start : column.stop]
            answer = enlarge(shown.permute(2, 0, 1)[None])[0].permute(1, 2, 0)
            place = strip[:, scale * column.start : scale * column.stop]
            place += answer * column.weights(scale, reach)[:, None]
            done += 1
            progress(done, total)
        strip *= row.weights(scale, reach)[:, None, None]
        if rest is not None:
            strip[: len(rest)] += rest
        final = len(strip) - scale * row.after
        result[scale * row.start : scale * row.start + final] = strip[:final].clamp_(0, 255).round_().to(torch.uint8)
        rest = strip[final:].clone()
    return result
