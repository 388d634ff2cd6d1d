"""--image-prompt, --box, --gligen and --depth."""

from pathlib import Path

import pytest

from fromnoise.cli.drafting import drafted, options_of
from fromnoise.cli.options import Order
from fromnoise.engine.recipe import ImageRef
from fromnoise.engine.recipe_pictures import Box, Depth, Gligen, ImagePrompt
from fromnoise.errors import UserError
from tests.tiny_pictures import photo


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    return [photo(tmp_path / name, seed=i) for i, name in enumerate(("one.png", "two, of them.png", "3.png"))]


def test_image_prompts(pictures: list[Path]) -> None:
    first, second, third = pictures
    made = drafted(
        Order(
            image_prompt=[
                f"{first}, ip-adapter_sd15, 0.8, end=0.5",
                f'image="{second}", model=plus, weight_type=style transfer, mask={third}, more={first}',
            ]
        )
    )
    refs = [ImageRef.of(path) for path in pictures]
    assert made.image_prompts == (
        ImagePrompt(image=refs[0], model="ip-adapter_sd15", weight=0.8, end=0.5),
        ImagePrompt(
            image=refs[1], model="plus", weight_type="style transfer", mask=refs[2], more=(refs[0],)
        ),
    )  # fmt: skip
    again = options_of(made)["--image-prompt"]
    assert isinstance(again, list)
    assert drafted(Order(image_prompt=again)).image_prompts == made.image_prompts


@pytest.mark.parametrize(
    "text",
    [
        "8, 16, 64, 72, a cat",
        "8,16,64,72: a cat",
        " 8, 16,64 ,72 :  a cat ",
        "x=8, y=16, width=64, height=72, text=a cat",
    ],
)
def test_boxes(text: str) -> None:
    made = drafted(Order(box=[text, '0,0,8,8: "big", red'], gligen="boxes, end=0.5"))
    assert made.boxes == (
        Box(x=8, y=16, width=64, height=72, text="a cat"),
        Box(x=0, y=0, width=8, height=8, text='"big", red'),
    )
    assert made.gligen == Gligen(model="boxes", end=0.5)
    again = options_of(made)
    assert drafted(Order(box=again["--box"], gligen=again["--gligen"])).boxes == made.boxes  # type: ignore[arg-type]


def test_boxes_need_a_model() -> None:
    with pytest.raises(UserError, match="--gligen"):
        drafted(Order(box=["8,16,64,72: a cat"]))


def test_depth(pictures: list[Path]) -> None:
    made = drafted(Order(depth=f"{pictures[0]}, depth_midas"))
    assert made.depth == Depth(image=ImageRef.of(pictures[0]), estimator="depth_midas")
    assert drafted(Order(depth=str(options_of(made)["--depth"]))).depth == made.depth


def test_a_picture_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such picture"):
        drafted(Order(image_prompt=[str(tmp_path / "none.png")]))
