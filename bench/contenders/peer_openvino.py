"""OpenVINO's side: diffusers' U-Net and decoder, converted once and kept among the system's temporary files."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.contenders import Work
from bench.contenders.peer_diffusers import random_unet, random_vae
from bench.work import SIZES, Job, Size

HINTS = {"bfloat16": "bf16", "float32": "f32", "float16": "f16"}


def prepare(job: Job) -> Work:
    if job.device != "cpu":
        raise ValueError("OpenVINO is measured on processors")
    return {"step": step, "batch": step, "decode": decode}[job.task](job)


class Denoiser(nn.Module):
    """The U-Net as a function of tensors alone."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, x: Tensor, context: Tensor, pooled: Tensor, sizes: Tensor) -> Tensor:
        added = {"text_embeds": pooled, "time_ids": sizes}
        out: Tensor = self.unet(x, torch.tensor(500), context, added_cond_kwargs=added, return_dict=False)[0]
        return out


class Decoder(nn.Module):
    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latents: Tensor) -> Tensor:
        out: Tensor = self.vae.decode(latents, return_dict=False)[0]
        return out


def step(job: Job) -> Work:
    size, batch = SIZES[job.size], 2 * job.batch
    inputs = [
        torch.randn(batch, 4, size.latent, size.latent),
        torch.randn(batch, 77, size.unet.context_dim),
        torch.randn(batch, 1280),
        torch.ones(batch, 6),
    ]
    return converted(job, size, lambda: Denoiser(random_unet(size, torch.float32, False, False)), inputs)


def decode(job: Job) -> Work:
    size = SIZES[job.size]
    inputs = [torch.randn(job.batch, 4, size.latent, size.latent)]
    return converted(job, size, lambda: Decoder(random_vae(size, torch.float32, False, False)), inputs)


def converted(job: Job, size: Size, network: Callable[[], nn.Module], inputs: Sequence[Tensor]) -> Work:
    import openvino

    path = Path(tempfile.gettempdir()) / f"fromnoise-bench-openvino-{job.task}-{size.name}-{job.batch}.xml"
    if not path.exists():
        with torch.no_grad():
            model = openvino.convert_model(network(), example_input=tuple(inputs))
        partial = path.with_name(f"part-{path.name}")
        openvino.save_model(model, partial)  # in float16, as it does by itself
        partial.with_suffix(".bin").replace(path.with_suffix(".bin"))
        partial.replace(path)
    options = {"INFERENCE_PRECISION_HINT": HINTS[job.dtype], "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    request = openvino.Core().compile_model(path, "CPU", options).create_infer_request()
    arrays = [np.asarray(tensor) for tensor in inputs[: len(request.model_inputs)]]

    def work() -> None:
        request.infer(arrays)

    return work
