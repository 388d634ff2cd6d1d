"""Many recipes from one, as pure functions, and the labelled sheet that shows their pictures side by side."""

from fromnoise.engine.sheets import part_axes as part_axes  # registers its axes
