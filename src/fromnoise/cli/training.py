"""`fromnoise train lora`: what can be typed for it."""

from pathlib import Path
from typing import Annotated

import typer

from fromnoise.cli.messages import say


def add_to(training: typer.Typer) -> None:
    """Register the command among those of `train`."""
    training.command(help=say("Teach a model something from a folder of pictures; a LoRA of any kind comes out."))(lora)


def lora(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help=say("A folder of pictures, or a data-set file; docs/datasets.md."))
    ],
    name: Annotated[str, typer.Option(help=say("What it is called."))],
    model: Annotated[str, typer.Option(help=say("The model that learns."))] = "builtin",
    kind: Annotated[str, typer.Option(help=say("lora, loha, lokr, ia3, glora, full, oft or boft."))] = "lora",
    rank: Annotated[int, typer.Option(metavar="N", min=1, max=1024, help=say("Inner size."))] = 16,
    alpha: Annotated[float, typer.Option(metavar="N", help=say("Strength times the rank."))] = 16.0,
    conv_rank: Annotated[int, typer.Option(metavar="N", min=0, help=say("Inner size in convolutions; 0: none."))] = 0,
    steps: Annotated[int, typer.Option(metavar="N", min=1, help=say("How long to train."))] = 1000,
    learning_rate: Annotated[float, typer.Option(metavar="X", help=say("How fast to train."))] = 1e-4,
    batch: Annotated[int, typer.Option(metavar="N", min=1, max=1024, help=say("Pictures in a step."))] = 1,
    resolution: Annotated[
        int | None, typer.Option(metavar="PIXELS", min=64, max=4096, help=say("Side; by default the model's own."))
    ] = None,
    regular: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help=say("Pictures of the class in general, to keep them."))
    ] = None,
    text: Annotated[bool, typer.Option("--text/--no-text", help=say("Whether the text encoders learn, too."))] = True,
    min_snr_gamma: Annotated[
        float | None, typer.Option(metavar="N", help=say("Weigh noise levels by their SNR, up to it; 5 is usual."))
    ] = None,
    noise_offset: Annotated[
        float, typer.Option(metavar="X", min=0, help=say("For very dark or bright pictures."))
    ] = 0.0,
    sample: Annotated[
        list[str] | None, typer.Option(metavar="PROMPT", help=say("A picture to draw on the way; may be given often."))
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help=say("Decides all that is random."))] = 0,
    strict: Annotated[bool, typer.Option("--strict", help=say("A picture that can't be read is an error."))] = False,
    folder: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help=say("For what a stopped run goes on from; runs/NAME."))
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help=say("The file; models/loras/NAME.safetensors."))
    ] = None,
) -> None:
    from fromnoise import settings
    from fromnoise.cli.progress import note
    from fromnoise.engine.memory import best_device
    from fromnoise.engine.recipe import checked
    from fromnoise.train.loop import LoopConfig
    from fromnoise.train.lora import LoRAOptions
    from fromnoise.train.noising import Noising
    from fromnoise.train.objective import Objective
    from fromnoise.train.run import LoRARun, train_lora

    run = LoRARun(
        data=data, name=name, model=model, output=out or Path("models/loras") / f"{name}.safetensors",
        folder=folder or Path("runs") / name,
        loop=LoopConfig(steps, learning_rate=learning_rate, warmup=min(50, steps // 10), decay=steps // 4, average=0,
                        log_every=max(1, min(20, steps // 10)), save_every=max(1, steps // 10),
                        report_every=max(1, steps // 5)),
        options=checked(LoRAOptions, kind=kind, rank=rank, alpha=alpha, conv_rank=conv_rank, text=text),
        objective=checked(Objective, min_snr_gamma=min_snr_gamma), noising=checked(Noising, noise_offset=noise_offset),
        regular=regular, batch=batch, resolution=resolution, seed=seed, samples=tuple(sample or ()), strict=strict,
    )  # fmt: skip
    run.output.parent.mkdir(parents=True, exist_ok=True)
    print(train_lora(run, best_device(), settings.read(), note))
