"""The noise of one picture, as its profile draws it: the starting noise, and what stochastic samplers ask for.

Native noise is a function of seed, purpose and step. The streams of other tools depend on what was drawn before: there
the order of the calls in `Seeding` matters, and a new one starts the streams again.
"""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from fromnoise.engine.memory import Placement
from fromnoise.engine.profiles import Profile, Source
from fromnoise.engine.recipe_parts import MAX_SEED, Noise, Variation
from fromnoise.sampling.brownian import BrownianNoise, torch_noise
from fromnoise.sampling.noise import (
    NativeNoise,
    NoiseSource,
    NvStream,
    Purpose,
    SequentialNoise,
    Stream,
    TorchStream,
    philox_normal,
)
from fromnoise.sampling.samplers import SamplerSpec

SECOND_PASS_STEPS = 1 << 20  # native step noise of a second pass is that of later steps
PARALLEL = 0.9995  # mean cosine above which noises are mixed in a straight line

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Seeding:
    """Noise of one pass over latents of `shape` (1 c h w)."""

    profile: Profile
    seed: int
    shape: Shape
    options: Noise = field(default_factory=Noise)
    variation: Variation | None = None
    second_pass: bool = False
    encoded: bool = False  # a start picture is encoded
    downscale: int = 8  # pixels for each latent
    before: tuple[Shape, ...] = ()  # what was drawn from the stream before, where a tool does that

    def starting(self) -> Tensor:
        """Unit noise of `shape` for the latents to start from; takes it from the stream."""
        if self.options.from_size is None:
            return self._varied(self._first(self.seed, self.shape, self._stream), self.shape)
        width, height = (side // self.downscale for side in self.options.from_size)
        small = (*self.shape[:2], height, width)
        if small == self.shape:
            return self._varied(self._first(self.seed, self.shape, self._stream), self.shape)
        noise = self._varied(self._first(self.seed, small, self._new_stream(self.seed)), small)
        if self._start_source == "philox":
            return centred(noise, philox_normal(self.shape, self.seed, Purpose.INITIAL_LATENTS, draw=1))
        return centred(noise, self._first(self.seed, self.shape, self._stream))

    def steps(self, spec: SamplerSpec, sigmas: Tensor, planned: Tensor) -> NoiseSource:
        """The noise of a sampler's steps over `sigmas`, which were cut from `planned`."""
        if self.profile.brownian and spec.brownian:
            return self._brownian(planned if self.profile.brownian_over_all else sigmas)
        source, seed = self._source, self._step_seed
        if source == "philox":
            native = NativeNoise(self.shape, seed)
            return Later(native, SECOND_PASS_STEPS) if self.second_pass else native
        if self.profile.step_noise == "restarted":
            return SequentialNoise(self.shape, self._of_batch(new_stream(source, seed)))
        if seed != self.seed:
            return SequentialNoise(self.shape, self._of_batch(new_stream(source, seed)))
        return SequentialNoise(self.shape, self._stream)

    def kept(self, sampler: str, starting: Tensor) -> Tensor:
        """Unit noise for the part of a picture that a mask keeps."""
        if sampler not in self.profile.random_kept:
            return starting
        return self._of_batch(TorchStream((self.seed + 1) % (MAX_SEED + 1))).randn(self.shape)

    def posterior(self) -> Tensor:
        """Unit noise of `shape` for the encoding of a start picture."""
        return posterior_noise(self.profile, self.seed, self.shape)

    def masked_content(self) -> Tensor:
        """Unit noise to fill what is under a mask."""
        if self._start_source == "philox":
            return philox_normal(self.shape, self.seed, Purpose.INPAINT)
        return self._of_batch(self._new_stream(self.seed)).randn(self.shape)

    @property
    def _source(self) -> Source:
        return self.options.source or self.profile.source

    @property
    def _start_source(self) -> Source:
        """ComfyUI draws the starting noise on the CPU wherever it computes."""
        return self.profile.source if self.profile.step_noise == "restarted" else self._source

    @property
    def _step_seed(self) -> int:
        return (self.seed + self.options.seed_delta) % (MAX_SEED + 1)

    @cached_property
    def _stream(self) -> Stream:
        stream = self._of_batch(self._new_stream(self.seed))
        for shape in self.before:
            stream.randn(shape)
        if self.encoded and self.profile.posterior_first:
            stream.randn(self.shape)
        return stream

    def _new_stream(self, seed: int) -> Stream:
        return new_stream(self._start_source, seed)

    def _of_batch(self, stream: Stream) -> Stream:
        return BatchStream(stream, self.options.index, self.options.batch) if self.options.batch > 1 else stream

    def _first(self, seed: int, shape: Shape, stream: Stream, purpose: Purpose = Purpose.INITIAL_LATENTS) -> Tensor:
        if self._start_source != "philox":
            return stream.randn(shape)
        return philox_normal(shape, seed, Purpose.SECOND_PASS if self.second_pass else purpose)

    def _varied(self, noise: Tensor, shape: Shape) -> Tensor:
        """`noise` with the variation's mixed in."""
        if self.variation is None or self.variation.strength == 0:
            return noise
        seed, strength = self.variation.seed, self.variation.strength
        other = self._first(seed, shape, self._new_stream(seed), Purpose.VARIATION)
        if self.profile.name != "a1111":
            return slerp(noise.reshape(1, -1), other.reshape(1, -1), strength).reshape(shape)
        return slerp_rows(noise, other, strength)

    def _brownian(self, sigmas: Tensor) -> NoiseSource:
        count = self.options.batch  # ENSD does not reach the path
        shape = (count, *self.shape[1:])
        unit = nv_noise if self._source == "nv" and self.profile.step_noise == "continued" else torch_noise
        path = BrownianNoise(shape, sigmas, self.seed, unit_noise=unit)
        return OfBatch(path, self.options.index) if count > 1 else path


@dataclass(frozen=True)
class BatchStream:
    """One picture's part of a stream that is drawn for a whole batch at once."""

    stream: Stream
    index: int
    count: int

    def randn(self, shape: Shape) -> Tensor:
        """The next noise (1 c h w) of the picture."""
        return self.stream.randn((self.count * shape[0], *shape[1:]))[self.index : self.index + 1]


@dataclass(frozen=True)
class OfBatch:
    """One picture's part of step noise for a whole batch."""

    noise: NoiseSource
    index: int

    def __call__(self, step: int, sigma: Tensor, sigma_next: Tensor, draw: int = 0) -> Tensor:
        return self.noise(step, sigma, sigma_next, draw)[self.index : self.index + 1]


@dataclass(frozen=True)
class Brought:
    """Noise that is drawn on the processor, where the latents are."""

    noise: NoiseSource
    placement: Placement

    def __call__(self, step: int, sigma: Tensor, sigma_next: Tensor, draw: int = 0) -> Tensor:
        return self.placement.hold(self.noise(step, sigma, sigma_next, draw))


@dataclass(frozen=True)
class Later:
    """Step noise that counts its steps from `first` on."""

    noise: NoiseSource
    first: int

    def __call__(self, step: int, sigma: Tensor, sigma_next: Tensor, draw: int = 0) -> Tensor:
        return self.noise(self.first + step, sigma, sigma_next, draw)


def posterior_noise(profile: Profile, seed: int, shape: Shape) -> Tensor:
    """Unit noise of `shape` for the draw of an autoencoder's posterior, the same for the same seed.

    AUTOMATIC1111 and ComfyUI draw it from a generator that nobody seeds: there nothing can be followed.
    """
    if profile.posterior_first:
        return new_stream(profile.source, seed).randn(shape)
    return philox_normal(shape, seed, Purpose.IMAGE_ENCODING)


def new_stream(source: Source, seed: int) -> Stream:
    """The stream of a seed from its beginning."""
    return NvStream(seed) if source == "nv" else TorchStream(seed)


def nv_noise(shape: Shape, seed: int) -> Tensor:
    """Unit noise of a fresh NVIDIA generator, for Brownian paths."""
    return NvStream(seed).randn(shape)


def centred(noise: Tensor, around: Tensor) -> Tensor:
    """`around` (1 c h w) with `noise` of another size put into its middle, cut where it is larger."""
    result = around.clone()
    (into_y, from_y), (into_x, from_x) = (middle(around.shape[d], noise.shape[d]) for d in (2, 3))
    result[..., into_y, into_x] = noise[..., from_y, from_x]
    return result


def middle(length: int, other: int) -> tuple[slice, slice]:
    """Where in `length` the middle of `other` goes, and which part of `other` that is."""
    offset = (length - other) // 2
    count = other if offset >= 0 else other + 2 * offset
    into, source = max(offset, 0), max(-offset, 0)
    return slice(into, into + count), slice(source, source + count)


def slerp(low: Tensor, high: Tensor, share: float) -> Tensor:
    """From `low` to `high` along the arc between them, over the last dimension: Shoemake (1985)."""
    cosine = torch.nn.functional.cosine_similarity(low, high, dim=-1)[..., None].clamp(-1, 1)
    angle = cosine.acos()
    mixed = (((1 - share) * angle).sin() * low + (share * angle).sin() * high) / angle.sin()
    return torch.where(angle.sin() == 0, low + (high - low) * share, mixed)


def slerp_rows(low: Tensor, high: Tensor, share: float) -> Tensor:
    """AUTOMATIC1111's: along each column of (1 c h w) by itself, and for noises that are nearly equal backwards."""
    low_columns, high_columns = low.transpose(2, 3), high.transpose(2, 3)
    cosine = torch.nn.functional.cosine_similarity(low_columns, high_columns, dim=-1)
    if cosine.mean() > PARALLEL:
        return low * share + high * (1 - share)
    return slerp(low_columns, high_columns, share).transpose(2, 3)
