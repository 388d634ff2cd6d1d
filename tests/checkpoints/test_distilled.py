"""Models that need few steps are known by their network, their metadata or their name, and drawn accordingly."""

from dataclasses import replace

import pytest
import torch

from fromnoise.checkpoints.distilled import KEY, distilled
from fromnoise.checkpoints.folders import quick
from fromnoise.engine.library import Defaults, assemble
from fromnoise.engine.memory import Placement
from tests import tiny

UNET = tiny.unet_config("sd1")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sd_xl_turbo_1.0_fp16", "turbo"),
        ("dreamshaperXL_v21TurboDPMSDE", "turbo"),
        ("dreamshaperXL_lightningDPMSDE", "lightning"),
        ("sdxl_lightning_4step_unet", "lightning"),
        ("LCM_Dreamshaper_v7_4k", "lcm"),
        ("Hyper-SDXL-8steps-CFG", "hyper"),
        ("v1-5-pruned-emaonly", None),
        ("turbovisionless", None),
        ("hyperrealism_v3", None),
        ("calcmodel", None),
        ("juggernautXL_v9", None),
    ],
)
def test_names(name: str, kind: str | None) -> None:
    assert distilled(UNET, {}, name) == kind


def test_what_else_tells() -> None:
    assert distilled(replace(UNET, guidance_dim=16), {}, "x") == "lcm"
    assert distilled(UNET, {KEY: "turbo"}, "lightning") == "turbo"
    assert distilled(UNET, {KEY: "no such kind"}, "x") is None
    assert distilled(UNET, {"modelspec.title": "SDXL Lightning"}, "x") == "lightning"


@pytest.mark.parametrize(
    ("scheduler", "kind"),
    [
        ({"_class_name": "LCMScheduler"}, "lcm"),
        ({"_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "trailing"}, "turbo"),
        ({"_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "leading"}, None),
        ({"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}, None),
        ({"_class_name": "TCDScheduler"}, "hyper"),
    ],
)
def test_folders(scheduler: dict[str, str], kind: str | None) -> None:
    assert quick(scheduler) == kind


def test_defaults() -> None:
    place = Placement(torch.device("cpu"), torch.float32)
    plain = assemble("x", tiny.model("sdxl"), "0", place)
    assert plain.defaults == Defaults(1024)
    assert replace(plain, distilled="turbo").defaults == Defaults(512, 1.0, 4, "euler_ancestral")
    assert replace(plain, distilled="lightning").defaults == Defaults(1024, 1.0, 8, "euler")
    lcm = assemble("x", tiny.model("sd1", unet=replace(UNET, guidance_dim=16)), "0", place)
    assert lcm.defaults == Defaults(512, 8.0, 4, "lcm")
