"""Draw the picture of the README, and that on the built-in model's card, with it: `python tools/readme_pictures.py`."""

from pathlib import Path

from PIL import Image

from fromnoise.engine import library
from fromnoise.engine.fitting import fitted
from fromnoise.engine.generate import generate
from fromnoise.engine.memory import place
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.shelves import builtin

PROMPTS = (
    ("red apple, noto style, white background", 1),
    ("cat face, 3d style, light blue background", 2),
    ("panda, flat style, pink background", 3),
    ("sun, 3d style, navy background", 4),
    ("red heart, fluent style, beige background", 5),
    ("watermelon, noto style, light green background", 6),
    ("bus, 3d style, yellow background", 7),
    ("pizza, twemoji style, teal background", 8),
    ("红苹果，立体风格，浅蓝色背景", 9),
    ("气球，扁平风格，白色背景", 10),
    ("向日葵，诺托风格，蓝色背景", 11),
    ("青蛙，立体风格，粉色背景", 12),
    ("soccer ball, flat style, green background", 13),
    ("a red heart to the left of a sun, 3d style, white background", 14),
    ("strawberry, 3d style, gray background", 15),
    ("ghost, noto style, purple background", 16),
)
COLUMNS = 8
CARD = (2, 4, 11, 7)  # of the prompts: a panda, a heart, a frog, a pizza


def main() -> None:
    model = library.load("builtin", place())
    side = model.defaults.size
    recipes = [fitted(Recipe.make(prompt=prompt, seed=seed), model.defaults) for prompt, seed in PROMPTS]
    sheet = Image.new("RGB", (COLUMNS * side, -(-len(recipes) // COLUMNS) * side), "white")
    for made in generate(model, recipes, max_batch=32):
        row, column = divmod(made.index, COLUMNS)
        sheet.paste(made.image, (column * side, row * side))
    path = Path("docs/pictures/builtin.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)
    print(path)
    print(draw_card(sheet, side))


def draw_card(sheet: Image.Image, side: int) -> Path:
    """What the Models page shows on the card of the model that comes with the package."""
    card = Image.new("RGB", (2 * side, 2 * side))
    for corner, number in enumerate(CARD):
        row, column = divmod(number, COLUMNS)
        one = sheet.crop((column * side, row * side, (column + 1) * side, (row + 1) * side))
        card.paste(one, (corner % 2 * side, corner // 2 * side))
    path = builtin().with_suffix(".preview.webp")
    card.save(path, quality=85, method=6)
    return path


if __name__ == "__main__":
    main()
