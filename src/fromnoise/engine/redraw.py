"""A start picture enlarged and painted anew, tile by tile, with each tile a picture of the model's own size.

Two scripts of AUTOMATIC1111's web UI: "SD upscale", whose tiles are pictures by themselves that fade into each other,
and "Ultimate SD upscale", whose tiles are masks on one canvas, one after the other or as on a chessboard, and which can
go over the seams again.
"""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from fromnoise.engine.beside import enlarging
from fromnoise.engine.canvas import Box, blurred, resized
from fromnoise.engine.enlarge import enlarged, upscaler
from fromnoise.engine.images import opaque, to_image
from fromnoise.engine.library import Model
from fromnoise.engine.passes import Pass, Progress, orders
from fromnoise.engine.prepare import Preparation
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_parts import MAX_SEED, MAX_SIDE, Inpaint
from fromnoise.engine.recipe_upscale import Redraw
from fromnoise.engine.start import LATENTS, Start, open_reference, pictured
from fromnoise.errors import UserError
from fromnoise.sampling.guidance_tiles import starts
from fromnoise.sampling.samplers import Evaluate
from fromnoise.upscalers import Upscaler
from fromnoise.upscalers.work import Work

BLOCK = 64  # pixels: sides of the pictures that "Ultimate SD upscale" asks for are multiples of this
GRADIENT = 256  # pixels on a side of PIL's gradients
LEAST_STEP = 8  # pixels that tiles move on
FACTORS = (4, 3, 2)  # by which "Ultimate SD upscale" lets an upscaler enlarge at once

