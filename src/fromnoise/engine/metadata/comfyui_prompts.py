"""Pictures as prompts in ComfyUI's graphs, read and written: IP-Adapters (ComfyUI_IPAdapter_plus) and unCLIP."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fromnoise.engine.metadata.comfyui_files import Link
from fromnoise.engine.metadata.comfyui_graph import MAX_DEPTH, Graph, Node
from fromnoise.engine.metadata.comfyui_networks import file_of
from fromnoise.engine.metadata.comfyui_pictures import keep_unseen, shown
from fromnoise.engine.metadata.draft import Draft
from fromnoise.engine.metadata.infotext_controls import unseen
from fromnoise.engine.metadata.networks import file_name
from fromnoise.engine.recipe import Recipe
from fromnoise.engine.recipe_pictures import ImagePrompt

UNCLIP, STYLE, ADAPTER = "unCLIPConditioning", "StyleModelApply", "IPAdapterAdvanced"
ADAPTERS = (  # they act on the model
    "IPAdapter", ADAPTER, "IPAdapterBatch", "IPAdapterFaceID", "IPAdapterFaceIDBatch", "IPAdapterStyleComposition",
    "IPAdapterStyleCompositionBatch", "IPAdapterPreciseStyleTransfer", "IPAdapterPreciseComposition",
    "IPAdapterPreciseStyleTransferBatch", "IPAdapterPreciseCompositionBatch",
)  # fmt: skip
UNIFIED = "IPAdapterUnifiedLoader"  # and its kin for faces: they name a file by what it is good for
VISION = "CLIPVisionLoader"
USUAL_VISION = {"CLIP-ViT-H-14-laion2B-s32B-b79K", "CLIP-ViT-bigG-14-laion2B-39B-b160k", "model"}  # which fits is found
MAX_PICTURES = 16

PRESETS = {  # the first words of a preset: the file for SD 1.x, and for SDXL
    "LIGHT": ("ip-adapter_sd15_light_v11", None),
    "STANDARD": ("ip-adapter_sd15", "ip-adapter_sdxl_vit-h"),
    "VIT-G": ("ip-adapter_sd15_vit-G", "ip-adapter_sdxl"),
    "PLUS (": ("ip-adapter-plus_sd15", "ip-adapter-plus_sdxl_vit-h"),
    "PLUS FACE": ("ip-adapter-plus-face_sd15", "ip-adapter-plus-face_sdxl_vit-h"),
    "FULL FACE": ("ip-adapter-full-face_sd15", None),
    "FACEID PLUS V2": ("ip-adapter-faceid-plusv2_sd15", "ip-adapter-faceid-plusv2_sdxl"),
    "FACEID PLUS": ("ip-adapter-faceid-plus_sd15", None),
    "FACEID PORTRAIT UNNORM": (None, "ip-adapter-faceid-portrait_sdxl_unnorm"),
    "FACEID PORTRAIT": ("ip-adapter-faceid-portrait-v11_sd15", "ip-adapter-faceid-portrait_sdxl"),
    "FACEID": ("ip-adapter-faceid_sd15", "ip-adapter-faceid_sdxl"),
    "COMPOSITION": ("ip_plus_composition_sd15", "ip_plus_composition_sdxl"),
}
VALUES = {  # fields of an image prompt, and inputs that say the same
    "weight": "weight", "start": "start_at", "end": "end_at", "weight_type": "weight_type", "combine": "combine_embeds",
    "scaling": "embeds_scaling", "structure": "weight_faceidv2",
}  # fmt: skip
SIMPLE = {"standard": "linear", "prompt is more important": "ease out"}  # of the node IPAdapter


def is_prompt(node: Node) -> bool:
    """Whether a node shows a picture to the model."""
    return node.kind in (UNCLIP, *ADAPTERS)


def take_image_prompts(draft: Draft, graph: Graph, sampler: Node) -> None:
    """Those before a sampler, in the order in which they act; what can't be one is kept, and said how to give it."""
    found: list[dict[str, Any]] = []
    for node in reversed(list(graph.upstream(sampler))):
        if not is_prompt(node):
            continue
        fields = unclip(draft, graph, node) if node.kind == UNCLIP else adapter(draft, graph, node)
        picture = shown(draft, graph, *where(graph, node))
        keep_unseen(draft, picture)
        try:
            if picture is None or picture.image is None:
                ImagePrompt.model_validate({**fields, "image": {"path": "x", "sha256": "0" * 64}})
                name = Path(picture.name).name if picture is not None else ""
                draft.warn(unseen(name or "PICTURE", fields))
                draft.keep(f"{node.kind} {node.id}", node.values)
                continue
            prompt = {**fields, "image": picture.image}
            ImagePrompt.model_validate(prompt)
            found.append(prompt)
        except ValueError as error:
            draft.keep(f"{node.kind} {node.id}", node.values)
            draft.warn(f"{node.kind}: can't be taken over ({str(error).splitlines()[-1].strip()})")
    if found:
        draft.set("image_prompts", found, "image prompts")


