"""AUTOMATIC1111's bodies as recipes of the `a1111` profile: one for each picture, in its order, with its seeds."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fromnoise.engine.catalogue import Catalogue
from fromnoise.engine.recipe import BUILTIN, ImageRef, Recipe
from fromnoise.errors import UnknownName
from fromnoise.server.errors import ApiError
from fromnoise.server.sdapi.bodies import ImageToImage, Shared, TextToImage

SEEDS = 2**32 - 2
CONTENTS = ("fill", "original", "noise", "nothing")  # inpainting_fill
RESIZES = ("stretch", "crop", "fill", "latent")  # resize_mode
AUTOMATIC = ("automatic", "")


@dataclass(frozen=True)
class Translator:
    """Makes recipes of bodies; `options` are the settings that clients can set."""

    catalogue: Catalogue
    options: Mapping[str, Any] = field(default_factory=dict)

    def text_to_image(self, body: TextToImage) -> list[Recipe]:
        """ApiError and UserError for what can't be made."""
        fields = self.shared(body)
        if body.enable_hr:
            fields["hires"] = self.hires(body)
        return self.numbered(fields, body)

    def image_to_image(self, body: ImageToImage, init: ImageRef, mask: ImageRef | None) -> list[Recipe]:
        fields = self.shared(body)
        strength = 0.75 if body.denoising_strength is None else body.denoising_strength
        fields |= {"init": init.model_dump(), "strength": strength, "resize": RESIZES[body.resize_mode]}
        if body.image_cfg_scale is not None:
            fields["image_guidance_scale"] = body.image_cfg_scale
        if body.initial_noise_multiplier is not None:
            fields.setdefault("noise", {})["multiplier"] = body.initial_noise_multiplier
        if mask is not None:
            fields["mask"] = mask.model_dump()
            fields["inpaint"] = {
                "content": CONTENTS[body.inpainting_fill],
                "blur": float(body.mask_blur_x if body.mask_blur is None else body.mask_blur),
                "invert": bool(body.inpainting_mask_invert),
                "only_masked": body.inpaint_full_res,
                "padding": body.inpaint_full_res_padding,
            }
        return self.numbered(fields, body)

    def shared(self, body: Shared) -> dict[str, Any]:
        """Fields of a recipe that both have."""
        if body.script_name:
            raise ApiError(422, "script", f"Script '{body.script_name}' not found")
        sampler, schedule = self.sampler(body.sampler_name or body.sampler_index)
        if body.scheduler and body.scheduler.lower() not in AUTOMATIC:
            schedule = self.catalogue.schedule(body.scheduler).name
        settings = {**self.options, **(body.override_settings or {})}
        fields: dict[str, Any] = {
            "profile": "a1111", "prompt": body.prompt, "negative": body.negative_prompt, "steps": body.steps,
            "guidance_scale": body.cfg_scale, "width": body.width // 8 * 8, "height": body.height // 8 * 8,
            "sampler": sampler, "schedule": schedule, "model": model_name(settings.get("sd_model_checkpoint")),
        }  # fmt: skip
        self.options_of(body, sampler, fields)
        self.noise_of(body, settings, fields)
        if skip := settings.get("CLIP_stop_at_last_layers"):
            fields["clip_skip"] = int(skip)
        if body.tiling or settings.get("tiling"):
            fields["seamless"] = {}
        minimum = body.s_min_uncond if body.s_min_uncond is not None else settings.get("s_min_uncond")
        if minimum:
            fields["guidance"] = {"skip": {"below": float(minimum)}}
        if body.refiner_checkpoint and body.refiner_checkpoint != "None":
            switch = 0.8 if body.refiner_switch_at is None else body.refiner_switch_at
            fields["refiner"] = {"model": model_name(body.refiner_checkpoint), "switch_at": switch}
        return fields

    def sampler(self, name: str) -> tuple[str, str | None]:
        """ApiError as AUTOMATIC1111 words it."""
        try:
            return self.catalogue.resolve(name)
        except UnknownName as error:
            raise ApiError(404, "sampler", f"Sampler not found: {error}") from error

    def options_of(self, body: Shared, sampler: str, fields: dict[str, Any]) -> None:
        """Those options of the sampler that it has."""
        given = {"eta": body.eta, "s_churn": body.s_churn, "s_tmin": body.s_tmin, "s_tmax": body.s_tmax,
                 "s_noise": body.s_noise}  # fmt: skip
        known = self.catalogue.sampler(sampler).options
        chosen = {name: value for name, value in given.items() if value is not None and name in known}
        if chosen:
            fields["sampler_options"] = chosen

    def noise_of(self, body: Shared, settings: Mapping[str, Any], fields: dict[str, Any]) -> None:
        noise: dict[str, Any] = {}
        if body.seed_resize_from_w > 0 and body.seed_resize_from_h > 0:
            noise["from_size"] = (body.seed_resize_from_w // 8 * 8, body.seed_resize_from_h // 8 * 8)
        if delta := settings.get("eta_noise_seed_delta"):
            noise["seed_delta"] = int(delta)
        if (source := str(settings.get("randn_source", "")).lower()) in ("cpu", "nv"):
            noise["source"] = source
        if noise:
            fields["noise"] = noise

    def hires(self, body: TextToImage) -> dict[str, Any]:
        """The second pass."""
        found: dict[str, Any] = {
            "scale": body.hr_scale, "upscaler": body.hr_upscaler or "Latent",
            "strength": 0.75 if body.denoising_strength is None else body.denoising_strength,
        }  # fmt: skip
        if body.hr_resize_x or body.hr_resize_y:
            sides = ("width", body.hr_resize_x), ("height", body.hr_resize_y)
            found |= {name: side // 8 * 8 for name, side in sides if side}
        if body.hr_second_pass_steps:
            found["steps"] = body.hr_second_pass_steps
        if body.hr_sampler_name and body.hr_sampler_name != "Use same sampler":
            found["sampler"], schedule = self.sampler(body.hr_sampler_name)
            found |= {"schedule": schedule} if schedule else {}
        if body.hr_scheduler and body.hr_scheduler.lower() not in (*AUTOMATIC, "use same scheduler"):
            found["schedule"] = self.catalogue.schedule(body.hr_scheduler).name
        found |= {"prompt": body.hr_prompt} if body.hr_prompt else {}
        found |= {"negative": body.hr_negative_prompt} if body.hr_negative_prompt else {}
        return found

    def numbered(self, fields: dict[str, Any], body: Shared) -> list[Recipe]:
        """One recipe a picture: seeds count up, or with a variation the variation's seeds."""
        seed, other = (secrets.randbelow(SEEDS) if given == -1 else given for given in (body.seed, body.subseed))
        if min(seed, other) < 0:
            raise ApiError(422, "request", "seeds are -1 or not below 0")
        varied = body.subseed_strength > 0
        recipes = []
        for number in range(body.n_iter * body.batch_size):
            own: dict[str, Any] = {"seed": seed if varied else seed + number}
            if varied:
                own["variation"] = {"seed": other + number, "strength": body.subseed_strength}
            recipes.append(Recipe.make(**fields, **own))
        return recipes


def model_name(given: object) -> str:
    """The name of a checkpoint without the hash that AUTOMATIC1111 writes after it: "model.ckpt [6ce0161689]"."""
    text = str(given or "").strip()
    return text.partition(" [")[0].strip() or BUILTIN


def info(recipes: Sequence[Recipe], infotexts: Sequence[str]) -> dict[str, Any]:
    """AUTOMATIC1111's `info`, for pictures that were made."""
    first = recipes[0]
    variation = first.variation
    return {
        "prompt": first.prompt,
        "all_prompts": [recipe.prompt for recipe in recipes],
        "negative_prompt": first.negative,
        "all_negative_prompts": [recipe.negative for recipe in recipes],
        "seed": first.seed,
        "all_seeds": [recipe.seed for recipe in recipes],
        "subseed": variation.seed if variation else first.seed,
        "all_subseeds": [recipe.variation.seed if recipe.variation else recipe.seed for recipe in recipes],
        "subseed_strength": variation.strength if variation else 0,
        "width": first.width,
        "height": first.height,
        "sampler_name": first.sampler,
        "cfg_scale": first.guidance_scale,
        "steps": first.steps,
        "batch_size": len(recipes),
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": first.model,
        "sd_model_hash": (first.model_hash or "")[:10],
        "sd_vae_name": None,
        "sd_vae_hash": None,
        "seed_resize_from_w": first.noise.from_size[0] if first.noise and first.noise.from_size else -1,
        "seed_resize_from_h": first.noise.from_size[1] if first.noise and first.noise.from_size else -1,
        "denoising_strength": first.hires.strength if first.hires else first.strength if first.init else None,
        "extra_generation_params": {},
        "index_of_first_image": 0,
        "infotexts": list(infotexts),
        "styles": [],
        "job_timestamp": "0",
        "clip_skip": first.clip_skip or 1,
        "is_using_inpainting_conditioning": False,
        "version": "fromnoise",
    }
