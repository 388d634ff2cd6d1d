"""AUTOMATIC1111's bodies as recipes of the `a1111` profile: one for each picture, in its order, with its seeds."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fromnoise.engine.axis_values import any_seed
from fromnoise.engine.catalogue import Catalogue
from fromnoise.engine.recipe import BUILTIN, ImageRef, Recipe
from fromnoise.engine.recipe_upscale import FACE_LABELS
from fromnoise.errors import UnknownName, UserError
from fromnoise.server.errors import ApiError
from fromnoise.server.sdapi import always_on, options, scripts
from fromnoise.server.sdapi.always_on import Seat
from fromnoise.server.sdapi.bodies import ImageToImage, Shared, TextToImage
from fromnoise.server.sdapi.infotext import filled
from fromnoise.server.sdapi.schedulers import schedule
from fromnoise.server.sdapi.scripts import Plan
from fromnoise.server.sdapi.units import Hint
from fromnoise.text.prompt_styles import Style, add_styles

MOST_AT_ONCE = 500  # pictures of one call
CONTENTS = ("fill", "original", "noise", "nothing")  # inpainting_fill
RESIZES = ("stretch", "crop", "fill", "latent")  # resize_mode
NETWORK = re.compile(r"<\w+:[^>]+>")  # a LoRA or hypernetwork in a prompt
SAME_SAMPLER = (None, "", "Use same sampler")


@dataclass(frozen=True)
class Asked:
    """What a body asks for."""

    recipes: list[Recipe]
    plan: Plan | None = None  # of a script that makes many pictures of the first recipe
    hints: tuple[Hint, ...] = ()


def by_any_name(given: object) -> str:
    """A checkpoint by whatever name was given."""
    return str(given or "").partition(" [")[0].strip() or BUILTIN


def no_picture(text: str) -> ImageRef:
    raise UserError("pictures can't be taken here")


@dataclass(frozen=True)
class Translator:
    """Makes recipes of bodies; `settings` are those that clients have set."""

    catalogue: Catalogue
    settings: Mapping[str, Any] = field(default_factory=dict)
    styles: Sequence[Style] = ()
    upscalers: Sequence[str] = ()  # in the order in which they are told
    picture: Callable[[str], ImageRef] = no_picture  # takes base64
    checkpoint: Callable[[object], str] = by_any_name

    def text_to_image(self, body: TextToImage) -> Asked:
        """ApiError and UserError for what can't be made."""
        body = filled(body)
        fields = self.shared(body)
        if body.enable_hr:
            fields["hires"] = self.hires(body, fields)
        return self.finished(body, fields, "T")

    def image_to_image(self, body: ImageToImage) -> Asked:
        body = filled(body)
        if not body.init_images:
            raise ApiError(404, "HTTPException", "Init image not found")
        fields = self.shared(body)
        strength = 0.75 if body.denoising_strength is None else body.denoising_strength
        body = one_each(body)
        starts = [self.picture(image).model_dump() for image in body.init_images or ()]
        fields |= {"init": starts[0], "strength": strength, "resize": RESIZES[body.resize_mode]}
        if body.image_cfg_scale is not None:
            fields["image_guidance_scale"] = body.image_cfg_scale
        if body.initial_noise_multiplier is not None:
            fields["noise"] = {"multiplier": body.initial_noise_multiplier}
        if body.latent_mask:
            raise UserError("latent_mask: send a mask instead")
        if body.mask:
            fields["mask"] = self.picture(body.mask).model_dump()
            fields["inpaint"] = self.inpaint(body)
        asked = self.finished(body, fields, "I")
        turns = [starts[number % len(starts)] for number in range(len(asked.recipes))]
        return replace(asked, recipes=[one.but(init=turn) for one, turn in zip(asked.recipes, turns, strict=True)])

    def finished(self, body: Shared, fields: dict[str, Any], tab: str) -> Asked:
        """What settings, always-on scripts and a chosen script make of it."""
        settings = {**self.settings, **(body.override_settings or {})}
        if body.s_min_uncond is not None:
            settings["s_min_uncond"] = body.s_min_uncond
        if body.tiling is not None:
            settings["tiling"] = body.tiling
        options.apply(settings, fields, self.catalogue)
        if (body.scheduler or "").strip().lower() == "uniform":  # which takes the model's own levels
            fields.pop("schedule_options", None)
        seat = Seat(fields, self.picture, self.checkpoint, [])
        always_on.apply(body.alwayson_scripts, seat, scripts.names("I"))
        plan = None
        if (chosen := scripts.named(body.script_name, tab)) is not None:
            plan = self.script(chosen, body, fields, tab)
        return Asked(self.numbered(fields, body), plan, tuple(seat.hints))

    def script(self, name: str, body: Shared, fields: dict[str, Any], tab: str) -> Plan | None:
        """Change how a picture is made, or plan many."""
        if name in scripts.CHANGES:
            scripts.CHANGES[name](body.script_args, fields, self.upscalers)
            return None
        if body.count > 1:
            raise UserError(f"{name}: batch_size and n_iter are 1 with this script")
        plan = scripts.PLANS[name](body.script_args, tab)
        chosen = "any_seeds" in plan.given and body.seed != -1
        return replace(plan, given={**plan.given, "any_seeds": False}) if chosen else plan

    def shared(self, body: Shared) -> dict[str, Any]:
        """Fields of a recipe that both have."""
        if body.count > MOST_AT_ONCE:
            raise UserError(f"{body.count} pictures are too many: at most {MOST_AT_ONCE} can be asked for at once")
        sampler, own_schedule = self.sampler(body.sampler_name or body.sampler_index or "Euler")
        settings = {**self.settings, **(body.override_settings or {})}
        prompt, negative = self.styled(body.prompt, body.negative_prompt, body.styles or [])
        if body.disable_extra_networks:
            prompt, negative = (NETWORK.sub("", text) for text in (prompt, negative))
        fields: dict[str, Any] = {
            "profile": "a1111", "prompt": prompt, "negative": negative, "steps": body.steps,
            "guidance_scale": body.cfg_scale, "width": body.width // 8 * 8, "height": body.height // 8 * 8,
            "sampler": sampler, "schedule": schedule(body.scheduler, self.catalogue) or own_schedule,
            "model": self.checkpoint(settings.get("sd_model_checkpoint")),
            "sampler_options": self.sampler_options(body, sampler),
        }  # fmt: skip
        if body.restore_faces:
            fields["restore_faces"] = face_restoration(settings)
        if body.seed_resize_from_w > 0 and body.seed_resize_from_h > 0:
            size = (max(8, side // 8 * 8) for side in (body.seed_resize_from_w, body.seed_resize_from_h))
            fields["noise"] = {"from_size": tuple(size)}
        if body.refiner_checkpoint and body.refiner_checkpoint != "None":
            switch = 0.8 if body.refiner_switch_at is None else body.refiner_switch_at
            fields["refiner"] = {"model": self.checkpoint(body.refiner_checkpoint), "switch_at": switch}
        return fields

    def styled(self, prompt: str, negative: str, names: Sequence[str]) -> tuple[str, str]:
        """The prompts with styles. UnknownName."""
        known = {style.name: style for style in self.styles}
        for name in names:
            if name not in known:
                raise UnknownName("style", name[:200], known)
        chosen = [known[name] for name in names]
        return (
            add_styles(prompt, [style.prompt for style in chosen]),
            add_styles(negative, [style.negative_prompt for style in chosen]),
        )

    def sampler(self, name: str) -> tuple[str, str | None]:
        """ApiError as AUTOMATIC1111 words it."""
        try:
            return self.catalogue.resolve(name)
        except UnknownName as error:
            raise ApiError(400, "HTTPException", f"Sampler not found: {error}") from error

    def sampler_options(self, body: Shared, sampler: str) -> dict[str, float]:
        """Those options of the sampler that it has, where they are not what it does anyway."""
        given = {"eta": body.eta, "s_churn": body.s_churn, "s_tmin": body.s_tmin, "s_tmax": body.s_tmax or None,
                 "s_noise": body.s_noise}  # fmt: skip
        known = self.catalogue.sampler(sampler).options
        return {
            name: value
            for name, value in given.items()
            if value is not None and name in known and value != known[name]
        }  # fmt: skip

    def hires(self, body: TextToImage, fields: dict[str, Any]) -> dict[str, Any]:
        """The second pass. The first one's size may be given instead of the second's, as of old."""
        found: dict[str, Any] = {
            "scale": body.hr_scale, "upscaler": body.hr_upscaler or "Latent",
            "strength": 0.75 if body.denoising_strength is None else body.denoising_strength,
        }  # fmt: skip
        sides = [("width", body.hr_resize_x), ("height", body.hr_resize_y)]
        if body.firstphase_width and body.firstphase_height:
            sides = [("width", body.width), ("height", body.height)]
            fields |= {"width": body.firstphase_width // 8 * 8, "height": body.firstphase_height // 8 * 8}
        found |= {name: side // 8 * 8 for name, side in sides if side and any(given for _, given in sides)}
        if body.hr_second_pass_steps:
            found["steps"] = body.hr_second_pass_steps
        if body.hr_cfg is not None:
            found["guidance_scale"] = body.hr_cfg
        if body.hr_sampler_name not in SAME_SAMPLER:
            found["sampler"], own_schedule = self.sampler(str(body.hr_sampler_name))
            found |= {"schedule": own_schedule} if own_schedule else {}
        if chosen := schedule(body.hr_scheduler, self.catalogue):
            found["schedule"] = chosen
        if body.hr_checkpoint_name not in options.NOTHING:
            second = self.checkpoint(body.hr_checkpoint_name)
            found |= {} if second == fields["model"] else {"model": second}
        prompts = self.styled(body.hr_prompt or "", body.hr_negative_prompt or "", body.styles or [])
        given = (body.hr_prompt, body.hr_negative_prompt)
        own = zip(("prompt", "negative"), prompts, given, strict=True)
        return found | {name: text for name, text, sent in own if sent}

    def inpaint(self, body: ImageToImage) -> dict[str, Any]:
        """How the mask is used."""
        if body.mask_blur is None and body.mask_blur_x != body.mask_blur_y:
            raise UserError("mask_blur_x and mask_blur_y: masks are blurred alike in both directions; give mask_blur")
        if not body.mask_round:
            raise UserError("mask_round: only true is possible; Soft Inpainting heeds the greys of a mask")
        return {
            "content": CONTENTS[body.inpainting_fill],
            "blur": float(body.mask_blur_x if body.mask_blur is None else body.mask_blur),
            "invert": bool(body.inpainting_mask_invert),
            "only_masked": body.inpaint_full_res,
            "padding": body.inpaint_full_res_padding,
        }

    def numbered(self, fields: dict[str, Any], body: Shared) -> list[Recipe]:
        """One recipe a picture: seeds count up, or with a variation the variation's seeds."""
        seed, other = (any_seed() if given == -1 else given for given in (body.seed, body.subseed))
        for name in ("noise", "sampler_options"):
            if not fields.get(name):
                fields.pop(name, None)
        varied = body.subseed_strength > 0
        recipes = []
        for number in range(body.count):
            own: dict[str, Any] = {"seed": seed if varied else (seed + number) % 2**64}
            if varied:
                own["variation"] = {"seed": (other + number) % 2**64, "strength": body.subseed_strength}
            recipes.append(Recipe.make(**fields, **own).leaving(unsaid(body)))
        return recipes


def one_each(body: ImageToImage) -> ImageToImage:
    """With several start pictures a batch has one picture of each. UserError where they are more than a batch."""
    count = len(body.init_images or ())
    if count > max(1, body.batch_size):
        raise UserError(f"bad number of images passed: {count}; expecting {body.batch_size} or less")
    return body if count < 2 else body.model_copy(update={"batch_size": count})


def unsaid(body: Shared) -> list[str]:
    """What the client has not sent. AUTOMATIC1111's defaults count unless the model has wishes of its own."""
    sent = body.model_fields_set
    fields = {"steps": {"steps"}, "guidance_scale": {"cfg_scale"}, "sampler": {"sampler_name", "sampler_index"}}
    return [name for name, of_body in fields.items() if not of_body & sent]


def face_restoration(settings: Mapping[str, Any]) -> dict[str, Any]:
    """How faces are made clear, by the settings of AUTOMATIC1111. UserError where they name another network."""
    name = str(settings.get("face_restoration_model") or "CodeFormer")
    if name.lower() not in FACE_LABELS:
        raise UserError(f"face_restoration_model {name!r}: faces are restored by GFPGAN or CodeFormer")
    weight = settings.get("code_former_weight")
    return {"by": name.lower(), **({} if weight is None else {"weight": weight})}
