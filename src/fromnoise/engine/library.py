"""Finding a model by name, and bringing it into memory ready to draw."""

import gc
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from fromnoise.adapters.patched import Copies
from fromnoise.allocator import keep_again, trim
from fromnoise.checkpoints.detect import ModelFacts, Prediction
from fromnoise.checkpoints.distilled import Distilled, distilled
from fromnoise.checkpoints.fitting import WrongFamily, misfit
from fromnoise.checkpoints.hashes import hashes, model_hash
from fromnoise.checkpoints.load import Checkpoint, convert, load_checkpoint
from fromnoise.checkpoints.sources import files_of
from fromnoise.engine import shelves
from fromnoise.engine.blame import all_finite, blamed
from fromnoise.engine.graphs import Graphs, graphs_for
from fromnoise.engine.kept import Kept
from fromnoise.engine.memory import WAITING, Placement, Plan, free, release
from fromnoise.engine.network_files import NetworkFiles
from fromnoise.engine.picture_files import PictureFiles
from fromnoise.engine.recipe_files import Weights
from fromnoise.engine.residence import Residence
from fromnoise.engine.shelves import BUILTIN, builtin
from fromnoise.engine.vae_family import LABELS, SPACES, space_of
from fromnoise.engine.vae_pairing import settled
from fromnoise.errors import FileError, is_out_of_memory
from fromnoise.nn import compiled, kernels, vae_strips
from fromnoise.nn.clip import CLIPText
from fromnoise.nn.clip_vision import CLIPVision
from fromnoise.nn.unet import UNet
from fromnoise.nn.vae import AutoencoderKL
from fromnoise.sampling.guidance import NetworkVariant
from fromnoise.sampling.parametrization import Scalings, edm_scalings, eps_scalings, v_scalings
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import ContinuousTable, NoiseTable
from fromnoise.settings import Settings

T = TypeVar("T")

LOG = logging.getLogger(__name__)
DEFAULTS = Settings()
ROOM = 1 << 31  # bytes: with as much beside the weights, nothing needs a plan
UPSCALER_BETAS = (0.0001, 0.02)
SCALINGS: dict[Prediction, Callable[[Tensor], Scalings]] = {"eps": eps_scalings, "v": v_scalings, "edm": edm_scalings}


@dataclass(frozen=True)
class Defaults:
    """What a person who chose only the model would want; None: the recipe's usual."""

    size: int  # pixels, width and height
    guidance_scale: float | None = None
    steps: int | None = None
    sampler: str | None = None


QUICK: dict[Distilled, tuple[float, int, str]] = {  # guidance scale, steps and sampler of their authors' examples
    "lcm": (1.0, 4, "lcm"),
    "turbo": (1.0, 4, "euler_ancestral"),
    "lightning": (1.0, 8, "euler"),
    "hyper": (1.0, 8, "euler"),
}
TOLD_GUIDANCE = 8.0  # of networks that are told the guidance scale, as LCM's authors draw
BUILTIN_DEFAULTS = Defaults(128, guidance_scale=2.0)


