"""From the orders of a recipe to passes that are ready to run, as the recipe's profile wants them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from fromnoise.engine.conditioning import Words
from fromnoise.engine.control import Controlling
from fromnoise.engine.depth import depth_channel
from fromnoise.engine.guides import Guides
from fromnoise.engine.guiding import StepOf, changing, handed_over, of_second_model, shown_clean, step_by_level
from fromnoise.engine.image_prompts import steerings
from fromnoise.engine.image_vectors import image_noise
from fromnoise.engine.images import to_tensor
from fromnoise.engine.inverting import Inverting
from fromnoise.engine.library import Model
from fromnoise.engine.low_res import low_res_channels
from fromnoise.engine.networks import unet_variants, with_networks
from fromnoise.engine.passes import Order, Pass, Progress, evaluations
from fromnoise.engine.plan import Plan, chosen_schedule, make_plan, single_precision, start_scale
from fromnoise.engine.profiles import PROFILES, Profile
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_parts import Inpaint, Noise
from fromnoise.engine.seeding import Brought, Seeding, posterior_noise
from fromnoise.engine.start import Start, pixels_of
from fromnoise.engine.telling import Channels, told
from fromnoise.errors import UserError
from fromnoise.sampling.guidance import Guidance, keep
from fromnoise.sampling.guidance_companions import Companion
from fromnoise.sampling.guidance_masks import Softness, differential, keep_by_level, keep_softly
from fromnoise.sampling.guidance_parts import varied
from fromnoise.sampling.noise import no_noise
from fromnoise.sampling.samplers import SAMPLERS, SamplerSpec
from fromnoise.sampling.schedules import sigmas_for


@dataclass(frozen=True)
class Preparation:
    """Makes the passes of one recipe on one model."""

    model: Model
    recipe: Recipe
    refiner: Model | None = None
    progress: Progress = field(default_factory=Progress)
    second: bool = False  # `model` is the executor's second

    def of(self, order: Order) -> "Preparation":
        """That of a pass: another model may make the second."""
        hires = self.recipe.hires
        if not order.second or hires is None or hires.model is None or self.refiner is None:
            return self
        return replace(self, model=self.refiner, refiner=None, second=True)

    @property
    def profile(self) -> Profile:
        return PROFILES[self.recipe.profile]

    @property
    def inpaint(self) -> Inpaint:
        return self.recipe.inpaint or Inpaint()

    def shape(self, words: Words) -> tuple[int, ...]:
        """Of the latents of a pass: (1 c h w)."""
        vae = self.model.vae.config
        return 1, vae.latent_channels, words.height // vae.downscale, words.width // vae.downscale

    def seeding(self, order: Order) -> Seeding:
        """The noise of a pass."""
        recipe = self.recipe
        own = recipe.hires.seed if order.second and recipe.hires is not None else None
        earlier: tuple[int, ...] | None = image_noise(self.model, recipe)
        if self.model.facts.task == "upscale" and self.profile.name == "diffusers":
            earlier = (1, 3, *self.shape(order.words)[2:])
        return Seeding(
            self.profile,
            recipe.seed if own is None else own,
            self.shape(order.words),
            recipe.noise or Noise(),
            recipe.variation,
            second_pass=order.second,
            encoded=recipe.init is not None,
            downscale=self.model.vae.config.downscale,
            before=() if earlier is None else (earlier,),
        )

    def schedule(self, order: Order) -> str:
        """The name of the schedule of a pass."""
        own, spec = self.model.schedule(order.sampler), SAMPLERS[order.sampler]
        return chosen_schedule(self.profile, order.schedule, spec.name, self.model.facts.family, own)

    def plan(self, order: Order) -> Plan:
        """Where the sampler of a pass steps."""
        return make_plan(
            self.profile,
            self.model.table,
            SAMPLERS[order.sampler],
            self.schedule(order),
            order.words.steps,
            order.strength,
            exact_steps=order.exact_steps,
            options=self.recipe.schedule_options,
            drop_penultimate=self.recipe.drop_penultimate,
            whole_variance=self.recipe.noise is not None and self.recipe.noise.whole_variance,
        )

    def evaluations(self, order: Order) -> int:
        """Of the model in a pass, or nearly."""
        return evaluations(self.plan(order), SAMPLERS[order.sampler])

    def prepared(self, order: Order, start: Start | None = None, *, refined: bool = True) -> Pass:
        """A pass that is ready to run; `start` is what the first one starts from, if anything."""
        recipe, profile, spec = self.recipe, self.profile, SAMPLERS[order.sampler]
        plan = self.plan(order)
        seeding, noise, hold = self.seeding(order), recipe.noise or Noise(), self.model.placement.hold
        starting = hold(seeding.starting())  # on a GPU, from here on, as all that meets it
        guide = self._guide(order, plan, spec, start, refined=refined)
        kept = None
        if start is not None and start.mask is not None:
            latents, mask = hold(start.latents), hold(start.mask)
            guide = self._masked(guide, plan, spec, hold(seeding.kept(spec.name, starting)), latents, mask)
            if profile.mask == "clean" and self.inpaint.soft is None:
                kept = latents, mask
        if self.second:
            guide = of_second_model(guide)
        return Pass(
            plan,
            spec,
            profile.options(spec.name, recipe.sampler_options if order.sampler == recipe.sampler else {}),
            starting * noise.multiplier if recipe.init else starting,
            noise.extra,
            Brought(seeding.steps(spec, plan.sigmas, plan.planned), self.model.placement) if plan.steps else no_noise,
            guide,
            kept,
        )

    def inverting(self, start: Start | None) -> Inverting | None:
        """The run backwards before the first pass, if there is to be one."""
        options, table = self.recipe.inversion, self.model.table
        if options is None or start is None:
            return None
        if self.profile.single_precision_table:
            table = single_precision(table)
        words = replace(
            Words.of(self.recipe).over(options.steps),
            prompt=self.recipe.prompt if options.prompt is None else options.prompt,
            negative=self.recipe.negative if options.negative is None else options.negative,
        )
        channels, scale = self._channels(words, start), options.guidance_scale
        said = told(self.model, self.recipe, words, channels)[0][1]
        order = Order(words, self.recipe.sampler, None, scale, None, exact_steps=True)
        guide = Guides(self.recipe, self.model, order, scale, options.steps).guide(said)
        networks = [(use, use.strength) for use in words.networks]
        guide = varied(guide, *unet_variants(self.model, self.profile, networks))
        sigmas = sigmas_for("normal", table, options.steps).flip(0)
        return Inverting(options, sigmas, start_scale(self.profile, table, sigmas[-1], from_noise=False), guide)

    def _guide(self, order: Order, plan: Plan, spec: SamplerSpec, start: Start | None, *, refined: bool) -> Guidance:
        """Prompts that change, perhaps with another model at the end."""
        words, step_of = self._counted(order.words, plan, spec)
        scale = order.guidance_scale / self.profile.guidance_divisors.get(spec.name, 1.0)
        timesteps = spec.name in self.profile.timestep_samplers
        evaluations = self._evaluations(plan, spec)
        companions = [*self._companions(order, plan, spec, start), *steerings(self.model, self.recipe, words, step_of)]

        def stages(model: Model, channels: Channels | None, *, refiner: bool) -> Guidance:
            brought = () if refiner else companions
            guides = Guides(self.recipe, model, order, scale, evaluations, timesteps, brought)
            said = told(model, self.recipe, words, channels, refiner=refiner)
            return changing([(start, guides.guide(one)) for start, one in said], step_of)

        guide = stages(self.model, self._channels(words, start), refiner=False)
        guide = with_networks(guide, self.model, self.profile, words.networks, words.steps, step_of)
        if self.recipe.refiner is None or self.refiner is None or not refined:
            return guide
        refining = stages(self.refiner, None, refiner=True)
        return handed_over(guide, refining, self.model.table, self.recipe.refiner.switch_at)

    def _evaluations(self, plan: Plan, spec: SamplerSpec) -> int:
        """Of the model in a pass, as the profile counts them."""
        if self.profile.count_evaluations:
            return max(1, plan.steps * (2 if spec.evaluations == 2 else 1))
        return max(1, evaluations(plan, spec))

    def _companions(self, order: Order, plan: Plan, spec: SamplerSpec, start: Start | None) -> list[Companion]:
        """Control networks with their hints."""
        if not self.recipe.controls or not plan.steps:
            return []
        encoded = partial(self.encoded, words=order.words)
        return Controlling(self.model, self.recipe, order, plan, spec, self.progress, start, encoded).companions()

    def _counted(self, words: Words, plan: Plan, spec: SamplerSpec) -> tuple[Words, StepOf]:
        """What the moments in prompts are measured by, and which of them it is when a question is asked."""
        if self.profile.count_evaluations:
            return words.times(2 if spec.evaluations == 2 else 1), self.progress.step
        return words.over(max(1, plan.steps)), step_by_level(plan.sigmas)

    def _channels(self, words: Words, start: Start | None) -> Channels | None:
        """What the model is shown besides the noisy latents, where they are."""
        found = self._shown(words, start)
        return None if found is None else replace(found, concat=self.model.placement.hold(found.concat))

    def _shown(self, words: Words, start: Start | None) -> Channels | None:
        latents = self.model.vae.config.latent_channels
        more = self.model.unet.config.in_channels - latents
        if more == latents and start is not None:
            return Channels(self.model.vae.unscaled(start.latents), unseen=True)
        if self.model.facts.task == "upscale":
            _, _, height, width = self.shape(words)
            return Channels(low_res_channels(self.model, self.recipe, (height, width)), unseen=False)
        if more == 1:
            return Channels(self.depth_channel(words), unseen=False)
        return Channels(self.inpaint_channels(words, start), unseen=False) if more == latents + 1 else None

    def depth_channel(self, words: Words) -> Tensor:
        """(1 1 h w): how near things are. UserError where the recipe does not say."""
        if self.recipe.depth is None:
            raise UserError(f"{self.recipe.model} is a depth model: give it a depth map with --depth")
        _, _, height, width = self.shape(words)
        return depth_channel(self.recipe.depth, (height, width), self.model.settings)

    def inpaint_channels(self, words: Words, start: Start | None) -> Tensor:
        """(1 c+1 h w): the mask, then the latents of the picture with the masked part in mid gray."""
        if start is None or start.mask is None or start.image is None or start.pixel_mask is None:  # all may change
            gray = self.encoded(torch.zeros(1, 3, words.height, words.width), words)
            return torch.cat((torch.ones_like(gray[:, :1]), gray), dim=1)
        hole = pixels_of(start.pixel_mask).round() * self.inpaint.masked_image_weight
        shown = self.encoded(to_tensor(start.image) * (1 - hole), words)
        return torch.cat((start.mask.round(), shown), dim=1)

    def encoded(self, image: Tensor, words: Words) -> Tensor:
        """Latents of a picture (1 3 h w) of a pass's size, the same draw of the posterior for the same seed."""
        noise = posterior_noise(self.profile, self.recipe.seed, self.shape(words))
        return self.model.encode(image, noise)

    def _masked(
        self, guide: Guidance, plan: Plan, spec: SamplerSpec, noise: Tensor, latents: Tensor, mask: Tensor
    ) -> Guidance:
        """`guide` under a mask, by the rule of the profile or, if the recipe names one, another."""
        shown = noise if self.profile.mask == "noised" else None
        if self.inpaint.soft is not None:
            return keep_softly(guide, latents, mask, Softness(**dict(self.inpaint.soft)))
        if spec.name in self.profile.timestep_samplers:
            return shown_clean(guide, latents, mask)
        if self.inpaint.gradual and plan.steps:
            mask_at = differential(mask, plan.sigmas, self.model.table, self.inpaint.gradual_strength)
            return keep_by_level(guide, latents, mask_at, noise)
        return keep(guide, latents, mask, shown)


def in_order(orders: Sequence[Order], preparation: Preparation, start: Start | None) -> list[Pass]:
    """The passes of a recipe; a refiner takes part in the last of them."""
    last = len(orders) - 1
    return [
        preparation.of(order).prepared(order, start if index == 0 else None, refined=index == last)
        for index, order in enumerate(orders)
    ]
