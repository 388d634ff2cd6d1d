"""When a picture's network runs whole, and when from kept features: `nn.step_reuse`."""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from torch import Tensor

from fromnoise.engine.passes import Progress
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_guidance import StepReuse
from fromnoise.nn import step_reuse
from fromnoise.sampling.guidance import Guidance, Guiding, NetworkCall
from fromnoise.sampling.guidance_parts import translated
from fromnoise.sampling.samplers import Evaluate


@dataclass
class Store:
    """What one picture keeps from evaluation to evaluation: of each prompt, place and changed network."""

    options: StepReuse
    began: int = 0  # of the pass that it is from
    kept: dict[Hashable, tuple[Tensor, step_reuse.Kept]] = field(default_factory=dict)

    def begin(self, number: int, began: int) -> None:
        """An evaluation of this number in all, in a pass that began at `began`: perhaps one of the whole network."""
        if number % self.options.every == 0 or began != self.began:
            self.kept.clear()
        self.began = began

    def taken(self, call: NetworkCall, again: Counter[Hashable]) -> NetworkCall:
        """`call` with its place in the store; what was not asked before runs whole. `again` counts equal calls."""
        cond = call.cond
        name = (id(cond.context), call.x.shape, cond.refiner, call.variants, call.place)
        again[name] += 1
        there = self.kept.get((name, again[name]))
        if there is None:
            there = self.kept[name, again[name]] = (cond.context, step_reuse.Kept())
        kept = there[1]
        reuse = step_reuse.StepReuse(self.options.blocks, kept, again=kept.inner is not None)
        return call._replace(cond=replace(cond, attached=(*cond.attached, reuse)))


def reusing(guide: Guidance, recipe: Recipe, progress: Progress) -> Guidance:
    """`guide`, the outermost, with the step reuse that a recipe wants; it counts the evaluations of all passes."""
    if recipe.step_reuse is None:
        return guide
    store = Store(recipe.step_reuse)

    def guided(ask: Evaluate) -> Guiding:
        store.begin(ask.number, progress.began)
        equal = Counter[Hashable]()
        return (yield from translated(guide(ask), lambda call: store.taken(call, equal)))

    return guided


def whole_until(recipe: Recipe, evaluations: int) -> int:
    """After how many of `evaluations` a stopped picture can go on: the next one starts with the whole network."""
    return evaluations - evaluations % recipe.step_reuse.every if recipe.step_reuse else evaluations
