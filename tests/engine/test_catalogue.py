"""The catalogue says what the registries say, and needs no torch to say it."""

import json
import subprocess
import sys
from importlib.resources import files

import pytest

from fromnoise.engine.catalogue import ASSET, Catalogue
from fromnoise.errors import UnknownName
from fromnoise.sampling.samplers import SAMPLERS, resolve
from fromnoise.sampling.schedules import SCHEDULES


def test_it_is_what_is_registered() -> None:
    """Where this fails: python tools/catalogue.py. In a process of its own: other tests register things."""
    code = "import json; from fromnoise.engine.catalogue import gathered; print(json.dumps(gathered()))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(files("fromnoise.assets").joinpath(ASSET).read_text("utf-8")) == json.loads(told)


@pytest.mark.parametrize(
    "name", ["Euler a", "euler_ancestral", "DPM++ 2M Karras", "k_lms_ka", "DPM++ 2M SDE", "uni_pc"]
)
def test_names_mean_the_same_as_in_the_registry(name: str) -> None:
    assert Catalogue.shipped().resolve(name) == resolve(name)


def test_every_name_of_the_registries_is_known() -> None:
    shipped = Catalogue.shipped()
    for name, spec in SAMPLERS.items():
        assert all(shipped.sampler(known).name == name for known in (name, spec.label, *spec.aliases))
    assert all(shipped.schedule(known).name == name for name, s in SCHEDULES.items() for known in (name, s.label))


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'euler'"):
        Catalogue.shipped().sampler("euller")


def test_what_others_add_is_merged_in() -> None:
    mine = {
        "samplers": [{"name": "mine", "label": "Mine"}],
        "schedules": [],
        "others": {"upscalers": [{"name": "u", "label": "U"}]},
    }
    both = Catalogue.shipped().with_more(Catalogue.of(mine))
    assert both.sampler("Mine").name == "mine"
    assert both.sampler("euler").label == "Euler"
    assert both.other("upscalers", "u").label == "U"


def test_reading_it_needs_no_torch() -> None:
    code = "import sys, fromnoise.engine.catalogue as c; c.Catalogue.shipped(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
