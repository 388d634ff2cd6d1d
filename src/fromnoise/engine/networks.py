"""Networks at work: LoRAs on the text encoders while they encode, LoRAs and hypernetworks on the U-Net in a pass."""

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from fromnoise.adapters.adapter import Strengths
from fromnoise.adapters.hypernetwork import Hypernetworks
from fromnoise.adapters.patched import Patched
from fromnoise.checkpoints.adapter_files.layers import TEXT, UNET
from fromnoise.engine.guiding import StepOf, changing
from fromnoise.engine.library import Model
from fromnoise.engine.profiles import Profile
from fromnoise.engine.recipe_networks import NetworkUse
from fromnoise.sampling.guidance import Guidance, NetworkVariant
from fromnoise.sampling.guidance_parts import varied


def encoding(model: Model, uses: Sequence[NetworkUse], index: int) -> AbstractContextManager[None]:
    """Inside, the text encoder of that index has the LoRAs on."""
    strengths = [(use, Strengths(0.0, use.on_text, use.factors, use.rank)) for use in uses]
    patched = patched_with(model, TEXT[index], strengths)
    return patched.applied(model.text[index]) if patched else nullcontext()


def with_networks(
    guide: Guidance, model: Model, profile: Profile, uses: Sequence[NetworkUse], steps: int, step_of: StepOf
) -> Guidance:
    """`guide`, asking the U-Net with the networks on, as strongly as each step wants them."""
    stages = unet_stages(model, profile, uses, steps)
    return changing([(start, varied(guide, *variants) if variants else guide) for start, variants in stages], step_of)


def unet_stages(
    model: Model, profile: Profile, uses: Sequence[NetworkUse], steps: int
) -> list[tuple[int, tuple[NetworkVariant, ...]]]:
    """(first step, the changes of the U-Net from it on), in order."""
    by_use = [use.stages(steps) for use in uses]
    found: list[tuple[int, tuple[NetworkVariant, ...]]] = []
    for start in sorted({0, *(step for stages in by_use for step, _ in stages if step < steps)}):
        strengths = [strength_at(stages, start) for stages in by_use]
        variants = unet_variants(model, profile, list(zip(uses, strengths, strict=True)))
        if not found or found[-1][1] != variants:
            found.append((start, variants))
    return found


def strength_at(stages: Sequence[tuple[int, float]], step: int) -> float:
    return stages[max(0, bisect_right([start for start, _ in stages], step) - 1)][1]


def unet_variants(
    model: Model, profile: Profile, uses: Sequence[tuple[NetworkUse, float]]
) -> tuple[NetworkVariant, ...]:
    """The changes of the U-Net by networks of given strengths."""
    strengths = [(use, Strengths(strength, 0.0, use.factors, use.rank)) for use, strength in uses]
    patched = patched_with(model, UNET, strengths)
    hypernetworks = tuple(
        (model.networks.hypernetwork(use, activate_output=profile.dialect != "comfyui"), strength)
        for use, strength in uses
        if use.kind == "hypernetwork" and strength
    )
    return (*([patched] if patched else ()), *([Hypernetworks(hypernetworks)] if hypernetworks else ()))


def patched_with(model: Model, network: str, uses: Sequence[tuple[NetworkUse, Strengths]]) -> Patched | None:
    """The LoRAs of a network; None where none of them acts on it."""
    loras = [(model.networks.lora(use), strengths) for use, strengths in uses if use.kind == "lora"]
    acting = tuple((adapter, strengths) for adapter, strengths in loras if adapter.patches(network, strengths))
    return Patched(network, acting, model.kept.copies) if acting else None
