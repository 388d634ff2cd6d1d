"""From what was typed, and what a configuration file says, to a training."""

import json
import tomllib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from fromnoise import settings
from fromnoise.cli.leash import held
from fromnoise.cli.messages import say
from fromnoise.cli.progress import note
from fromnoise.cli.training import parameter_name, was_said
from fromnoise.cli.training_networks import network_words, number
from fromnoise.cli.training_rates import at_rest, factors, finding_its_rate, in_epochs, rate_of, savings_of, share
from fromnoise.cli.training_samples import prompts
from fromnoise.cli.training_table import ALWAYS, REFUSED, TOLD, Flag, by_name, flags
from fromnoise.engine import shelves
from fromnoise.engine.images import write_whole
from fromnoise.engine.memory import best_device
from fromnoise.engine.recipe import checked
from fromnoise.errors import FileError, UserError
from fromnoise.train.base import BASES
from fromnoise.train.data.source import Dataset, Subset
from fromnoise.train.full import DTYPES
from fromnoise.train.loop import LoopConfig
from fromnoise.train.methods import METHODS, Method
from fromnoise.train.noising import Noising
from fromnoise.train.objective import Objective
from fromnoise.train.optimizers import OPTIMIZERS, RATE_SCHEDULES, read_arguments, stretches
from fromnoise.train.rates import rates_of
from fromnoise.train.run import Run, epoch_length, teach
from fromnoise.train.schema import as_toml

Given = dict[str, Any]
SHORT: dict[str, tuple[str, Any]] = {  # words that set an option
    "no_text": ("text", False), "no_unet": ("unet", False), "object_template": ("template", "object"),
    "style_template": ("template", "style"),
}  # fmt: skip
EPOCHS = {"epochs": "steps", "sample_epochs": "report_every", "validate_epochs": "measure_every"}
OFF = (  # places where kohya's scripts take 0 for nothing at all
    "objective.min_snr_gamma", "objective.v_pred_like_loss", "loop.report_every", "sample_epochs", "loop.save_every",
    "save_epochs", "save_ratio", "last_epochs", "last_steps", "loop.measure_every", "validate_epochs",
    "run.most_held_out", "run.clip_skip", "run.max_tokens", "initial_epoch", "loop.cycles", "loop.timescale",
)  # fmt: skip
OPTIMIZER_WORDS = {"eight_bits": "AdamW8bit", "lion": "Lion"}


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
        notes={field: told_as(word, str(words[word])) for word, field in TOLD.items() if word in words},
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
    return {place: value for place, value in typed.items() if value != 0 or place not in OFF}


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
    by_epochs = {"save_epochs", "save_ratio"} & words.keys()
    length = epoch_length(run, settings.read()) if counted or by_epochs else 0
    epoch = partial(in_epochs, length, loop.get("accumulate", 1))
    in_steps = {field: epoch(words[word]) for word, field in counted.items()}
    steps = in_steps.pop("steps", steps)
    savings = savings_of(words, loop, epoch, steps)
    if savings:
        in_steps["save_every"] = savings[-1].every
    name = loop.get("optimizer", "AdamW")
    kind = OPTIMIZERS[name] if "." not in name else None
    own = (kind.learning_rate if kind and kind.name != "AdamW" else None) or method.rate
    rate = rate_of(loop, words, run.options, own)
    free = bool(kind and kind.schedule_free)
    arguments, more = (
        read_arguments([w for text in words.get(key, []) for w in text.split()])
        for key in ("optimizer_args", "scheduler_args")
    )
    schedule = loop.get("schedule") or ("constant" if free else "warmup_stable_decay")
    if schedule.lower() == "adafactor":
        schedule = loop["schedule"] = "constant"
        arguments = finding_its_rate(kind.name if kind else name, arguments)
    if RATE_SCHEDULES.canonical(schedule) == "piecewise_constant":
        stretches(str(more.get("step_rules", "")))
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
    return replace(run, savings=savings, loop=LoopConfig(**{**plain, **in_steps, **loop, "steps": steps}))


def shorthands(words: Given, parts: dict[str, Given], method: Method) -> None:
    """Words that stand for fields."""
    options = parts["options"]
    for word, (field, value) in SHORT.items():
        if words.get(word):
            options[field] = value
    if words.get("v"):
        parts["run"]["prediction"] = "v"
    if words.get("full_bf16"):
        parts["run"].setdefault("base", "bfloat16")
        words.setdefault("mixed_precision", "bf16")
        note(say("full_bf16: frozen weights are kept in bfloat16; what learns stays in float32"))
    if words.get("fp8_base"):
        parts["run"]["base"] = "fp8"
    if words.get("fused_groups"):
        parts["loop"]["fused_backward"] = True
    at_rest(words, parts, method)
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
    if words.keys() & {"network_module", "network_args"}:
        defaults = {name: field.default for name, field in method.options.model_fields.items()}
        parts["options"] = options = network_words(words, options, defaults)
    for field in ("structure", "widths", "dropouts"):
        if isinstance(options.get(field), str):
            options[field] = tuple(number.strip() for number in options[field].split(","))


