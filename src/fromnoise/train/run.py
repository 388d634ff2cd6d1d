"""One command from a folder of pictures to a file: `fromnoise train lora data/mycat --name mycat`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from fromnoise.checkpoints.save import save_checkpoint
from fromnoise.engine import library
from fromnoise.engine.library import Model
from fromnoise.engine.memory import Placement
from fromnoise.engine.recipe import Recipe
from fromnoise.errors import FileError
from fromnoise.settings import Settings
from fromnoise.train.data.batches import Pool, Schedule, buckets, gathered
from fromnoise.train.data.source import Dataset, Subset, kohya_subsets, read_dataset_file
from fromnoise.train.finetune import FineTuneTask, Lesson
from fromnoise.train.loop import LoopConfig, train
from fromnoise.train.lora import LoRAOptions, LoRATraining
from fromnoise.train.noising import Noising
from fromnoise.train.objective import Objective

Say = Callable[[str], None]


@dataclass(frozen=True)
class LoRARun:
    """What a LoRA is trained from, and how."""

    data: Path  # a folder, or a data-set file
    name: str
    model: str
    output: Path
    folder: Path  # of the run: its state, log, samples
    loop: LoopConfig
    options: LoRAOptions = field(default_factory=LoRAOptions)
    objective: Objective = field(default_factory=Objective)
    noising: Noising = field(default_factory=Noising)
    regular: Path | None = None  # pictures of the class in general
    batch: int = 1
    resolution: int | None = None  # None: the model's own
    seed: int = 0
    samples: tuple[str, ...] = ()  # prompts drawn on the way
    strict: bool = False


def train_lora(run: LoRARun, device: torch.device, settings: Settings, say: Say) -> Path:
    """Train, or go on where a run stopped, and write the LoRA; its path. FileError."""
    if run.output.is_dir():
        raise FileError(f"{run.output} is a folder; name a file")
    model = frozen(library.load(run.model, Placement(device, torch.float32), settings=settings))
    pools = [gathered(dataset, strict=run.strict, seed=run.seed) for dataset in datasets(run, model)]
    for pool in pools:
        tell(pool, say)
    schedule = Schedule(tuple(pools), run.seed)
    side = model.defaults.size
    samples = tuple(
        Recipe.make(prompt=prompt, model=run.model, width=side, height=side, seed=run.seed, steps=20,
                    guidance_scale=model.defaults.guidance_scale)
        for prompt in run.samples
    )  # fmt: skip
    lesson = Lesson(schedule, run.loop.steps, run.objective, run.noising, run.seed, samples=samples)
    training = LoRATraining(model, run.options, run.seed)
    task = FineTuneTask(model, training, lesson, run.folder / "latents")
    began = time.time()
    train(task, run.loop, run.folder)
    metadata = {**training.metadata(), **told(run, model, pools, began)}
    return save_checkpoint(run.output, training.tensors(), metadata=metadata)


def frozen(model: Model) -> Model:
    """The model with no gradients of its own."""
    for network in (model.unet, model.vae, *model.text):
        network.requires_grad_(False)
    return model


def datasets(run: LoRARun, model: Model) -> Sequence[Dataset]:
    """The data sets of a run: those of a file, or one of the folders."""
    side = run.resolution or model.defaults.size
    smallest = min(256, side // 2 // 8 * 8)
    sizes = {"resolution": side, "batch_size": run.batch, "enable_bucket": True, "min_bucket_reso": max(64, smallest),
             "max_bucket_reso": max(2 * side, 128), "bucket_reso_steps": 64 if side >= 256 else 8}  # fmt: skip
    if run.data.suffix.lower() in (".toml", ".json"):
        return read_dataset_file(run.data, {"resolution": side, "batch_size": run.batch})
    subsets, _ = kohya_subsets(run.data, Subset())
    if run.regular is not None:
        subsets += kohya_subsets(run.regular, Subset(), regular=True)[0]
    return (Dataset.model_validate({**sizes, "subsets": subsets}),)


def tell(pool: Pool, say: Say) -> None:
    """What was found, and what was left out."""
    for text in (*pool.warnings, *pool.skipped):
        say(text)
    found = ", ".join(f"{width}x{height}: {count}" for (width, height), count in buckets(pool).items())
    say(f"{len(pool.pictures)} pictures, {len(pool.items)} with repeats ({found})")


def told(run: LoRARun, model: Model, pools: Sequence[Pool], began: float) -> dict[str, str]:
    """kohya's metadata of a training, and ModelSpec's."""
    names = {"sd1": "stable-diffusion-v1", "sd2": "stable-diffusion-v2-512", "sdxl": "stable-diffusion-xl-v1-base"}
    side = run.resolution or model.defaults.size
    pictures = sum(len(pool.items) for pool in pools)
    return {
        "ss_output_name": run.name,
        "ss_training_started_at": f"{began:.3f}",
        "ss_training_finished_at": f"{time.time():.3f}",
        "ss_learning_rate": str(run.loop.learning_rate),
        "ss_num_train_images": str(pictures),
        "ss_max_train_steps": str(run.loop.steps),
        "ss_steps": str(run.loop.steps),
        "ss_lr_warmup_steps": str(run.loop.warmup),
        "ss_optimizer": "torch.optim.adamw.AdamW",
        "ss_seed": str(run.seed),
        "ss_resolution": f"({side}, {side})",
        "ss_batch_size_per_device": str(run.batch),
        "ss_min_snr_gamma": str(run.objective.min_snr_gamma),
        "ss_noise_offset": str(run.noising.noise_offset or None),
        "ss_sd_model_name": model.path.name,
        "ss_new_sd_model_hash": model.sha256,
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{names.get(model.facts.family, model.facts.family)}/lora",
        "modelspec.implementation": "fromnoise",
        "modelspec.title": run.name,
        "modelspec.resolution": f"{side}x{side}",
        "modelspec.prediction_type": "v" if model.facts.prediction == "v" else "epsilon",
    }
