"""What clients of AUTOMATIC1111 1.10 send; fields that it does not know are ignored, as it does."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

MOST_PICTURES = 100


class Body(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Shared(Body):
    """Fields of text to image and image to image."""

    prompt: str = Field(default="", max_length=100_000)
    negative_prompt: str = Field(default="", max_length=100_000)
    styles: list[str] | None = None
    seed: int = -1
    subseed: int = -1
    subseed_strength: float = Field(default=0, ge=0, le=1)
    seed_resize_from_h: int = -1
    seed_resize_from_w: int = -1
    sampler_name: str | None = None
    sampler_index: str = "Euler"
    scheduler: str | None = None
    batch_size: int = Field(default=1, ge=1, le=MOST_PICTURES)
    n_iter: int = Field(default=1, ge=1, le=MOST_PICTURES)
    steps: int = Field(default=50, ge=1, le=1000)
    cfg_scale: float = Field(default=7.0, ge=0, le=100)
    width: int = 512
    height: int = 512
    restore_faces: bool | None = None
    tiling: bool | None = None
    eta: float | None = None
    s_min_uncond: float | None = None
    s_churn: float | None = None
    s_tmax: float | None = None
    s_tmin: float | None = None
    s_noise: float | None = None
    override_settings: dict[str, Any] | None = None
    override_settings_restore_afterwards: bool = True
    refiner_checkpoint: str | None = None
    refiner_switch_at: float | None = None
    script_name: str | None = None
    script_args: list[Any] = Field(default_factory=list)
    alwayson_scripts: dict[str, Any] = Field(default_factory=dict)
    send_images: bool = True
    save_images: bool = False
    force_task_id: str | None = None
    infotext: str | None = None

    @field_validator("styles", mode="before")
    @classmethod
    def _no_styles(cls, value: object) -> object:
        return value or None


class TextToImage(Shared):
    enable_hr: bool = False
    denoising_strength: float | None = Field(default=0.75, ge=0, le=1)
    firstphase_width: int = 0
    firstphase_height: int = 0
    hr_scale: float = Field(default=2.0, ge=1, le=8)
    hr_upscaler: str | None = None
    hr_second_pass_steps: int = Field(default=0, ge=0, le=1000)
    hr_resize_x: int = Field(default=0, ge=0, le=16384)
    hr_resize_y: int = Field(default=0, ge=0, le=16384)
    hr_checkpoint_name: str | None = None
    hr_sampler_name: str | None = None
    hr_scheduler: str | None = None
    hr_prompt: str = ""
    hr_negative_prompt: str = ""


class ImageToImage(Shared):
    init_images: list[str] | None = None
    resize_mode: int = Field(default=0, ge=0, le=3)
    denoising_strength: float | None = Field(default=0.75, ge=0, le=1)
    image_cfg_scale: float | None = None
    mask: str | None = None
    mask_blur_x: int = 4
    mask_blur_y: int = 4
    mask_blur: int | None = None
    mask_round: bool = True
    inpainting_fill: int = Field(default=0, ge=0, le=3)
    inpaint_full_res: bool = True
    inpaint_full_res_padding: int = Field(default=0, ge=0, le=1024)
    inpainting_mask_invert: int = 0
    initial_noise_multiplier: float | None = None
    include_init_images: bool = False


class Answer(BaseModel):
    """Pictures in base64, what was asked for, and a JSON text about what was made."""

    images: list[str]
    parameters: dict[str, Any]
    info: str
