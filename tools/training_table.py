"""Write what is made of the options of `fromnoise train` anew: `python tools/training_table.py`.

The tables in docs/training.md and docs/training.zh-CN.md, and src/fromnoise/assets/training.json for forms.
"""

import json
import sys
from pathlib import Path
from typing import Any

from fromnoise.cli.chinese import OURS
from fromnoise.cli.chinese_settings import TITLES
from fromnoise.cli.training import HELP
from fromnoise.cli.training_table import ALWAYS, FLAGS, Flag

DOCS = {"en": Path("docs/training.md"), "zh": Path("docs/training.zh-CN.md")}
BEGIN, END = "<!-- options -->", "<!-- end of options -->"
HEADS = {"en": "| option | meaning | methods |", "zh": "| 选项 | 含义 | 方法 |"}
ALL = {"en": "all", "zh": "全部"}
ACCEPTED = {"en": "Accepted from kohya's scripts, and so in any case", "zh": "为兼容 kohya 脚本而接受（本来就是这样）"}

SCHEMA = Path("src/fromnoise/assets/training.json")
NOT_OFFERED = {  # to clients of a server: what names places of its machine, and what an order says elsewhere
    "data", "dataset_config", "out", "output_dir", "folder", "config", "sample_prompts", "name", "model", "loop.board",
    "rules.metadata_file", "output_config", "log_config", "log_with", "run.only_look", "run.resume", "run.vae",
    "run.base_weights", "run.base_weights_multiplier", "compile", "run.backend", "loop.scheduler", "scheduler_args",
    "loop.board_folder", "log_prefix", "metadata_thumbnail",
}  # fmt: skip
KINDS = {"int": "whole", "float": "number", "bool": "switch", "str": "text", "list": "list"}
CHOICES = {
    "options.kind": ("lora", "loha", "lokr", "ia3", "glora", "full", "oft", "boft", "dylora", "tlora"),
    "options.layers": ("attention", "transformer", "all", "cross", "keys_values", "ia3", "convolutions"),
    "options.weight_init": ("Normal", "XavierNormal", "XavierUniform", "KaimingNormal", "KaimingUniform"),
    "options.template": ("auto", "object", "style", "captions"),
    "options.precision": ("float", "fp16", "bf16"),
    "objective.loss_type": ("l2", "l1", "huber", "smooth_l1"),
    "objective.huber_schedule": ("constant", "exponential", "snr"),
    "run.prediction": ("eps", "v"),
    "run.base": ("float32", "bfloat16", "fp8"),
    "mixed_precision": ("bf16", "no"),
}


def row(flag: Flag, language: str) -> str:
    names = ", ".join(f"`--{name}`" for name in flag.names)
    text = OURS[flag.text] if language == "zh" else flag.text
    return f"| {names} | {text.replace('|', chr(92) + '|')} | {', '.join(flag.methods) or ALL[language]} |"


def table(language: str) -> str:
    """Methods, then options by panel, as Markdown."""
    lines = [
        f"* `fromnoise train {method}`: {OURS[text] if language == 'zh' else text}" for method, text in HELP.items()
    ]
    for panel in dict.fromkeys(flag.panel for flag in FLAGS):
        lines += ["", f"### {OURS[panel] if language == 'zh' else panel}", "", HEADS[language], "|---|---|---|"]
        lines += [row(flag, language) for flag in FLAGS if flag.panel == panel]
    names = ", ".join(f"`--{name}`" for name in ALWAYS)
    return "\n".join([*lines, "", f"{ACCEPTED[language]}: {names}."])


def renewed(text: str, language: str) -> str:
    """The document with its tables anew."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table(language)}\n\n{END}{rest.partition(END)[2]}"


def schema() -> dict[str, Any]:
    """Methods and settings as data."""
    from fromnoise.train.methods import METHODS
    from fromnoise.train.optimizers import OPTIMIZERS, RATE_SCHEDULES

    choices = {
        **CHOICES,
        "loop.optimizer": tuple(dict.fromkeys(OPTIMIZERS)),
        "loop.schedule": tuple(dict.fromkeys(RATE_SCHEDULES)),
    }
    methods = [
        {"name": name, "text": text, "text_zh": OURS[text], "shelf": METHODS[name].shelf,
         "ending": METHODS[name].ending, "steps": METHODS[name].steps, "rate": METHODS[name].rate}
        for name, text in HELP.items()
    ]  # fmt: skip
    settings = [
        {"name": flag.names[0], "names": flag.names, "title_zh": TITLES[flag.names[0]], "text": flag.text,
         "text_zh": OURS[flag.text], "panel": flag.panel, "panel_zh": OURS[flag.panel], "kind": kind_of(flag),
         "least": flag.least, "most": flag.most, "methods": flag.methods, "choices": choices.get(flag.place, ())}
        for flag in FLAGS
        if flag.place not in NOT_OFFERED
    ]  # fmt: skip
    return {"methods": methods, "settings": settings}


def kind_of(flag: Flag) -> str:
    if flag.kind is Path:
        return "model" if flag.place == "options.start" else "dataset"
    return KINDS[flag.kind.__name__]


def written() -> str:
    return json.dumps(schema(), ensure_ascii=False, indent=1) + "\n"


def main() -> int:
    SCHEMA.write_text(written(), encoding="utf-8")
    for language, path in DOCS.items():
        path.write_text(renewed(path.read_text(encoding="utf-8"), language), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
