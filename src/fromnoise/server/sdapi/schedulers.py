"""AUTOMATIC1111's and Forge's names of schedules, and which of ours they are."""

from typing import NamedTuple

from fromnoise.engine.catalogue import Catalogue

AUTOMATIC = ("automatic", "", "use same scheduler")


class Scheduler(NamedTuple):
    name: str
    label: str
    ours: str | None
    rho: float = -1.0
    aliases: tuple[str, ...] = ()
    needs_model: bool = False


SCHEDULERS = (
    Scheduler("automatic", "Automatic", None),
    Scheduler("uniform", "Uniform", "normal", needs_model=True),
    Scheduler("karras", "Karras", "karras", 7.0),
    Scheduler("exponential", "Exponential", "exponential"),
    Scheduler("polyexponential", "Polyexponential", "polyexponential", 1.0),
    Scheduler("sgm_uniform", "SGM Uniform", "sgm_uniform", aliases=("SGMUniform",), needs_model=True),
    Scheduler("kl_optimal", "KL Optimal", "kl_optimal_open"),
    Scheduler("align_your_steps", "Align Your Steps", "align_your_steps"),
    Scheduler("simple", "Simple", "simple", needs_model=True),
    Scheduler("normal", "Normal", "normal", needs_model=True),
    Scheduler("ddim", "DDIM", "ddim_uniform", needs_model=True),
    Scheduler("beta", "Beta", "beta_sigma", needs_model=True),
    Scheduler("turbo", "Turbo", "turbo", needs_model=True),  # Forge's, from here on
    Scheduler("align_your_steps_GITS", "Align Your Steps GITS", "gits"),
)


def schedule(name: str | None, catalogue: Catalogue) -> str | None:
    """Our schedule; None for the sampler's own. UnknownName."""
    wanted = (name or "").strip().lower()
    if wanted in AUTOMATIC:
        return None
    for one in SCHEDULERS:
        if wanted in (one.name.lower(), one.label.lower(), *(alias.lower() for alias in one.aliases)):
            return one.ours
    return catalogue.schedule(wanted).name
