"""What clients of AUTOMATIC1111 1.10 send; fields that it does not know are ignored, as it does."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from fromnoise.engine.recipe_parts import MAX_SIDE

MOST_PICTURES = 100
MOST_TEXT = 100_000
LARGEST_SEED = 2**64 - 1


class Body(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class Shared(Body):
    """Fields of text to image and image to image."""

    prompt: str = Field(default="", max_length=MOST_TEXT)
    negative_prompt: str = Field(default="", max_length=MOST_TEXT)
    styles: list[str] | None = Field(default=None, max_length=100)
    seed: int = Field(default=-1, ge=-1, le=LARGEST_SEED)
    subseed: int = Field(default=-1, ge=-1, le=LARGEST_SEED)
    subseed_strength: float = Field(default=0, ge=0, le=1)
    seed_resize_from_h: int = Field(default=-1, ge=-1, le=MAX_SIDE)
    seed_resize_from_w: int = Field(default=-1, ge=-1, le=MAX_SIDE)
    sampler_name: str | None = Field(default=None, max_length=200)
    sampler_index: str | None = Field(default="Euler", max_length=200)
    scheduler: str | None = Field(default=None, max_length=200)
    batch_size: int = Field(default=1, ge=1, le=MOST_PICTURES)
    n_iter: int = Field(default=1, ge=1, le=MOST_PICTURES)
    steps: int = Field(default=50, ge=1, le=1000)
    cfg_scale: float = Field(default=7.0, ge=0, le=100)
    width: int = Field(default=512, ge=8, le=MAX_SIDE)
    height: int = Field(default=512, ge=8, le=MAX_SIDE)
    restore_faces: bool | None = None
    tiling: bool | None = None
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    eta: float | None = Field(default=None, ge=0, le=100)
    s_min_uncond: float | None = Field(default=None, ge=0, le=1000)
    s_churn: float | None = Field(default=None, ge=0, le=10_000)
    s_tmax: float | None = Field(default=None, ge=0, le=1e9)
    s_tmin: float | None = Field(default=None, ge=0, le=1e9)
    s_noise: float | None = Field(default=None, ge=0, le=100)
    override_settings: dict[str, Any] | None = None
    override_settings_restore_afterwards: bool = True
    refiner_checkpoint: str | None = Field(default=None, max_length=1000)
    refiner_switch_at: float | None = Field(default=None, ge=0, le=1)
    disable_extra_networks: bool = False
    comments: dict[str, Any] | None = None
    script_name: str | None = Field(default=None, max_length=200)
    script_args: list[Any] | dict[str, Any] = Field(default_factory=list)
    alwayson_scripts: dict[str, Any] = Field(default_factory=dict)
    send_images: bool = True
    save_images: bool = False
    force_task_id: str | None = Field(default=None, max_length=200)
    infotext: str | None = Field(default=None, max_length=MOST_TEXT)

    @field_validator("styles", "script_args", "alwayson_scripts", mode="before")
    @classmethod
    def _nothing_is_empty(cls, value: object) -> object:
        return [] if value is None else value

    @field_validator("alwayson_scripts", mode="before")
    @classmethod
    def _no_scripts(cls, value: object) -> object:
        return value or {}

    @property
    def count(self) -> int:
        return self.n_iter * self.batch_size


class TextToImage(Shared):
    enable_hr: bool = False
    denoising_strength: float | None = Field(default=0.75, ge=0, le=1)
    firstphase_width: int = Field(default=0, ge=0, le=MAX_SIDE)
    firstphase_height: int = Field(default=0, ge=0, le=MAX_SIDE)
    hr_scale: float = Field(default=2.0, ge=1, le=8)
    hr_upscaler: str | None = Field(default=None, max_length=200)
    hr_second_pass_steps: int = Field(default=0, ge=0, le=1000)
    hr_resize_x: int = Field(default=0, ge=0, le=MAX_SIDE)
    hr_resize_y: int = Field(default=0, ge=0, le=MAX_SIDE)
    hr_checkpoint_name: str | None = Field(default=None, max_length=1000)
    hr_sampler_name: str | None = Field(default=None, max_length=200)
    hr_scheduler: str | None = Field(default=None, max_length=200)
    hr_prompt: str | None = Field(default="", max_length=MOST_TEXT)
    hr_negative_prompt: str | None = Field(default="", max_length=MOST_TEXT)
    hr_cfg: float | None = Field(default=None, ge=0, le=100)  # Forge's


class ImageToImage(Shared):
    init_images: list[str] | None = Field(default=None, max_length=MOST_PICTURES)
    resize_mode: int = Field(default=0, ge=0, le=3)
    denoising_strength: float | None = Field(default=0.75, ge=0, le=1)
    image_cfg_scale: float | None = Field(default=None, ge=0, le=100)
    mask: str | None = None
    mask_blur_x: int = Field(default=4, ge=0, le=256)
    mask_blur_y: int = Field(default=4, ge=0, le=256)
    mask_blur: int | None = Field(default=None, ge=0, le=256)
    mask_round: bool = True
    inpainting_fill: int = Field(default=0, ge=0, le=3)
    inpaint_full_res: bool = True
    inpaint_full_res_padding: int = Field(default=0, ge=0, le=1024)
    inpainting_mask_invert: int = Field(default=0, ge=0, le=1)
    initial_noise_multiplier: float | None = Field(default=None, ge=0, le=10)
    latent_mask: str | None = None
    include_init_images: bool = False


class Answer(BaseModel):
    """Pictures in base64, what was asked for, and a JSON text about what was made."""

    images: list[str] | None
    parameters: dict[str, Any]
    info: str
