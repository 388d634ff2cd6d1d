"""From every layout of a model to every other, tensor by tensor, so that models larger than the memory can be written.

convert("model.safetensors", "model", to="diffusers", dtype="fp16")
prune("full.ckpt", "pruned.safetensors", ema=True)
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

import torch
from torch import Tensor

from fromnoise.checkpoints.detect import VAE_SCALES, NotDetected, Prediction, clip_config, detect, differences
from fromnoise.checkpoints.detect import vae_config as detected_vae
from fromnoise.checkpoints.files import check_sums
from fromnoise.checkpoints.folder_writing import (
    Storing,
    text_component,
    unet_component,
    vae_component,
    write_network,
    write_pipeline,
)
from fromnoise.checkpoints.gguf_writing import checked_kind, write_gguf
from fromnoise.checkpoints.layouts import TEXT, lone_unet, original, telling
from fromnoise.checkpoints.opening import WRITTEN, Opened, check_place, open_model
from fromnoise.checkpoints.parts import MARKERS, UNET, VAE, Parts, TextPart, kind_of_clip, take_apart
from fromnoise.checkpoints.save import Report, silent, write
from fromnoise.errors import FileError, UnknownName

T = TypeVar("T")
Layout = Literal["original", "diffusers", "gguf", "unet", "vae", "clip", "clip_l", "clip_g"]

DTYPES = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp8": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
}
ALIASES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "float8_e4m3fn": "fp8", "float8_e5m2": "fp8_e5m2"}
PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
SENSITIVE = re.compile(r".*embedding|input_blocks\.0\.|conv_in\.|out\.2\.|conv_out\.|text_projection")  # to eight bits
FORMAT = {"format": "pt"}  # metadata that some readers insist on


@dataclass(frozen=True)
class Written:
    """What was written, and what of the source was not."""

    path: Path
    source: Opened
    left_out: tuple[str, ...]  # names in the source, such as averages and what no network takes


def convert(
    path: Path | str,
    out: Path | str,
    *,
    to: Layout | None = None,
    dtype: str | None = None,
    unet: Path | str | None = None,
    text_encoders: Sequence[Path | str] = (),
    vae: Path | str | None = None,
    variant: str | None = None,
    prediction: Prediction | None = None,
    ema: bool = False,
    allow_unmatched: bool = False,
    allow_non_finite: bool = False,
    force: bool = False,
    report: Report = silent,
) -> Written:
    """Write a model in another layout.

    `to` is told by the name `out` where it is not given: `.gguf` is GGUF, `.safetensors` original, else a folder of
    diffusers. `dtype` is one of DTYPES, or of `gguf_writing.KINDS`; without it weights stay what they are (GGUF:
    f16). `report` is told bytes written and bytes in all. The other arguments are those of `open_model`.

    Raises FileError and UserError, before anything is written where that can be known; NonFinite for NaN.
    """
    path, out = Path(path), Path(out)
    layout = to or layout_of(out)
    if layout not in get_args(Layout):
        raise UnknownName("layout", layout, get_args(Layout))
    kind = checked_kind(dtype or "f16") if layout == "gguf" else ""
    storing = stored_as(None if layout == "gguf" else dtype)
    extra = [Path(file) for file in (unet, vae, *text_encoders) if file is not None]
    folder, suffixes = layout == "diffusers", (".gguf",) if layout == "gguf" else WRITTEN
    check_place(out, [path, *extra], folder=folder, force=force, suffixes=suffixes)
    opened = open_model(
        path,
        unet=unet,
        text_encoders=text_encoders,
        vae=vae,
        variant=variant,
        prediction=prediction,
        ema=ema,
        allow_unmatched=allow_unmatched,
    )
    check_place(out, opened.source.files, folder=folder, force=force, suffixes=suffixes)
    write_model(out, opened, layout, storing, kind, report, allow_non_finite)
    return Written(out, opened, left_out(opened, layout))


def prune(
    path: Path | str,
    out: Path | str,
    *,
    ema: bool = False,
    dtype: str | None = None,
    allow_unmatched: bool = False,
    allow_non_finite: bool = False,
    force: bool = False,
    report: Report = silent,
) -> Written:
    """A checkpoint with nothing in it but what pictures are made with: its networks, once.

    Averages (EMA) are left out, or with `ema` take the place of the U-Net's last weights; optimizer states and whatever
    else trainers leave behind are left out. Raises as `convert`.
    """
    return convert(
        path,
        out,
        to="original",
        dtype=dtype,
        ema=ema,
        allow_unmatched=allow_unmatched,
        allow_non_finite=allow_non_finite,
        force=force,
        report=report,
    )


def layout_of(out: Path) -> Layout:
    """The layout that a name asks for."""
    suffix = out.suffix.lower()
    return "gguf" if suffix == ".gguf" else "original" if suffix in WEIGHT_SUFFIXES else "diffusers"


WEIGHT_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")


def stored_as(dtype: str | None) -> Storing:
    """As what each tensor is stored. Only the large weights of U-Net and text encoders take eight bits. UnknownName."""
    if dtype is None:
        return lambda name, tensor, part: tensor.dtype
    known = ALIASES.get(dtype.lower(), dtype.lower())
    if known not in DTYPES:
        raise UnknownName("dtype", dtype, DTYPES)
    wanted = DTYPES[known]

    def storing(name: str, tensor: Tensor, part: str) -> torch.dtype:
        if not tensor.is_floating_point() or name in MARKERS:
            return tensor.dtype
        narrow = wanted.itemsize == 1
        if narrow and (tensor.ndim < 2 or part not in ("unet", "text_encoder", "text_encoder_2")):
            return torch.float16
        return torch.float16 if narrow and SENSITIVE.match(name) else wanted

    return storing


def write_model(
    out: Path,
    opened: Opened,
    layout: Layout,
    storing: Storing,
    kind: str,
    report: Report,
    allow_non_finite: bool,
) -> None:
    """Write what was opened. FileError where it lacks what the layout is for, or was changed in the meantime."""
    before = stamps(opened)
    for file in opened.source.files:
        check_sums(file)
    if layout == "diffusers":
        write_diffusers(out, opened, storing, report, allow_non_finite, lambda: check_stamps(opened, before))
    elif layout == "gguf":
        facts = needed(opened, opened.facts, "U-Net")
        state, lone = lone_unet(opened.parts, facts)
        told = telling(lone, detect(take_apart(without_markers(state))))
        state = {name.removeprefix(UNET): tensor for name, tensor in without_markers(state).items()}
        write_gguf(
            out, state, facts.family, kind, opened.metadata | told, report,
            allow_non_finite=allow_non_finite, before_it_counts=lambda: check_stamps(opened, before),
        )  # fmt: skip
    else:
        state, told = single_file(opened, layout)
        dtypes = {name: storing(plain_name(name), tensor, part_of(name, layout)) for name, tensor in state.items()}
        write(
            out, state, dtypes, FORMAT | opened.metadata | told,
            report=report, allow_non_finite=allow_non_finite, before_it_counts=lambda: check_stamps(opened, before),
            pickled=out.suffix.lower() == ".ckpt",
        )  # fmt: skip


def write_diffusers(
    out: Path,
    opened: Opened,
    storing: Storing,
    report: Report,
    allow_non_finite: bool,
    before_it_counts: Callable[[], None],
) -> None:
    """A pipeline, or the one network that there is."""
    parts, facts = opened.parts, opened.facts
    if facts is None:
        if opened.vae is not None:
            component = vae_component(parts.vae, opened.vae, "sdxl" if opened.vae.scale_factor < 0.15 else "sd1")
        else:
            component = text_component("text_encoder", parts.text[0].state, opened.text[0], None, storing)
    elif not parts.vae and not parts.text:
        component = unet_component(parts, facts)
    else:
        for what, held in (("autoencoder", parts.vae), ("text encoder", parts.text)):
            if not held:
                option = "--vae" if what == "autoencoder" else "--text-encoder"
                raise NotDetected(f"{opened.path} holds no {what}, which diffusers needs; give one with {option}")
        write_pipeline(
            out, parts, facts, storing, opened.metadata, report,
            allow_non_finite=allow_non_finite, before_it_counts=before_it_counts,
        )  # fmt: skip
        return
    write_network(
        out, component, storing, opened.metadata, report,
        allow_non_finite=allow_non_finite, before_it_counts=before_it_counts,
    )  # fmt: skip


def single_file(opened: Opened, layout: Layout) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file in the original layout or of one network, and what must be said of them."""
    parts, facts = opened.parts, opened.facts
    if layout == "original" and facts is None:
        layout = "vae" if parts.vae else "clip"
    if layout in ("original", "unet"):
        facts = needed(opened, facts, "U-Net")
        state = original(parts, facts)
        if layout == "unet":
            state, facts = lone_unet(parts, facts)
        return state, telling(facts, detect(take_apart(state)))
    if layout == "vae":
        config = needed(opened, opened.vae, "autoencoder")
        return dict(parts.vae), differences(config, detected_vae(parts.vae, VAE_SCALES["sd1"]), "vae")
    number = encoder_number(opened, layout)
    part, encoder = parts.text[number], opened.text[number]
    seen = clip_config(TextPart("", kind_of_clip(part.state), part.state))
    return dict(part.state), differences(encoder, seen, "text0")


