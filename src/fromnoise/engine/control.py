"""From the controls of a recipe to what its calls bring along, by the rules of its profile.

Modes and softer weights are those of AUTOMATIC1111's ControlNet extension; `guess` is diffusers' guess mode.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from fromnoise.adapters.controlnet import ControlHint
from fromnoise.adapters.lllite import LLLiteHint
from fromnoise.adapters.reference import Reference, References
from fromnoise.adapters.style import StyleTokens
from fromnoise.adapters.t2i_adapter import AdapterHint
from fromnoise.checkpoints.control import ControlNetwork
from fromnoise.engine.beside import seeing
from fromnoise.engine.control_latents import FINISHES, Painted, Recoloured
from fromnoise.engine.control_networks import control_network, control_path, style_encoder
from fromnoise.engine.guiding import step_by_level
from fromnoise.engine.hints import hint_picture, hint_tensor, region_tensor, weight_folders
from fromnoise.engine.library import Model
from fromnoise.engine.passes import Order, Progress
from fromnoise.engine.plan import Plan
from fromnoise.engine.profiles import PROFILES, Profile
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_control import Control
from fromnoise.engine.start import Start
from fromnoise.engine.vision import clip_pixels, seen
from fromnoise.errors import UserError
from fromnoise.nn.control_lllite import LLLite, LLLiteModule
from fromnoise.nn.controlnet import ControlNet
from fromnoise.nn.t2i_adapter import StyleAdapter, T2IAdapter, places
from fromnoise.preprocessors.arrays import Picture
from fromnoise.sampling.areas import Place
from fromnoise.sampling.guidance import Attachment
from fromnoise.sampling.guidance_companions import Companion
from fromnoise.sampling.noise import Purpose, philox_normal
from fromnoise.sampling.samplers import Evaluate, SamplerSpec
from fromnoise.sampling.schedules import NoiseTable

Acts = Callable[[Evaluate], bool]

SOFT = 0.825  # each residual is that much of the one below it
THIRTEEN = 13  # residuals of SD 1.x
SOFT_FEATURES = (0.25, 0.62, 0.825, 1.0)  # of a T2I-Adapter
ROUNDING = 1e-6


@dataclass(frozen=True)
class Steered:
    """One control network with its hint."""

    acts: Acts
    cond: tuple[Attachment, ...]
    uncond: tuple[Attachment, ...]

    def attachments(self, ask: Evaluate, negative: bool) -> tuple[Attachment, ...]:
        if not self.acts(ask):
            return ()
        return self.uncond if negative else self.cond

    def answered(self, ask: Evaluate, negative: bool, denoised: Tensor, place: Place | None) -> Tensor:
        return denoised


@dataclass(frozen=True)
class Looked:
    """All references of a picture, which are looked at together."""

    members: tuple[tuple[Acts, Reference], ...]
    alphas_cumprod: Tensor
    known: dict[tuple[int, bool], References] = field(default_factory=dict)  # by which of them act, as bits

    def attachments(self, ask: Evaluate, negative: bool) -> tuple[Attachment, ...]:
        acting = [acts(ask) for acts, _ in self.members]
        if not any(acting):
            return ()
        key = sum(1 << i for i, one in enumerate(acting) if one), negative
        if key not in self.known:
            chosen = tuple(one for one, is_in in zip(self.members, acting, strict=True) if is_in)
            self.known[key] = References(tuple(member for _, member in chosen), self.alphas_cumprod, negative)
        return (self.known[key],)

    def answered(self, ask: Evaluate, negative: bool, denoised: Tensor, place: Place | None) -> Tensor:
        return denoised


@dataclass(frozen=True)
class Controlling:
    """Makes the companions of one pass."""

    model: Model
    recipe: Recipe
    order: Order
    plan: Plan
    spec: SamplerSpec
    progress: Progress
    start: Start | None
    encoded: Callable[[Tensor], Tensor]  # latents of a picture (1 3 h w) of the pass's size

    @property
    def profile(self) -> Profile:
        return PROFILES[self.recipe.profile]

    def companions(self) -> list[Companion]:
        """In the order in which they come to the network; styles, which change what others read, come first."""
        found: list[tuple[int, Companion]] = []
        references: list[tuple[Acts, Reference]] = []
        unions = Unions()
        for control in self.recipe.controls:
            if not self._of_this_pass(control):
                continue
            hint = hint_of(
                self.model, self.recipe, control, self.order.words.width, self.order.words.height, self.start
            )
            acts = self._acts(control)
            if control.region is not None and control.is_reference:
                raise UserError(f"{control.preprocessor} acts on the whole picture: leave out its region")
            if control.is_reference:
                references.append((acts, self._reference(control, hint)))
                continue
            network = control_network(self.model, control_path(self.model, control))
            if self._together(control, network):
                unions.add(control, hint, cast(ControlNet, network))
                found += [(2, one) for one in self._on_latents(control, hint)]
                continue
            found.append((0 if isinstance(network, StyleAdapter) else 1, self._steered(control, network, hint, acts)))
            found += [(2, one) for one in self._on_latents(control, hint)]
        found += [(1, self._united(network, members)) for network, members in unions.groups]
        if references:
            found.append((1, Looked(tuple(references), self.model.table.alphas_cumprod)))
        return [companion for _, companion in sorted(found, key=lambda one: one[0])]

    def _of_this_pass(self, control: Control) -> bool:
        if self.recipe.hires is None or control.passes == "both":
            return True
        return (control.passes == "second") == self.order.second

    def _acts(self, control: Control) -> Acts:
        share = (control.start, control.end)
        if self.profile.control_window == "callbacks":
            return by_callbacks(*share, self.progress, self.spec.evaluations, self.plan.steps)
        if self.profile.control_window == "levels":
            return by_levels(*share, self.model.table)
        return by_steps(*share, self.plan.sigmas)

    def _alone(self, control: Control, network: ControlNetwork) -> bool:
        """Whether the negative prompt's call goes without."""
        pooled = isinstance(network, ControlNet) and network.config.pooled and not self.profile.pooled_on_both
        return control.mode in ("control", "guess") or pooled

    def _steered(self, control: Control, network: ControlNetwork, hint: Picture, acts: Acts) -> Companion:
        attached = self._attached(control, network, hint)
        if isinstance(network, StyleAdapter):
            tokens = cast(StyleTokens, attached).tokens
            zeros = (StyleTokens(torch.zeros_like(tokens)),)
            return Steered(acts, (attached,), zeros if self.profile.zero_style else ())
        return Steered(acts, (attached,), () if self._alone(control, network) else (attached,))

    def _together(self, control: Control, network: ControlNetwork) -> bool:
        """Whether the control may share a pass with others."""
        wanted = self.profile.union_together if control.together is None else control.together
        union = isinstance(network, ControlNet) and network.config.union is not None
        return wanted and union and control.type_number is not None

    def _united(self, network: ControlNet, members: Sequence[tuple[Control, Picture]]) -> Companion:
        """One pass of a union ControlNet for all of its hints."""
        first, hint = members[0]
        if len(members) == 1:
            return self._steered(first, network, hint, self._acts(first))
        place = self.model.placement
        shown = [hint_tensor(one, network.config.hint_channels).to(place.device, place.dtype) for _, one in members]
        types = tuple(self._type(control, network) for control, _ in members)
        weights = [control.weight for control, _ in members]
        guided = self.model.enduring(lambda: network.guide(shown, types, weights))
        scales = self._scales(first.model_copy(update={"weight": 1.0}), len(network.zero_convs) + 1, False)
        attached = ControlHint(network, guided, scales, types, region_tensor(first.region))
        return Steered(self._acts(first), (attached,), () if self._alone(first, network) else (attached,))

    def _type(self, control: Control, network: ControlNet) -> int:
        """The number of a hint's type."""
        assert network.config.union is not None
        assert control.type_number is not None
        if control.type_number >= network.config.union.types:
            raise UserError(f"{control.model} knows no hints of the type {control.type or control.preprocessor}")
        return control.type_number

    def _attached(self, control: Control, network: ControlNetwork, hint: Picture) -> Attachment:
        place = self.model.placement
        if isinstance(network, StyleAdapter) and control.region is not None:
            raise UserError(f"{control.model} is a style for the whole picture: leave out its region")
        if isinstance(network, StyleAdapter):
            return self._style(control, network, hint)
        region = region_tensor(control.region)
        if isinstance(network, LLLite):
            shown = (hint_tensor(hint, 3) * 2 - 1).to(place.device, place.dtype)
            modules = {name: cast(LLLiteModule, module) for name, module in network.items()}
            looks = self.model.enduring(lambda: {name: one.look(shown) for name, one in modules.items()})
            return LLLiteHint(network, looks, control.weight, region)
        shown = hint_tensor(hint, network.config.hint_channels).to(place.device, place.dtype)
        if isinstance(network, T2IAdapter):
            features = self.model.enduring(lambda: tuple(network(in_squares(shown, network.config.unshuffle))))
            to = tuple(places(network.config, self.model.unet.config))
            return AdapterHint(features, to, self._feature_scales(control, len(features)), region)
        types: tuple[int, ...] = ()
        if network.config.union and control.type_number is not None:
            types = (self._type(control, network),)
        guided = self.model.enduring(lambda: network.guide([shown], types))
        scales = self._scales(control, len(network.zero_convs) + 1, network.config.pooled)
        return ControlHint(network, guided, scales, types, region)

    def _style(self, control: Control, network: StyleAdapter, hint: Picture) -> StyleTokens:
        encoder = style_encoder(self.model, network.config.width)
        pixels = clip_pixels(Image.fromarray(hint[..., :3]), encoder.config.image_size)
        states = self.model.enduring(lambda: seen(encoder, pixels)).hidden_states[-1]
        return StyleTokens(network(states) * control.weight)

    def _soft(self, control: Control) -> bool:
        forced = self.order.second and control.preprocessor in self.profile.soft_second_pass
        return control.mode in ("prompt", "control") or forced

    def _scales(self, control: Control, count: int, pooled: bool) -> tuple[float, ...]:
        """Of a ControlNet's residuals, the middle's last."""
        if control.layers:
            return self._given(control, count)
        if control.mode == "guess" and not pooled:
            return tuple(control.weight * float(share) for share in torch.logspace(-1, 0, count))
        if not self._soft(control):
            return (control.weight,) * count
        last = THIRTEEN - 1 if self.profile.soft_of_thirteen and count <= THIRTEEN else count - 1
        return tuple(control.weight * SOFT ** (last - i) for i in range(count))

    def _feature_scales(self, control: Control, count: int) -> tuple[float, ...]:
        """Of a T2I-Adapter's features."""
        if control.layers:
            return self._given(control, count)
        if not self._soft(control):
            return (control.weight,) * count
        shares = [*SOFT_FEATURES, *(1.0,) * count][:count]
        return tuple(control.weight * share for share in shares)

    def _given(self, control: Control, count: int) -> tuple[float, ...]:
        if len(control.layers) != count:
            raise UserError(f"{control.model} has {count} residuals, so `layers` takes {count} weights")
        return control.layers

    def _reference(self, control: Control, hint: Picture) -> Reference:
        latents = self._latents(hint)
        fidelity = float(control.parameters.get("fidelity", 0.5))
        if self.model.facts.family.startswith("sdxl"):
            fidelity **= 3
        if control.mode == "control":
            fidelity = 1.0
        elif control.mode == "prompt" or self.order.second:
            fidelity = 0.0
        return Reference(
            latents,
            philox_normal(tuple(latents.shape), self.recipe.seed, Purpose.REFERENCE),
            weight=control.weight,
            attention=control.preprocessor != "reference_adain",
            adain=control.preprocessor != "reference_only",
            fidelity=fidelity,
        )

    def _latents(self, hint: Picture) -> Tensor:
        """(1 c h w) of a hint's colours."""
        pixels = torch.from_numpy(hint[..., :3].copy()).permute(2, 0, 1)[None].float()
        return self.encoded(pixels / 127.5 - 1)

    def _on_latents(self, control: Control, hint: Picture) -> list[Companion]:
        """What some preprocessors do to the network's guesses."""
        if control.preprocessor.startswith("tile_colorfix"):
            radius = int(control.parameters.get("variation", 8)) * (2 if self.order.second else 1)
            sharpness = control.parameters.get("sharpness", 1.0) if "sharp" in control.preprocessor else 0.0
            return [Recoloured(self._latents(hint), radius, sharpness / 100, min(1.0, control.weight))]
        if control.preprocessor.startswith("inpaint_only") and not self.recipe.mask:
            mask = torch.from_numpy(hint[..., 3:].copy()).permute(2, 0, 1)[None].float() / 255
            return [Painted(self._latents(hint), F.max_pool2d(mask, 10, stride=8, padding=1), min(1.0, control.weight))]
        return []


