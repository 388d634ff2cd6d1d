"""Where a model computes, and in what numbers. The plan for small machines grows here."""

from dataclasses import dataclass

import torch

from fromnoise.errors import UserError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Placement:
    """A device and the dtype that networks compute in there."""

    device: torch.device
    dtype: torch.dtype

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")

    @property
    def channels_last(self) -> bool:
        """Convolutions are faster with the channels innermost nearly everywhere; Apple's backend gains nothing."""
        return self.device.type != "mps"


def place(device: str | None = None, dtype: str | None = None) -> Placement:
    """The best device of this machine, or the given one; and its best dtype, or the given one."""
    where = named_device(device) if device else best_device()
    if dtype is None:
        return Placement(where, best_dtype(where))
    if dtype not in DTYPES:
        raise UserError(f"unknown dtype {dtype!r}; choose one of {', '.join(DTYPES)}")
    return Placement(where, DTYPES[dtype])


def available_devices() -> list[str]:
    """The devices that this PyTorch can use, best first. CUDA is also ROCm's name."""
    found = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.xpu.is_available():
        found += [f"xpu:{i}" for i in range(torch.xpu.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def best_device() -> torch.device:
    return torch.device(available_devices()[0])


def named_device(name: str) -> torch.device:
    """The device of that name; UserError where this machine has none."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    known = available_devices()
    if device is None or not any(k == name or k.split(":")[0] == name for k in known):
        raise UserError(f"no device {name!r} here; this machine has {', '.join(known)}")
    return device


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it fast, float16 on older GPUs, float32 on other processors."""
    if device.type == "cpu":
        return torch.bfloat16 if cpu_multiplies_bfloat16() else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if device.type == "xpu" else torch.float16


def cpu_multiplies_bfloat16() -> bool:
    """Whether this processor has AMX or AVX512-BF16; without them bfloat16 is slower than float32."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def vae_dtype(dtype: torch.dtype) -> torch.dtype:
    """float16 overflows in SDXL's autoencoder: decode in float32 there."""
    return torch.float32 if dtype == torch.float16 else dtype