def where(graph: Graph, node: Node) -> tuple[Node, str]:
    """The node and the input that its picture is on."""
    if node.kind == UNCLIP:
        return graph.source(node, "clip_vision_output") or node, "image"
    return node, "image_style" if "image_style" in node.links else "image"


def unclip(draft: Draft, graph: Graph, node: Node) -> dict[str, Any]:
    """Fields of a prompt that the checkpoint takes by itself."""
    fields: dict[str, Any] = {}
    for ours, theirs in (("weight", "strength"), ("noise_level", "noise_augmentation")):
        fields |= given(graph, node, ours, theirs)
    seen = graph.source(node, "clip_vision_output")
    if seen is not None:
        fields |= {"crop": False} if graph.value(seen, "crop") == "none" else {}
        fields |= vision(graph, seen)
    return fields


def adapter(draft: Draft, graph: Graph, node: Node) -> dict[str, Any]:
    """Fields of an IP-Adapter's prompt."""
    fields: dict[str, Any] = {}
    for ours, theirs in VALUES.items():
        fields |= given(graph, node, ours, theirs)
    if node.kind == "IPAdapter":
        kind = str(fields.get("weight_type", "standard"))
        fields["weight_type"] = "style transfer" if kind.startswith("style") else SIMPLE.get(kind, kind)
    elif "StyleComposition" in node.kind:
        strong = "strong " if graph.value(node, "expand_style") is True else ""
        fields["weight_type"] = f"{strong}style and composition"
        fields |= given(graph, node, "weight", "weight_style")
        fields |= given(graph, node, "second_weight", "weight_composition")
    elif "Precise" in node.kind:
        fields["weight_type"] = "style transfer precise" if "Style" in node.kind else "composition precise"
        fields |= given(graph, node, "second_weight", "style_boost" if "Style" in node.kind else "composition_boost")
    loaded(draft, graph, node, fields)
    fields |= vision(graph, node)
    others(draft, graph, node, fields)
    return {key: value for key, value in fields.items() if value is not None}


def given(graph: Graph, node: Node, ours: str, theirs: str) -> dict[str, Any]:
    value = graph.value(node, theirs)
    return {} if value is None else {ours: value}


def loaded(draft: Draft, graph: Graph, node: Node, fields: dict[str, Any]) -> None:
    """The adapter's file, by the loader that names it or by what it is good for."""
    source = graph.source(node, "ipadapter")
    for _ in range(MAX_DEPTH):
        if source is None:
            return
        if name := graph.text(source, "ipadapter_file"):
            fields["model"] = file_name(name)
            return
        preset = graph.text(source, "preset")
        if preset is not None and source.kind.startswith(UNIFIED):
            fields |= given(graph, source, "lora", "lora_strength")
            by_preset(draft, preset.upper(), fields)
            return
        source = graph.source(source, "ipadapter")


def by_preset(draft: Draft, preset: str, fields: dict[str, Any]) -> None:
    """The file that a preset means for the model, whose family is told from its name or the picture's size."""
    names = next((files for start, files in PRESETS.items() if preset.startswith(start)), (None, None))
    width, height = draft.pixels
    large = "xl" in str(draft.fields.get("model", "")).lower() or width * height > 800 * 800
    name = names[1] if large else names[0]
    if name is None:
        draft.keep(UNIFIED, preset)
        return
    fields["model"] = name
    draft.warn(f"the preset {preset} is taken for {name}, by the model's name and the picture's size")


def vision(graph: Graph, node: Node) -> dict[str, Any]:
    """The image encoder, where it is named and is not the usual one."""
    loader = graph.source(node, "clip_vision")
    name = graph.text(loader, "clip_name") if loader is not None and loader.kind == VISION else None
    short = file_name(name) if name else ""
    return {} if short in ("", *USUAL_VISION) else {"vision": short}


def others(draft: Draft, graph: Graph, node: Node, fields: dict[str, Any]) -> None:
    """Further pictures: of a batch, for the layout, what the result is not to be like, and the mask."""
    for field, link in (("negative", "image_negative"), ("composition", "image_composition"), ("mask", "attn_mask")):
        picture = shown(draft, graph, node, link)
        keep_unseen(draft, picture)
        if picture is not None and picture.image is not None:
            fields[field] = picture.image
    more = []
    for holder in batches(graph, node):
        picture = shown(draft, graph, holder, "image2")
        keep_unseen(draft, picture)
        if picture is not None and picture.image is not None:
            more.append(picture.image)
    if more:
        fields["more"] = more[::-1][: MAX_PICTURES - 1]


