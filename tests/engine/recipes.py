"""Recipes of every kind for hypothesis, made from the types of their fields: a new field takes part by itself."""

import random
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.engine.recipe_control import TYPES, Control
from fromnoise.engine.recipe_upscale import Redraw
from fromnoise.errors import UserError
from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.sampling.samplers import SAMPLERS
from fromnoise.sampling.schedules import SCHEDULES

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80)
IMAGES = st.builds(
    lambda digest: ImageRef(path=f"a b/图{digest:x}.png", sha256=f"{digest:064x}"), st.integers(0, 2**256 - 1)
)
EIGHTS = st.integers(1, 64).map(lambda n: 8 * n)
HASHES = st.none() | st.integers(0, 2**256 - 1).map("{:064x}".format)

NAMED: dict[str, st.SearchStrategy[Any]] = {  # what the type alone does not tell
    "width": EIGHTS,
    "height": EIGHTS,
    "sampler": st.sampled_from(list(SAMPLERS)),
    "schedule": st.none() | st.sampled_from(list(SCHEDULES)),
    "profile": st.sampled_from(list(PROFILES)),
    "dtype": st.sampled_from(["float32", "bfloat16", "float16"]),
    "sampler_options": st.dictionaries(st.sampled_from(["eta", "s_noise"]), st.floats(0, 2)),
    "schedule_options": st.dictionaries(st.sampled_from(["rho", "sigma_min"]), st.floats(0.5, 5)),
    "model_hash": HASHES,
    "hash": HASHES,
    "blocks": st.none() | st.sampled_from(["OUTALL", "BASE=1 IN04-IN08=0.5", ",".join("01" * 6)]),
}


def values(annotation: Any, metadata: tuple[Any, ...] = (), name: str = "") -> st.SearchStrategy[Any]:
    """Values of a field with that annotation and constraints."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        more = [part for m in inner[1:] for part in (m.metadata if isinstance(m, FieldInfo) else [m])]
        return values(inner[0], (*metadata, *more), name)
    if origin in (Union, types.UnionType):
        return st.one_of(*(values(one, metadata, name) for one in inner))
    if annotation is type(None):
        return st.none()
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is tuple and inner[-1:] == (...,):
        return st.lists(values(inner[0], metadata, name), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*(values(one, metadata, name) for one in inner))
    if annotation is ImageRef:
        return IMAGES
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return parts(annotation)
    return plain(annotation, metadata)


def plain(kind: Any, metadata: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    """Booleans, numbers within their limits, and texts."""
    low = next((m.ge if isinstance(m, Ge) else m.gt + 1 for m in metadata if isinstance(m, (Ge, Gt))), 0)
    high = next((m.le if isinstance(m, Le) else m.lt - 1 for m in metadata if isinstance(m, (Le, Lt))), 10_000)
    simple = {bool: st.booleans(), str: TEXT}
    if kind in simple:
        return simple[kind]
    if kind is int:
        return st.integers(int(low), int(high))
    assert kind is float, f"no strategy for {kind}: say in NAMED what its values are"
    return st.floats(low, high)


def parts(model: type[BaseModel], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Instances of a part, or of the recipe itself: each field is left out or has a value."""
    known = NAMED | given
    fields = {
        name: known[name] if name in known else values(field.annotation, tuple(field.metadata), name)
        for name, field in model.model_fields.items()
    }
    required = {name: fields.pop(name) for name in list(fields) if model.model_fields[name].is_required()}
    return st.fixed_dictionaries(required, optional=fields).map(lambda chosen: valid(model, chosen))


def valid(model: type[BaseModel], chosen: dict[str, Any]) -> BaseModel:
    if chosen.get("step_reuse"):
        chosen = {**chosen, "controls": (), "guidance": None}  # some of which do not go with it
    try:
        return model(**chosen)
    except ValidationError:
        assume(False)
        raise


def controls(**given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Controls with a picture of their own."""
    fields = {
        name: values(field.annotation, tuple(field.metadata), name)
        for name, field in Control.model_fields.items()
        if name not in ("image", "parameters", "type")
    }
    shares = {"start": st.floats(0, 0.5), "end": st.floats(0.5, 1), "type": st.none() | st.sampled_from(TYPES)}
    optional = {name: fields[name] for name in fields if name not in given} | shares
    required = {"image": IMAGES, **given}
    return st.fixed_dictionaries(required, optional=optional).map(lambda chosen: Control(**chosen))


SEEN_BY_NETWORKS = [one.name for one in PREPROCESSORS.values() if one.role != "reference"]
NAMED["controls"] = st.lists(
    controls(model=TEXT.filter(bool), preprocessor=st.sampled_from(SEEN_BY_NETWORKS))
    | controls(
        model=st.none(),
        preprocessor=st.just("reference_only"),
        parameters=st.fixed_dictionaries({"fidelity": st.floats(0, 1)}),
    ),
    max_size=2,
).map(tuple)
FROM_NOISE: st.SearchStrategy[Recipe] = parts(
    Recipe, init=st.none(), mask=st.none(), outpaint=st.none(), inversion=st.none(), redraw=st.none()
)
FROM_PICTURES: st.SearchStrategy[Recipe] = parts(Recipe, init=IMAGES, hires=st.none(), redraw=st.none())
REDRAWN: st.SearchStrategy[Recipe] = parts(
    Recipe, init=IMAGES, redraw=parts(Redraw), hires=st.none(), mask=st.none(), outpaint=st.none(), inversion=st.none()
)
RECIPES = FROM_NOISE | FROM_PICTURES | REDRAWN

TOGETHER = (  # fields that depend on each other
    ("sampler", "sampler_options"),
    ("schedule", "schedule_options"),
    ("init", "mask", "hires", "redraw", "outpaint", "inversion"),
    ("gligen", "boxes"),
)


def mixed(strategy: st.SearchStrategy[Recipe], count: int, pool: int = 200) -> Iterator[Recipe]:
    """So many recipes, quickly and always the same: each takes its fields from some of a pool of generated ones."""
    found: list[Recipe] = []

    @seed(7)
    @given(strategy)
    @settings(
        max_examples=pool,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    def collect(recipe: Recipe) -> None:
        found.append(recipe)

    collect()
    rng = random.Random(7)
    alone = [(name,) for name in Recipe.model_fields if not any(name in group for group in TOGETHER)]
    while count:
        fields: dict[str, Any] = {}
        for group in (*TOGETHER, *alone):
            donor = rng.choice(found)
            fields |= {name: getattr(donor, name) for name in group}
        try:
            recipe = Recipe.make(**fields)
        except UserError:  # what contradicts itself
            continue
        count -= 1
        yield recipe
