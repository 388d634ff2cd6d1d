"""Many recipes from one, as pure functions, and the labelled sheet that shows their pictures side by side."""