def encoder_number(opened: Opened, layout: Layout) -> int:
    """Which of the text encoders a layout means."""
    text = opened.text
    if not text:
        raise NotDetected(f"{opened.path} holds no text encoder; give a file that has one")
    if layout == "clip" and len(text) > 1:
        raise FileError(f"{opened.path} holds two text encoders; say which: --to clip_l or --to clip_g")
    if layout == "clip_g" and (len(text) == 1 and text[0].projection_dim is None):
        raise NotDetected(f"{opened.path} holds no OpenCLIP text encoder; --to clip_l is the one it has")
    return len(text) - 1 if layout == "clip_g" else 0


def needed(opened: Opened, held: T | None, what: str) -> T:
    if held is None:
        raise NotDetected(f"{opened.path} holds no {what}; give a file that has one")
    return held


def without_markers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if name not in MARKERS}


def part_of(name: str, layout: Layout) -> str:
    """The network that a name of a single file belongs to."""
    if layout in ("unet", "vae"):
        return layout
    if layout.startswith("clip"):
        return "text_encoder"
    prefixes = tuple(prefix for each in TEXT.values() for prefix in each)
    if name.startswith(prefixes):
        return "text_encoder"
    return "unet" if name.startswith(UNET) else "vae" if name.startswith(VAE) else "other"


def plain_name(name: str) -> str:
    return name.removeprefix(UNET)


def left_out(opened: Opened, layout: Layout) -> tuple[str, ...]:
    """Names in the source of what is in no network and was not carried over."""
    carried = original(Parts(opened.parts.unet, {}, (), opened.parts.rest), opened.facts) if opened.facts else {}
    return tuple(name for name in opened.left_out if name not in carried or layout not in ("original", "diffusers"))


Stamps = dict[Path, tuple[int, int]]


def stamps(opened: Opened) -> Stamps:
    """Sizes and times of change of the files."""
    return {file: (file.stat().st_size, file.stat().st_mtime_ns) for file in opened.source.files}


def check_stamps(opened: Opened, before: Stamps) -> None:
    """FileError where a file was written to."""
    for file, stamp in stamps(opened).items():
        if before[file] != stamp:
            raise FileError(f"{file} changed while it was read; wait until it is complete")
