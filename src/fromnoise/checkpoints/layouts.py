"""How models lie in files: every weight under its name in the original files, whole or one network alone.

state = original(parts, facts)  # of Stability's and CompVis's single files
told = telling(facts, detect(take_apart(state)))  # the metadata that such a file needs besides
"""

import json
from dataclasses import replace

import torch
from torch import Tensor

from fromnoise.checkpoints.deferred import postponed
from fromnoise.checkpoints.detect import (
    Family,
    ModelFacts,
    NotDetected,
    differences,
)
from fromnoise.checkpoints.names import OPEN_CLIP_TEXT, OPEN_CLIP_VISION
from fromnoise.checkpoints.parts import MEAN, OPEN_CLIP_PICTURES, STD, UNET, VAE, VISION, Parts, TextPart

TEXT: dict[Family, tuple[str, ...]] = {
    "sd1": ("cond_stage_model.transformer.",),
    "sd2": ("cond_stage_model.model.",),
    "sdxl": ("conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."),
    "sdxl_refiner": ("conditioner.embedders.0.model.",),
}
DEPTH = "depth_model."  # MiDaS, which depth models bring along in the original files
PREDICTIONS = {"eps": "epsilon", "v": "v", "edm": "edm"}


def without_copies(parts: Parts) -> Parts:
    """The same, of which nothing is joined or turned before it is written."""
    return Parts(
        postponed(parts.unet),
        postponed(parts.vae),
        tuple(TextPart(part.prefix, part.names, postponed(part.state)) for part in parts.text),
        postponed(parts.rest),
        postponed(parts.vision),
    )


def original(parts: Parts, facts: ModelFacts) -> dict[str, Tensor]:
    """Every weight under its name in the original files, with the markers of how the model was trained.

    A model without some of its networks is written without them. Raises NotDetected where it has text encoders, but
    not as many as its family.
    """
    prefixes = TEXT[facts.family]
    if parts.text and len(parts.text) != len(prefixes):
        raise NotDetected(f"it has {len(parts.text)} text encoder, where {len(prefixes)} belong to a whole model")
    state = {UNET + name: weight for name, weight in parts.unet.items()}
    state |= {VAE + name: weight for name, weight in parts.vae.items()}
    for prefix, part in zip(prefixes, parts.text, strict=False):
        weights = part.state if prefix.endswith(".transformer.") else OPEN_CLIP_TEXT.to_theirs(part.state)
        state |= {prefix + name: weight for name, weight in weights.items()}
    pictures = OPEN_CLIP_VISION.to_theirs(parts.vision) if parts.vision else {}
    state |= {f"{VISION}{OPEN_CLIP_PICTURES}{name}": weight for name, weight in pictures.items()}
    state |= {name: parts.rest[name] for name in (MEAN, STD) if name in parts.rest}
    state |= {name: weight for name, weight in parts.rest.items() if name.startswith(DEPTH)}
    return state | markers(facts)


def markers(facts: ModelFacts) -> dict[str, Tensor]:
    """The keys by which programs know v-prediction, zero terminal SNR and continuous noise."""
    found: dict[str, Tensor] = {}
    if facts.prediction == "v":
        found["v_pred"] = torch.empty(0)
    if facts.zero_snr:
        found["ztsnr"] = torch.empty(0)
    if facts.sigmas and facts.prediction == "v":
        found["edm_vpred.sigma_min"], found["edm_vpred.sigma_max"] = map(torch.tensor, facts.sigmas)
    vae = facts.vae
    if facts.prediction == "edm" and vae is not None and vae.mean is not None and vae.std is not None:
        found["edm_mean"], found["edm_std"] = (torch.tensor(each).view(1, -1, 1, 1) for each in (vae.mean, vae.std))
    return found


def telling(facts: ModelFacts, detected: ModelFacts) -> dict[str, str]:
    """The metadata without which a file that looks like `detected` would not be recognised as what it is."""
    told = {"modelspec.prediction_type": PREDICTIONS[facts.prediction]}
    told |= differences(facts.unet, detected.unet, "unet")
    if facts.vae is not None and detected.vae is not None:
        told |= differences(facts.vae, detected.vae, "vae")
    for i, (config, seen) in enumerate(zip(facts.text, detected.text, strict=True)):
        told |= differences(config, seen, f"text{i}")
    if facts.vision is not None and detected.vision is not None:
        told |= differences(facts.vision, detected.vision, "vision")
    if facts.zero_snr and not detected.zero_snr:
        told["fromnoise.zero_snr"] = "true"
    if facts.sigmas is not None and facts.sigmas != detected.sigmas:
        told["fromnoise.sigmas"] = json.dumps(facts.sigmas)
    return told


def lone_unet(parts: Parts, facts: ModelFacts) -> tuple[dict[str, Tensor], ModelFacts]:
    """A U-Net alone under the original names, and the facts of such a file."""
    alone = Parts(parts.unet, {}, (), {})
    facts = replace(facts, vae=None, text=(), vision=None)
    return original(alone, facts), facts