Painting = Generator[Evaluate, Tensor, Image.Image]  # a sampler that ends in a picture


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture that is painted into the canvas."""

    recipe: Recipe  # of it alone
    box: Box | None = None  # what is cut out of the canvas; None: the surroundings of the mask
    mask: Callable[[], Image.Image] | None = None  # makes its grey levels in the canvas's size


@dataclass(frozen=True)
class Redrawing:
    """Paints the picture of a recipe that has `redraw`."""

    model: Model
    recipe: Recipe  # whose `redraw.size` is known
    refiner: Model | None
    progress: Progress

    @property
    def options(self) -> Redraw:
        assert self.recipe.redraw is not None
        return self.recipe.redraw

    @property
    def size(self) -> tuple[int, int]:
        """Of the canvas in pixels."""
        assert self.options.size is not None
        return self.options.size

    @property
    def evaluations(self) -> int:
        """Of the model, or nearly."""
        return sum(self._preparation(tile).evaluations(orders(tile.recipe)[0]) for tile in self.tiles())

    def painting(self) -> Painting:
        """All tiles as one sampler, so that a stopped picture goes on in whichever it was."""
        canvas = self.canvas()
        pieces: list[Image.Image] = []
        for tile in self.tiles():
            done = yield from self._painted(tile, canvas)
            if tile.box is None:
                canvas = done
            else:
                pieces.append(done)
        return combined(self.size, list(self._boxes()), pieces, self.options.overlap) if pieces else canvas

    def canvas(self) -> Image.Image:
        """The start picture, enlarged."""
        recipe, (width, height) = self.recipe, self.size
        assert recipe.init is not None
        image = opaque(open_reference(recipe.init))
        if recipe.init_upscaler is None:
            return resized(image, width, height, self._fitting)
        through = upscaler(recipe.init_upscaler, self.model.settings)
        return enlarging(
            self.model, through, lambda how: resized(self._grown(image, through, how), width, height, self._fitting)
        )

    def _grown(self, image: Image.Image, by: Upscaler, how: Work) -> Image.Image:
        for size in self._growth(image.size):
            image = enlarged(image, *size, by, how)
        return image

    def _growth(self, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """The sizes to which the upscaler brings a picture of that size in turn."""
        width, height = self.size
        if self.recipe.profile == "a1111" and self.options.method != "tiles":
            for factor in factors(max(width, height) / max(size)):
                size = size[0] * factor // 8 * 8, size[1] * factor // 8 * 8
                yield size
            return
        if self.recipe.profile == "a1111":
            yield width, height
            return
        times = (min if self._fitting == "fill" else max)(width / size[0], height / size[1])
        if times > 1:
            yield round(size[0] * times), round(size[1] * times)

    @property
    def _fitting(self) -> str:
        return "stretch" if self.recipe.profile == "a1111" or self.recipe.resize == "latent" else self.recipe.resize

    def tiles(self) -> Iterator[Tile]:
        """In the order in which they are painted."""
        options = self.options
        if options.method == "tiles":
            for number, box in enumerate(self._boxes()):
                seed = (self.recipe.seed + number) % (MAX_SEED + 1)
                yield Tile(self._alone(*box.size, seed=seed), box)
        elif options.method != "none":
            yield from self._masked_tiles()
        if options.seams == "band":
            yield from self._bands()
        elif options.seams != "none":
            yield from self._half_tiles()

    def _boxes(self) -> Iterator[Box]:
        """Of "SD upscale": spread evenly, sharing `overlap` at least."""
        (width, height), overlap = self.size, self.options.overlap
        across, down = min(self.recipe.width, width), min(self.recipe.height, height)
        for top in starts(height, down, min(overlap, down - LEAST_STEP)):
            for left in starts(width, across, min(overlap, across - LEAST_STEP)):
                yield Box(left, top, left + across, top + down)

    def _masked_tiles(self) -> Iterator[Tile]:
        """Of "Ultimate SD upscale": squares of the canvas, and their surroundings besides."""
        options, recipe = self.options, self.recipe
        rows, columns = (math.ceil(whole / tile) for whole, tile in zip(self.size[::-1], self._tile[::-1], strict=True))
        places = [(row, column) for row in range(rows) for column in range(columns)]
        if options.method == "chess":  # the fields of one colour first
            places.sort(key=lambda place: (sum(place) % 2, place))
        sides = [math.ceil((side + options.padding) / BLOCK) * BLOCK for side in self._tile]
        if recipe.profile != "a1111":  # no more than there is
            sides = [min(side, eights(whole)) for side, whole in zip(sides, self.size, strict=True)]
        alone = self._alone(*sides, inpaint=inpaint(options.padding))
        for row, column in places:
            left, top = column * recipe.width, row * recipe.height
            yield Tile(alone, None, partial(square, self.size, Box(left, top, left + recipe.width, top + recipe.height),
                                            options.blur))  # fmt: skip

    def _bands(self) -> Iterator[Tile]:
        """Strips along the seams."""
        options, (width, height), (across, down) = self.options, self.size, self._tile
        thick = options.seam_width + 2 * options.seam_padding
        upright = self._seam(eights(thick), eights(height), options.seam_padding)
        lying = self._seam(eights(width), eights(thick), options.seam_padding)
        for left in range(across, width, across):
            yield Tile(upright, None, partial(band, self.size, left, options.seam_width, upright=True))
        for top in range(down, height, down):
            yield Tile(lying, None, partial(band, self.size, top, options.seam_width, upright=False))

    def _half_tiles(self) -> Iterator[Tile]:
        """Tiles half a tile off, strongest on the seams; and, if wanted, those about the corners of four tiles."""
        options, tile = self.options, self._tile
        across, down = tile
        columns, rows = (math.ceil(whole / side) for whole, side in zip(self.size, tile, strict=True))
        alone, bare = (self._seam(across, down, padding) for padding in (options.seam_padding, 0))
        between_rows, between_columns = peak(tile), peak((down, across)).rotate(90, expand=True)
        about_corners = ImageOps.invert(Image.radial_gradient("L").resize(tile, Image.Resampling.BICUBIC))
        for row in range(rows - 1):
            for column in range(columns):
                yield self._soft_tile(alone, between_rows, column * across, row * down + down // 2)
        for row in range(rows):
            for column in range(columns - 1):
                yield self._soft_tile(alone, between_columns, column * across + across // 2, row * down)
        if options.seams == "half+intersections":
            for row in range(rows - 1):
                for column in range(columns - 1):
                    left, top = column * across + across // 2, row * down + down // 2
                    yield self._soft_tile(bare, about_corners, left, top)

    def _soft_tile(self, recipe: Recipe, grey: Image.Image, left: int, top: int) -> Tile:
        return Tile(recipe, None, partial(soft, self.size, grey, left, top, self.options.seam_blur))

    @property
    def _tile(self) -> tuple[int, int]:
        return self.recipe.width, self.recipe.height

    def _alone(self, width: int, height: int, **changes: object) -> Recipe:
        """The recipe of a tile of that size."""
        return self.recipe.but(
            redraw=None, restore_faces=None, init_upscaler=None, resize=self._fitting, width=width, height=height,
            **changes,
        )  # fmt: skip

    def _seam(self, width: int, height: int, padding: int) -> Recipe:
        return self._alone(width, height, strength=self.options.seam_strength, inpaint=inpaint(padding))

    def _preparation(self, tile: Tile) -> Preparation:
        return Preparation(self.model, tile.recipe, self.refiner, self.progress)

    def _painted(self, tile: Tile, canvas: Image.Image) -> Painting:
        """A tile by itself, or the canvas with it."""
        preparation, order = self._preparation(tile), orders(tile.recipe)[0]
        start = started(preparation, tile, canvas)
        if start is None:  # nothing is white
            return canvas
        one: Pass = preparation.prepared(order, start)
        latents = yield from one.sampler(start.latents, self.progress)
        down = not PROFILES[tile.recipe.profile].round_pixels
        return start.finished(to_image(self.model.decode(latents), down=down), tile.recipe, latents)


def started(preparation: Preparation, tile: Tile, canvas: Image.Image) -> Start | None:
    """What a tile starts from; None where its mask is black."""
    model, recipe = preparation.model, tile.recipe
    seeding = preparation.seeding(orders(recipe)[0])
    if tile.box is not None:
        start = pictured(model, recipe, seeding, canvas.crop(tile.box), None, Inpaint())
        return replace(start, whole=canvas, box=tile.box)
    assert tile.mask is not None
    assert recipe.inpaint is not None
    mask = tile.mask()
    return None if mask.getbbox() is None else pictured(model, recipe, seeding, canvas, mask, recipe.inpaint)


def with_size(recipe: Recipe) -> Recipe:
    """The recipe with the size of its canvas said. FileError where the start picture can't be opened, UserError where
    nothing can be made of it."""
    assert recipe.redraw is not None
    assert recipe.init is not None
    if recipe.init.path.endswith(LATENTS):
        raise UserError(f"{recipe.init.path}: saved latents can't be enlarged by a redraw; give a picture")
    redraw = recipe.redraw
    size = redraw.size or target(open_reference(recipe.init).size, redraw, recipe.profile)
    if max(size) > MAX_SIDE:
        raise UserError(f"redraw: {size[0]}x{size[1]} pixels are too many: at most {MAX_SIDE} on a side")
    return recipe.but(redraw={**redraw.model_dump(), "size": size})


def target(size: tuple[int, int], redraw: Redraw, profile: str) -> tuple[int, int]:
    """Width and height that a picture of that size is enlarged to."""
    wanted = [side * redraw.scale for side in size]
    if profile != "a1111":
        width, height = (max(8, round(side / 8) * 8) for side in wanted)
    elif redraw.method == "tiles":
        width, height = (max(8, int(side) // 8 * 8) for side in wanted)
    else:
        width, height = (math.ceil(side / BLOCK) * BLOCK for side in wanted)
    return width, height


def factors(times: float) -> list[int]:
    """By which an upscaler enlarges in turn to come to `times` at least, as "Ultimate SD upscale" counts.

    >>> factors(8), factors(5), factors(1)
    ([4, 2], [3, 2], [])
    """
    wanted = math.ceil(times)
    while wanted > 1 and not any(wanted % factor == 0 for factor in FACTORS):
        wanted += 1
    found: list[int] = []
    while (left := wanted // math.prod(found)) > 1 and any(left % factor == 0 for factor in FACTORS):
        found.append(next(factor for factor in FACTORS if left % factor == 0))
    return found


def eights(side: int) -> int:
    """`side`, rounded up."""
    return math.ceil(side / 8) * 8


def inpaint(padding: int) -> dict[str, object]:
    """How a tile's mask is used; it is blurred before."""
    return Inpaint(only_masked=True, padding=padding).model_dump()


