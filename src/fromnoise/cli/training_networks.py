"""kohya's and LyCORIS's words for what a LoRA is: modules, `name=value` of --network_args, presets."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fromnoise.errors import UserError
from fromnoise.train.blocks import BlockOptions

Given = dict[str, Any]
NETWORK_ARGS = {  # theirs, to our options
    "algo": "kind", "conv_dim": "conv_rank", "conv_alpha": "conv_alpha", "dropout": "dropout",
    "rank_dropout": "rank_dropout", "module_dropout": "module_dropout", "dora_wd": "dora",
    "train_norm": "norms", "factor": "factor", "block_size": "block_size", "unit": "block_size",
    "constraint": "constraint", "constrain": "constraint", "use_tucker": "tucker", "use_cp": "tucker",
    "use_conv_cp": "tucker", "decompose_both": "decompose_both", "full_matrix": "full_matrix",
    "unbalanced_factorization": "unbalanced", "rs_lora": "rs_lora", "use_scalar": "scalar", "bypass_mode": "bypass",
    "rescaled": "rescaled",
}  # fmt: skip
PRESETS: dict[str, Given] = {  # LyCORIS's; those with `conv_rank` None train 3x3 convolutions at the rank
    "full": {"layers": "all", "conv_rank": None}, "full-lin": {"layers": "all"},
    "attn-mlp": {"layers": "transformer"}, "attn-only": {"layers": "attention"},
    "unet-only": {"layers": "all", "text": False, "conv_rank": None},
    "unet-transformer-only": {"layers": "transformer", "text": False},
    "unet-convblock-only": {"layers": "convolutions", "text": False, "conv_rank": None},
    "ia3": {"layers": "ia3"},
}  # fmt: skip
FASTER = {  # LoRA+: kohya's ratios, and the words for them
    "loraplus_lr_ratio": "loraplus", "loraplus_unet_lr_ratio": "loraplus_unet",
    "loraplus_text_encoder_lr_ratio": "loraplus_text",
}  # fmt: skip
ALGOS = {"locon": "lora", "diag-oft": "oft", "lora": "lora"}
LYCORIS = ("lycoris.kohya", "lycoris.locon_kohya")
MODULES: dict[str, Given] = {
    "networks.lora": {"kind": "lora"}, "networks.lora_fa": {"kind": "lora", "frozen_down": True},
    "networks.dylora": {"kind": "dylora"}, "networks.oft": {"kind": "oft", "layers": "attention", "text": False},
    **{name: {"kind": "lora"} for name in LYCORIS},
}  # fmt: skip
OFT = ("enable_all_linear", "enable_conv")  # what networks.oft acts on besides attention
OTHERS = ("train_t5xxl", "train_llm_adapter")  # of models that have what Stable Diffusion has not


def network_words(words: Given, options: Given, defaults: Mapping[str, Any]) -> Given:
    """The options of a LoRA with what is said by these words; what was said by itself counts. UserError."""
    module = words.get("network_module")
    if module is not None and module not in MODULES:
        raise UserError(f"unknown network_module {module!r}; there are {', '.join(MODULES)}")
    said = dict(arguments(words))
    preset = said.pop("preset", "full" if module in LYCORIS else None)
    if preset is not None and preset not in PRESETS:
        if str(preset).endswith(".toml"):
            raise UserError(f"network_args: preset {preset}: files of presets are not read; --layers chooses layers")
        raise UserError(f"network_args: unknown preset {preset!r}; there are {', '.join(PRESETS)}")
    for key in said.keys() & set(OFT) if module != "networks.oft" else ():
        raise UserError(f"network_args: {key} is for networks.oft alone; leave it out")
    read = own_options(said)
    found = {**(MODULES[module] if module else {}), **(PRESETS[preset] if preset else {})}
    if module == "networks.oft":
        found |= kohyas_oft(read, options)
    found = {**found, **options, **read}
    if found.get("conv_rank", 0) is None:  # as LyCORIS has it where nothing is said of convolutions
        plain = found.get("kind") != "tlora"
        found["conv_rank"] = found.get("rank", defaults["rank"]) if plain else 0
        found.setdefault("conv_alpha", found.get("alpha", defaults["alpha"]))
    return found


def arguments(words: Given) -> Iterator[tuple[str, str]]:
    """Each name and value of --network_args but ratios of LoRA+, which become words. UserError names the nearest."""
    for word in (w for text in words.get("network_args", []) for w in text.split()):
        key, sign, value = word.partition("=")
        known = (*NETWORK_ARGS, "wd_on_output", "preset", *FASTER, *BlockOptions.model_fields, *OFT, *OTHERS)
        if key not in known or not sign:
            near = get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise UserError(f"network_args: unknown {word!r}{hint} There are {', '.join(known)}")
        if key in FASTER:
            words[FASTER[key]] = number(value, key)
        elif key in OTHERS:
            if switch(key, value):
                raise UserError(f"network_args: {key}: Stable Diffusion has no such part; leave it out")
        else:
            yield key, value


def own_options(said: Mapping[str, str]) -> Given:
    """Options by our names."""
    read: Given = {}
    for key, value in said.items():
        if key in BlockOptions.model_fields:
            read.setdefault("blocks", {})[key] = value
        elif key == "wd_on_output":
            read["dora_columns"] = not switch(key, value)
        elif key in OFT:
            read[key] = switch(key, value)
        else:
            read[NETWORK_ARGS[key]] = ALGOS.get(value, value) if key == "algo" else value
    return read


def kohyas_oft(read: Given, options: Mapping[str, Any]) -> Given:
    """networks.oft: the rank is a number of blocks, and alpha the greatest rotation."""
    found: Given = {"block_count": options.get("rank", 4), "constraint": options.get("alpha", 1e-3)}
    if read.pop("enable_all_linear", False):
        found["layers"] = "transformer"
    if read.pop("enable_conv", False):
        found["conv_rank"] = 1
    return found


def switch(name: str, value: str) -> bool:
    """UserError for what is neither true nor false."""
    try:
        return TypeAdapter(bool).validate_python(value)
    except ValidationError:
        raise UserError(f"network_args: {name}={value}: True or False is wanted") from None


def number(text: str, name: str) -> float:
    """UserError for what is none."""
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{name}: {text!r} is not a number") from None
