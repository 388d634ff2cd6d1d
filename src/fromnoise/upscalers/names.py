"""The files that AUTOMATIC1111's names of upscalers stand for, so that old recipes find them."""

FILES: dict[str, tuple[str, ...]] = {  # names in small letters: of files without suffix, as they are distributed
    "r-esrgan 4x+": ("RealESRGAN_x4plus",),
    "r-esrgan 4x+ anime6b": ("RealESRGAN_x4plus_anime_6B",),
    "r-esrgan 2x+": ("RealESRGAN_x2plus",),
    "r-esrgan general 4xv3": ("realesr-general-x4v3",),
    "r-esrgan general wdn 4xv3": ("realesr-general-wdn-x4v3",),
    "esrgan_4x": ("ESRGAN_4x", "ESRGAN"),
    "swinir 4x": (
        "SwinIR_4x",
        "003_realSR_BSRGAN_DFOWMFC_s64w8_SwinIR-L_x4_GAN",
        "003_realSR_BSRGAN_DFO_s64w8_SwinIR-M_x4_GAN",
    ),
    "scunet": ("ScuNET", "scunet_color_real_gan"),
    "scunet gan": ("ScuNET", "scunet_color_real_gan"),
    "scunet psnr": ("scunet_color_real_psnr",),
    "dat x2": ("DAT_x2",),
    "dat x3": ("DAT_x3",),
    "dat x4": ("DAT_x4",),
}
