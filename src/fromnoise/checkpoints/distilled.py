"""Which models need few steps and no guidance: what their files, their authors or their names say of it.

An LCM is told by its network, which is given the guidance scale as an input (Luo et al., 2023). Turbo, Lightning and
Hyper models have the shapes of any other; diffusers' folders tell by the sampler that they name, files by the title in
their metadata or by their own name.
"""

import re
from collections.abc import Mapping
from typing import Literal, get_args

from fromnoise.nn.unet import UNetConfig

Distilled = Literal["lcm", "turbo", "lightning", "hyper"]
KEY = "fromnoise.distilled"  # in metadata
TITLE = "modelspec.title"
WORD = re.compile(r"(?<![a-z])(lcm|turbo|lightning|hyper)(?![a-z])|(Turbo|Lightning|LCM|Hyper)(?=[A-Z_\d.-]|$)")


def distilled(unet: UNetConfig, metadata: Mapping[str, str], name: str) -> Distilled | None:
    """How a model was made quick; None for one that was not, as far as is told."""
    if unet.guidance_dim is not None:
        return "lcm"
    told = metadata.get(KEY, "")
    for kind in get_args(Distilled):
        if told == kind:
            return kind  # type: ignore[no-any-return]
    for text in (metadata.get(TITLE, ""), name):
        if found := WORD.search(text) or WORD.search(text.lower()):
            return found[0].lower()  # type: ignore[return-value]
    return None
