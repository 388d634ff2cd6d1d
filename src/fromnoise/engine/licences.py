"""Under which terms weights may be used, as far as we know them; the text at the address is what counts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Licence:
    """The terms of weights, in a line for people of each language."""

    key: str  # as the hub calls it
    name: str
    address: str
    terms: str
    terms_zh: str


RESPONSIBLE = (
    "commercial use is allowed; its list of forbidden uses binds you and whoever gets the model from you",
    "可商用；其中的禁止用途清单对您以及从您处获得模型的人都有约束力",
)
NOT_COMMERCIAL = ("no commercial use", "不可商用")
FREE = ("use as you like; keep the notice when you pass the model on", "可自由使用；转发模型时请保留声明")

OPENRAIL_M = Licence(
    "creativeml-openrail-m",
    "CreativeML OpenRAIL-M",
    "https://huggingface.co/spaces/CompVis/stable-diffusion-license",
    *RESPONSIBLE,
)
OPENRAIL_PLUS = Licence(
    "openrail++",
    "CreativeML Open RAIL++-M",
    "https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md",
    *RESPONSIBLE,
)
TURBO = Licence(
    "sai-nc-community",
    "Stability AI Non-Commercial Research Community License",
    "https://huggingface.co/stabilityai/sdxl-turbo/blob/main/LICENSE.md",
    *NOT_COMMERCIAL,
)

LICENCES = (
    OPENRAIL_M,
    OPENRAIL_PLUS,
    TURBO,
    Licence("openrail", "OpenRAIL", "https://www.licenses.ai/ai-licenses", *RESPONSIBLE),
    Licence(
        "stabilityai-ai-community",
        "Stability AI Community License",
        "https://stability.ai/license",
        "commercial use is allowed below a yearly revenue of one million US dollars, after registering",
        "年收入低于一百万美元者登记后可商用",
    ),
    Licence(
        "playground-v2dot5-community",
        "Playground v2.5 Community License",
        "https://huggingface.co/playgroundai/playground-v2.5-1024px-aesthetic/blob/main/LICENSE.md",
        "commercial use is allowed for services with fewer than a million users a month",
        "月活跃用户不足一百万的服务可商用",
    ),
    Licence(
        "faipl-1.0-sd",
        "Fair AI Public License 1.0-SD",
        "https://freedevproject.org/faipl-1.0-sd/",
        "changed models, also when offered as a service, must be published under the same terms",
        "改动后的模型（包括用于在线服务的）须以同样条款公开",
    ),
    Licence("apache-2.0", "Apache License 2.0", "https://www.apache.org/licenses/LICENSE-2.0", *FREE),
    Licence("mit", "MIT License", "https://opensource.org/license/mit", *FREE),
    Licence(
        "cc0-1.0", "CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/", "use as you like", "可自由使用"
    ),
    Licence(
        "cc-by-4.0",
        "CC BY 4.0",
        "https://creativecommons.org/licenses/by/4.0/",
        "use as you like, naming the author",
        "署名后可自由使用",
    ),
    Licence("cc-by-nc-4.0", "CC BY-NC 4.0", "https://creativecommons.org/licenses/by-nc/4.0/", *NOT_COMMERCIAL),
    Licence(
        "cc-by-nc-sa-4.0", "CC BY-NC-SA 4.0", "https://creativecommons.org/licenses/by-nc-sa/4.0/", *NOT_COMMERCIAL
    ),
)
BY_KEY = {licence.key: licence for licence in LICENCES}
OF_FAMILY = {"sd1": OPENRAIL_M, "sd2": OPENRAIL_PLUS, "sdxl": OPENRAIL_PLUS, "sdxl_refiner": OPENRAIL_PLUS}


def known(*keys: str | None) -> Licence | None:
    """The first licence that one of the keys names, in whatever capitals."""
    return next((BY_KEY[key.lower()] for key in keys if key and key.lower() in BY_KEY), None)


def of_family(family: str | None, name: str = "") -> Licence | None:
    """What the models of a family were published under; models made from them inherit its conditions.

    Turbo models can be told from others by their name alone.
    """
    if family in ("sd2", "sdxl") and "turbo" in name.lower():
        return TURBO
    return OF_FAMILY.get(family or "")
