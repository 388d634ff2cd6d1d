"""Whole pictures steered by pictures, boxes and depth equal those of diffusers' pipelines."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDPMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionDepth2ImgPipeline,
    StableDiffusionGLIGENPipeline,
    StableDiffusionPipeline,
    StableUnCLIPImg2ImgPipeline,
)
from diffusers.image_processor import IPAdapterMaskProcessor
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from PIL import Image
from torch import Tensor
from transformers import BatchEncoding
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from fromnoise.checkpoints.detect import Family, Prediction, Task
from fromnoise.checkpoints.names import diffusers_unet, vae_to_diffusers
from fromnoise.checkpoints.save import write
from fromnoise.engine.conditioning import encode_prompts
from fromnoise.engine.executor import Executor
from fromnoise.engine.generate import Job
from fromnoise.engine.library import Model, assemble
from fromnoise.engine.memory import Placement
from fromnoise.engine.recipe import ImageRef, Recipe
from fromnoise.nn.clip_vision import CLIPVision
from fromnoise.text.tokenizer import Tokenizer
from tests import tiny
from tests.reference import peers
from tests.reference.test_gligen import gated
from tests.reference.test_ip_adapter import nested
from tests.tiny_pictures import gligen, ip_adapter, photo, vision

NOISE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
STEPS = 4


def loaded(family: Family = "sd1", task: Task = "base", prediction: Prediction = "eps") -> Model:
    made = tiny.model(family, task=task, prediction=prediction)
    return assemble("tiny", made, "0" * 64, Placement(torch.device("cpu"), torch.float32))


def parts(model: Model, unet: Any = None) -> dict[str, Any]:
    config, levels = model.vae.config, len(model.vae.config.channel_mult)
    vae = peers.vae(config)
    vae.load_state_dict(vae_to_diffusers(model.vae.state_dict(), levels, config.res_blocks))
    unet = peer_unet(model) if unet is None else unet
    unet.register_to_config(sample_size=64)
    prediction = "v_prediction" if model.facts.prediction == "v" else "epsilon"
    scheduler = EulerDiscreteScheduler(**NOISE, prediction_type=prediction)
    return {"unet": unet, "vae": vae, "text_encoder": None, "tokenizer": None, "scheduler": scheduler}


def peer_unet(model: Model) -> Any:
    unet = peers.unet(model.unet.config).eval()
    rename = diffusers_unet(model.unet.config)
    unet.load_state_dict({rename(name): weight for name, weight in model.unet.state_dict().items()})
    return unet


def peer_vision(encoder: CLIPVision) -> dict[str, Any]:
    theirs, size = peers.vision(encoder.config), encoder.config.image_size
    theirs.load_state_dict(encoder.state_dict())
    square = {"height": size, "width": size}
    return {"image_encoder": theirs, "feature_extractor": CLIPImageProcessorPil(size=size, crop_size=square)}


UNCHECKED = {"safety_checker": None, "requires_safety_checker": False}


def recipe(**changes: Any) -> Recipe:
    base = {"prompt": "a red apple", "negative": "blue", "width": 64, "height": 64, "guidance_scale": 5, "seed": 3}
    return Recipe.make(**{**base, "steps": STEPS, "sampler": "euler", "profile": "diffusers", **changes})


def ours(model: Model, wanted: Recipe) -> Tensor:
    executor = Executor[int](model)
    executor.add(0, Job(model, wanted).picture(None, None))
    ((_, latents),) = executor.run()
    return latents


def theirs(model: Model, wanted: Recipe, pipeline: Any, **more: Any) -> Tensor:
    pipeline.set_progress_bar_config(disable=True)
    prompts = encode_prompts(model, wanted.but(image_prompts=()))
    latents: Tensor = pipeline(
        prompt_embeds=prompts.cond.context,
        negative_prompt_embeds=prompts.uncond.context,
        num_inference_steps=wanted.steps,
        guidance_scale=wanted.guidance_scale,
        generator=torch.Generator().manual_seed(wanted.seed),
        output_type="latent",
        **more,
    ).images
    return latents


def distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.std())


@pytest.mark.parametrize("kind", ["plain", "full", "plus"])
def test_ip_adapter(kind: Any, tmp_path: Path) -> None:
    model = loaded()
    adapter, encoder = ip_adapter(model.unet, kind), vision()
    images = [photo(tmp_path / f"{i}.png", seed=i) for i in range(2)]
    prompt = {
        "image": ImageRef.of(images[0]).model_dump(),
        "more": [ImageRef.of(images[1]).model_dump()],
        "model": str(write(tmp_path / "adapter.safetensors", adapter.state_dict(), None, {})),
        "vision": str(write(tmp_path / "vision.safetensors", encoder.state_dict(), None, {})),
        "weight": 0.6,
    }
    wanted = recipe(image_prompts=[prompt])
    pipeline = StableDiffusionPipeline(**parts(model), **peer_vision(encoder), **UNCHECKED)
    pipeline.unet._load_ip_adapter_weights([nested(adapter)], low_cpu_mem_usage=False)
    pipeline.set_ip_adapter_scale(0.6)
    shown = [[Image.open(path) for path in images]]
    expected = theirs(model, wanted, pipeline, width=64, height=64, ip_adapter_image=shown)
    answer = ours(model, wanted)
    assert distance(answer, expected) < 1e-4
    assert distance(answer, ours(model, recipe())) > 1e-2


def test_several_adapters_with_masks(tmp_path: Path) -> None:
    model = loaded()
    adapters = [ip_adapter(model.unet, "plus", seed=0), ip_adapter(model.unet, "plus", seed=1)]
    encoder = vision()
    images = [photo(tmp_path / f"{i}.png", seed=i) for i in range(2)]
    left = np.zeros((64, 64), np.uint8)
    left[:, :30] = 255
    masks = [Image.fromarray(left), Image.fromarray(255 - left)]
    prompts = []
    for i, (adapter, image, mask, weight) in enumerate(zip(adapters, images, masks, (0.8, 0.5), strict=True)):
        mask.save(tmp_path / f"mask{i}.png")
        prompts.append(
            {
                "image": ImageRef.of(image).model_dump(),
                "mask": ImageRef.of(tmp_path / f"mask{i}.png").model_dump(),
                "model": str(write(tmp_path / f"adapter{i}.safetensors", adapter.state_dict(), None, {})),
                "vision": str(write(tmp_path / "vision.safetensors", encoder.state_dict(), None, {})),
                "weight": weight,
            }
        )
    wanted = recipe(image_prompts=prompts)
    pipeline = StableDiffusionPipeline(**parts(model), **peer_vision(encoder), **UNCHECKED)
    pipeline.unet._load_ip_adapter_weights([nested(adapter) for adapter in adapters], low_cpu_mem_usage=False)
    pipeline.set_ip_adapter_scale([0.8, 0.5])
    processed = [IPAdapterMaskProcessor().preprocess(mask, 64, 64) for mask in masks]
    expected = theirs(
        model,
        wanted,
        pipeline,
        width=64,
        height=64,
        ip_adapter_image=[Image.open(path) for path in images],
        cross_attention_kwargs={"ip_adapter_masks": processed},
    )
    assert distance(ours(model, wanted), expected) < 1e-4


@pytest.mark.parametrize("level", [0, 300])
def test_unclip(level: int, tmp_path: Path) -> None:
    model = loaded("sd2", "unclip", "v")
    assert model.vision is not None
    image = photo(tmp_path / "a.png")
    unet = unclip_unet(model)
    normalizer = StableUnCLIPImageNormalizer(tiny.VISION.projection_dim)
    noising = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
    pipeline = StableUnCLIPImg2ImgPipeline(
        **peer_vision(model.vision), image_normalizer=normalizer, image_noising_scheduler=noising, **parts(model, unet)
    )
    prompt = {"image": ImageRef.of(image).model_dump(), "noise_level": level / 999}
    wanted = recipe(image_prompts=[prompt])
    expected = theirs(model, wanted, pipeline, image=Image.open(image), noise_level=level, width=64, height=64)
    answer = ours(model, wanted)
    assert distance(answer, expected) < 1e-4
    assert distance(answer, ours(model, recipe())) > 1e-2


def unclip_unet(model: Model) -> Any:
    plain = {name: value for name, value in peers.unet(model.unet.config).config.items() if not name.startswith("_")}
    projected = {"addition_embed_type": None, "class_embed_type": "projection"}
    unet = peers.UNet2DConditionModel(**{**plain, **projected}).eval()
    rename = diffusers_unet(model.unet.config)
    state = {rename(name): weight for name, weight in model.unet.state_dict().items()}
    unet.load_state_dict({name.replace("add_embedding", "class_embedding"): w for name, w in state.items()})
    return unet


@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_depth(strength: float, tmp_path: Path) -> None:
    model = loaded("sd2", "depth")
    start, near = photo(tmp_path / "start.png", size=(64, 64)), photo(tmp_path / "depth.png", seed=2, size=(64, 64))
    pipeline = StableDiffusionDepth2ImgPipeline(**parts(model), depth_estimator=None, feature_extractor=None)
    levels = torch.from_numpy(np.array(Image.open(near).convert("L"), dtype=np.float32))
    wanted = recipe(init=ImageRef.of(start), strength=strength, depth={"image": ImageRef.of(near).model_dump()})
    expected = theirs(model, wanted, pipeline, image=Image.open(start), depth_map=levels[None], strength=strength)
    assert distance(ours(model, wanted), expected) < 1e-4


@pytest.mark.parametrize("end", [0.5, 1.0])
def test_gligen(end: float, tmp_path: Path) -> None:
    model = loaded()
    network = gligen(model.unet)
    pipeline = StableDiffusionGLIGENPipeline(
        **parts(model, gated(model.unet, network)), feature_extractor=None, **UNCHECKED
    )
    texts = ["a cat", "a small dog"]
    pipeline.text_encoder = peers.text(model.text[0].config).eval()
    weights = model.text[0].state_dict()
    inner = next(iter(pipeline.text_encoder.state_dict())).startswith("text_model.")
    weights = weights if inner else {name.removeprefix("text_model."): tensor for name, tensor in weights.items()}
    pipeline.text_encoder.load_state_dict(weights, strict=True)
    pipeline.tokenizer = Phrases()
    path = write(tmp_path / "gligen.safetensors", network.state_dict(), None, {})
    boxes = [(8, 16, 32, 40), (30, 0, 34, 20)]
    wanted = recipe(
        boxes=[
            dict(zip(("x", "y", "width", "height"), box, strict=True), text=text)
            for box, text in zip(boxes, texts, strict=True)
        ],
        gligen={"model": str(path), "end": end},
    )
    expected = theirs(
        model,
        wanted,
        pipeline,
        width=64,
        height=64,
        gligen_phrases=texts,
        gligen_boxes=[[x / 64, y / 64, (x + w) / 64, (y + h) / 64] for x, y, w, h in boxes],
        gligen_scheduled_sampling_beta=end,
    )
    answer = ours(model, wanted)
    assert distance(answer, expected) < 1e-4
    assert distance(answer, ours(model, recipe())) > 1e-2


class Phrases:
    """A tokenizer as far as GLIGEN's pipeline asks for one."""

    def __call__(self, texts: list[str], **_: Any) -> Any:
        rows = torch.tensor([Tokenizer().encode_window(text) for text in texts])
        return BatchEncoding({"input_ids": rows})
