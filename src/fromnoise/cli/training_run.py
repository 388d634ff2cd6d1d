"""From what was typed, and what a configuration file says, to a training."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fromnoise import settings
from fromnoise.cli.leash import held
from fromnoise.cli.messages import say
from fromnoise.cli.progress import note
from fromnoise.cli.training import parameter_name, was_said
from fromnoise.cli.training_table import ALWAYS, REFUSED, TOLD, by_name, flags
from fromnoise.engine import shelves
from fromnoise.engine.images import write_whole
from fromnoise.engine.memory import best_device
from fromnoise.engine.recipe import checked
from fromnoise.errors import FileError, UserError
from fromnoise.train.base import BASES
from fromnoise.train.blocks import BlockOptions
from fromnoise.train.data.source import Dataset, Subset
from fromnoise.train.full import DTYPES
from fromnoise.train.loop import LoopConfig
from fromnoise.train.methods import METHODS, Method
from fromnoise.train.noising import Noising
from fromnoise.train.objective import Objective
from fromnoise.train.optimizers import OPTIMIZERS, RATE_SCHEDULES, read_arguments
from fromnoise.train.rates import rates_of
from fromnoise.train.run import Run, epoch_length, teach
from fromnoise.train.schema import as_toml

Given = dict[str, Any]
NETWORK_ARGS = {  # kohya's and LyCORIS's, to our options
    "algo": "kind", "conv_dim": "conv_rank", "conv_alpha": "conv_alpha", "dropout": "dropout",
    "rank_dropout": "rank_dropout", "module_dropout": "module_dropout", "dora_wd": "dora",
    "train_norm": "norms", "factor": "factor", "block_size": "block_size", "constraint": "constraint",
    "use_tucker": "tucker", "use_cp": "tucker", "use_conv_cp": "tucker", "decompose_both": "decompose_both",
    "rs_lora": "rs_lora", "rescaled": "rescaled",
}  # fmt: skip
PRESETS: dict[str, dict[str, Any]] = {  # LyCORIS's
    "full": {"layers": "all"}, "attn-mlp": {"layers": "transformer"}, "attn-only": {"layers": "attention"},
    "unet-only": {"layers": "all", "text": False}, "unet-transformer-only": {"layers": "transformer", "text": False},
}  # fmt: skip
FASTER = {  # LoRA+: kohya's ratios, and the words for them
    "loraplus_lr_ratio": "loraplus", "loraplus_unet_lr_ratio": "loraplus_unet",
    "loraplus_text_encoder_lr_ratio": "loraplus_text",
}  # fmt: skip
UPPER = {"loraplus_unet": "lora_unet_*.lora_up", "loraplus_text": "lora_te*.lora_up"}
SHORT: dict[str, tuple[str, Any]] = {  # words that set an option
    "no_text": ("text", False), "no_unet": ("unet", False), "object_template": ("template", "object"),
    "style_template": ("template", "style"),
}  # fmt: skip
EPOCHS = {"epochs": "steps", "sample_epochs": "report_every", "save_epochs": "save_every",
          "validate_epochs": "measure_every"}  # fmt: skip
OPTIMIZER_WORDS = {"eight_bits": "AdamW8bit", "lion": "Lion"}
ALGOS = {"locon": "lora", "diag-oft": "oft", "lora": "lora"}
MODULES = {"networks.lora": "lora", "networks.oft": "oft", "lycoris.kohya": None, "lycoris.locon_kohya": None}


def start(method: str, data: Path | None, given: Given) -> None:
    """Train, and print the path of the file."""
    followed = held()
    if given.get("output_config"):
        print(written_config(method, given))
        return
    run = ordered(method, data, given)
    if followed:
        print(json.dumps({"steps": run.loop.steps}), flush=True)
    run.output.parent.mkdir(parents=True, exist_ok=True)
    asked = typed_by_place(method, given)
    if asked.get("log_config"):
        run.folder.mkdir(parents=True, exist_ok=True)
        write_whole(run.folder / "options.toml", config_of(method, asked).encode())
    print(teach(run, best_device(), settings.read(), note))


def ordered(method_name: str, data: Path | None, given: Given) -> Run:
    """The training that was asked for. UserError names what is wrong."""
    method = METHODS[method_name]
    typed = typed_by_place(method_name, given)
    parts: dict[str, Given] = {
        part: {} for part in ("options", "objective", "noising", "rules", "sizes", "loop", "run")
    }
    words: Given = {}
    for place, value in typed.items():
        part, dot, name = place.partition(".")
        (parts[part] if dot else words)[name if dot else place] = value
    shorthands(words, parts, method)
    data = data or words.get("data") or words.get("dataset_config")
    if data is None:
        raise UserError(
            say("say where the pictures are: fromnoise train {method} DATA --name NAME", method=method_name)
        )
    name = words.get("name") or data.stem
    if "token" in method.options.model_fields:
        parts["options"].setdefault("token", name)
    rules, sizes = checked(Subset, **parts["rules"]), parts["sizes"]
    checked(Dataset, **sizes)
    output = words.get("out") or place_of(method, name, words.get("output_dir"))
    run = Run(
        method=method_name, data=data, name=name, model=words.get("model", "builtin"), output=output,
        folder=words.get("folder") or Path("runs") / name, loop=LoopConfig(1),
        options=checked(method.options, **{**method.chosen, **parts["options"]}),
        objective=checked(Objective, **parts["objective"]), noising=checked(Noising, **parts["noising"]),
        rules=rules, sizes=sizes, samples=prompts(words), **parts["run"],
        notes={field: str(words[word]) for word, field in TOLD.items() if word in words},
    )  # fmt: skip
    return with_loop(run, method, parts["loop"], words)


def typed_by_place(method: str, given: Given) -> Given:
    """What was typed and what its configuration file says, by what it sets. UserError."""
    named = {parameter_name(flag): flag for flag in flags(method)}
    typed = {named[name].place: value for name, value in given.items() if name in named}
    refuse_formats(given)
    for name, reason in REFUSED.items():
        if given.get(name):
            raise UserError(f"--{name}: {reason}")
    if "config" in typed and not given.get("output_config"):
        typed = {**from_file(method, typed["config"]), **typed}
    return typed


def config_of(method: str, typed: Given) -> str:
    """A configuration file that asks for the same."""
    names = {flag.place: flag.names[0] for flag in flags(method)}
    left = ("config", "output_config", "log_config")
    return as_toml({names[p]: str(v) if isinstance(v, Path) else v for p, v in typed.items() if p not in left})


def written_config(method: str, given: Given) -> Path:
    """The file of --config with what was typed besides. UserError where there is none to write."""
    path = given.get("config")
    if path is None:
        raise UserError("output_config: name the file to write with --config")
    if Path(path).exists():
        raise UserError(f"{path} is there already; --output_config writes a new file: name another with --config")
    write_whole(Path(path), config_of(method, typed_by_place(method, given)).encode())
    return Path(path)


def with_loop(run: Run, method: Method, loop: Given, words: Given) -> Run:
    """The run with its loop: what was not said follows from the number of steps."""
    steps = loop.get("steps", method.steps)
    if words.get("initial_epoch") and words.get("skip"):
        length = epoch_length(run, settings.read())
        words["initial_step"] = (words["initial_epoch"] - 1) * -(-length // loop.get("accumulate", 1))
    first = words.get("initial_step", 0) if words.get("skip") else 0
    if not first and (words.get("initial_step") or words.get("initial_epoch", 1) > 1):
        note(say("without skip_until_initial_step all steps are done: initial_step and initial_epoch change nothing"))
    counted = {word: field for word, field in EPOCHS.items() if word in words}
    length = epoch_length(run, settings.read()) if counted else 0
    in_steps = {field: -(-length * words[word] // loop.get("accumulate", 1)) for word, field in counted.items()}
    steps = in_steps.pop("steps", steps)
    name = loop.get("optimizer", "AdamW")
    kind = OPTIMIZERS[name] if "." not in name else None
    own = (kind.learning_rate if kind and kind.name != "AdamW" else None) or method.rate
    said = [given[key] for given, key in ((loop, "learning_rate"), (words, "unet_lr"), (words, "text_encoder_lr"))
            if key in given]  # fmt: skip
    rate = float(said[0]) if said else own
    free = bool(kind and kind.schedule_free)
    schedule = loop.get("schedule") or ("constant" if free else "warmup_stable_decay")
    RATE_SCHEDULES.canonical(schedule)
    arguments, more = (
        read_arguments([w for text in words.get(key, []) for w in text.split()])
        for key in ("optimizer_args", "scheduler_args")
    )
    if loop.get("scheduler"):
        rates_of(loop["scheduler"], more, rate, steps - first)
    plain: Given = {
        "steps": steps, "learning_rate": rate, "schedule": schedule, "arguments": arguments, "betas": (0.9, 0.999),
        "warmup": share(words.get("warmup", 0 if free else min(50, steps // 10)), steps),
        "decay": share(words.get("decay", steps // 4), steps), "average": 0.0, "floor": 0.0,
        "log_every": max(1, min(20, steps // 10)), "save_every": max(1, steps // 10),
        "report_every": max(1, steps // 5), "slower": factors(words, rate), "bfloat16": precision(words),
        "first": first, "scheduler_arguments": more,
    }  # fmt: skip
    return replace(run, loop=LoopConfig(**{**plain, **in_steps, **loop, "steps": steps}))


def factors(words: Mapping[str, Any], rate: float) -> dict[str, float]:
    """How much faster or slower parts learn, by how their names begin."""
    found: dict[str, float] = {}
    if "unet_lr" in words:
        found |= {"lora_unet_": words["unet_lr"] / rate, "unet.": words["unet_lr"] / rate}
    if "text_encoder_lr" in words:
        found |= {"lora_te": words["text_encoder_lr"] / rate, "text": words["text_encoder_lr"] / rate}
    for word, pattern in UPPER.items():
        if word in words:
            found[pattern] = words[word]
    if "loraplus" in words:  # where its network has no ratio of its own
        for pattern in UPPER.values():
            found.setdefault(pattern, words["loraplus"])
    return found


def shorthands(words: Given, parts: dict[str, Given], method: Method) -> None:
    """Words that stand for fields."""
    options = parts["options"]
    for word, (field, value) in SHORT.items():
        if words.get(word):
            options[field] = value
    if words.get("v"):
        parts["run"]["prediction"] = "v"
    if words.get("fp8_base"):
        parts["run"]["base"] = "fp8"
    if parts["run"].get("base", "float32") not in BASES:
        raise UserError(f"unknown base {parts['run']['base']!r}; choose one of {', '.join(BASES)}")
    if parts["run"].get("precision", "fp16") not in DTYPES:
        raise UserError(f"unknown precision {parts['run']['precision']!r}; choose one of {', '.join(DTYPES)}")
    for word, optimizer in OPTIMIZER_WORDS.items():
        if words.get(word):
            parts["loop"].setdefault("optimizer", optimizer)
    if words.get("untold"):
        parts["run"]["told"] = False
    if words.get("no_padding"):
        parts["run"]["token_padding"] = False
    if words.get("compile"):
        parts["run"].setdefault("backend", "inductor")
    elif "backend" in parts["run"]:
        del parts["run"]["backend"]  # as kohya, it only counts with torch_compile
    stopping(words, parts)
    if words.get("no_bucket"):
        parts["sizes"]["enable_bucket"] = False
    if "network_module" in words:
        module = words["network_module"]
        if module not in MODULES:
            raise UserError(f"unknown network_module {module!r}; there are {', '.join(MODULES)}")
        options.setdefault("kind", MODULES[module] or "lora")
    for word in (w for text in words.get("network_args", []) for w in text.split()):
        key, sign, value = word.partition("=")
        if key in FASTER:
            words[FASTER[key]] = number(value, key)
        elif key == "preset" and sign:
            if value not in PRESETS:
                raise UserError(f"network_args: unknown preset {value!r}; there are {', '.join(PRESETS)}")
            parts["options"] = options = {**PRESETS[value], **options}
        elif key in BlockOptions.model_fields and sign:
            options.setdefault("blocks", {})[key] = value
        elif key not in NETWORK_ARGS or not sign:
            known = (*NETWORK_ARGS, "preset", *FASTER, *BlockOptions.model_fields)
            near = get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise UserError(f"network_args: unknown {word!r}{hint} There are {', '.join(known)}")
        else:
            options[NETWORK_ARGS[key]] = ALGOS.get(value, value) if key == "algo" else value
    for field in ("structure", "widths"):
        if isinstance(options.get(field), str):
            options[field] = tuple(number.strip() for number in options[field].split(","))


def stopping(words: Given, parts: dict[str, Given]) -> None:
    """What learns no longer than to some step; LoRAs that are merged before; who is told."""
    run, loop, options = parts["run"], parts["loop"], parts["options"]
    if "base_weights" in run:
        run["base_weights"] = tuple(Path(path) for path in run["base_weights"])
    if "base_weights_multiplier" in run:
        run["base_weights_multiplier"] = tuple(number(one) for one in run["base_weights_multiplier"])
    if loop.get("stop_text") is not None and loop["stop_text"] <= 0:
        del loop["stop_text"]
        options["text"] = False
    if loop.get("stop_text") and options.get("unet") is False:
        raise UserError("stop_text_encoder_training: the text encoders alone learn; leave it or --no-unet out")
    teller = words.get("log_with")
    if teller not in (None, "", "tensorboard", "all"):
        raise UserError(f"log_with {teller!r}: {REFUSED['wandb_run_name']}")
    if teller:
        loop["board"] = True


def number(text: str, name: str = "base_weights_multiplier") -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{name}: {text!r} is not a number") from None


def share(value: float, steps: int) -> int:
    """Steps: of a number below 1 so much of all."""
    return round(value * steps) if 0 < value < 1 else int(value)


def precision(words: Mapping[str, Any]) -> bool | None:
    wanted = words.get("mixed_precision")
    if wanted not in (None, "no", "bf16", "fp16"):
        raise UserError(f"mixed_precision {wanted!r}: choose bf16, fp16 or no")
    if wanted == "fp16":
        note(say("mixed_precision fp16: bf16 is taken where it is fast, else float32; fp16's gradients can vanish"))
    return None if wanted in (None, "fp16") else wanted == "bf16"


def prompts(words: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of samples: typed, and the lines of a file."""
    lines = list(words.get("sample", []))
    path = words.get("sample_prompts")
    if path is not None:
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(f"{path}: not a text that can be read ({error})") from error
        lines += [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return tuple(lines)


def place_of(method: Method, name: str, folder: Path | None) -> Path:
    if Path(name).name != name:
        raise UserError(f"--name {name!r} is a path; name the file with --out")
    home = folder or shelves.home(method.shelf, settings.read())
    return home / f"{name}{method.ending}"


def refuse_formats(given: Mapping[str, Any]) -> None:
    wanted = given.get("save_model_as", "safetensors")
    if wanted != "safetensors":
        raise UserError(f"save_model_as {wanted!r}: files are safetensors; fromnoise convert makes others of them")


def from_file(method: str, path: Path) -> Given:
    """What a TOML file says, by place; sections only order it. UserError names the nearest of an unknown name."""
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileError(f"{path}: not a TOML file that can be read ({error})") from error
    flat: Given = {}
    for key, value in content.items():
        flat |= value if isinstance(value, dict) else {key: value}
    known = by_name(method)
    found = {}
    for key, value in flat.items():
        if key.replace("-", "_") in ALWAYS:
            continue
        flag = known.get(key.replace("-", "_"))
        if flag is None and (reason := REFUSED.get(key.replace("-", "_"))):
            if not value:
                continue
            raise UserError(f"{path}: {key}: {reason}")
        if flag is None or flag.place == "config":
            near = get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"{path}: unknown key {key!r}{hint}")
        found[flag.place] = typed_value(path, key, value, flag.kind)
    return {place: value for place, value in found.items() if was_said(value)}


def typed_value(path: Path, key: str, value: Any, kind: Any) -> Any:
    """The value as the command line would have it. UserError where it can't be."""
    try:
        if kind is list:
            return [str(one) for one in value] if isinstance(value, list) else [str(value)]
        if kind is int and isinstance(value, str) and "," in value:  # kohya's "512,512"
            width, height = (int(side) for side in value.split(","))
            if width != height:
                raise UserError(f"{path}: {key} {value}: give the sides in a data-set file")
            return width
        if kind is bool and not isinstance(value, bool):
            raise ValueError
        if kind in (int, float) and isinstance(value, bool):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError):
        raise UserError(f"{path}: {key} should be {kind.__name__}, not {value!r}") from None
