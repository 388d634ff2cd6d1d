"""The models that a recipe needs, loaded once for pictures that need the same."""

from dataclasses import dataclass, field

from fromnoise import settings
from fromnoise.allocator import keep_freed
from fromnoise.cli.messages import say
from fromnoise.cli.options import Order
from fromnoise.cli.progress import note
from fromnoise.engine import library
from fromnoise.engine.choices import has_choices
from fromnoise.engine.library import Model
from fromnoise.engine.memory import Placement, place
from fromnoise.engine.network_files import SHELVES, network_path
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_files import Weights
from fromnoise.engine.recipe_networks import named
from fromnoise.engine.sizes import parsed


def names(recipe: Recipe) -> list[Weights]:
    """Of the models that make a picture, in the order in which they take part."""
    return [Weights.of(recipe), *Weights.others(recipe)]


@dataclass
class Models:
    """Loads models by name and keeps those of the last recipe."""

    placement: Placement
    quiet: bool = True
    allow_unmatched: bool = False
    budget: int | None = None  # bytes of memory; None: what is free
    kept: dict[Weights, Model] = field(default_factory=dict)

    @classmethod
    def of_order(cls, order: Order) -> "Models":
        """On the device, in the numbers and in the memory that were asked for."""
        budget = None if order.memory is None else parsed(order.memory)
        return cls(place(order.device, order.dtype), order.quiet, order.allow_unmatched, budget)

    def check(self, recipe: Recipe) -> None:
        """FileError where a model, a LoRA or a hypernetwork is not there."""
        here = settings.read()
        for wanted in names(recipe):
            library.Found.of(wanted, here)
        prompt = "" if has_choices(recipe) else recipe.prompt  # what is chosen there is not known yet
        for use in named(recipe.networks, prompt, PROFILES[recipe.profile].dialect, recipe.steps):
            network_path(SHELVES[use.kind], use.name, here)

    def of(self, recipe: Recipe) -> tuple[Model, Model | None]:
        """The model of a recipe, and its refiner."""
        wanted = names(recipe)
        self.kept = {name: model for name, model in self.kept.items() if name in wanted}
        model, *others = (self.load(name) for name in wanted)
        return model, others[0] if others else None

    def load(self, wanted: Weights) -> Model:
        if wanted not in self.kept:
            note(say("loading {model} ...", model=wanted.model), self.quiet)
            keep_freed()
            self.kept[wanted] = library.load(
                wanted,
                self.placement,
                settings=settings.read(),
                allow_unmatched=self.allow_unmatched,
                budget=self.budget,
            )
        return self.kept[wanted]
