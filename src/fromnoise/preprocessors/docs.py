"""Writes docs/preprocessors.md from the registry: `python -m fromnoise.preprocessors.docs > docs/preprocessors.md`."""

from collections.abc import Iterator, Sequence

from fromnoise.preprocessors import PREPROCESSORS
from fromnoise.preprocessors.registry import HOME, Preprocessor

_HEAD = f"""# Preprocessors · 预处理器

<!-- Written by `python -m fromnoise.preprocessors.docs`; change the code, not this page. -->

A preprocessor makes a hint of a picture for a control network: [control.md](control.md). Names are those of
AUTOMATIC1111's ControlNet extension; its "Threshold A" and "Threshold B" are the first and the second parameter.
预处理器把图片变成控制网络的控制图。名字与 AUTOMATIC1111 的 ControlNet 扩展一致，“阈值 A/B” 即第一、第二个参数。

    fromnoise preprocess photo.png --with canny --parameters "low=80 high=160"
    fromnoise "a castle" --model NAME --control "canny:photo.png, model=NAME"
    fromnoise preprocessors

*Resolution*: of the picture's shorter side while it works; where there is none the picture is taken as it is. *Type*:
what a union ControlNet is told. Weights belong in `{HOME}`, or in any folder of that shelf: [library.md](library.md).
分辨率：处理时图片短边的像素数，空白表示按原图。类型：告诉 union ControlNet 的类型。权重放在 `{HOME}`。
"""
_GROUPS: Sequence[tuple[str, str]] = (
    ("", "## With OpenCV alone · 只需 OpenCV"),
    ("controlnet-aux", "## With controlnet-aux · 需要 controlnet-aux\n\n`pip install controlnet-aux`"),
    ("transformers", "## With transformers · 需要 transformers\n\n`pip install transformers`"),
    ("onnxruntime", "## With onnxruntime · 需要 onnxruntime\n\n`pip install onnxruntime`"),
)


def page() -> str:
    """The whole page as Markdown."""
    return _HEAD + "".join(f"\n{title}\n{_table(needs)}" for needs, title in _GROUPS)


def _table(needs: str) -> str:
    with_weights = bool(needs)
    heads = [
        "Name",
        *(["Weights · 权重"] if with_weights else []),
        "Type",
        "Resolution",
        "Parameters",
        "Good for · 适合",
    ]
    lines = [heads, ["---"] * len(heads), *_rows(needs, with_weights)]
    return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _rows(needs: str, with_weights: bool) -> Iterator[list[str]]:
    for spec in PREPROCESSORS.values():
        if spec.needs == needs:
            weights = ["<br>".join(f"`{name}`" for name in spec.weights)] if with_weights else []
            yield [_names(spec), *weights, spec.control_type or "", str(spec.resolution or ""), _parameters(spec),
                   f"{spec.good_for}<br>{spec.good_for_zh}"]  # fmt: skip


def _names(spec: Preprocessor) -> str:
    return "<br>".join((f"**{spec.name}**", *(f"`{alias}`" for alias in spec.aliases)))


def _parameters(spec: Preprocessor) -> str:
    return "<br>".join(
        f"`{one.name}={one.default:g}`, {one.limits.low:g} to {one.limits.high:g}" for one in spec.parameters
    )


if __name__ == "__main__":
    print(page(), end="")