def batches(graph: Graph, node: Node) -> Iterator[Node]:
    """The ImageBatch nodes that put a second picture to a first, nearest first."""
    current = graph.source(node, "image")
    for _ in range(MAX_PICTURES):
        if current is None or current.kind != "ImageBatch":
            return
        yield current
        current = graph.source(current, "image1")


Add = Callable[..., str]


def adapter_nodes(recipe: Recipe, model: Link, add: Add) -> Link:
    """Write the recipe's IP-Adapters behind a model; the output of the last. `add`: a node, given kind and inputs."""
    for prompt in recipe.image_prompts:
        if prompt.model is None:
            continue
        image: Link = [add("LoadImage", image=Path(prompt.image.path).name), 0]
        for reference in prompt.more:
            image = [add("ImageBatch", image1=image, image2=[add("LoadImage", image=Path(reference.path).name), 0]), 0]
        inputs: dict[str, object] = {
            "model": model,
            "ipadapter": [add("IPAdapterModelLoader", ipadapter_file=file_of(prompt.model, ".safetensors")), 0],
            "image": image,
            "clip_vision": [add(VISION, clip_name=encoder_of(prompt)), 0],
            "start_at": prompt.start, "end_at": prompt.end, "combine_embeds": prompt.combine,
            "embeds_scaling": prompt.scaling,
        }  # fmt: skip
        if prompt.negative is not None:
            inputs["image_negative"] = [add("LoadImage", image=Path(prompt.negative.path).name), 0]
        if prompt.mask is not None:
            inputs["attn_mask"] = [add("LoadImageMask", image=Path(prompt.mask.path).name, channel="red"), 0]
        kind, more = kind_of(prompt)
        if prompt.composition is not None:
            inputs["image_style"] = inputs.pop("image")
            inputs["image_composition"] = [add("LoadImage", image=Path(prompt.composition.path).name), 0]
        model = [add(kind, **inputs, **more), 0]
    return model


def kind_of(prompt: ImagePrompt) -> tuple[str, dict[str, object]]:
    """The node that a prompt is, and the inputs that it alone has."""
    second = prompt.weight if prompt.second_weight is None else prompt.second_weight
    if prompt.composition is not None:
        strong = prompt.weight_type.startswith("strong")
        weights = {"weight_style": prompt.weight, "weight_composition": second}
        return "IPAdapterStyleComposition", {**weights, "expand_style": strong}
    if prompt.weight_type.endswith("precise"):
        style = prompt.weight_type.startswith("style")
        boost = {"style_boost" if style else "composition_boost": second}
        return f"IPAdapterPrecise{'StyleTransfer' if style else 'Composition'}", {"weight": prompt.weight, **boost}
    plain: dict[str, object] = {"weight": prompt.weight, "weight_type": prompt.weight_type}
    if prompt.structure is not None:
        return "IPAdapterFaceID", {**plain, "weight_faceidv2": prompt.structure}
    return ADAPTER, plain


def encoder_of(prompt: ImagePrompt) -> str:
    """The file of its image encoder: the usual one where none is named."""
    if prompt.vision is not None:
        return file_of(prompt.vision, ".safetensors")
    name = file_name(prompt.model or "")
    large = "vit-g" in name.lower() or name == "ip-adapter_sdxl"
    return f"CLIP-ViT-{'bigG-14-laion2B-39B-b160k' if large else 'H-14-laion2B-s32B-b79K'}.safetensors"


def vector_nodes(recipe: Recipe, positive: Link, loader: Link, add: Add) -> Link:
    """Write prompts that the checkpoint takes by itself behind a conditioning. `loader`: the output of its encoder."""
    for prompt in recipe.image_prompts:
        if prompt.model is not None:
            continue
        seen = loader if prompt.vision is None else [add(VISION, clip_name=file_of(prompt.vision, ".safetensors")), 0]
        image: Link = [add("LoadImage", image=Path(prompt.image.path).name), 0]
        crop = "center" if prompt.crop else "none"
        told: Link = [add("CLIPVisionEncode", clip_vision=seen, image=image, crop=crop), 0]
        positive = [
            add(
                UNCLIP, conditioning=positive, clip_vision_output=told, strength=prompt.weight,
                noise_augmentation=prompt.noise_level,
            ),
            0,
        ]  # fmt: skip
    return positive
