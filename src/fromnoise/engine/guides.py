"""The guide of a pass: what a recipe says about guidance, put together from the parts in `sampling`.

Inner to outer: the prompts' sides (perhaps regions), the rule that makes one answer of both, what is added to it
(PAG, SAG), the changes of the network that all of its calls want, the control networks and pictures that come along
with them, and the tiles that they are cut into.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from torch import Tensor

from fromnoise.engine.conditioning import Prompts
from fromnoise.engine.library import Model
from fromnoise.engine.passes import Order
from fromnoise.engine.profiles import PROFILES, Profile
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_guidance import GuidanceOptions
from fromnoise.nn.compiled import Compiled
from fromnoise.nn.fp8 import Fp8
from fromnoise.nn.hooks import AttentionMap, FreeU, PerturbedAttention, Seamless
from fromnoise.nn.int8 import Int8
from fromnoise.nn.token_merging import TokenMerging
from fromnoise.sampling.guidance import Cond, Guidance, NetworkVariant, composed, instruct_pix2pix
from fromnoise.sampling.guidance_attention import perturbed, self_attention
from fromnoise.sampling.guidance_companions import Companion, accompanied
from fromnoise.sampling.guidance_parts import (
    Rule,
    Skip,
    asking,
    contrasted,
    either,
    linear,
    negative_minimum_sigma,
    perp_neg,
    skip_early,
    varied,
)
from fromnoise.sampling.guidance_regions import Region, opposed, regional
from fromnoise.sampling.guidance_rules import Momentum, projected, rescaled, zero_init, zero_star
from fromnoise.sampling.guidance_threshold import Threshold, by_number, by_timestep, thresholded
from fromnoise.sampling.guidance_tiles import Tiles, tiled
from fromnoise.sampling.parametrization import Scalings, sample_scalings, v_scalings
from fromnoise.sampling.samplers import Evaluate


@dataclass(frozen=True)
class Told:
    """What the network is told from one step on."""

    prompts: Prompts
    positive: tuple[Region, ...] = ()  # besides the prompt
    negative: tuple[Region, ...] = ()
    empty: Cond | None = None  # the empty prompt's, where a rule wants it
    unseen: Cond | None = None  # instruct-pix2pix: the negative prompt without the picture

    def heeding(self, scale: float) -> "Told":
        """The same, for a network that is told the guidance scale."""

        def one(cond: Cond) -> Cond:
            return replace(cond, guidance=scale)

        prompts = self.prompts
        return Told(
            replace(
                prompts, conds=tuple((one(cond), weight) for cond, weight in prompts.conds), uncond=one(prompts.uncond)
            ),
            tuple(replace(region, cond=one(region.cond)) for region in self.positive),
            tuple(replace(region, cond=one(region.cond)) for region in self.negative),
            self.empty and one(self.empty),
            self.unseen and one(self.unseen),
        )


@dataclass(frozen=True)
class Guides:
    """Makes the guides of one pass on one model, the base or the refiner."""

    recipe: Recipe
    model: Model
    order: Order
    scale: float
    evaluations: int  # of the model in this pass
    timesteps: bool = False  # NGMS compares timesteps (AUTOMATIC1111's samplers that walk them)
    companions: Sequence[Companion] = ()  # of all calls

    @property
    def profile(self) -> Profile:
        return PROFILES[self.recipe.profile]

    @property
    def options(self) -> GuidanceOptions:
        return self.recipe.guidance or GuidanceOptions()

    def guide(self, told: Told) -> Guidance:
        """The whole guide for what is told. A distilled network is told the scale, and its answer is the guided one."""
        if self.model.unet.config.guidance_dim is not None:
            return replace(self, scale=1.0)._guide(told.heeding(self.scale))
        return self._guide(told)

    def _guide(self, told: Told) -> Guidance:
        options, sides = self.options, self.sides(told)
        conds, uncond = sides
        guide = self.contrast(told, conds, uncond)
        if options.zero_star is not None and options.zero_star.wait:
            guide = zero_init(guide, options.zero_star.wait)
        if options.self_attention is not None:
            sag = options.self_attention
            guide = self_attention(guide, told.prompts.uncond, AttentionMap(), sag.scale, sag.blur, sag.threshold)
        if options.perturbed is not None:
            spoilt = PerturbedAttention(options.perturbed.layers)
            guide = perturbed(guide, alone(conds, uncond), spoilt, options.perturbed.scale)
        if self.variants:
            guide = varied(guide, *self.variants)
        guide = accompanied(guide, self.companions)
        part = self.recipe.tiles
        if part is None:
            return guide
        weights: Literal["even", "gaussian"] = "even" if part.method == "multidiffusion" else "gaussian"
        return tiled(guide, Tiles(part.height, part.width, part.overlap, weights))

    def sides(self, told: Told) -> tuple[list[tuple[Guidance, float]], Guidance]:
        """Guides of the subprompts with their weights, and of the negative prompt."""
        prompts = told.prompts
        if self.recipe.regional is None:
            return [(asking(cond), weight) for cond, weight in prompts.conds], asking(prompts.uncond)
        base = self.recipe.regional.base
        negative = [Region(prompts.uncond), *told.negative]
        found = []
        for cond, weight in prompts.conds:
            mine, others = opposed([*([Region(cond, strength=base)] if base else []), *told.positive], negative)
            found.append((regional(mine), weight))
        return found, regional(others)

    def contrast(self, told: Told, conds: Sequence[tuple[Guidance, float]], uncond: Guidance) -> Guidance:
        """Both sides made one."""
        if told.unseen is not None:
            seen = told.prompts
            return instruct_pix2pix(seen.cond, seen.uncond, told.unseen, self.scale, self.recipe.image_guidance_scale)
        if self.options.perp_neg is not None and told.empty is not None:
            negative = [(uncond, self.options.perp_neg.weight)]
            return perp_neg(alone(conds, uncond), negative, asking(told.empty), self.scale)
        if self.plain:
            return composed(told.prompts.conds, told.prompts.uncond, self.scale)
        return contrasted(conds, uncond, self.rule, self.skip(conds))

    @property
    def plain(self) -> bool:
        """Whether this is classifier-free guidance and nothing else."""
        options = self.options
        rules = (options.rescale, options.projected, options.thresholding, options.zero_star, options.skip)
        return self.recipe.regional is None and not any(rules)

    @cached_property
    def rule(self) -> Rule:
        """What makes one answer of both; made once for a pass, so that momentum is its own."""
        options = self.options
        rule = linear(self.scale)
        if options.projected is not None:
            apg = options.projected
            momentum = Momentum(apg.momentum) if apg.momentum else None
            scale = self.scale + self.profile.projected_scale_more
            rule = projected(scale, apg.eta, apg.threshold, momentum)
        elif options.thresholding is not None:
            rule = thresholded(self.scale, Threshold(**dict(options.thresholding)), self.progress)
        elif options.zero_star is not None:
            rule = zero_star(self.scale, options.zero_star.of or self.profile.zero_star_of)
        if options.rescale is None:
            return rule
        return rescaled(rule, options.rescale.share, self.scalings(options.rescale.of or self.profile.rescale_of))

    def progress(self, ask: Evaluate) -> float:
        """How far the pass is, from 0 to 1."""
        if self.profile.threshold_by_timestep:
            return by_timestep(self.model.table.timestep)(ask)
        return by_number(self.evaluations)(ask)

    def scalings(self, of: str) -> Callable[[Tensor], Scalings]:
        """The parametrization in which contrast is measured."""
        return {"v": v_scalings, "output": self.model.scalings, "denoised": sample_scalings}[of]

    def skip(self, conds: Sequence[tuple[Guidance, float]]) -> Skip | None:
        """Evaluations that leave the negative prompt out."""
        skips: list[Skip] = []
        if (options := self.options.skip) is not None:
            skips += [skip_early(options.early, self.evaluations), self.below(options.below, options.every_step)]
        alone = [weight for _, weight in conds] == [1] and self.options.thresholding is None
        if self.scale == 1 and alone and self.options.projected is None:  # it would change nothing
            skips.append(lambda ask: True)
        return either(*skips) if skips else None

    def below(self, level: float, every_step: bool) -> Skip:
        """NGMS, counted as the sampler counts."""
        rule = negative_minimum_sigma(level, every_step)
        if not self.timesteps:
            return rule
        return lambda ask: rule(ask._replace(sigma=self.model.table.timestep(ask.sigma, self.profile.timestep)))

    @cached_property
    def variants(self) -> tuple[NetworkVariant, ...]:
        """Changes of the network."""
        faster: dict[NetworkVariant, bool] = {
            Int8(): self.recipe.int8,
            Fp8(): self.recipe.fp8,
            Compiled(): self.recipe.compile,
        }
        chosen = (change for change, wanted in faster.items() if wanted)
        return (*self._free_u(), *self._merging(), *chosen, *seamless(self.recipe))

    def _free_u(self) -> tuple[NetworkVariant, ...]:
        part = self.recipe.free_u
        if part is None:
            return ()
        version: Literal[1, 2] = 1 if part.version == 1 else 2
        stages = part.stages or self.profile.free_u_stages
        return (FreeU(part.b1, part.b2, part.s1, part.s2, version, stages),)

    def _merging(self) -> tuple[NetworkVariant, ...]:
        part = self.recipe.token_merging
        if part is None:
            return ()
        ratio = part.ratio if part.hires_ratio is None or not self.order.second else part.hires_ratio
        return (TokenMerging(ratio, max_downsample=part.max_downsample),) if ratio else ()


def seamless(recipe: Recipe) -> tuple[Seamless, ...]:
    """The change of U-Net and autoencoder that makes pictures tile."""
    part = recipe.seamless
    return () if part is None or not (part.x or part.y) else (Seamless(part.x, part.y),)


def has_momentum(recipe: Recipe) -> bool:
    """Whether an answer depends on the ones before it."""
    return bool(recipe.guidance and recipe.guidance.projected and recipe.guidance.projected.momentum)


def alone(conds: Sequence[tuple[Guidance, float]], uncond: Guidance) -> Guidance:
    """What the prompt's side answers, unguided."""
    if len(conds) == 1 and conds[0][1] == 1:
        return conds[0][0]
    return contrasted(conds, uncond, lambda ask, cond, uncond: cond)
