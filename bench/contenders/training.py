"""A step of training a LoRA of the U-Net's attention, by our loop and by that of diffusers' examples with peft.

Both start from a picture and its caption. diffusers' `train_text_to_image_lora.py` encodes both at every step; our loop
has encoded them once, as it does without being asked.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from bench.contenders import Work
from bench.contenders.ours import random_model
from bench.contenders.peer_diffusers import of, random_text, random_unet, random_vae
from bench.work import SIZES, Job
from fromnoise.engine.memory import DTYPES
from fromnoise.train.data.batches import Schedule, gathered
from fromnoise.train.data.source import Dataset, Subset
from fromnoise.train.finetune import FineTuneTask, Lesson
from fromnoise.train.log import Silent
from fromnoise.train.loop import Loop, LoopConfig
from fromnoise.train.lora import LoRATraining
from fromnoise.train.lora_options import LoRAOptions
from fromnoise.train.noising import Noising
from fromnoise.train.objective import Objective
from fromnoise.train.workers import Alone

RANK, RATE, STEPS = 16, 1e-4, 1000


def ours(job: Job) -> Work:
    size, dtype = SIZES[job.size], DTYPES[job.dtype]
    folder = Path(tempfile.mkdtemp(prefix="fromnoise-bench-"))
    for number in range(job.batch):
        Image.effect_noise((size.side, size.side), 80).convert("RGB").save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a red apple on a table", encoding="utf-8")
    model = random_model(size, job.placement)
    pool = gathered(Dataset(subsets=(Subset(image_dir=folder),), batch_size=job.batch, resolution=size.side))
    options = LoRAOptions(rank=RANK, alpha=RANK, layers="attention", text=False)
    lesson = Lesson(Schedule((pool,), 0), STEPS, Objective(), Noising(), side=size.side)
    task = FineTuneTask(model, LoRATraining(model, options, 0), lesson)
    config = LoopConfig(STEPS, learning_rate=RATE, warmup=0, average=0.0, bfloat16=dtype == torch.bfloat16)
    loop = Loop(task, config, folder / "run")
    loop.log = Silent()
    applied = task.applied()
    applied.__enter__()  # for as long as the process lives
    step = iter(range(STEPS))

    def work() -> None:
        loop.advance(next(step), Alone(loop.gradient, loop.steppers))

    return work


def diffusers(job: Job) -> Work:
    from diffusers.training_utils import cast_training_params
    from peft import LoraConfig

    size, dtype = SIZES[job.size], DTYPES[job.dtype]
    unet: Any = random_unet(size, dtype, False, False)
    vae = random_vae(size, dtype, False, False)
    encoder: Any = random_text(size.text[0], dtype)
    unet.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights="gaussian",
                                target_modules=["to_k", "to_q", "to_v", "to_out.0"]))  # fmt: skip
    cast_training_params(unet, dtype=torch.float32)
    learning = [p for p in unet.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=RATE)
    scheduler = of("DDPMScheduler")(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    pixels = torch.rand(job.batch, 3, size.side, size.side) * 2 - 1
    tokens = torch.randint(0, 49_000, (job.batch, 77))
    unet.train()

    def work() -> None:
        latents: Tensor = vae.encode(pixels.to(dtype)).latent_dist.sample() * vae.config.scaling_factor
        noise = torch.randn_like(latents)
        timesteps = torch.randint(0, 1000, (job.batch,))
        noisy = scheduler.add_noise(latents, noise, timesteps)
        states = encoder(tokens, return_dict=False)[0]
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            predicted = unet(noisy, timesteps, states, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(predicted.float(), noise.float())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return work
