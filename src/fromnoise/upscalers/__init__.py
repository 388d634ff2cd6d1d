"""What makes pictures larger: plain resampling, and networks in files."""

from fromnoise.upscalers import builtin as builtin  # registers what comes with the package
from fromnoise.upscalers.registry import LATENT_UPSCALERS as LATENT_UPSCALERS
from fromnoise.upscalers.registry import UPSCALERS as UPSCALERS
from fromnoise.upscalers.registry import LatentUpscaler as LatentUpscaler
from fromnoise.upscalers.registry import Upscaler as Upscaler
from fromnoise.upscalers.registry import UpscalerSpec as UpscalerSpec
from fromnoise.upscalers.registry import upscaler as upscaler
