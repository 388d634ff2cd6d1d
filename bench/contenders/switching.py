"""From a LoRA to another one: on U-Net and text encoders, from a file that was not read before.

Told besides: going back to one that was used, and what a guided step takes with the LoRA and without.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from typing import Any

import torch
from torch import Tensor

from bench.contenders import Work, ours, peer_diffusers
from bench.devices import Device
from bench.loras import lora_file
from bench.turns import timed
from bench.work import SIZES, Job, Size
from fromnoise.engine import library
from fromnoise.engine.executor import Executor
from fromnoise.engine.memory import DTYPES
from fromnoise.engine.networks import encoding, unet_stages
from fromnoise.engine.profiles import PROFILES
from fromnoise.engine.recipe_networks import NetworkUse
from fromnoise.sampling.guidance import Cond, NetworkCall, NetworkVariant

SEEDS = (1, 2)


def elapsed(device: Device, work: Callable[[], object]) -> float:
    def once() -> None:
        work()

    return timed(once, device, 1)[0]


def fromnoise(job: Job) -> Work:
    """Weights are computed anew, in the order of the file: steps take no longer."""
    size = SIZES[job.size]
    model = library.load(str(ours.random_file(size)), job.placement)
    uses = cycle([NetworkUse(name=str(lora_file(size, seed))) for seed in SEEDS])
    executor = Executor[int](model, max_batch=2)
    x, conds = torch.randn(1, size.vae.latent_channels, size.latent, size.latent), conditions(size)
    seconds = partial(elapsed, Device(job.device))

    def put_on(use: NetworkUse) -> tuple[NetworkVariant, ...]:
        with torch.inference_mode(), ExitStack() as stack:
            for index in range(len(model.text)):
                stack.enter_context(encoding(model, [use], index))
            ((_, variants),) = unet_stages(model, PROFILES["native"], [use], 1)
            for variant in variants:
                stack.enter_context(variant.applied(model.unet))
        return variants

    def switch(use: NetworkUse) -> None:
        model.kept.files.made.clear()  # as if it had never been used
        model.kept.copies.kept.clear()
        put_on(use)

    def step(variants: tuple[NetworkVariant, ...]) -> None:
        executor.answer([NetworkCall(x, torch.tensor(5.0), cond, variants) for cond in conds])

    def work() -> Mapping[str, float]:
        use = next(uses)
        busy = time.process_time()
        switched = seconds(lambda: switch(use))
        busy = time.process_time() - busy
        variants = put_on(use)
        return {
            "seconds": switched, "seconds of processors": busy,
            "back to one that was used": seconds(lambda: put_on(use)),
            "step": seconds(lambda: step(variants)), "step without": seconds(lambda: step(())),
        }  # fmt: skip

    return work


def conditions(size: Size) -> list[Cond]:
    y: Tensor | None = None if size.unet.vector_dim is None else torch.randn(1, size.unet.vector_dim)
    return [Cond(torch.randn(1, 77, size.unet.context_dim), y) for _ in range(2)]


def diffusers(job: Job, channels_last: bool, compiled: bool | str) -> Work:
    """`load_lora_weights` and `set_adapters`: factors that act at each step."""
    size, dtype, seconds = SIZES[job.size], DTYPES[job.dtype], partial(elapsed, Device(job.device))
    unet = peer_diffusers.random_unet(size, dtype, channels_last, compiled).to(job.device)
    encoder = peer_diffusers.random_text(size.text[0], dtype).to(job.device)
    pipeline: Any = peer_diffusers.of("StableDiffusionPipeline")(
        None, encoder, None, unet, None, None, None, requires_safety_checker=False
    )
    files = cycle([(f"lora{seed}", str(lora_file(size, seed))) for seed in SEEDS])
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x = torch.randn(2, 4, size.latent, size.latent).to(job.device, dtype, memory_format=layout)
    context = torch.randn(2, 77, size.unet.context_dim).to(job.device, dtype)

    def switch(name: str, path: str) -> None:
        pipeline.unload_lora_weights()
        pipeline.load_lora_weights(path, adapter_name=name)
        pipeline.set_adapters([name], [1.0])

    @torch.inference_mode()
    def step() -> None:
        unet(x, 500, context)

    def work() -> Mapping[str, float]:
        name, path = next(files)
        busy = time.process_time()
        switched = seconds(lambda: switch(name, path))
        busy = time.process_time() - busy
        again, stepped = seconds(lambda: pipeline.set_adapters([name], [0.9])), seconds(step)
        pipeline.disable_lora()
        return {
            "seconds": switched, "seconds of processors": busy, "back to one that was used": again,
            "step": stepped, "step without": seconds(step),
        }  # fmt: skip

    return work
