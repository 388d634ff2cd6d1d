"""Commands on model files: what can be typed for them."""

from pathlib import Path
from typing import Annotated

import typer

from fromnoise.cli.messages import say
from fromnoise.cli.through import through


def add_to(app: typer.Typer) -> None:
    """Register the commands of this file."""
    panel = say("Commands")
    app.command("hash", rich_help_panel=panel, help=say("Print the hashes of files, as every tool computes them."))(
        print_hashes
    )
    app.command("convert", rich_help_panel=panel, help=say("Write a model in another layout or dtype."))(
        through(convert)
    )
    app.command("merge", rich_help_panel=panel, help=say("Mix models, and put LoRAs or a VAE into one."))(
        through(merge)
    )
    app.command("prune", rich_help_panel=panel, help=say("Write a checkpoint without what no picture needs."))(
        through(prune)
    )


Model = Annotated[str, typer.Argument(metavar="MODEL", help=say("A model: a file, a folder, or its name."))]
Out = Annotated[Path, typer.Argument(metavar="OUT", help=say("The file or folder to write."))]
Stored = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        metavar="NAME",
        help=say("As what weights are stored: fp32, fp16, bf16, fp8; GGUF: f16, q8_0, q4_0, ..."),
    ),
]
Averages = Annotated[bool, typer.Option("--ema/--no-ema", help=say("Take the averages (EMA) of the U-Net's weights."))]
Unmatched = Annotated[
    bool, typer.Option("--allow-unmatched", help=say("Leave out weights that match nothing, instead of stopping."))
]
Nan = Annotated[bool, typer.Option("--allow-nan", help=say("Write weights that are no numbers, too."))]
Force = Annotated[bool, typer.Option("--force", help=say("Replace what is there."))]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help=say("Print the path and nothing else."))]


def convert(
    model: Model,
    out: Out,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="LAYOUT",
            help=say("original, diffusers, gguf, unet, vae, clip, clip_l or clip_g; by default what OUT is called."),
        ),
    ] = None,
    dtype: Stored = None,
    unet: Annotated[str | None, typer.Option(metavar="NAME", help=say("The U-Net of another file."))] = None,
    text_encoder: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=say("Text encoders of other files."))
    ] = None,
    vae: Annotated[str | None, typer.Option(metavar="NAME", help=say("The autoencoder of another file."))] = None,
    variant: Annotated[
        str | None, typer.Option(metavar="NAME", help=say("Which of a folder's sets of weights: fp16, ..."))
    ] = None,
    ema: Averages = False,
    allow_unmatched: Unmatched = False,
    allow_nan: Nan = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    from fromnoise.cli import converting

    converting.convert(
        model, out, to=to, dtype=dtype, unet=unet, text_encoders=text_encoder or [], vae=vae, variant=variant, ema=ema,
        allow_unmatched=allow_unmatched, allow_nan=allow_nan, force=force, quiet=quiet,
    )  # fmt: skip


def merge(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help=say("Models of one family; the first is the base."))
    ],
    out: Annotated[Path, typer.Option(metavar="OUT", help=say("The file or folder to write."))],
    method: Annotated[
        str,
        typer.Option(metavar="NAME", help=say("sum, difference, sigmoid, inverse-sigmoid or slerp.")),
    ] = "sum",
    weight: Annotated[
        list[float] | None,
        typer.Option(metavar="W", help=say("How much of the second model; of more models one each. By default 0.5.")),
    ] = None,
    blocks: Annotated[
        str | None,
        typer.Option(metavar="NUMBERS", help=say("A weight for each block of the U-Net: 25 numbers, or 19 for SDXL.")),
    ] = None,
    lora: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[:W[:W]]", help=say("A LoRA that is put in, with its strengths; can be repeated.")),
    ] = None,
    vae: Annotated[str | None, typer.Option(metavar="NAME", help=say("The autoencoder of another file."))] = None,
    to: Annotated[
        str | None, typer.Option(metavar="LAYOUT", help=say("original or diffusers; by default what OUT is called."))
    ] = None,
    dtype: Stored = None,
    ema: Averages = False,
    allow_unmatched: Unmatched = False,
    allow_nan: Nan = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    from fromnoise.cli import merging

    merging.merge(
        models, out, method=method, weights=weight or [], blocks=blocks, loras=lora or [], vae=vae, to=to, dtype=dtype,
        ema=ema, allow_unmatched=allow_unmatched, allow_nan=allow_nan, force=force, quiet=quiet,
    )  # fmt: skip


def prune(
    model: Model,
    out: Out,
    ema: Averages = False,
    dtype: Stored = None,
    allow_unmatched: Unmatched = False,
    allow_nan: Nan = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    from fromnoise.cli import converting

    converting.prune(
        model, out, ema=ema, dtype=dtype, allow_unmatched=allow_unmatched, allow_nan=allow_nan, force=force, quiet=quiet
    )


def print_hashes(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=say("Model files."))],
) -> None:
    from fromnoise.cli.hashing import report

    print(report(files))
