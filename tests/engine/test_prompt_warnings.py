"""What is odd in prompts is told, with its place, and never keeps a picture from being made."""

import subprocess
import sys

import pytest

from fromnoise.engine.prompt_warnings import Oddity, oddities
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_networks import named


def test_every_prompt_is_read_as_its_profile_reads_it() -> None:
    recipe = Recipe.make(
        prompt="a cat, (red",
        negative="blurry]",
        hires={"prompt": "a dog, (big:1.2.3)"},
        regional={"regions": [{"prompt": "a tree <lora:ink:abc>"}]},
    )
    assert [(odd.field, odd.position, odd.message) for odd in oddities(recipe)] == [
        ("prompt", 7, "'(' is not closed: it acts to the end of the prompt"),
        ("negative", 6, "']' closes nothing: read as text"),
        ("hires.prompt", 12, "'1.2.3' is not a number: read as text"),
        ("regional.regions.0.prompt", 7, "te 'abc' is not a number: 1 is taken"),
    ]
    assert oddities(recipe.but(profile="comfyui"))[0].message == "'(' is not closed"


def test_the_text_around_it_is_shown() -> None:
    (odd,) = oddities(Recipe(prompt="a long prompt about cats\nwith a (bracket that is never closed"))
    assert odd == Oddity(
        "prompt", 32, "'(' is not closed: it acts to the end of the prompt", "…cats with a (bracket tha…"
    )


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("<lora:ink:1:lbw=FOO>", "lbw FOO is left out: unknown preset of block weights 'FOO'"),
        ("<lora:ink:1:lbwe=1>", "lbwe= is not understood; a network knows te, unet, dyn, lbw, w, start, stop"),
        ("<lora:ink:1000>", "te 1000 is limited to 100"),
        ("<lora:ink:nan>", "te 'nan' is not a number: 1 is taken"),
        ("<lora::1>", "a network without a name, or with one that is too long: left out"),
        (f"<lora:{'x' * 2000}>", "a network without a name, or with one that is too long: left out"),
        ("<lorra:ink:1>", "no kind of network is called 'lorra'"),
    ],
)
def test_tags_that_mean_nothing_are_told_and_never_raise(tag: str, message: str) -> None:
    recipe = Recipe(prompt=f"a cat {tag}")
    (odd,) = oddities(recipe)
    assert odd.position == 6
    assert odd.message.startswith(message)
    assert all(use.name == "ink" for use in named((), recipe.prompt, "native", 20))


def test_there_are_no_more_than_somebody_reads() -> None:
    assert len(oddities(Recipe(prompt=")" * 5000, negative="]" * 5000))) == 50


def test_it_needs_no_torch() -> None:
    code = "import sys, fromnoise.engine.prompt_warnings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
