"""What an image prompt tells the attention layers: tokens of its pictures, and of what stands for no picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from PIL import Image
from torch import Tensor

from fromnoise.engine.faces import Face, face_in
from fromnoise.engine.picture_files import PictureFiles, Wanted
from fromnoise.engine.profiles import Profile
from fromnoise.engine.recipe_pictures import Combination, ImagePrompt
from fromnoise.engine.references import ImageRef
from fromnoise.engine.start import open_reference
from fromnoise.engine.vision import Resampling, clip_pixels, seen
from fromnoise.nn.clip_vision import CLIPVision, CLIPVisionOutput
from fromnoise.nn.image_projection import FacePlus, ProjectionConfig
from fromnoise.nn.ip_adapter import IPAdapter

IDENTITY = 512  # numbers that insightface tells a face by
FACE_SIZE = 224  # pixels of a face's crop
STRUCTURE_SHARE = 2.0  # of the weight: how much of a face's looks counts where nothing is said


@dataclass(frozen=True)
class Tokens:
    """Of one image prompt; each (1 n d)."""

    positive: Tensor
    negative: Tensor
    layout: Tensor | None = None  # of the picture for the layout


@dataclass(frozen=True)
class Reader:
    """Reads pictures as one adapter wants them."""

    files: PictureFiles
    adapter: IPAdapter
    prompt: ImagePrompt
    profile: Profile
    encoder: CLIPVision | None

    @property
    def config(self) -> ProjectionConfig:
        return self.adapter.config.projection

    @torch.inference_mode()
    def tokens(self) -> Tokens:
        """FileError where a picture is missing or has changed, UserError where it has no face that is wanted."""
        if by_identity(self.config):
            return self._of_faces()
        prompt = self.prompt
        positive = combined(self._looks(prompt.images), prompt.combine)
        if prompt.negative is not None:
            nothing = self._looks([prompt.negative])
        else:
            nothing = torch.zeros_like(positive[:1]) if self.config.kind == "plain" else self._nothing()
        layout = None if prompt.composition is None else self._projected(self._looks([prompt.composition]))
        negative = self._projected(nothing.expand_as(positive))
        return Tokens(self._projected(positive), negative, layout)

    def _looks(self, images: Sequence[ImageRef]) -> Tensor:
        """(k ...): what the encoder tells of each."""
        assert self.encoder is not None
        told = [seen_in(self.files, self.encoder, image, self.prompt.crop, self._resampling) for image in images]
        return torch.cat([one.embedding if self.config.kind == "plain" else one.penultimate for one in told])

    def _nothing(self) -> Tensor:
        """(1 n d): the states that stand for no picture."""
        assert self.encoder is not None
        pixels = black_pixels if self._resampling == "torch" else no_pixels
        return self.files.seen(self.encoder, pixels, pixels).penultimate

    def _of_faces(self) -> Tokens:
        prompt, projection = self.prompt, self.adapter.image_proj
        faces = [face_in(open_reference(image), image.path) for image in prompt.images]
        weight = next(projection.parameters())
        who = torch.cat([face.raw if self.config.kind == "plus" else face.identity for face in faces]).to(weight)
        who = combined(who, prompt.combine)
        if isinstance(projection, FacePlus):
            looks = combined(self._faces_seen(faces), prompt.combine)
            nothing = self._nothing().expand_as(looks)
            structure = self._structure
            positive = projection(who, looks, structure)
            return Tokens(flat(positive), flat(projection(torch.zeros_like(who), nothing, structure)))
        if self.config.kind == "plus":
            who = who[:, None]
        return Tokens(self._projected(who), self._projected(torch.zeros_like(who)))

    def _faces_seen(self, faces: Sequence[Face]) -> Tensor:
        assert self.encoder is not None
        size = self.encoder.config.image_size
        pixels = [clip_pixels(face.crop(FACE_SIZE), size, resampling=self._resampling) for face in faces]
        return seen(self.encoder, torch.cat(pixels)).penultimate

    @property
    def _structure(self) -> float | None:
        if not self.adapter.config.structured:
            return None
        given = self.prompt.structure
        if given is not None:
            return given
        return self.prompt.weight * STRUCTURE_SHARE if self._resampling == "torch" else 1.0

    @property
    def _resampling(self) -> Resampling:
        return "torch" if self.profile.name == "comfyui" else "pil"

    def _projected(self, told: Tensor) -> Tensor:
        weight = next(self.adapter.image_proj.parameters())
        return flat(cast(Tensor, self.adapter.image_proj(told.to(weight))))


def seen_in(
    files: PictureFiles, encoder: CLIPVision, image: ImageRef, crop: bool, resampling: Resampling
) -> CLIPVisionOutput:
    """What an encoder tells of a referenced picture. FileError where the picture is missing or has changed."""
    return files.seen(
        encoder,
        (image.sha256, crop, resampling),
        lambda size: clip_pixels(open_reference(image), size, crop=crop, resampling=resampling),
    )


def by_identity(config: ProjectionConfig) -> bool:
    """Whether a projection is told who somebody is."""
    return config.kind in ("face", "face_plus") or (config.kind == "plus" and config.in_dim == IDENTITY)


def wanted_vision(config: ProjectionConfig, name: str) -> Wanted | None:
    """The encoder that a projection needs; None where it needs none."""
    if config.kind == "plain":
        return Wanted(name, embedding=config.in_dim)
    if config.kind == "face_plus":
        return Wanted(name, states=config.vision_dim)
    return None if by_identity(config) else Wanted(name, states=config.in_dim)


def combined(told: Tensor, how: Combination) -> Tensor:
    """What is told of several pictures (k ...) as one prompt: all of it, or one (1 ...), as ComfyUI's nodes compute."""
    if how == "concat" or len(told) == 1:
        return told
    if how == "add":
        return told.sum(dim=0, keepdim=True)
    if how == "subtract":
        return told[:1] - told[1:].mean(dim=0, keepdim=True)
    if how == "norm average":
        told = told / told.norm(dim=0, keepdim=True)
    return told.mean(dim=0, keepdim=True)


def flat(tokens: Tensor) -> Tensor:
    """Tokens of several pictures (k n d) side by side: (1 k*n d)."""
    return tokens.flatten(0, 1)[None]


def no_pixels(size: int) -> Tensor:
    """What the authors and diffusers show an encoder for no picture: mid gray, nearly."""
    return torch.zeros(1, 3, size, size)


def black_pixels(size: int) -> Tensor:
    """What ComfyUI's nodes show it."""
    return clip_pixels(Image.new("RGB", (size, size)), size)
