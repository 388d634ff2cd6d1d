"""diffusers' side of each job, as its documentation tells to use it."""

from dataclasses import replace
from importlib import import_module
from typing import Any

import torch

from bench.contenders import Work
from bench.work import SIZES, Job, Size, randomise
from fromnoise.engine.memory import DTYPES


def prepare(job: Job, *, dtype: str | None = None, channels_last: bool = False, compiled: bool | str = False) -> Work:
    """`compiled`: by torch.compile, perhaps in a mode of it that is for GPUs."""
    if isinstance(compiled, str) and job.device == "cpu":
        raise ValueError(f"torch.compile's mode {compiled} is for GPUs")
    return PREPARED[job.task](replace(job, dtype=dtype or job.dtype), channels_last, compiled)


def of(name: str) -> Any:
    """A class of diffusers; its own types say less than they seem to."""
    return getattr(import_module("diffusers"), name)


def random_unet(size: Size, dtype: torch.dtype, channels_last: bool, compiled: bool | str) -> Any:
    levels = len(size.unet.channel_mult)
    depths = [size.unet.depths[level * size.unet.res_blocks] for level in range(levels)]
    sdxl = size.unet.vector_dim is not None
    with torch.device("meta"):
        unet: Any = of("UNet2DConditionModel")(
            block_out_channels=tuple(size.unet.model_channels * m for m in size.unet.channel_mult),
            layers_per_block=size.unet.res_blocks,
            down_block_types=tuple("CrossAttnDownBlock2D" if d else "DownBlock2D" for d in depths),
            up_block_types=tuple("CrossAttnUpBlock2D" if d else "UpBlock2D" for d in reversed(depths)),
            cross_attention_dim=size.unet.context_dim,
            transformer_layers_per_block=tuple(max(1, d) for d in depths),
            attention_head_dim=(5, 10, 20) if sdxl else size.unet.heads,
            use_linear_projection=size.unet.linear_proj,
            **({"addition_embed_type": "text_time", "addition_time_embed_dim": 256,
                "projection_class_embeddings_input_dim": size.unet.vector_dim} if sdxl else {}),
        )  # fmt: skip
    unet = randomise(unet, dtype, channels_last=channels_last)
    return by_inductor(unet, compiled) if compiled else unet


def by_inductor(function: Any, how: bool | str) -> Any:
    return torch.compile(function, mode=how if isinstance(how, str) else None)


def random_vae(size: Size, dtype: torch.dtype, channels_last: bool, compiled: bool | str) -> Any:
    widths = tuple(size.vae.channels * m for m in size.vae.channel_mult)
    with torch.device("meta"):
        vae: Any = of("AutoencoderKL")(
            down_block_types=("DownEncoderBlock2D",) * len(widths), up_block_types=("UpDecoderBlock2D",) * len(widths),
            block_out_channels=widths, layers_per_block=size.vae.res_blocks, latent_channels=4,
            scaling_factor=size.vae.scale_factor,
        )  # fmt: skip
    vae = randomise(vae, dtype, channels_last=channels_last)
    if compiled:
        vae.decode = by_inductor(vae.decode, compiled)
    return vae


def step(job: Job, channels_last: bool, compiled: bool | str) -> Work:
    size, dtype = SIZES[job.size], DTYPES[job.dtype]
    unet = random_unet(size, dtype, channels_last, compiled).to(job.device)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    bring = job.placement.bring
    x = bring(torch.randn(2 * job.batch, 4, size.latent, size.latent), dtype).contiguous(memory_format=layout)
    context = bring(torch.randn(2 * job.batch, 77, size.unet.context_dim), dtype)
    time = 500 if job.device == "cpu" else torch.tensor(500, device=job.device)
    added = None
    if size.unet.vector_dim is not None:
        pooled = bring(torch.randn(2 * job.batch, 1280), dtype)
        added = {"text_embeds": pooled, "time_ids": bring(torch.ones(2 * job.batch, 6))}

    def work() -> None:
        with torch.inference_mode():
            unet(x, time, context, added_cond_kwargs=added)

    return work