def square(size: tuple[int, int], box: Box, blur: float) -> Image.Image:
    """A mask that is white in a box, and one line and column beyond, as PIL draws it."""
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return softened(mask, blur)


def band(size: tuple[int, int], at: int, thick: int, *, upright: bool) -> Image.Image:
    """A mask that is whitest along a line across the picture, `at` pixels from its left side or its top."""
    ridge = peak((GRADIENT, GRADIENT))
    if upright:
        strip = ridge.rotate(90).resize((thick, size[1]), Image.Resampling.BICUBIC)
        return pasted(size, strip, at - thick // 2, 0)
    return pasted(size, ridge.resize((size[0], thick), Image.Resampling.BICUBIC), 0, at - thick // 2)


def soft(size: tuple[int, int], grey: Image.Image, left: int, top: int, blur: float) -> Image.Image:
    """A mask of grey levels somewhere in the picture."""
    return softened(pasted(size, grey, left, top), blur)


def pasted(size: tuple[int, int], grey: Image.Image, left: int, top: int) -> Image.Image:
    """A mask that is `grey` there and black elsewhere."""
    mask = Image.new("L", size)
    mask.paste(grey, (left, top))
    return mask


def peak(size: tuple[int, int]) -> Image.Image:
    """Grey levels from black at the top to white in the middle and black again."""
    width, height = size
    rising, found = Image.linear_gradient("L"), Image.new("L", size)
    for turned, top in ((rising, 0), (rising.rotate(180), height // 2)):
        found.paste(turned.resize((width, height // 2), Image.Resampling.BICUBIC), (0, top))
    return found


def softened(mask: Image.Image, deviation: float) -> Image.Image:
    """`mask` blurred; only what is not black takes time."""
    bounds = mask.getbbox()
    if bounds is None or deviation <= 0:
        return mask
    reach = 2 * int(2.5 * deviation + 0.5) + 1  # what is this far away is black before and after
    box = Box(
        max(0, bounds[0] - reach), max(0, bounds[1] - reach),
        min(mask.width, bounds[2] + reach), min(mask.height, bounds[3] + reach),
    )  # fmt: skip
    return pasted(mask.size, blurred(mask.crop(box), deviation), box.left, box.top)


def combined(size: tuple[int, int], boxes: Sequence[Box], pieces: Sequence[Image.Image], overlap: int) -> Image.Image:
    """Tiles as one picture: each fades in over `overlap` pixels of the one before it, rows over rows."""
    canvas = Image.new("RGB", size)
    for top, row in groupby(zip(boxes, pieces, strict=True), key=lambda one: one[0].top):
        strip = Image.new("RGB", (size[0], boxes[0].size[1]))
        for box, piece in row:
            strip.paste(piece, (box.left, 0), fading(piece.size, overlap if box.left else 0))
        down = fading(strip.size[::-1], overlap if top else 0).transpose(Image.Transpose.TRANSPOSE)
        canvas.paste(strip, (0, top), down)
    return canvas


def fading(size: tuple[int, int], overlap: int) -> Image.Image:
    """A mask from black at the left to white `overlap` pixels further on, in whole levels, rounded down."""
    rising = np.minimum(255, np.arange(size[0]) * (255 / overlap) if overlap else np.full(size[0], 255))
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(rising.astype(np.uint8), size[::-1])))
