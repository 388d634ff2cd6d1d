"""AUTOMATIC1111's settings: all their names and defaults, and what they mean for a recipe.

Those that change pixels and have no counterpart here are refused when they are set to anything but their default; those
of its web page are kept and told again, and change nothing.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from fromnoise.engine.catalogue import Catalogue
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe_files import OWN
from fromnoise.errors import UserError

NOTHING = (None, "", "None", "Automatic", "Use same checkpoint")
SOURCES = {"CPU": "cpu", "NV": "nv"}  # GPU is what the profile does
EMPHASES = {"Original": None, "Ignore": "ignore", "No norm": "no norm"}
SAMPLERS = {  # options that samplers have, by our names
    "s_churn": "s_churn", "s_tmin": "s_tmin", "s_tmax": "s_tmax", "s_noise": "s_noise",
}  # fmt: skip
ENDS = {"sigma_min": "sigma_min", "sigma_max": "sigma_max"}
OF_SCHEDULES: Mapping[str, Mapping[str, str]] = {  # which options AUTOMATIC1111's have, by our names
    **dict.fromkeys(("exponential", "kl_optimal_open", "sgm_uniform", "normal"), ENDS),
    **dict.fromkeys(("karras", "polyexponential"), ENDS | {"rho": "rho"}),
    "beta_sigma": ENDS | {"alpha": "beta_dist_alpha", "beta": "beta_dist_beta"},
}
WITHOUT_COUNTERPART = (  # they change pixels in AUTOMATIC1111
    "sd_noise_schedule", "uni_pc_skip_type", "uni_pc_lower_order_final",
    "sd_vae_encode_method", "sd_vae_decode_method", "sdxl_clip_l_skip", "use_old_emphasis_implementation",
    "use_old_karras_scheduler_sigmas", "use_old_hires_fix_width_height", "use_downcasted_alpha_bar",
    "refiner_switch_by_sample_steps", "hires_fix_refiner_pass", "comma_padding_backtrack", "enable_batch_seeds",
    "face_restoration", "ddim_discretize", "overlay_inpaint",
)  # fmt: skip


@cache
def defaults() -> Mapping[str, Any]:
    """Every setting of version 1.10 with its default."""
    text = files("fromnoise.assets").joinpath("sdapi_options.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def check(wanted: Mapping[str, Any]) -> None:
    """UserError for a setting that would change pixels and can't."""
    known = defaults()
    for name in WITHOUT_COUNTERPART:
        if name in wanted and wanted[name] not in (known[name], None):
            raise UserError(f"setting {name}: only {known[name]!r} is possible here, not {str(wanted[name])[:50]!r}")
    if str(wanted.get("emphasis", "Original")) not in EMPHASES:
        raise UserError(f"setting emphasis: choose one of {', '.join(EMPHASES)}")


