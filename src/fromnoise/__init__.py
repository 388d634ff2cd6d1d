"""fromnoise: a complete Stable Diffusion system."""

__version__ = "0.1.0"
