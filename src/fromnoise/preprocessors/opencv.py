"""OpenCV, where it is installed."""

from importlib import import_module
from typing import Any

from fromnoise.errors import UserError


def opencv() -> Any:
    """The module; UserError that says how to install it."""
    try:
        return import_module("cv2")
    except ImportError:
        raise UserError("preprocessors need OpenCV, which is not installed: pip install 'fromnoise[control]'") from None