def number(settings: Mapping[str, Any], name: str) -> float:
    """A setting that is a number. UserError."""
    value = settings.get(name)
    if value is None:
        value = defaults()[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UserError(f"setting {name}: {str(value)[:50]!r} is no number")
    return float(value)


def apply(settings: Mapping[str, Any], fields: dict[str, Any], catalogue: Catalogue) -> None:
    """Put what settings mean into the fields of a recipe; start pictures and prompts are there already. UserError."""
    check(settings)
    if (skip := int(number(settings, "CLIP_stop_at_last_layers"))) > 1:
        fields["clip_skip"] = skip
    if emphasis := EMPHASES[str(settings.get("emphasis", "Original"))]:
        fields["emphasis"] = emphasis
    if settings.get("use_old_scheduling"):
        fields["old_prompt_timing"] = True
    if settings.get("tiling"):
        fields["seamless"] = {}
    if (network := settings.get("sd_hypernetwork")) not in NOTHING:
        fields.setdefault("networks", []).append({"kind": "hypernetwork", "name": str(network)})
    for name, part in (("sd_vae", "vae"), ("sd_unet", "unet")):
        if (file := settings.get(name)) not in NOTHING:
            fields[part] = {"name": str(file).partition(" [")[0].strip()}
    if settings.get("sd_vae") == "None":
        fields["vae"] = {"name": OWN}
    apply_skip(settings, fields)
    apply_noise(settings, fields)
    apply_schedule(settings, fields)
    apply_sampler(settings, fields, catalogue)
    apply_merging(settings, fields)
    apply_sizes(settings, fields)
    if "init" in fields:
        apply_start(settings, fields)


def apply_skip(settings: Mapping[str, Any], fields: dict[str, Any]) -> None:
    """Negative guidance minimum sigma, and steps at the start without guidance."""
    below, early = number(settings, "s_min_uncond"), number(settings, "skip_early_cond")
    if below or early:
        found = {"below": below, "early": early, "every_step": bool(settings.get("s_min_uncond_all"))}
        fields["guidance"] = {"skip": {name: value for name, value in found.items() if value}}


def apply_noise(settings: Mapping[str, Any], fields: dict[str, Any]) -> None:
    noise = fields.setdefault("noise", {})
    if delta := int(number(settings, "eta_noise_seed_delta")):
        noise["seed_delta"] = delta
    source = str(settings.get("randn_source", "GPU")).upper()
    if source not in ("GPU", *SOURCES):
        raise UserError(f"setting randn_source: choose one of GPU, CPU and NV, not {source[:50]!r}")
    if source in SOURCES:
        noise["source"] = SOURCES[source]


def apply_schedule(settings: Mapping[str, Any], fields: dict[str, Any]) -> None:
    """Options of the schedule that it has there: 0 is its own. What is taken from the model by itself has none."""
    if settings.get("sgm_noise_multiplier"):
        fields["noise"]["whole_variance"] = True
    if settings.get("always_discard_next_to_last_sigma"):
        fields["drop_penultimate"] = True
    chosen = fields.get("schedule") or (PROFILES["a1111"].default_schedules or {}).get(str(fields["sampler"]))
    found = {
        ours: value for ours, name in OF_SCHEDULES.get(str(chosen), {}).items() if (value := number(settings, name))
    }  # fmt: skip
    if found := {name: value for name, value in found.items() if (name, value) not in (("alpha", 0.6), ("beta", 0.6))}:
        fields["schedule_options"] = found


def apply_sampler(settings: Mapping[str, Any], fields: dict[str, Any], catalogue: Catalogue) -> None:
    """Options of the sampler that are not given with the picture."""
    sampler = str(fields["sampler"])
    known, own = catalogue.sampler(sampler).options, fields.setdefault("sampler_options", {})
    eta = "eta_ddim" if sampler == "ddim" else "eta_ancestral"
    for name, setting in {"eta": eta, **SAMPLERS}.items():
        value = number(settings, setting)
        if name in known and name not in own and value != defaults()[setting]:
            own[name] = value
    if sampler.startswith("uni_pc"):
        order, variant = int(number(settings, "uni_pc_order")), str(settings.get("uni_pc_variant", "bh1"))
        if "order" in known and order != defaults()["uni_pc_order"]:
            own["order"] = order
        if variant != "bh1":
            if "variant" not in known:
                raise UserError("setting uni_pc_variant: choose the sampler UniPC bh2 instead")
            own["variant"] = variant


def apply_merging(settings: Mapping[str, Any], fields: dict[str, Any]) -> None:
    """Token merging: pictures from pictures, and second passes, may have a share of their own."""
    ratio, hires = number(settings, "token_merging_ratio"), number(settings, "token_merging_ratio_hr")
    if "init" in fields:
        ratio = number(settings, "token_merging_ratio_img2img") or ratio
    if ratio or hires:
        fields["token_merging"] = {"ratio": ratio, **({"hires_ratio": hires} if hires else {})}


def apply_sizes(settings: Mapping[str, Any], fields: dict[str, Any]) -> None:
    """What SDXL is told of sizes."""
    left, top = (int(number(settings, f"sdxl_crop_{side}")) for side in ("left", "top"))
    high, low = (number(settings, f"sdxl_refiner_{side}_aesthetic_score") for side in ("high", "low"))
    found: dict[str, Any] = {"crop": (left, top)} if left or top else {}
    if (high, low) != (6.0, 2.5):
        found |= {"aesthetic_score": high, "negative_aesthetic_score": low}
    if found:
        fields["sizes"] = found


def apply_start(settings: Mapping[str, Any], fields: dict[str, Any]) -> None:
    """Of pictures that start from a picture."""
    noise = fields["noise"]
    multiplier, extra = number(settings, "initial_noise_multiplier"), number(settings, "img2img_extra_noise")
    if multiplier != 1 and "multiplier" not in noise:
        noise["multiplier"] = multiplier
    if extra:
        noise["extra"] = extra
    if settings.get("img2img_color_correction"):
        fields["match_colours"] = True
    if settings.get("img2img_fix_steps"):
        fields["exact_steps"] = True
    if (upscaler := settings.get("upscaler_for_img2img")) not in NOTHING:
        fields["init_upscaler"] = str(upscaler)
    weight = number(settings, "inpainting_mask_weight")
    if "inpaint" in fields and weight != 1:
        fields["inpaint"]["masked_image_weight"] = weight