@dataclass(frozen=True)
class Model:
    """The networks of one checkpoint, where they compute, and how to read their answers."""

    name: str
    path: Path
    sha256: str
    facts: ModelFacts
    unet: UNet
    vae: AutoencoderKL
    text: tuple[CLIPText, ...]
    table: NoiseTable
    scalings: Callable[[Tensor], Scalings]
    placement: Placement
    settings: Settings = DEFAULTS  # where the other files are that recipes name
    vae_changes: tuple[NetworkVariant, ...] = ()  # made while pictures are encoded and decoded
    allow_unmatched: bool = False  # LoRAs and the like are used without the keys that match nothing
    vision: CLIPVision | None = None  # unCLIP's
    vision_stats: tuple[Tensor, Tensor] | None = None  # mean and deviation (1 d) of its embeddings, where known
    made_of: Weights | None = None  # the names that it was loaded by
    distilled: Distilled | None = None  # needs few steps and no guidance
    hashes: tuple[str, ...] = ()  # of the files of `made_of.elsewhere`
    kept: Kept = field(default_factory=Kept, compare=False, repr=False)
    residence: Residence | None = field(default=None, compare=False, repr=False)  # of its weights
    budget: int | None = None  # bytes of memory that there were for it when it was loaded; None: enough
    limit: int | None = None  # bytes that it was told not to exceed

    def known_as(self, wanted: str) -> bool:
        """Whether a hash, or the beginning of one, means this model: its SHA-256, or what older tools computed."""
        return self.sha256.startswith(wanted.lower()) or (self.path.is_file() and hashes(self.path).match(wanted))

    @property
    def pictures(self) -> PictureFiles:
        """What reads the pictures that recipes name as prompts."""
        return PictureFiles(self.settings, self.placement, self.allow_unmatched, self.kept, self.vision, self.enduring)

    @property
    def networks(self) -> NetworkFiles:
        """The LoRAs and the like that can be used with it."""
        by_name = {"unet": self.unet, **{f"text{index}": encoder for index, encoder in enumerate(self.text)}}
        return NetworkFiles(by_name, self.settings, self.placement, self.allow_unmatched, self.kept)

    @property
    def defaults(self) -> Defaults:
        """By family; the built-in model says its own."""
        if self.path == builtin():
            return BUILTIN_DEFAULTS
        if self.facts.family == "sd2":
            size = 768 if self.facts.prediction == "v" else 512
        else:
            size = 512 if self.facts.family == "sd1" else 1024
        if self.distilled is None:
            return Defaults(size)
        scale, steps, sampler = QUICK[self.distilled]
        if self.unet.config.guidance_dim is not None:
            scale = TOLD_GUIDANCE
        return Defaults(512 if self.distilled == "turbo" else size, scale, steps, sampler)

    def schedule(self, sampler: str) -> str:
        """Where none is asked for: the sampler's own, or one that suits a table that ends in pure noise."""
        spec = SAMPLERS[sampler]
        return spec.even_schedule if self.facts.zero_snr else spec.default_schedule

    def encode(self, image: Tensor, noise: Tensor | None = None) -> Tensor:
        """Latents (b c h w) float32 of pictures (b 3 8h 8w) in [-1, 1]; a draw of the posterior if `noise` is given."""

        def work(dtype: torch.dtype) -> Tensor:
            pixels = self._image(image, dtype)
            drawn = None if noise is None else noise.to(pixels)
            with self._autoencoder():
                encode = vae_strips.encode if self._large(image.shape[-2:]) else AutoencoderKL.encode
                return encode(self.vae, pixels, drawn).float().cpu()

        return self._finite(image, lambda dtype: self.enduring(lambda: work(dtype)))

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (b 3 8h 8w), about [-1, 1], of latents (b c h w)."""
        if self.made_of is not None and self.path != builtin() and self.kept.remark():
            self._remark_family()
        sides = [side * self.vae.config.downscale for side in latents.shape[-2:]]

        def work(dtype: torch.dtype) -> Tensor:
            with self._autoencoder():
                decode = vae_strips.decode if self._large(sides) else AutoencoderKL.decode
                return decode(self.vae, self._image(latents, dtype)).float()

        return self._finite(latents, lambda dtype: self.enduring(lambda: work(dtype)))

    def enduring(self, work: Callable[[], T]) -> T:
        """What `work` gives; where memory does not suffice, it begins anew with tighter plans, as long as there are."""
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = error.with_traceback(None)  # which would hold what was made so far
            if not self.tighten(calls=1):
                raise reason

    def _finite(self, given: Tensor, work: Callable[[torch.dtype], Tensor]) -> Tensor:
        """What the autoencoder makes of `given`; where float16 overflows, as SDXL's does, once more in float32.

        BrokenWeights where that does not help, as the weights are none.
        """
        dtype = torch.float32 if self.kept.wide else self.placement.dtype
        made = work(dtype)
        if all_finite(made) or not all_finite(given):
            return made
        if dtype == torch.float16:
            dtype, self.kept.wide = torch.float32, True
            LOG.warning("the VAE of %s overflows in float16: it works in float32 from now on", self.name)
            made = work(dtype)
        if not all_finite(made):
            raise blamed(self.name, "autoencoder", [self.stored(self.vae)], dtype)
        return made

    def stored(self, network: nn.Module) -> dict[str, Tensor]:
        """The weights of one of its networks, as the file has them where that is known."""
        known = {} if self.residence is None else self.residence.stored
        return {
            f"{prefix}.{name}": known.get((layer, name), parameter.detach())
            for prefix, layer in network.named_modules()
            for name, parameter in layer.named_parameters(recurse=False)
        }

    @property
    def vae_fault(self) -> str:
        """Why the autoencoder garbles this model's latents; nothing where it is the right one as far as is known."""
        dtype = torch.float32 if self.placement.dtype == torch.float16 else self.placement.dtype
        with torch.inference_mode():
            found = space_of(lambda image: self.vae.moments(self._image(image, dtype))[0], self.vae.config.downscale)
        if found is None or found == SPACES[self.facts.family]:
            return ""
        wanted = LABELS[SPACES[self.facts.family]]
        return f"its autoencoder is {LABELS[found]}'s, which garbles pictures here; give one of {wanted} with --vae"

    def _remark_family(self) -> None:
        if fault := self.vae_fault:
            LOG.warning("%s: %s", self.name, fault)

    def settle(self, plan: Plan, beside: tuple[Residence, ...] = (), *, spare: bool = True) -> None:
        """Bring the weights where `plan` wants them; `beside` are the other models that make way while this one works.

        Where memory does not suffice, a tighter plan does. `spare`: there is memory for the U-Net's weights once more,
        for copies that LoRAs change. What is recorded of the U-Net holds as long as its weights stay where they are.
        """
        residence = self.residence
        assert residence is not None
        residence.beside = beside
        spare = spare and plan == Plan() and not beside and self.budget is None
        if not spare:
            self.kept.copies.do_without()
            self.kept.graphs = None
        if plan == residence.plan and spare == self.kept.copies.room:
            return
        if plan.away and not residence.plan.away:
            LOG.warning("the picture is too large for the device's memory: the processor decodes it, more slowly")
        residence.plan = plan
        if beside:  # it comes forward when it is about to work
            residence.step_aside()
            return
        self.enduring(lambda: residence.bring(residence.plan))
        if spare and residence.plan == plan and not self.kept.copies.room:  # there was less memory before
            self.kept.copies.room, self.kept.graphs = True, graphs_of(self.unet, self.placement, self.settings)
            keep_again()

    def tighten(self, calls: int) -> bool:
        """Make do with less memory than what just was too much, with `calls` network calls at once; False: can't."""
        plan = None if self.residence is None else self.residence.tighten(calls)
        if plan is not None:
            self.kept.copies.do_without()
            self.kept.graphs = None
            LOG.warning("out of memory: the picture goes on with less at once, more slowly")
        return plan is not None

    def drawing(self) -> AbstractContextManager[None]:
        """Inside, the U-Net works."""
        return nullcontext() if self.residence is None else self.residence.drawing()

    @property
    def graphs(self) -> Graphs | None:
        """What records the U-Net's calls, where the device does; nothing is left from before weights were moved."""
        kept, moves = self.kept, 0 if self.residence is None else self.residence.moves
        if kept.graphs is not None and kept.moves != moves:
            kept.graphs.clear()
            kept.moves = moves
        return kept.graphs

    @property
    def calls(self) -> int:
        """Of the U-Net that there is room for in one batch."""
        return Plan.calls if self.residence is None else self.residence.plan.calls

    def _large(self, sides: Sequence[int]) -> bool:
        """Whether the autoencoder takes a picture of these sides in strips: the same pixels in less memory."""
        strips = self.residence is not None and self.residence.plan.strips
        return (strips or math.prod(sides) > vae_strips.MOST_AT_ONCE) and vae_strips.may_be_cut(self.vae)

    @contextmanager
    def _autoencoder(self) -> Iterator[None]:
        """Inside, it may work on a whole picture, with what changes it."""
        with ExitStack() as stack:
            if self.residence is not None:
                stack.enter_context(self.residence.decoding())
            for change in self.vae_changes:
                stack.enter_context(change.applied(self.vae))
            yield

    def _image(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        away = self.residence is not None and self.residence.plan.away
        x = x.to("cpu", torch.float32) if away else x.to(self.placement.device, dtype)
        return x.contiguous(memory_format=torch.channels_last) if away or self.placement.channels_last else x


def find(name: str, settings: Settings = DEFAULTS) -> Path:
    """The file of a model: the built-in one, a path, or a name on the shelves; FileError says what there is.

    A lone U-Net, on the shelf of such, is a model if its other networks are given besides.
    """
    return builtin() if name == BUILTIN else on_shelves(name, ("checkpoints", "diffusion_models"), settings)


def on_shelves(name: str, kinds: Sequence[shelves.Kind], settings: Settings) -> Path:
    """What is called so on the first of the shelves that has it; FileError speaks of the first."""
    first: FileError | None = None
    for kind in kinds:
        try:
            return shelves.find(kind, name, settings)
        except FileError as error:
            first = first or error
    assert first is not None
    raise first


@dataclass(frozen=True)
class Found:
    """Where the files of a model are."""

    model: Path
    unet: Path | None
    text_encoders: tuple[Path, ...]
    vae: Path | None

    @classmethod
    def of(cls, wanted: Weights, settings: Settings = DEFAULTS) -> "Found":
        """On the shelves of their kinds, or, with all of a checkpoint, on that of checkpoints. Raises FileError."""
        return cls(
            find(wanted.model, settings),
            on_shelves(wanted.unet, ("diffusion_models", "checkpoints"), settings) if wanted.unet else None,
            tuple(on_shelves(name, ("text_encoders", "checkpoints"), settings) for name in wanted.text_encoders),
            on_shelves(wanted.vae, ("vae", "checkpoints"), settings) if wanted.vae else None,
        )

    @property
    def elsewhere(self) -> tuple[Path, ...]:
        """In the order of `Weights.elsewhere`."""
        return tuple(path for path in (self.unet, *self.text_encoders, self.vae) if path is not None)


def load(
    wanted: str | Weights,
    placement: Placement,
    *,
    settings: Settings = DEFAULTS,
    prediction: Prediction | None = None,
    allow_unmatched: bool = False,
    budget: int | None = None,
) -> Model:
    """The named model on its device. Raises FileError where it can't be found, read, or drawn with.

    `budget` is what it may take of memory, in bytes; None: what is free now counts if it is little.
    """
    wanted = Weights(wanted) if isinstance(wanted, str) else wanted
    kernels.keep_in(settings.kernels)
    compiled.keep_in(settings.kernels)
    named = wanted.vae is not None
    wanted = settled(wanted, find(wanted.model, settings), settings)
    found = Found.of(wanted, settings)
    checkpoint = load_checkpoint(
        found.model,
        unet=found.unet,
        text_encoders=found.text_encoders,
        vae=found.vae,
        variant=wanted.variant,
        prediction=prediction,
        ema=wanted.ema,
        allow_unmatched=allow_unmatched,
    )
    digest = model_hash(checkpoint.own_files, settings.hashes)
    model = assemble(
        wanted.model, checkpoint, digest, placement, settings, allow_unmatched=allow_unmatched, budget=budget
    )
    digests = tuple(model_hash(files_of(path, wanted.variant), settings.hashes) for path in found.elsewhere)
    model = replace(model, made_of=wanted, hashes=digests)
    if named and not allow_unmatched and (fault := model.vae_fault):
        raise WrongFamily(f"{found.vae}: {fault}")
    return model


def noise_table(facts: ModelFacts) -> NoiseTable:
    """The noise levels of its timesteps."""
    if facts.task == "upscale":
        return NoiseTable.ldm(*UPSCALER_BETAS)
    return NoiseTable.ldm(zero_snr=facts.zero_snr)


def assemble(
    name: str,
    checkpoint: Checkpoint,
    sha256: str,
    placement: Placement,
    settings: Settings = DEFAULTS,
    *,
    allow_unmatched: bool = False,
    budget: int | None = None,
) -> Model:
    """A model of a checkpoint's networks; they are moved and converted in place."""
    facts, vae, vision = checkpoint.facts, checkpoint.vae, checkpoint.vision
    if vae is None:
        raise FileError(f"{checkpoint.path} holds no autoencoder; give one with --vae")
    if not checkpoint.text:
        raise FileError(f"{checkpoint.path} holds no text encoder; give one with --text-encoder, for SDXL two")
    if fault := misfit(facts):
        raise WrongFamily(f"{checkpoint.path}: {fault}")
    residence, limit = Residence(checkpoint.unet, checkpoint.text, vae, placement), budget
    budget = budget or scarce(residence)
    if budget is not None:
        release(placement.device)

    def bring(plan: Plan) -> CLIPVision | None:
        residence.settle(plan)
        return None if vision is None else convert(vision, dtype=placement.dtype, device=placement.device)

    try:
        eyes = bring(Plan() if budget is None else WAITING)
    except (RuntimeError, MemoryError) as error:
        if budget is not None or not is_out_of_memory(error):
            raise
        eyes = bring(WAITING)
        release(placement.device)
        budget = free(placement.device)
    return Model(
        name=name,
        path=checkpoint.path,
        sha256=sha256,
        facts=facts,
        unet=checkpoint.unet,
        vae=vae,
        text=checkpoint.text,
        table=ContinuousTable(*facts.sigmas) if facts.sigmas else noise_table(facts),
        scalings=SCALINGS[facts.prediction],
        placement=placement,
        settings=settings,
        allow_unmatched=allow_unmatched,
        vision=eyes,
        vision_stats=checkpoint.vision_stats,
        distilled=distilled(facts.unet, checkpoint.metadata, checkpoint.path.stem),
        residence=residence,
        budget=budget,
        limit=limit,
        kept=Kept(
            copies=Copies(room=budget is None),
            graphs=graphs_of(checkpoint.unet, placement, settings) if budget is None else None,
        ),
    )


def scarce(residence: Residence) -> int | None:
    """What is free on the device, where that is too little to be careless."""
    device, wanted = residence.placement.device, residence.size + ROOM
    here = free(device)
    if here is not None and here <= wanted:  # perhaps a model that nobody uses any more is still there
        gc.collect()
        if device.type == "cpu":
            trim()
        else:
            release(device)
        here = free(device)
    return None if here is None or here > wanted else here


def graphs_of(unet: UNet, placement: Placement, settings: Settings) -> Graphs | None:
    """What records calls of the network, where that is wanted and can be."""
    return graphs_for(unet, placement.device) if settings.gpu_trials else None
