"""Write the tables of options in docs/training.md and docs/training.zh-CN.md anew: `python tools/training_table.py`."""

import sys
from pathlib import Path

from fromnoise.cli.chinese import OURS
from fromnoise.cli.training import HELP
from fromnoise.cli.training_table import ALWAYS, FLAGS, Flag

DOCS = {"en": Path("docs/training.md"), "zh": Path("docs/training.zh-CN.md")}
BEGIN, END = "<!-- options -->", "<!-- end of options -->"
HEADS = {"en": "| option | meaning | methods |", "zh": "| 选项 | 含义 | 方法 |"}
ALL = {"en": "all", "zh": "全部"}
ACCEPTED = {"en": "Accepted from kohya's scripts, and so in any case", "zh": "为兼容 kohya 脚本而接受（本来就是这样）"}


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


def main() -> int:
    for language, path in DOCS.items():
        path.write_text(renewed(path.read_text(encoding="utf-8"), language), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
