"""fromnoise's side of each job."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from bench.contenders import Work
from bench.work import SIZES, Job, Size, randomise
from fromnoise import settings
from fromnoise.checkpoints.detect import ModelFacts
from fromnoise.checkpoints.load import Checkpoint, load_checkpoint
from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.engine import library
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import generate
from fromnoise.engine.kept import Kept
from fromnoise.engine.library import Model
from fromnoise.engine.memory import DTYPES, Placement, Plan, vae_dtype
from fromnoise.engine.recipe import BUILTIN, Recipe
from fromnoise.engine.residence import Residence
from fromnoise.nn import compiled, kernels, ops
from fromnoise.nn.clip import CLIPText
from fromnoise.nn.compiled import Compiled
from fromnoise.nn.fp8 import Fp8
from fromnoise.nn.int8 import Int8
from fromnoise.nn.unet import UNet
from fromnoise.nn.vae import AutoencoderKL
from fromnoise.sampling.guidance import Cond, NetworkCall, NetworkVariant
from fromnoise.sampling.parametrization import eps_scalings
from fromnoise.sampling.schedules import NoiseTable
from fromnoise.train.autoencoder import psnr


def prepare(
    job: Job, *, dtype: str | None = None, strips: bool = False, summed: bool = True, trials: bool = False,
    ready: bool = False, lossy: Mapping[str, object] | None = None,
) -> Work:  # fmt: skip
    """The job with networks in `dtype`, by default the job's; decoding in strips, or recipes with what `lossy` says.

    `trials`: on a GPU what `FROMNOISE_GPU_TRIALS` switches on. `ready`: all weights are brought into memory.
    """
    from bench.contenders import rewriting, switching

    job = replace(job, dtype=dtype or job.dtype)
    if not summed:  # in this process, which is the contender's own
        patch.object(ops, "is_summed", return_value=False).start()
    if job.task == "lora_switch":
        return switching.fromnoise(job)
    if job.task in ("merge", "convert", "prune"):
        return rewriting.fromnoise(job)
    if ready and job.task == "load":
        return load(job, ready=True)
    if strips and job.task == "decode":
        return decode(job, strips=True)
    folder = settings.read().kernels or Path(tempfile.gettempdir()) / "kernels"
    kernels.keep_in(folder)
    compiled.keep_in(folder)
    if trials and job.task not in ("step", "batch", "picture"):
        raise ValueError(f"{job.task} is not changed by graphs")
    if lossy is not None or trials:
        if job.task == "picture":
            return picture(job, lossy, trials=trials)
        lossy = lossy or {}
        changes: dict[str, NetworkVariant] = {"int8": Int8(), "fp8": Fp8(), "compile": Compiled()}
        if job.task not in ("step", "batch") or not lossy.keys() <= changes.keys():
            raise ValueError(f"{job.task} is not changed by {', '.join(lossy)}")
        return step(job, *(changes[name] for name in lossy), trials=trials)
    return {
        "step": step, "batch": step, "attention": attention, "decode": decode, "picture": picture, "text": text,
        "load": load, "memory": memory, "train": train,
    }[job.task](job)  # fmt: skip


def random_model(size: Size, placement: Placement, *, trials: bool = False) -> Model:
    """A model of the full size with random weights, made as a loaded one is; `trials` as `prepare` has them."""
    dtype = placement.dtype
    with torch.device("meta"):
        unet, vae = UNet(size.unet), AutoencoderKL(size.vae)
        encoders = tuple(CLIPText(config) for config in size.text)
    facts = ModelFacts(
        family="sdxl" if len(encoders) > 1 else "sd1", task="base", prediction="eps", prediction_from="caller",
        zero_snr=False, unet=size.unet, vae=size.vae, text=size.text,
    )  # fmt: skip
    randomise(unet, dtype, channels_last=True)
    randomise(vae, vae_dtype(dtype), channels_last=True)
    for encoder in encoders:
        randomise(encoder, dtype)
    for network in (unet, vae, *encoders):
        network.to(placement.device)
    told = settings.Settings(gpu_trials=trials)
    return Model(
        name=size.name, path=Path(size.name), sha256="0" * 64, facts=facts, unet=unet, vae=vae, text=encoders,
        table=NoiseTable.ldm(), scalings=eps_scalings, placement=placement, settings=told,
        kept=Kept(graphs=library.graphs_of(unet, placement, told)),
    )  # fmt: skip


def step(job: Job, *variants: NetworkVariant, trials: bool = False) -> Work:
    """What a sampler is sent back, as in the loop: on a GPU nobody waits for it."""
    size, bring = SIZES[job.size], job.placement.bring
    executor = Executor[int](random_model(size, job.placement, trials=trials), max_batch=2 * job.batch)
    x = bring(torch.randn(1, size.vae.latent_channels, size.latent, size.latent))
    y = None if size.unet.vector_dim is None else bring(torch.randn(1, size.unet.vector_dim))
    conds = [Cond(bring(torch.randn(1, 77, size.unet.context_dim)), y) for _ in range(2)]
    calls = [NetworkCall(x, torch.tensor(5.0), cond, variants) for _ in range(job.batch) for cond in conds]

    def work() -> None:
        executor.answered(calls)

    return work


def attention(job: Job) -> Work:
    """The largest self-attention of a guided step, from queries, keys and values to what they gather."""
    batch, tokens, heads, numbers = job.attention
    q, k, v = (job.placement.bring(torch.randn(batch, tokens, heads * numbers), DTYPES[job.dtype]) for _ in range(3))

    def work() -> None:
        with torch.inference_mode():
            ops.attention(q, k, v, heads)

    return work


def decode(job: Job, *, strips: bool = False) -> Work:
    """`strips`: computed strip by strip, whatever its size. Says what the picture sums up to."""
    size = SIZES[job.size]
    model = random_model(replace(size, unet=SIZES["tiny"].unet, text=SIZES["tiny"].text), job.placement)
    if strips:
        residence = Residence(model.unet, model.text, model.vae, model.placement, Plan(strips=True))
        model = replace(model, residence=residence)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(job.batch, size.vae.latent_channels, size.latent, size.latent, generator=generator)

    def work() -> Mapping[str, float]:
        with torch.inference_mode():
            return {"mean size of pixels": float(model.decode(latents).abs().mean())}

    return work


def text(job: Job) -> Work:
    size = SIZES[job.size]
    with torch.device("meta"):
        encoders = [CLIPText(config) for config in size.text]
    for encoder in encoders:
        randomise(encoder, DTYPES[job.dtype]).to(job.device)
    tokens = torch.randint(0, 49_000, (2, 77)).to(job.device)

    def work() -> None:
        with torch.inference_mode():
            for encoder in encoders:
                encoder(tokens)

    return work


def picture(job: Job, lossy: Mapping[str, object] | None = None, *, trials: bool = False) -> Work:
    """With `lossy` changes of the recipe each also tells how near it is to the one without, in decibels."""
    size = SIZES[job.size]
    real = job.size == BUILTIN
    model = library.load(BUILTIN, job.placement) if real else random_model(size, job.placement, trials=trials)
    recipe = Recipe.make(
        prompt="a red apple on a table", negative="blurry", width=size.side, height=size.side, steps=job.steps,
        sampler="euler",
    )  # fmt: skip
    recipe = recipe.but(guidance_scale=model.defaults.guidance_scale) if real else recipe
    recipes = [recipe.but(seed=seed) for seed in range(job.batch)]
    exact = None if lossy is None else pixels(model, recipes)
    asked = recipes if lossy is None else [one.but(**lossy) for one in recipes]

    def work() -> Mapping[str, float]:
        made = pixels(model, asked)
        return {} if exact is None else {"PSNR in dB": psnr(made, exact)}

    return work


def pixels(model: Model, recipes: Sequence[Recipe]) -> Tensor:
    """The pictures of recipes (b h w 3) in [-1, 1]."""
    made = {one.index: np.array(one.image) for one in generate(model, recipes)}
    return torch.from_numpy(np.stack([made[index] for index in range(len(recipes))])).float() / 127.5 - 1


def memory(job: Job) -> Work:
    """A picture from a float16 file, with no more memory than the job allows."""
    size = SIZES[job.size]
    path, placement = random_file(size), job.placement
    recipe = Recipe.make(prompt="a red apple", width=size.side, height=size.side, steps=job.steps, sampler="euler")

    def work() -> Mapping[str, float]:
        model = library.load(str(path), placement, budget=round(job.memory) or None)
        began = time.perf_counter()
        (made,) = generate(model, [recipe])
        seconds = time.perf_counter() - began
        return {"seconds of the picture": seconds, "sum of pixels": float(np.asarray(made.image).sum())}

    return work


def train(job: Job) -> Work:
    from bench.contenders.training import ours

    return ours(job)


def load(job: Job, *, ready: bool = False) -> Work:
    """From a float16 file in the page cache to networks whose weights can be used.

    On a processor they are used out of the memory map, unless they shall be `ready`; on a GPU they have to be there.
    """
    path = random_file(SIZES[job.size])

    def work() -> None:
        checkpoint = load_checkpoint(path)
        if ready or job.device != "cpu":
            assert checkpoint.vae is not None
            Residence(checkpoint.unet, checkpoint.text, checkpoint.vae, job.placement).settle(Plan())

    return work


def random_file(size: Size) -> Path:
    """A checkpoint of random float16 weights in the original layout, made once, by a process of its own."""
    path = Path(tempfile.gettempdir()) / f"fromnoise-bench-{size.name}.safetensors"
    if not path.exists():
        subprocess.run([sys.executable, "-m", __name__, size.name, str(path)], check=True)
    return path


def write_random(size: Size, path: Path) -> None:
    model = random_model(size, Placement(torch.device("cpu"), torch.float16))
    save_checkpoint(path, Checkpoint(path, model.facts, model.unet, model.vae, model.text, {}))


if __name__ == "__main__":
    write_random(SIZES[sys.argv[1]], Path(sys.argv[2]))