def stopping(words: Given, parts: dict[str, Given]) -> None:
    """What learns no longer than to some step; LoRAs that are merged before; who is told."""
    run, loop, options = parts["run"], parts["loop"], parts["options"]
    if "base_weights" in run:
        run["base_weights"] = tuple(Path(path) for path in run["base_weights"])
    if "base_weights_multiplier" in run:
        run["base_weights_multiplier"] = tuple(
            number(one, "base_weights_multiplier") for one in run["base_weights_multiplier"]
        )
    if loop.get("stop_text") is not None and loop["stop_text"] <= 0:
        del loop["stop_text"]
        options["text"] = False
    if loop.get("stop_text") and options.get("unet") is False:
        raise UserError("stop_text_encoder_training: the text encoders alone learn; leave it or --no-unet out")
    if "board_folder" in loop:
        prefix = words.get("log_prefix", "")
        loop |= {"board": True, "board_folder": loop["board_folder"] / f"{prefix}{words.get('name', 'run')}"}
    teller = words.get("log_with")
    if teller not in (None, "", "tensorboard", "all"):
        raise UserError(f"log_with {teller!r}: {REFUSED['wandb_run_name']}")
    if teller:
        loop["board"] = True


def precision(words: Mapping[str, Any]) -> bool | None:
    wanted = words.get("mixed_precision")
    if wanted not in (None, "no", "bf16", "fp16"):
        raise UserError(f"mixed_precision {wanted!r}: choose bf16, fp16 or no")
    if wanted == "fp16":
        note(say("mixed_precision fp16: bf16 is taken where it is fast, else float32; fp16's gradients can vanish"))
    return None if wanted in (None, "fp16") else wanted == "bf16"


def told_as(word: str, text: str) -> str:
    """What a file tells of itself; of a picture's path the picture, as a data URL. FileError."""
    if word != "metadata_thumbnail" or text.startswith("data:"):
        return text
    path = Path(text)
    kind = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}.get(path.suffix.lower())
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: no picture that can be read ({error})") from error
    if kind is None:
        raise FileError(f"{path}: metadata_thumbnail takes PNG, JPEG and WebP")
    return f"data:image/{kind};base64,{b64encode(content).decode()}"


def place_of(method: Method, name: str, folder: Path | None) -> Path:
    if Path(name).name != name:
        raise UserError(f"--name {name!r} is a path; name the file with --out")
    home = folder or shelves.home(method.shelf, settings.read())
    return home / f"{name}{method.ending}"


def refuse_formats(given: Mapping[str, Any]) -> None:
    wanted = given.get("save_model_as") or "safetensors"
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
    if isinstance(flat.get("text_encoder_lr"), list):
        flat |= encoders_apart(path, flat.pop("text_encoder_lr"))
    known = by_name(method)
    found = {}
    for key, value in flat.items():
        if key.replace("-", "_") in ALWAYS:
            refuse_formats({key.replace("-", "_"): value})
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
        if value == "" or (value == 0 and flag.place in OFF):
            continue
        found[flag.place] = within(path, key, typed_value(path, key, value, flag.kind), flag)
    return {place: value for place, value in found.items() if was_said(value)}


def within(path: Path, key: str, value: Any, flag: Flag) -> Any:
    """The value. UserError where the command line would not take it."""
    low = flag.least is not None and value < flag.least
    if low or (flag.most is not None and value > flag.most):
        least, most = ("any" if bound is None else f"{bound:g}" for bound in (flag.least, flag.most))
        raise UserError(f"{path}: {key}: {value} lies outside of {least} to {most}")
    return value


def encoders_apart(path: Path, rates: Sequence[Any]) -> Given:
    """kohya's list of the text encoders' rates. UserError where it has none, or too many."""
    if not 1 <= len(rates) <= 2:
        raise UserError(f"{path}: text_encoder_lr should be one number or two, not {rates!r}")
    names = ("learning_rate_te1", "learning_rate_te2") if len(rates) == 2 else ("text_encoder_lr",)
    return dict(zip(names, rates, strict=True))


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
