"""Buckets, captions and noise are those that kohya sd-scripts' formulas give for the same draws.

`tests/golden/train/*.json` has what its `select_bucket`, `process_caption`, `pyramid_noise_like` and
`apply_noise_offset` answered (commit 0005867).
"""

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from fromnoise.train.data.buckets import BucketRules, Fit
from fromnoise.train.data.captions import CaptionRules, Moment, Replacements, spoken
from fromnoise.train.noising import Noising, normal, pyramid

GOLDEN = Path(__file__).parents[2] / "golden/train"


def golden(name: str) -> list[Any]:
    found: list[Any] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("case", golden("buckets"), ids=lambda case: str(case["rules"]))
def test_buckets(case: dict[str, Any]) -> None:
    rules = BucketRules(**{**case["rules"], "resolution": tuple(case["rules"]["resolution"])})
    if rules.upscale:
        assert [list(bucket) for bucket in rules.buckets] == case["all"]
    for size, bucket, resized in case["fits"]:
        assert rules.fit(tuple(size)) == Fit(tuple(bucket), tuple(resized)), size
    assert len(case["fits"]) == 40


def test_captions() -> None:
    cases = golden("captions")
    for case in cases:
        now = Moment(case["step"], case["steps"], case["epoch"])
        rules = CaptionRules.model_validate(case["rules"])
        said = spoken(case["caption"], rules, Random(case["seed"]), now, Replacements(case["replacements"]))
        assert said == case["said"], case
    assert len({case["said"] for case in cases}) > 60


@pytest.mark.parametrize("case", golden("noise"), ids=lambda case: f"{case['kind']}-{case['seed']}")
def test_noise(case: dict[str, Any]) -> None:
    rng, other = (np.random.Generator(np.random.PCG64(case["seed"] + i)) for i in (0, 1))
    shape = tuple(case["shape"])
    latents, noise = normal(other, shape) + 0.5, normal(rng, shape)
    if case["kind"] == "pyramid":
        found = pyramid(noise, case["iterations"], case["discount"], rng)
    else:
        rules = Noising(noise_offset=case["noise_offset"], adaptive_noise_scale=case.get("adaptive", 0.0))
        found = rules._shaped(noise, latents, rng)
    assert found.flatten()[:6].tolist() == pytest.approx(case["head"], abs=2e-6)
    assert found.mean((2, 3)).flatten().tolist() == pytest.approx(case["each"], abs=2e-6)
    assert float(found.double().std()) == pytest.approx(case["std"], abs=1e-6)