def attention(job: Job, channels_last: bool, compiled: bool | str) -> Work:
    """As its AttnProcessor2_0 computes it."""
    batch, tokens, heads, numbers = job.attention
    drawn = (torch.randn(batch, tokens, heads, numbers) for _ in range(3))
    q, k, v = (job.placement.bring(one, DTYPES[job.dtype]).transpose(1, 2) for one in drawn)

    def work() -> None:
        with torch.inference_mode():
            torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    return work


def decode(job: Job, channels_last: bool, compiled: bool | str) -> Work:
    size, dtype = SIZES[job.size], DTYPES[job.dtype]
    vae = random_vae(size, dtype, channels_last, compiled).to(job.device)
    latents = job.placement.bring(torch.randn(job.batch, 4, size.latent, size.latent), dtype)

    def work() -> None:
        with torch.inference_mode():
            vae.decode(latents)

    return work


def random_text(config: Any, dtype: torch.dtype) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        encoder = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=config.dim, num_hidden_layers=config.layers, num_attention_heads=config.heads,
                intermediate_size=4 * config.dim, hidden_act=config.act,
            )
        )  # fmt: skip
    randomise(encoder, dtype)
    for name, buffer in encoder.named_buffers():
        if name.endswith("position_ids"):
            buffer.copy_(torch.arange(buffer.shape[-1]))
    return encoder


def train(job: Job, channels_last: bool, compiled: bool | str) -> Work:
    from bench.contenders.training import diffusers

    return diffusers(job)


def lora_switch(job: Job, channels_last: bool, compiled: bool | str) -> Work:
    from bench.contenders import switching

    return switching.diffusers(job, channels_last, compiled)


def text(job: Job, channels_last: bool, compiled: bool | str) -> Work:
    encoders = [random_text(config, DTYPES[job.dtype]).to(job.device) for config in SIZES[job.size].text]
    tokens = torch.randint(0, 49_000, (2, 77)).to(job.device)

    def work() -> None:
        with torch.inference_mode():
            for encoder in encoders:
                encoder(tokens)

    return work


def picture(job: Job, channels_last: bool, compiled: bool | str) -> Work:
    """StableDiffusionPipeline from random parts; the tokenizer is ours, which equals its own."""
    from fromnoise.text.tokenizer import Tokenizer

    size, dtype = SIZES[job.size], DTYPES[job.dtype]
    encoder = random_text(size.text[0], dtype)
    pipeline: Any = of("StableDiffusionPipeline")(
        random_vae(size, dtype, channels_last, compiled), encoder, None,
        random_unet(size, dtype, channels_last, compiled),
        of("EulerDiscreteScheduler")(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012), None, None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.to(job.device)
    pipeline.set_progress_bar_config(disable=True)
    tokenizer = Tokenizer()

    def embedded(words: str) -> torch.Tensor:
        with torch.inference_mode():
            tokens = torch.tensor([tokenizer.encode_window(words)], device=job.device)
            states: torch.Tensor = encoder(tokens).last_hidden_state
            return states

    def work() -> None:
        pipeline(
            prompt_embeds=embedded("a red apple on a table"), negative_prompt_embeds=embedded("blurry"),
            num_images_per_prompt=job.batch, num_inference_steps=job.steps, height=size.side, width=size.side,
        )  # fmt: skip

    return work


def load(job: Job, channels_last: bool, compiled: bool | str) -> Work:
    """`from_single_file` of the U-Net and the autoencoder, in bfloat16; without the text encoder, which needs a hub."""
    import tempfile

    from bench.contenders.ours import random_file

    size, dtype = SIZES[job.size], DTYPES[job.dtype]
    path = str(random_file(size))
    folder = tempfile.mkdtemp()
    for kind, network in (
        ("unet", random_unet(size, torch.bfloat16, False, False)),
        ("vae", random_vae(size, torch.bfloat16, False, False)),
    ):
        network.save_config(f"{folder}/{kind}")
        del network

    def work() -> None:
        for kind, name in (("UNet2DConditionModel", "unet"), ("AutoencoderKL", "vae")):
            of(kind).from_single_file(path, config=folder, subfolder=name, torch_dtype=dtype).to(job.device)

    return work


PREPARED = {
    "step": step, "batch": step, "attention": attention, "decode": decode, "picture": picture, "text": text,
    "load": load, "train": train, "lora_switch": lora_switch,
}  # fmt: skip