@dataclass
class Unions:
    """Hints of union ControlNets that are seen together: of the same network, at the same time and in the same way."""

    groups: list[tuple[ControlNet, list[tuple[Control, Picture]]]] = field(default_factory=list)

    def add(self, control: Control, hint: Picture, network: ControlNet) -> None:
        """To those that it goes with; a type comes once in a pass, as such networks were trained."""
        for known, members in self.groups:
            alike = known is network and all(alike_in(control, other) for other, _ in members)
            if alike and control.type_number not in [other.type_number for other, _ in members]:
                members.append((control, hint))
                return
        self.groups.append((network, [(control, hint)]))


def alike_in(one: Control, other: Control) -> bool:
    """Whether two controls act at the same time and in the same way."""
    return all(getattr(one, name) == getattr(other, name) for name in ("start", "end", "mode", "region", "layers"))


def in_squares(hint: Tensor, side: int) -> Tensor:
    """A hint (1 c h w) whose sides are multiples of `side`: made a little larger where they are not."""
    height, width = (-(-length // side) * side for length in hint.shape[-2:])
    if (height, width) == tuple(hint.shape[-2:]):
        return hint
    return F.interpolate(hint, size=(height, width), mode="nearest-exact")


def by_steps(start: float, end: float, sigmas: Tensor) -> Acts:
    """In the steps that lie between both shares of the run."""
    step_of, count = step_by_level(sigmas), max(1, len(sigmas) - 1)

    def acts(ask: Evaluate) -> bool:
        step = step_of(ask)
        return step / count >= start - ROUNDING and (step + 1) / count <= end + ROUNDING

    return acts


def by_callbacks(start: float, end: float, progress: Progress, evaluations: int, steps: int) -> Acts:
    """As AUTOMATIC1111's extension: by the step that the sampler last reported, which it does after a step's first
    evaluation; both shares count as inside.
    """

    def acts(ask: Evaluate) -> bool:
        step, again = divmod(progress.step(ask), evaluations)
        reported = step if again else max(0, step - 1)
        return start <= reported / max(1, steps) <= end

    return acts


def by_levels(start: float, end: float, table: NoiseTable) -> Acts:
    """As ComfyUI: between the noise levels of both shares of the timesteps, counted from the highest."""
    first = float("inf") if start <= 0 else level_at(table, start)
    last = 0.0 if end >= 1 else level_at(table, end)
    return lambda ask: last <= float(ask.sigma) <= first


def level_at(table: NoiseTable, share: float) -> float:
    return float(table.sigma(torch.tensor((1 - share) * (len(table.sigmas) - 1))))


def finished(image: Image.Image, model: Model, recipe: Recipe, start: Start | None) -> Image.Image:
    """The picture with what some preprocessors keep of theirs."""
    for control in recipe.controls:
        finish = FINISHES.get(control.preprocessor)
        if finish is not None and not (recipe.mask and control.preprocessor.startswith("inpaint")):
            image = finish(image, hint_of(model, recipe, control, *image.size, start))
    return image


def hint_of(
    model: Model, recipe: Recipe, control: Control, width: int, height: int, start: Start | None
) -> Picture:  # fmt: skip
    """The hint of a control in that size, with room for the network that sees it."""
    return seeing(
        model, control.preprocessor, weight_folders(model.settings),
        lambda: hint_picture(recipe, control, width, height, start, model.settings),
    )  # fmt: skip
